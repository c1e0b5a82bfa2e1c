//! Documents from templates: bytes, faults, and what a template may see.

#![expect(clippy::unwrap_used, reason = "what these helpers do must work for a test to go on")]

use documents::{FileHead, Fonts, Kind, Request, RequestHead, Standard, Typesetter};
use serde_json::{Value, json};

fn typesetter() -> Typesetter {
    Typesetter::new(Fonts::load(&[]).unwrap())
}

fn request(template: &str, data: Value) -> Request {
    let head = RequestHead {
        template: template.into(),
        data,
        files: Vec::new(),
        identifier: "inv_1".into(),
        time: (2026, 11, 30, 12, 0, 0),
        standard: Standard::A2u,
        attachment: None,
    };
    Request { head, files: Vec::new() }
}

fn with_file(mut request: Request, name: &str, bytes: &[u8]) -> Request {
    request.head.files.push(FileHead { name: name.into(), bytes: bytes.len() });
    request.files.push(bytes.to_vec());
    request
}

const TITLED: &str = "#set document(title: \"x\")\n";

#[test]
fn same_request_gives_the_same_bytes() {
    let template = "#let data = json(\"data.json\")\n#set document(title: data.title)\n= #data.title";
    let ask = || typesetter().typeset(request(template, json!({ "title": "Rechnung Ä 1" }))).unwrap();
    let (first, second) = (ask(), ask());
    assert!(first.pdf.starts_with(b"%PDF-1."));
    assert_eq!(first.pages, 1);
    assert!(first == second);
    let other = typesetter().typeset(request(template, json!({ "title": "2" }))).unwrap();
    assert!(other != first);
}

#[test]
fn one_typesetter_gives_the_same_bytes_after_other_documents() {
    let (typesetter, template) = (typesetter(), format!("{TITLED}#json(\"data.json\").name"));
    let ask = |name: &str| typesetter.typeset(request(&template, json!({ "name": name }))).unwrap();
    let first = ask("one");
    for number in 0..20 {
        ask(&number.to_string());
    }
    assert!(ask("one") == first);
}

#[test]
fn fault_of_a_template_has_its_line_and_column() {
    let fault = typesetter().typeset(request(&format!("{TITLED}text\n  #let x = (\n"), json!({}))).unwrap_err();
    assert_eq!((fault.kind, fault.line), (Kind::Template, Some(3)), "{fault:?}");
    let fault = typesetter().typeset(request(&format!("{TITLED}\n#json(\"data.json\").missing"), json!({})));
    let fault = fault.unwrap_err();
    assert_eq!((fault.kind, fault.line), (Kind::Template, Some(3)), "{fault:?}");
    assert!(fault.message.contains("missing"), "{fault:?}");
}

#[test]
fn template_sees_no_disk_no_network_and_no_clock() {
    for reach in [
        "#read(\"/etc/passwd\")",
        "#read(\"../Cargo.toml\")",
        "#include \"Cargo.toml\"",
        "#import \"@preview/tablex:0.0.8\": *",
        "#datetime.today()",
    ] {
        let fault = typesetter().typeset(request(&format!("{TITLED}{reach}"), json!({}))).unwrap_err();
        assert_eq!((fault.kind, fault.line), (Kind::Template, Some(2)), "{reach}: {fault:?}");
    }
}

#[test]
fn character_that_no_font_has_is_a_fault_and_no_empty_box() {
    let fault = typesetter().typeset(request(&format!("{TITLED}東京"), json!({}))).unwrap_err();
    assert_eq!(fault.kind, Kind::Glyph, "{fault:?}");
    assert!(fault.message.contains('東'), "{fault:?}");
}

#[test]
fn file_that_is_no_image_is_a_fault() {
    let show = request(&format!("{TITLED}#image(\"logo.png\")"), json!({}));
    let fault = typesetter().typeset(with_file(show, "logo.png", b"\x89PNG\r\n\x1a\nand nothing else")).unwrap_err();
    assert_eq!(fault.kind, Kind::Image, "{fault:?}");
}
