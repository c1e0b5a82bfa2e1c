//! Pages of the template, compared as pictures with those in `tests/pictures`. `UPDATE=1` writes
//! them: look at each before it is committed. The data are in `tests/data`; a test of `billing`
//! holds them to what it makes. Only fonts of the program are used, so that every machine has them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what these helpers do must work for a test to go on")]

use std::{fs, path::Path, process::Command};

use documents::{Fonts, Request, RequestHead, Standard, Typesetter};

const TEMPLATE: &str = include_str!("../templates/document.typ");

/// Dots per inch of the pictures.
const RESOLUTION: &str = "60";

/// Part of the greatest difference that there could be, in thousandths: versions of poppler smooth
/// edges differently.
const THOUSANDTHS_MAX: u64 = 5;

fn typeset(data: &str) -> (Vec<u8>, usize) {
    let head = RequestHead {
        template: TEMPLATE.into(),
        data: serde_json::from_str(data).unwrap(),
        files: Vec::new(),
        identifier: "sample".into(),
        time: (2026, 12, 1, 0, 0, 0),
        standard: Standard::A2u,
        attachment: None,
    };
    let typesetter = Typesetter::new(Fonts::load(&[]).unwrap());
    let typeset = typesetter.typeset(Request { head, files: Vec::new() }).unwrap();
    (typeset.pdf, typeset.pages)
}

fn apart(one: &Path, other: &Path) -> u64 {
    let [one, other] = [one, other].map(|path| image::open(path).unwrap().into_luma8());
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: u64 = one.iter().zip(other.iter()).map(|(one, other)| u64::from(one.abs_diff(*other))).sum();
    sum * 1_000 / (one.len() as u64 * 255)
}

fn compare(name: &str, pages: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let data = fs::read_to_string(root.join("data").join(format!("{name}.json"))).unwrap();
    let (pdf, found) = typeset(&data);
    assert_eq!(found, pages, "{name}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("document.pdf");
    fs::write(&file, pdf).unwrap();
    let drawn = Command::new("pdftoppm")
        .args(["-r", RESOLUTION, "-gray", "-png"])
        .arg(&file)
        .arg(directory.path().join("page"))
        .status();
    assert!(drawn.expect("`apt-get install poppler-utils` has pdftoppm").success());
    for page in 1..=pages {
        let now = directory.path().join(format!("page-{page}.png"));
        let then = root.join("pictures").join(format!("{name}-{page}.png"));
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(then.parent().unwrap()).unwrap();
            fs::copy(&now, &then).unwrap();
        }
        let apart = apart(&now, &then);
        assert!(apart <= THOUSANDTHS_MAX, "{name}, page {page}: {apart} thousandths differ; UPDATE=1 writes it");
    }
}

#[test]
fn invoice_of_several_pages_repeats_the_head_of_its_table() {
    compare("invoice", 2);
    compare("rechnung", 2);
}

#[test]
fn credit_note_receipt_and_statement_are_one_page_each() {
    for name in ["credit_note", "receipt", "statement"] {
        compare(name, 1);
    }
}

#[test]
fn another_page_is_noticed() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
    let [invoice, receipt] = ["invoice-1.png", "receipt-1.png"].map(|name| pictures.join(name));
    assert!(apart(&invoice, &receipt) > THOUSANDTHS_MAX);
}
