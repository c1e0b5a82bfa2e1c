//! The checkpoint with a real store behind it and, in place of handlers, stubs that tell who came
//! through.

mod credentials;
mod people;
mod walk;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::Query,
    middleware,
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use common::{
    admin::{AdminScope, AdminSecret, NewAdminKey, Role},
    api::problem::ProblemCode,
    bank::{
        EntryFilter,
        statement::{table, table::TableProfile},
    },
    id::{AdminKeyId, BankEntryId, InvoiceId, KeyId, PaymentId, TenantId},
    invoice::{BilledPeriod, Counts, Finalized, InvoiceLine, LineKind, NewInvoice, tax::TaxRule},
    key::{Mode, NewKey, Pepper},
    money::Currency,
    payment::NewPayment,
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, Micros, SystemClock, Window},
};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Access, Caller, Checkpoint, Unplaced, guard,
    rules::{Needs, RULES, Target},
};
use crate::problem::Problem;

/// A tree: root (reseller (customer), sibling), and a stranger's root.
struct Tree {
    root: TenantId,
    reseller: TenantId,
    customer: TenantId,
    sibling: TenantId,
    foreign: TenantId,
}

struct Fixture {
    store: Store,
    pepper: Pepper,
    tree: Tree,
    _directory: tempfile::TempDir,
}

struct Served {
    address: String,
    client: Client,
}

/// The body of a stub operation that names a tenant in its body.
#[derive(Deserialize)]
struct Meant {
    tenant: TenantId,
}

impl Fixture {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/tollgate.db", directory.path().display());
        let (store, _) = Store::open_and_migrate(&url).await.unwrap();
        let root = tenant(&store, None, TenantKind::Root).await;
        let reseller = tenant(&store, Some(root), TenantKind::Reseller).await;
        let tree = Tree {
            root,
            reseller,
            customer: tenant(&store, Some(reseller), TenantKind::Customer).await,
            sibling: tenant(&store, Some(root), TenantKind::Reseller).await,
            foreign: tenant(&store, None, TenantKind::Root).await,
        };
        Self { store, pepper: Pepper::new(b"0123456789abcdef").unwrap(), tree, _directory: directory }
    }

    fn access(&self) -> Access {
        Access::new(self.store.clone(), self.pepper.clone(), Arc::new(SystemClock))
            // Tests ask more often than people.
            .limited_to(
                common::plan::RateLimit { limit: 1_000_000, burst: 1_000_000 },
                common::plan::RateLimit { limit: 1_000_000, burst: 1_000_000 },
            )
    }

    async fn machine(&self, tenant: TenantId, role: Role, scopes: &[AdminScope]) -> (AdminKeyId, String) {
        self.machine_until(tenant, role, scopes, None).await
    }

    async fn machine_until(
        &self,
        tenant: TenantId,
        role: Role,
        scopes: &[AdminScope],
        expires_at: Option<Micros>,
    ) -> (AdminKeyId, String) {
        let secret = AdminSecret::generate();
        let new = NewAdminKey {
            tenant,
            name: "machine".into(),
            role,
            scopes: scopes.to_vec(),
            hash: self.pepper.hash_admin(&secret),
            pepper_id: self.pepper.id().into(),
            hint: secret.hint().into(),
            expires_at,
        };
        (self.store.create_admin_key(&new, SystemClock.now()).await.unwrap().id, secret.expose().to_owned())
    }

    /// An invoice that a tenant owes to itself, and a payment of it: of every relation to an invoice.
    /// An entry of a statement of the tenant's account.
    async fn bank_entry(&self, tenant: TenantId) -> BankEntryId {
        let table = "account,date,amount,currency,text\nacc,2026-12-01,1.00,USD,a\n";
        let statement = table::read(table.as_bytes(), &TableProfile::default()).unwrap();
        self.store.import_bank_statement(tenant, &statement, SystemClock.now()).await.unwrap();
        let page = PageRequest { after: None, limit: 1 };
        self.store.bank_entries(tenant, EntryFilter::default(), page).await.unwrap().items[0].id
    }

    async fn paid_invoice(&self, tenant: TenantId) -> (InvoiceId, PaymentId) {
        let (now, window) = (SystemClock.now(), Window { start: Micros(0), end: Micros(1) });
        let line = InvoiceLine {
            kind: LineKind::Custom,
            description: "Work".into(),
            meter: None,
            quantity: 1,
            unit_price: None,
            exact: None,
            amount_minor: 100,
            tax: TaxRule::NONE,
            period: None,
            coupon: None,
            in_advance: false,
        };
        let new = NewInvoice {
            issuer: tenant,
            tenant,
            currency: Currency::USD,
            period: Some(BilledPeriod { window, zone: "UTC".into() }),
            part: 0,
            last_part: 0,
            plan: None,
            counts: Counts::default(),
            lines: vec![line],
            usage: Vec::new(),
            memo: None,
            input_hash: None,
        };
        let (Finalized::New(invoice) | Finalized::Before(invoice)) =
            self.store.finalize_invoice(&new, now).await.unwrap();
        let payment = NewPayment {
            invoice: invoice.id,
            amount: invoice.total,
            method: "cash".into(),
            reference: tenant.to_string(),
            received_at: now,
        };
        (invoice.id, self.store.record_payment(&payment, now).await.unwrap().id)
    }

    async fn api_key(&self, tenant: TenantId) -> KeyId {
        let secret = common::key::Secret::generate(Mode::Live);
        let new = NewKey::new(tenant, "key", &secret, &self.pepper);
        self.store.create_key(&new, SystemClock.now()).await.unwrap().id
    }
}

