//! The API over TLS: whom keyctl trusts, and what it shows of itself.

use servers::Authority;

use crate::{
    both::Billing,
    fixture::{Fixture, Run, run, text},
};

#[tokio::test]
async fn api_over_tls_is_asked_with_own_authorities_and_a_certificate() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let owner = ["admin-key", "create", "--tenant", &root, "--name", "owner", "--role", "owner"];
    let token = text(&fixture.json(&owner)["secret"]);
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "ours").unwrap();
    let (server, client) = (authority.sign("127.0.0.1").unwrap(), authority.sign("ops.test").unwrap());
    let ca = authority.file().display().to_string();
    let tls = format!(
        "tls: {{ certificate_file: {}, key_file: {}, client_ca_file: {ca} }}\n",
        server.certificate.display(),
        server.key.display()
    );
    let billing = Billing::serve_with(&fixture, &tls);
    let (certificate, key) = (client.certificate.display().to_string(), client.key.display().to_string());
    let with = |options: &[&str], variables: &[(&str, &str)]| -> Run {
        let mut command = fixture.command();
        command.env_remove("TOLLGATE_STORE").env("TOLLGATE_API_TOKEN", &token).envs(variables.iter().copied());
        run(command.args(["--api", &billing.url]).args(options).args(["tenant", "list", "--output", "json"]), "")
    };
    let shown = ["--ca-file", &ca, "--client-cert", &certificate, "--client-key", &key];
    let listed = with(&shown, &[]);
    assert!(listed.code == 0 && listed.stdout.contains(&root), "{listed:?}");
    let variables =
        [("TOLLGATE_API_CA_FILE", &*ca), ("TOLLGATE_API_CLIENT_CERT", &certificate), ("TOLLGATE_API_CLIENT_KEY", &key)];
    assert_eq!(with(&[], &variables).code, 0);
    for (options, code, reason) in [
        (&shown[2..], 1, "certificate"),
        (&shown[..2], 1, "no answer from the API"),
        (&shown[..4], 2, "give --client-cert FILE and --client-key FILE"),
        (&["--ca-file", "/nowhere.pem"][..], 1, "--ca-file: /nowhere.pem cannot be read"),
        (&["--ca-file", &ca, "--client-cert", &ca, "--client-key", &key][..], 1, "--client-key: "),
    ] {
        let refused = with(options, &[]);
        assert!(refused.code == code && refused.stderr.contains(reason), "{options:?}: {refused:?}");
    }
}
