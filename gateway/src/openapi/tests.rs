//! Documents as people write them, and the routes that they become.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// The import of a document, beside which these files stand.
fn imported_with(text: &str, others: &[(&str, &str)]) -> Result<Imported, ImportError> {
    let directory = TempDir::new().unwrap();
    for (name, text) in others {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = directory.path().join("openapi.yaml");
    fs::write(&path, text).unwrap();
    import(&path, None)
}

fn imported(text: &str) -> Imported {
    imported_with(text, &[]).unwrap()
}

/// The lines of the routes: what is printed behind `routes:`.
fn routes(imported: &Imported) -> Vec<&str> {
    imported.yaml.lines().skip_while(|line| *line != "routes:").skip(1).map(str::trim).collect()
}

fn has_note(imported: &Imported, text: &str) -> bool {
    imported.notes.iter().any(|note| note.contains(text))
}

const SHOP: &str = r#"
openapi: 3.0.3
info: { title: Pet Shop (v3), version: 1.0.0 }
servers:
  - { url: "https://{region}.example.com/api/v3/", variables: { region: { default: eu } } }
  - { url: "https://old.example.com/api/v2" }
security: [{ oauth: [read:pets] }]
paths:
  /pets:
    parameters: []
    get: { operationId: listPets, responses: {} }
    post: { operationId: createPet, security: [{ oauth: [write:pets, read:pets] }], responses: {} }
  /pets/{petId}:
    get: { operationId: listPets, responses: {} }
    delete: { responses: {} }
  /health:
    get: { operationId: health, security: [], responses: {} }
  x-internal: ignored
"#;

#[test]
fn operations_become_routes_with_names_paths_methods_and_scopes() {
    let shop = imported(SHOP);
    assert!(
        shop.yaml.contains("upstreams:\n  Pet-Shop-v3:\n    servers: [\"https://eu.example.com\"]\n"),
        "{}",
        shop.yaml
    );
    let expected = [
        "- name: listPets",
        "path: /api/v3/pets",
        "methods: [GET]",
        "upstream: Pet-Shop-v3",
        "scope: read-pets",
        "- name: createPet",
        "path: /api/v3/pets",
        "methods: [POST]",
        "upstream: Pet-Shop-v3",
        "scope: write-pets",
        "- name: listPets-2",
        "path: \"/api/v3/pets/{petId}\"",
        "methods: [GET]",
        "upstream: Pet-Shop-v3",
        "scope: read-pets",
        "- name: delete-api-v3-pets-petId",
        "path: \"/api/v3/pets/{petId}\"",
        "methods: [DELETE]",
        "upstream: Pet-Shop-v3",
        "scope: read-pets",
        "- name: health",
        "path: /api/v3/health",
        "methods: [GET]",
        "upstream: Pet-Shop-v3",
        "public: true",
    ];
    assert_eq!(routes(&shop), expected);
    for note in [
        "servers: paths are below /api/v3, as for the first server; those below /api/v2 are left out",
        "GET /pets/{petId}: another route is called `listPets`: this one is `listPets-2`",
        "POST /pets: asks for the scopes `write:pets`, `read:pets`",
        "GET /pets: the scope `read:pets` is called `read-pets`",
    ] {
        assert!(has_note(&shop, note), "{note}: {:?}", shop.notes);
    }
}

#[test]
fn named_upstream_is_used() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.json");
    fs::write(&path, r#"{"openapi":"3.1.0","info":{},"paths":{"/a":{"get":{}}}}"#).unwrap();
    let found = import(&path, Some("shop")).unwrap();
    assert!(
        found.yaml.contains("upstreams:\n  shop:\n    servers: [\"127.0.0.1:9000\"]  # the document names no server")
    );
    assert!(matches!(import(&path, Some("a b")), Err(ImportError::Upstream(_))));
}

#[test]
fn references_are_followed_in_the_document_and_to_files_beside_it() {
    let text = r##"
openapi: 3.1.0
info: { title: a }
paths:
  /a: { $ref: "#/components/pathItems/shared" }
  /b: { $ref: "#/paths/~1a" }
  /c: { $ref: "paths/c.yaml" }
  /d: { $ref: "paths/all.yaml#/items/one%20more" }
  /e: { $ref: "#/paths/~1e" }
  /f: { $ref: "https://example.com/f.yaml" }
  /g: { $ref: "#/nowhere" }
  /h: { $ref: "missing.yaml" }
components:
  pathItems:
    shared: { get: { operationId: shared } }
"##;
    let others = [
        ("paths/c.yaml", "post: { operationId: of-c }"),
        ("paths/all.yaml", "items: { one more: { $ref: 'c.yaml', put: { operationId: beside } } }"),
    ];
    let found = imported_with(text, &others).unwrap();
    let names: Vec<&str> = routes(&found).into_iter().filter(|line| line.starts_with("- name")).collect();
    assert_eq!(names, ["- name: shared", "- name: shared-2", "- name: of-c", "- name: of-c-2", "- name: beside"]);
    for note in [
        "/e: left out: its references lead in a circle",
        "/f: left out: `https://example.com/f.yaml` is not on this machine",
        "/g: left out: `#/nowhere` leads nowhere",
        "/h: left out: ",
    ] {
        assert!(has_note(&found, note), "{note}: {:?}", found.notes);
    }
}

#[test]
fn what_a_route_cannot_say_is_told() {
    let text = r#"
openapi: "3.0"
info: { title: "" }
servers: [{ url: /base }]
webhooks: { x: {} }
paths:
  /a/{id}: { get: {}, query: {} }
  /a/{name}: { get: {} }
  /a/{id}:cancel: { post: {} }
  /a b: { get: {} }
  /?Action=List: { get: { operationId: list } }
  /?Action=Read: { get: { operationId: read, servers: [{ url: "https://other.example.com/v9" }] } }
"#;
    let found = imported(text);
    for note in [
        "GET /a/{name}: left out: a route cannot tell it from `get-base-a-id`",
        "/a/{id}: left out: `query` is not a method",
        "POST /a/{id}:cancel: `{id}:cancel` is more than a parameter",
        "GET /a b: left out: its path has letters",
        "GET /?Action=Read: has a server of its own",
        "webhooks: left out",
    ] {
        assert!(has_note(&found, note), "{note}: {:?}", found.notes);
    }
    assert!(found.yaml.contains("path: /base/\n    query: { Action: List }"), "{}", found.yaml);
    assert!(found.yaml.contains("path: /v9/\n    query: { Action: Read }"), "{}", found.yaml);
}

#[test]
fn swagger_has_host_and_base_path() {
    let text = "swagger: '2.0'\ninfo: { title: old }\nhost: api.example.com:8443\nbasePath: /v1\nschemes: [http]\n\
                paths: { /a: { get: {} } }\n";
    let found = imported(text);
    assert!(found.yaml.contains("servers: [\"http://api.example.com:8443\"]") && found.yaml.contains("path: /v1/a"));
}

#[test]
fn document_without_routes_is_refused() {
    let refusals = [
        ("a: [", "line 2"),
        ("title: no", "is no OpenAPI document"),
        ("openapi: 2.9", "is no OpenAPI document"),
        ("openapi: 3.0.0\npaths:", "has no operation"),
        ("openapi: 3.0.0\npaths: { /a: }", "has no operation"),
        ("openapi: 3.0.0\npaths: { 'a': { get: {} } }", "GET a: left out: its path does not begin with a slash"),
    ];
    for (text, reason) in refusals {
        let told = imported_with(text, &[]).unwrap_err().to_string();
        assert!(told.contains(reason), "{text}: {told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is imported, the configuration is accepted: `import` refuses its own faults.
    #[test]
    fn any_document_gives_a_configuration_that_is_accepted(
        base in "(https?://[a-z.]{1,8}|)(/[a-zA-Z{}. ]{0,6}){0,2}",
        paths in prop::collection::vec(
            ("/[a-zA-Z{}+*.:%;?=&#~/ -]{0,16}", "[a-zA-Z/{} \u{e9}:.-]{0,80}", "[a-zA-Z:./ -]{0,12}"),
            1..8,
        ),
    ) {
        let item = |(_, id, scope): &(String, String, String)| {
            serde_json::json!({ "get": { "operationId": id, "security": [{ "oauth": [scope] }] }, "put": {} })
        };
        let paths: serde_json::Map<String, serde_json::Value> =
            paths.iter().map(|path| (path.0.clone(), item(path))).collect();
        let document = serde_json::json!({ "openapi": "3.0.0", "servers": [{ "url": base }], "paths": paths });
        match imported_with(&document.to_string(), &[]) {
            Ok(_) | Err(ImportError::Empty { .. }) => {}
            Err(error) => prop_assert!(false, "{error}\n{document}"),
        }
    }
}
