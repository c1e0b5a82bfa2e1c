//! Sessions: the cookie, its end, and all that somebody else may try with it.

use std::time::Duration;

use common::{
    admin::{AdminArea, AdminScope, Role},
    id::TenantId,
};
use reqwest::{Client, Method, redirect};
use serde_json::{Value, json};
use servers::OpenId;

use super::fixture::{Answer, Caller, Fixture};
use crate::deployment::Deployment;

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie");
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

/// A browser with this cookie, at a page of this app.
fn browser<'a>(fixture: &'a Fixture, cookie: &str, app: &'static str) -> Caller<'a> {
    fixture.with_secret("").with("cookie", cookie).with("tollgate-app", app)
}

async fn sign_in<'a>(fixture: &'a Fixture, caller: &Caller<'_>) -> Caller<'a> {
    let answer = caller.post("/v1/sessions", json!({ "app": "console" })).await;
    let document = answer.document(200);
    let cookie = cookie(&answer);
    assert!(!document.to_string().contains(cookie.split('=').nth(1).unwrap()), "no document has the secret");
    assert_eq!(answer.header("cache-control"), "no-store");
    browser(fixture, &cookie, "console")
}

/// The secret of a link for somebody at `tenant`.
async fn link(caller: &Caller<'_>, tenant: TenantId, role: &str) -> String {
    let body = json!({ "tenant": tenant, "user": "anna@acme.example", "role": role });
    let made = caller.post("/v1/portal/sessions", body).await.document(201);
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with("/portal/#link=lnk_"), "the secret is in the fragment alone: {url}");
    url.split("link=").nth(1).unwrap().to_owned()
}

async fn redeem<'a>(fixture: &'a Fixture, link: &str) -> Caller<'a> {
    let answer = fixture.with_secret(link).order("/v1/sessions/redeem").await;
    answer.document(200);
    browser(fixture, &cookie(&answer), "portal")
}