async fn tenant(store: &Store, parent: Option<TenantId>, kind: TenantKind) -> TenantId {
    let new = NewTenant { parent, kind, name: "Tenant".into(), zone: "UTC".parse().unwrap(), plan: None };
    store.create_tenant(&new, SystemClock.now()).await.unwrap().id
}

impl Served {
    /// Serves a stub for every row of the table, and one without a row.
    async fn start(access: Access) -> Self {
        let rows = RULES.iter().map(|rule| {
            (
                rule.method,
                rule.path,
                matches!(&rule.needs, Needs::Role(grant) if grant.target == Target::Body),
                rule.needs,
            )
        });
        let router = rows.fold(Router::new(), |router, (method, path, asks, needs)| {
            let checkpoint = Checkpoint { access: access.clone(), path };
            let methods = stub(method, asks, needs);
            router.route(path, methods.route_layer(middleware::from_fn_with_state(checkpoint, guard)))
        });
        let rowless = Checkpoint { access, path: "/v1/rowless" };
        let handler = axum::routing::get(|| async { "let through" });
        let router = router.route("/v1/rowless", handler.route_layer(middleware::from_fn_with_state(rowless, guard)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { address, client: Client::new() }
    }

    async fn ask(&self, method: &str, path: &str, token: &str) -> reqwest::Response {
        let method: Method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.address)).bearer_auth(token).send().await.unwrap()
    }

    /// Status and body of `GET /v1/me`, whose stub tells who came through.
    async fn me(&self, token: &str) -> (StatusCode, Value) {
        let response = self.ask("GET", "/v1/me", token).await;
        (response.status(), response.json().await.unwrap())
    }
}

fn stub(method: &str, asks: bool, needs: Needs) -> MethodRouter {
    let filter = axum::routing::MethodFilter::try_from(method.parse::<axum::http::Method>().unwrap()).unwrap();
    match (needs, asks) {
        (Needs::Nothing, _) => axum::routing::on(filter, || async { "open" }),
        (Needs::OwnToken, _) => axum::routing::on(filter, own_token),
        (_, true) => axum::routing::on(filter, placed),
        (_, false) => axum::routing::on(filter, told),
    }
}

/// Checks a token of its own, as the handler of batches does.
async fn own_token(headers: axum::http::HeaderMap) -> Result<&'static str, Problem> {
    let is_good = headers.get("authorization").is_some_and(|value| value == "Bearer good");
    if is_good { Ok("open") } else { Err(Problem::new(ProblemCode::Unauthorized, "not the token")) }
}

async fn told(caller: Caller) -> Json<Value> {
    Json(json!({
        "kind": caller.principal.kind,
        "name": caller.principal.name,
        "tenant": caller.principal.tenant,
        "role": caller.principal.role,
        "request_id": caller.request_id,
        "address": caller.address,
    }))
}

async fn placed(unplaced: Unplaced, Query(meant): Query<Meant>) -> Response {
    match unplaced.at(Some(meant.tenant)).await {
        Ok(caller) => told(caller).await.into_response(),
        Err(problem) => problem.into_response(),
    }
}
