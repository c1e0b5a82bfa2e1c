//! A program that serves, a small tree of tenants, and credentials for whoever a test wants to be.
//!
//! ```text
//! root             another root
//! ├── partner      └── stranger
//! │   └── shop
//! └── rival
//! ```

use common::{
    admin::{AdminScope, AdminSecret, NewAdminKey, Role},
    id::TenantId,
    key::Pepper,
    plan::PlanFile,
    store::Store,
    tenant::{Tenant, TenantKind, lifecycle::NewTenant},
    time::{Clock as _, SystemClock},
};
use reqwest::{
    Client, Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::deployment::{Deployment, Server, instant};

const PEPPER: &[u8] = b"0123456789abcdef";

/// Everything a test of the API needs.
pub(super) struct Fixture {
    pub(super) deployment: Deployment,
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) root: TenantId,
    pub(super) partner: TenantId,
    pub(super) shop: TenantId,
    pub(super) rival: TenantId,
    pub(super) other_root: TenantId,
    pub(super) stranger: TenantId,
    client: Client,
}

/// Somebody with a credential.
#[derive(Clone)]
pub(super) struct Caller<'a> {
    fixture: &'a Fixture,
    pub(super) secret: String,
    headers: HeaderMap,
}

/// An answer of the API.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Fixture {
    pub(super) async fn open() -> Self {
        Self::at(Deployment::new()).await
    }

    /// One whose documents are typeset, each within so many seconds.
    pub(super) async fn with_documents(seconds: u32) -> Self {
        Self::at_with_documents(Deployment::new(), seconds).await
    }

    pub(super) async fn at_with_documents(deployment: Deployment, seconds: u32) -> Self {
        deployment.typeset_documents(seconds);
        Self::at(deployment).await
    }

    pub(super) async fn at(deployment: Deployment) -> Self {
        let (store, root) = deployment.store().await;
        // Tests ask more often than people.
        let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
        let access = "access: { tenant_requests_per_minute: 10000000, failed_credentials_per_minute: 10000000 }\n";
        std::fs::write(deployment.path("billing.yaml"), settings + access).unwrap();
        let server = deployment.serve().await;
        let partner = tenant(&store, Some(root), TenantKind::Reseller, "Partner", Some("business")).await.id;
        let shop = tenant(&store, Some(partner), TenantKind::Customer, "Shop", None).await.id;
        let rival = tenant(&store, Some(root), TenantKind::Reseller, "Rival", Some("growth")).await.id;
        let other_root = tenant(&store, None, TenantKind::Root, "Other", None).await.id;
        let plans = PlanFile::parse(include_str!("../../../../config/plans.yaml"), "plans.yaml").unwrap().plans;
        store.apply_plans_of(Some(other_root), &plans, instant("2026-02-01T00:00:00Z")).await.unwrap();
        let stranger = tenant(&store, Some(other_root), TenantKind::Customer, "Stranger", Some("growth")).await.id;
        Self { deployment, server, store, root, partner, shop, rival, other_root, stranger, client: Client::new() }
    }

    /// Somebody with this role at this tenant.
    pub(super) async fn caller(&self, tenant: TenantId, role: Role) -> Caller<'_> {
        self.narrowed(tenant, role, &[]).await
    }

    /// Somebody with some scopes of a role only.
    pub(super) async fn narrowed(&self, tenant: TenantId, role: Role, scopes: &[AdminScope]) -> Caller<'_> {
        let secret = AdminSecret::generate();
        let pepper = Self::pepper();
        let new = NewAdminKey {
            tenant,
            name: format!("{role}"),
            role,
            scopes: scopes.to_vec(),
            hash: pepper.hash_admin(&secret),
            pepper_id: pepper.id().into(),
            hint: secret.hint().into(),
            expires_at: None,
        };
        self.store.create_admin_key(&new, SystemClock.now()).await.unwrap();
        self.with_secret(secret.expose())
    }

    /// The pepper that the program hashes secrets with.
    pub(super) fn pepper() -> Pepper {
        Pepper::new(PEPPER).unwrap()
    }

    /// The owner of the root.
    pub(super) async fn owner(&self) -> Caller<'_> {
        self.caller(self.root, Role::Owner).await
    }

    /// Whoever has this credential.
    pub(super) fn with_secret(&self, secret: &str) -> Caller<'_> {
        Caller { fixture: self, secret: secret.to_owned(), headers: HeaderMap::new() }
    }
}

impl Caller<'_> {
    /// The same, sending one header more.
    pub(super) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        caller
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body.to_string())).await
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body.to_string())).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Something without a body.
    pub(super) async fn order(&self, path: &str) -> Answer {
        self.send(Method::POST, path, None).await
    }

    /// Status, content type and bytes of an answer.
    pub(super) async fn bytes(&self, path: &str) -> (StatusCode, String, Vec<u8>) {
        let url = format!("http://{}{path}", self.fixture.server.address);
        let response = self.fixture.client.get(url).bearer_auth(&self.secret).send().await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status(), kind, response.bytes().await.unwrap().to_vec())
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let url = format!("http://{}{path}", self.fixture.server.address);
        let mut request = self.fixture.client.request(method, url).headers(self.headers.clone());
        if !self.secret.is_empty() {
            request = request.bearer_auth(&self.secret);
        }
        if let Some(body) = body {
            if !self.headers.contains_key("content-type") {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }
}

impl Answer {
    /// The document of an answer that has to have this status.
    #[track_caller]
    pub(super) fn document(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// The detail of a problem, after asserting its status and code.
    #[track_caller]
    pub(super) fn problem(&self, status: u16, code: &str) -> String {
        let problem = self.document(status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:tollgate:problem:{code}"));
        problem["detail"].as_str().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A tenant that was there before the test.
pub(super) async fn tenant(
    store: &Store,
    parent: Option<TenantId>,
    kind: TenantKind,
    name: &str,
    plan: Option<&str>,
) -> Tenant {
    let plan = plan.map(|plan| plan.parse().unwrap());
    let new = NewTenant { parent, kind, name: name.into(), zone: "UTC".parse().unwrap(), plan };
    store.create_tenant(&new, instant("2026-02-01T00:00:00Z")).await.unwrap()
}