#[tokio::test]
async fn session_acts_as_its_admin_key_until_it_is_signed_out_or_the_key_is_revoked() {
    let fixture = Fixture::open().await;
    let (owner, machine) = (fixture.owner().await, fixture.caller(fixture.partner, Role::Admin).await);
    let first = sign_in(&fixture, &machine).await;
    let me = first.get("/v1/me").await.document(200);
    assert_eq!((&me["kind"], &me["role"]), (&json!("admin_key"), &json!("admin")));
    assert_eq!(first.get("/v1/sessions/current").await.document(200)["tenant"], fixture.partner.to_string());
    first.get(&format!("/v1/tenants/{}", fixture.rival)).await.problem(404, "not_found");
    let key = first.post("/v1/keys", json!({ "tenant": fixture.partner, "name": "made in a browser" })).await;
    assert_eq!(key.document(201)["key"]["created_by"]["name"], me["name"]);

    assert_eq!(first.delete("/v1/sessions/current").await.status, 204);
    first.get("/v1/me").await.problem(401, "unauthorized");
    machine.get("/v1/sessions/current").await.problem(404, "not_found");

    let (one, two) = (sign_in(&fixture, &machine).await, sign_in(&fixture, &machine).await);
    assert_eq!(one.delete("/v1/sessions").await.document(200)["sessions"], 2);
    two.get("/v1/me").await.problem(401, "unauthorized");

    let last = sign_in(&fixture, &machine).await;
    let id = me["name"].as_str().unwrap();
    owner.order(&format!("/v1/admin-keys/{id}/revoke")).await.document(200);
    last.get("/v1/me").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn cookie_alone_does_nothing_and_neither_does_one_that_somebody_made_up() {
    let fixture = Fixture::open().await;
    let machine = fixture.owner().await;
    let answer = machine.post("/v1/sessions", json!({ "app": "console" })).await;
    let own = cookie(&answer);
    // A form or a picture of another page sends the cookie, and no header of its own.
    let forged = fixture.with_secret("").with("cookie", &own);
    forged.get("/v1/me").await.problem(401, "unauthorized");
    let body = json!({ "name": "Mine", "kind": "root" });
    forged.post("/v1/tenants", body.clone()).await.problem(401, "unauthorized");
    let page = browser(&fixture, &own, "console");
    for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "null")] {
        page.with(name, value).post("/v1/tenants", body.clone()).await.problem(403, "forbidden");
    }
    // The cookie of one app is not one of the other.
    browser(&fixture, &own, "portal").get("/v1/me").await.problem(401, "unauthorized");
    // A secret that was planted before the sign-in is not the one after it.
    let planted = "tollgate_console=ses_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let answer = machine.with("cookie", planted).post("/v1/sessions", json!({ "app": "console" })).await;
    assert_ne!(cookie(&answer), planted);
    browser(&fixture, planted, "console").get("/v1/me").await.problem(401, "unauthorized");
    // Neither a session nor the bootstrap token is exchanged for a session.
    page.post("/v1/sessions", json!({ "app": "console" })).await.problem(403, "forbidden");
    page.with("tollgate-app", "elsewhere").get("/v1/me").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn link_signs_in_once_at_its_tenant_with_at_most_the_role_of_its_maker() {
    let fixture = Fixture::open().await;
    let backend = fixture.caller(fixture.partner, Role::Admin).await;
    let secret = link(&backend, fixture.shop, "admin").await;
    let anna = redeem(&fixture, &secret).await;
    fixture.with_secret(&secret).order("/v1/sessions/redeem").await.problem(401, "unauthorized");
    let me = anna.get("/v1/me").await.document(200);
    assert_eq!((&me["kind"], &me["name"]), (&json!("link_user"), &json!("anna@acme.example")));
    assert_eq!(me["tenant"], fixture.shop.to_string());
    for foreign in [fixture.partner, fixture.root, fixture.rival, fixture.stranger] {
        anna.get(&format!("/v1/tenants/{foreign}")).await.problem(404, "not_found");
    }
    anna.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "own" })).await.document(201);
    anna.get("/v1/admin-keys").await.problem(403, "forbidden");
    let again = json!({ "tenant": fixture.shop, "user": "bob" });
    anna.post("/v1/portal/sessions", again.clone()).await.problem(403, "forbidden");

    let entries = backend.get(&format!("/v1/audit?tenant={}", fixture.shop)).await.document(200);
    let actions: Vec<&Value> = entries["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    for action in ["session.link", "session.begin", "key.create"] {
        assert!(actions.contains(&&json!(action)), "{action} in {actions:?}");
    }
    let owner = json!({ "tenant": fixture.shop, "user": "anna", "role": "owner" });
    backend.post("/v1/portal/sessions", owner).await.problem(403, "forbidden");
    fixture
        .caller(fixture.partner, Role::Billing)
        .await
        .post("/v1/portal/sessions", again)
        .await
        .problem(403, "forbidden");
    let markup = json!({ "tenant": fixture.shop, "user": "a\u{0}b" });
    backend.post("/v1/portal/sessions", markup).await.problem(422, "refused");
    for text in ["", "lnk_x", "adm_x", "lnk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        fixture.with_secret(text).order("/v1/sessions/redeem").await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn session_of_a_link_ends_with_the_key_that_made_it_and_has_its_scopes() {
    let fixture = Fixture::open().await;
    let scopes = [AdminScope::write(AdminArea::AdminKeys), AdminScope::read(AdminArea::Usage)];
    let backend = fixture.narrowed(fixture.partner, Role::Admin, &scopes).await;
    let anna = redeem(&fixture, &link(&backend, fixture.shop, "admin").await).await;
    anna.get("/v1/usage").await.document(200);
    let refused = anna.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "k" })).await;
    assert!(refused.problem(403, "forbidden").contains("keys:write"));
    let id = backend.get("/v1/me").await.document(200)["name"].as_str().unwrap().to_owned();
    fixture.owner().await.order(&format!("/v1/admin-keys/{id}/revoke")).await.document(200);
    anna.get("/v1/usage").await.problem(401, "unauthorized");

    // Whoever is no longer above the tenant has no session there either.
    let root = fixture.caller(fixture.root, Role::Admin).await;
    let partner = fixture.caller(fixture.partner, Role::Admin).await;
    let moved = redeem(&fixture, &link(&partner, fixture.shop, "viewer").await).await;
    let kept = redeem(&fixture, &link(&root, fixture.shop, "viewer").await).await;
    let to = json!({ "parent": fixture.rival });
    root.post(&format!("/v1/tenants/{}/move", fixture.shop), to).await.document(200);
    moved.get("/v1/me").await.problem(401, "unauthorized");
    kept.get("/v1/me").await.document(200);
}

#[tokio::test]
async fn people_of_a_suspended_tenant_sign_in_and_out_and_change_nothing_else() {
    let fixture = Fixture::open().await;
    let (root, machine) = (fixture.owner().await, fixture.caller(fixture.shop, Role::Admin).await);
    root.order(&format!("/v1/tenants/{}/suspend", fixture.shop)).await.document(200);
    let page = sign_in(&fixture, &machine).await;
    page.get("/v1/invoices").await.document(200);
    let refused = page.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "k" })).await;
    assert!(refused.problem(403, "forbidden").contains("suspended"));
    assert_eq!(page.delete("/v1/sessions/current").await.status, 204);
    assert_eq!(page.send(Method::GET, "/v1/me", None).await.status, 401);
}

/// Follows redirects at the provider as a browser does, through its form of login, until it leads
/// back here.
async fn log_in(provider: &OpenId, begin: &str, account: &str) -> String {
    let client = Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_mins(1)).build().unwrap();
    let (mut next, mut cookies) = (begin.to_owned(), Vec::<(String, String)>::new());
    for _ in 0..10 {
        if next.starts_with(PUBLIC) {
            return next;
        }
        let jar = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = if next.contains("/interaction/") {
            let form = format!("prompt=login&login={account}&password=any");
            client.post(&next).header("content-type", "application/x-www-form-urlencoded").body(form)
        } else {
            client.get(&next)
        };
        let response = request.header("cookie", jar).send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            cookies.retain(|(known, _)| known != name);
            cookies.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
        }
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let location = location.unwrap_or_else(|| panic!("{next}: {}", response.status()));
        next = if location.starts_with('/') { format!("{}{location}", provider.issuer()) } else { location };
    }
    panic!("{next}")
}

