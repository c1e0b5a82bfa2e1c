//! The checkpoint in front of every handler: credential, scope and role, by the row of the
//! operation.
//!
//! Invariant: an operation without a row in the table is refused.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use common::{
    api::problem::ProblemCode,
    id::{AdminKeyId, BankEntryId, InvoiceId, KeyId, PaymentId, TenantId},
    limit::LimitState,
    mail::MailAddress,
    origin,
    store::StoreError,
    tenant::TenantStatus,
};

use super::{
    Access, Caller, Principal, Unplaced,
    caller::Admitted,
    credential::Bearer,
    rules::{Grant, Needs, Relation, Target, rule},
    throttle::{self, TooMany},
};
use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The checkpoint of one route.
#[derive(Clone)]
pub struct Checkpoint {
    /// Authenticates callers and checks what they may do.
    pub access: Access,
    /// The path of the route, with its parameters in braces.
    pub path: &'static str,
}

/// Lets a request through to its handler, or answers it.
pub async fn guard(
    State(checkpoint): State<Checkpoint>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let request_id = origin::request_id(request.headers().get(REQUEST_ID));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let arrival = Arrival { method: request.method(), headers: request.headers(), peer, request_id: &request_id };
    let mut limit = None;
    let admitted = match &parameters {
        Ok(parameters) => checkpoint.admit(&arrival, parameters, &mut limit).await,
        // A parameter that is no text names nothing.
        Err(_) => Err(Problem::new(ProblemCode::NotFound, "there is nothing at this path")),
    };
    let shown_token = checkpoint.shown_token(&arrival);
    let mut response = match admitted {
        Ok(admitted) => {
            if let Some(admitted) = admitted {
                request.extensions_mut().insert(admitted);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(address) = shown_token.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
        checkpoint.access.throttle.count_guess(address);
    }
    if let Some(state) = limit {
        throttle::tell(&state, response.headers_mut());
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The parts of a request that the guard reads.
struct Arrival<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    peer: Option<IpAddr>,
    request_id: &'a str,
}

impl Checkpoint {
    /// Admits a request to its handler. Sets `limit` to the state of the limit that counted the
    /// request.
    async fn admit(
        &self,
        arrival: &Arrival<'_>,
        parameters: &RawPathParams,
        limit: &mut Option<LimitState>,
    ) -> Result<Option<Admitted>, Problem> {
        let Some(rule) = rule(arrival.method, self.path) else {
            return Err(Problem::new(ProblemCode::Forbidden, "this operation is not open to any role"));
        };
        let grant = match &rule.needs {
            Needs::Nothing => return Ok(None),
            Needs::OwnToken => {
                self.access.check_address(self.access.address(arrival), limit)?;
                return Ok(None);
            }
            Needs::Somebody => None,
            Needs::Role(grant) => Some(grant),
        };
        let caller = self.access.caller(arrival, limit).await?;
        // Signing in and out is possible while the tenant is suspended: it changes nothing else.
        let method = if rule.path.starts_with("/v1/sessions") { &Method::GET } else { arrival.method };
        let own = self.access.standing(&caller.principal, method).await?;
        self.access.note_owner(&caller.principal).await?;
        let Some(grant) = grant else {
            return Ok(Some(Admitted::Caller(caller)));
        };
        if !caller.principal.covers(grant.scope) {
            let detail = format!("your admin key is narrowed to scopes that do not include {}", grant.scope);
            return Err(Problem::new(ProblemCode::Forbidden, detail));
        }
        if grant.target == Target::Body {
            return Ok(Some(Admitted::Unplaced(Unplaced::new(caller, *grant))));
        }
        match grant.target {
            Target::Own | Target::Body => caller.admit(*grant, own)?,
            Target::Tenant
            | Target::Key
            | Target::AdminKey
            | Target::Invoice
            | Target::InvoiceIssuer
            | Target::PaymentIssuer
            | Target::BankEntry => {
                let tenant = concerned(&caller, grant, parameters).await?;
                caller.check(grant, tenant).await?;
            }
        }
        Ok(Some(Admitted::Caller(caller)))
    }
}

impl Checkpoint {
    /// The address of a request with a token that its handler checks. If the handler refuses the
    /// token, it was a guess.
    fn shown_token(&self, arrival: &Arrival<'_>) -> Option<IpAddr> {
        let is_checked = rule(arrival.method, self.path).is_some_and(|rule| rule.needs == Needs::OwnToken);
        let shows_one = arrival.headers.contains_key(header::AUTHORIZATION);
        self.access.address(arrival).filter(|_| is_checked && shows_one)
    }
}

impl Access {
    /// The address that a request comes from, if known.
    fn address(&self, arrival: &Arrival<'_>) -> Option<IpAddr> {
        arrival.peer.map(|peer| origin::address(peer, arrival.headers, &self.trusted_proxies))
    }

    /// Counts a sign-in link that a client asks for, and refuses the next ones if there are too many.
    pub(crate) fn admit_mailed_link(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        to: &MailAddress,
    ) -> Result<(), Problem> {
        let client = peer.map(|peer| origin::address(peer, headers, &self.trusted_proxies));
        let refuse = |refused| too_many(refused, &mut None, "too many links were asked for");
        self.throttle.admit_link(client, to).map_err(refuse)
    }

    /// Refuses a request from an address with too many failed logins.
    fn check_address(&self, address: Option<IpAddr>, limit: &mut Option<LimitState>) -> Result<(), Problem> {
        let Some(address) = address else {
            return Ok(());
        };
        let refuse = |refused| too_many(refused, limit, "too many failed logins from your address");
        self.throttle.check(address).map_err(refuse)
    }

    /// Authenticates the caller and applies the rate limit of its tenant.
    async fn caller(&self, arrival: &Arrival<'_>, limit: &mut Option<LimitState>) -> Result<Caller, Problem> {
        let address = self.address(arrival);
        self.check_address(address, limit)?;
        let authenticated = match Bearer::of(arrival.method, arrival.headers, self.sessions) {
            Ok(bearer) => self.authenticate(&bearer).await,
            Err(refused) => Err(refused),
        };
        let principal = authenticated.map_err(|refused| {
            // Any client may cause this, so it must not fill the logs.
            tracing::debug!(event = "credential_refused", ?refused, ?address);
            if let Some(address) = address.filter(|_| refused.is_guess) {
                self.throttle.count_guess(address);
            }
            refused.problem
        })?;
        let admitted = self.throttle.admit(principal.tenant);
        *limit = Some(admitted.map_err(|refused| too_many(refused, limit, "too many requests of your tenant"))?);
        Ok(Caller::new(principal, address, arrival.request_id.to_owned(), self.store.clone()))
    }

    /// The relation of the principal to its own tenant, which must exist and, for a change, must be
    /// active.
    async fn standing(&self, principal: &Principal, method: &Method) -> Result<Relation, Problem> {
        let Some(own) = principal.tenant else {
            return Ok(Relation::Above);
        };
        let refuse = |detail: &str| Err(Problem::new(ProblemCode::Forbidden, detail));
        let line = match self.store.ancestors(own).await {
            Err(StoreError::NotFound { .. }) => Vec::new(),
            line => line?,
        };
        if line.iter().any(|tenant| tenant.status == TenantStatus::Deleted) || line.is_empty() {
            return refuse("your tenant was deleted");
        }
        if !method.is_safe() && line.iter().any(|tenant| tenant.status == TenantStatus::Suspended) {
            return refuse("your tenant is suspended: you may read, and change nothing");
        }
        Ok(if line.len() == 1 { Relation::OwnRoot } else { Relation::Own })
    }
}

fn too_many(refused: TooMany, limit: &mut Option<LimitState>, detail: &str) -> Problem {
    *limit = Some(refused.state);
    let seconds = refused.retry_after_seconds;
    Problem::new(ProblemCode::TooManyRequests, format!("{detail}; try again in {seconds} s")).retry_after(seconds)
}

/// The tenant that the path concerns.
async fn concerned(caller: &Caller, grant: &Grant, parameters: &RawPathParams) -> Result<TenantId, Problem> {
    match grant.target {
        Target::Key => {
            let key: KeyId = parameter(parameters, "key", "key")?;
            Ok(caller.store().key(key).await?.tenant)
        }
        Target::AdminKey => {
            let key: AdminKeyId = parameter(parameters, "admin_key", "admin key")?;
            Ok(caller.store().admin_key(key).await?.tenant)
        }
        Target::Invoice => {
            let invoice: InvoiceId = parameter(parameters, "invoice", "invoice")?;
            Ok(caller.store().invoice(invoice).await?.tenant)
        }
        Target::InvoiceIssuer => issuer(caller, parameter(parameters, "invoice", "invoice")?).await,
        Target::PaymentIssuer => {
            let payment: PaymentId = parameter(parameters, "payment", "payment")?;
            issuer(caller, caller.store().payment(payment).await?.invoice).await
        }
        Target::BankEntry => {
            let entry: BankEntryId = parameter(parameters, "entry", "bank entry")?;
            Ok(caller.store().bank_entry(entry).await?.issuer)
        }
        Target::Tenant | Target::Own | Target::Body => parameter(parameters, "tenant", "tenant"),
    }
}

/// The issuer of an invoice that the caller may see. To a caller that stands below the issuer, the
/// invoice is known, and closed.
async fn issuer(caller: &Caller, invoice: InvoiceId) -> Result<TenantId, Problem> {
    let issuer = caller.store().invoice(invoice).await?.issuer;
    match caller.store().tenant(issuer).await {
        Ok(issuer) => Ok(issuer.id),
        Err(StoreError::NotFound { .. }) => {
            Err(Problem::new(ProblemCode::Forbidden, "only the issuer of the invoice may do this"))
        }
        Err(error) => Err(error.into()),
    }
}

/// A parameter of the path as an identifier. A malformed one is not found.
fn parameter<T: std::str::FromStr>(parameters: &RawPathParams, name: &str, what: &str) -> Result<T, Problem> {
    let text = parameters.iter().find(|(found, _)| *found == name).map(|(_, text)| text).unwrap_or_default();
    text.parse().map_err(|_| {
        let text: String = text.chars().take(64).collect();
        Problem::new(ProblemCode::NotFound, format!("no {what} {text}"))
    })
}
