//! Branding, and documents of invoices as files.

use servers::documents_program;

use crate::{
    both::Billing,
    fixture::{Fixture, Run, run, text},
};

const LOOKS: &str = "\
colour: '#7c2d12'
language: de
contact: { name: Buchhaltung }
bank: { iban: DE89370400440532013000 }
";

const SVG: &str =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"><rect width=\"9\" height=\"9\"/></svg>";

#[tokio::test]
async fn branding_is_set_and_documents_are_written_through_the_api() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let owner = ["admin-key", "create", "--tenant", &root, "--name", "owner", "--role", "owner"];
    let token = text(&fixture.json(&owner)["secret"]);
    let settings =
        format!("documents: {{ program: {}, timeout_seconds: 60 }}\n", documents_program().unwrap().display());
    let billing = Billing::serve_with(&fixture, &settings);
    let through_api = |arguments: &[&str]| -> Run {
        let mut command = fixture.command();
        command.env_remove("TOLLGATE_STORE").env("TOLLGATE_API", &billing.url).env("TOLLGATE_API_TOKEN", &token);
        run(command.args(arguments), "")
    };
    let acme = text(&fixture.json(&["tenant", "create", "--name", "Acme", "--parent", &root])["id"]);
    let issue = ["invoice", "issue", "--tenant", &acme, "--currency", "EUR", "--line", "Work=10.00"];
    let invoice = text(&fixture.json(&issue)["id"]);

    let looks = fixture.file("looks.yaml", LOOKS).display().to_string();
    let logo = fixture.file("logo.svg", SVG).display().to_string();
    let no_image = fixture.file("no.png", "no image").display().to_string();
    let template = fixture.file("broken.typ", "#let x = (\n").display().to_string();
    let set = ["tenant", "branding", &root, "--set", &looks];
    let shown = through_api(&[&set[..], &["--logo", &logo]].concat());
    assert!(shown.code == 0 && shown.stdout.contains("svg, ") && shown.stdout.contains("#7c2d12"), "{shown:?}");
    let refused = through_api(&[&set[..], &["--logo", &no_image]].concat());
    assert!(refused.code == 2 && refused.stderr.contains("--logo: this is no image"), "{refused:?}");
    let refused = through_api(&[&set[..], &["--template", &template]].concat());
    assert!(refused.code == 4 && refused.stderr.contains("line 1"), "{refused:?}");
    assert_eq!(through_api(&["tenant", "branding", &root]).stdout, shown.stdout);
    // What is tried first is tried by the API; the rest needs nobody.
    assert_eq!(fixture.keyctl(&set).code, 0);
    let by_api = fixture.keyctl(&[&set[..], &["--logo", &logo]].concat());
    assert!(by_api.code == 2 && by_api.stderr.contains("give --api URL"), "{by_api:?}");

    let pdf = fixture.file("invoice.pdf", "");
    let written = through_api(&["invoice", "pdf", &invoice, "--out", &pdf.display().to_string()]);
    assert_eq!(written.code, 0, "{written:?}");
    assert!(std::fs::read(pdf).unwrap().starts_with(b"%PDF-"));
    let statement = fixture.file("statement.pdf", "");
    let out = statement.display().to_string();
    let written = through_api(&["invoice", "statement", &acme, "--currency", "EUR", "--language", "de", "--out", &out]);
    assert_eq!(written.code, 0, "{written:?}");
    assert!(std::fs::read(statement).unwrap().starts_with(b"%PDF-"));
    let by_api = fixture.keyctl(&["invoice", "statement", &acme, "--currency", "EUR"]);
    assert!(by_api.code == 2 && by_api.stderr.contains("give --api URL"), "{by_api:?}");
    let by_api = fixture.keyctl(&["invoice", "pdf", &invoice]);
    assert!(by_api.code == 2 && by_api.stderr.contains("give --api URL"), "{by_api:?}");
    let lacking = through_api(&["invoice", "xml", &invoice, "--syntax", "cii"]);
    assert!(lacking.code == 4 && lacking.stderr.contains("has no address"), "{lacking:?}");
}