const PUBLIC: &str = "https://console.example";

#[tokio::test]
async fn person_signs_in_through_the_identity_provider_and_no_browser_sees_a_token() {
    let provider = tokio::task::spawn_blocking(|| OpenId::start().unwrap()).await.unwrap();
    let deployment = Deployment::new();
    let (_store, root) = deployment.store().await;
    let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
    let more = format!(
        "access:\n  oidc:\n    issuer: {}\n    audience: tollgate\n    client_id: console\n    scope: openid api\n    \
         resource: urn:resource:tollgate\npages: {{ public_url: {PUBLIC} }}\n",
        provider.issuer()
    );
    std::fs::write(deployment.path("billing.yaml"), settings + &more).unwrap();
    let server = deployment.serve().await;
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let here = |path: &str| format!("http://{}{path}", server.address);
    let ways: Value = client.get(here("/v1/sessions/ways")).send().await.unwrap().json().await.unwrap();
    assert_eq!(ways["identity_provider"], true);

    let begun = client.get(here("/v1/sessions/oidc?app=console")).send().await.unwrap();
    assert_eq!(begun.status(), 303);
    let header = |response: &reqwest::Response, name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let at_provider = header(&begun, "location");
    assert!(at_provider.contains("code_challenge_method=S256") && at_provider.contains("state="), "{at_provider}");
    let own = header(&begun, "set-cookie");
    assert!(own.contains("HttpOnly; SameSite=Lax"), "{own}");
    let own = own.split(';').next().unwrap().to_owned();
    let back = log_in(&provider, &at_provider, &format!("admin.{root}")).await;
    let path = back.strip_prefix(PUBLIC).unwrap();

    // Whoever has not begun the sign-in gets nothing by its code.
    for stolen in [String::new(), "tollgate_sign_in=console.a.b".into()] {
        let refused = client.get(here(path)).header("cookie", stolen).send().await.unwrap();
        assert_eq!(header(&refused, "location"), "/console/#sign-in=failed");
        assert!(!header(&refused, "set-cookie").contains("ses_"));
    }
    let finished = client.get(here(path)).header("cookie", &own).send().await.unwrap();
    assert_eq!((finished.status().as_u16(), header(&finished, "location").as_str()), (303, "/console/"));
    let cookie = header(&finished, "set-cookie").split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("tollgate_console=ses_"), "{cookie}");
    let me = client.get(here("/v1/me")).header("cookie", &cookie).header("tollgate-app", "console");
    let me: Value = me.send().await.unwrap().json().await.unwrap();
    assert_eq!((&me["kind"], &me["role"]), (&json!("person"), &json!("admin")), "{me}");
    // The code works once.
    let again = client.get(here(path)).header("cookie", &own).send().await.unwrap();
    assert_eq!(header(&again, "location"), "/console/#sign-in=failed");
}

#[tokio::test]
async fn members_have_at_most_the_role_of_whoever_names_them_and_no_link_user_names_any() {
    let fixture = Fixture::open().await;
    let admin = fixture.caller(fixture.partner, Role::Admin).await;
    let path = format!("/v1/tenants/{}/members", fixture.shop);
    let body = |role: &str| json!({ "members": [{ "address": "Anna@acme.example", "role": role }] });
    let set = admin.put(&path, body("admin")).await.document(200);
    assert_eq!(set["items"], json!([{ "address": "anna@acme.example", "role": "admin" }]));
    assert_eq!(admin.get(&path).await.document(200), set);
    admin.put(&path, body("owner")).await.problem(403, "forbidden");
    let owner = fixture.owner().await;
    owner.put(&path, body("owner")).await.problem(422, "refused");
    let twice = json!({ "members": [
        { "address": "a@acme.example", "role": "viewer" }, { "address": "A@acme.example", "role": "admin" },
    ] });
    admin.put(&path, twice).await.problem(422, "refused");
    admin
        .put(&path, json!({ "members": [{ "address": "nobody", "role": "viewer" }] }))
        .await
        .problem(400, "body_invalid");
    let linked = redeem(&fixture, &link(&admin, fixture.shop, "admin").await).await;
    linked.get(&path).await.document(200);
    linked.put(&path, body("viewer")).await.problem(403, "forbidden");
    let entries = admin.get(&format!("/v1/audit?tenant={}", fixture.shop)).await.document(200);
    assert_eq!(entries["items"][0]["action"], "session.begin", "{entries}");
    assert!(entries.to_string().contains("tenant.members"), "{entries}");
    // Without mail, there is nothing to ask for.
    let refused = fixture.with_secret("").post("/v1/sessions/mail", json!({ "address": "anna@acme.example" })).await;
    refused.problem(409, "conflict");
    assert_eq!(fixture.with_secret("").get("/v1/sessions/ways").await.document(200)["mail"], false);
}
