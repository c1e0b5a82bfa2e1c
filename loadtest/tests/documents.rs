//! Documents name files and link to each other: what they name is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Documents whose paths in backquotes are files or folders of the repository.
const GUIDES: [&str; 3] = ["docs/architecture.md", "docs/contributing.md", "SECURITY.md"];

/// First parts of paths from the root of the repository.
const FOLDERS: [&str; 10] =
    ["common", "gateway", "billing", "keyctl", "loadtest", "benches", "config", "deploy", "docs", "migrations"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/adr"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// Returns what stands between each `open` and the next `close`.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(inside, _)| inside))
}

/// Returns the paths that `a/{b,c}/d` stands for.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    choices.split(',').map(|choice| format!("{before}{choice}{after}")).collect()
}

#[test]
fn links_between_documents_lead_to_files() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in between(&text, "](", ")") {
            let file = link.split('#').next().unwrap();
            if link.contains("://") || file.is_empty() {
                continue;
            }
            if !document.parent().unwrap().join(file).exists() {
                missing.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn paths_that_the_guides_name_exist() {
    let (mut missing, mut named) = (Vec::new(), 0);
    for guide in GUIDES {
        let text = fs::read_to_string(root().join(guide)).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        for quoted in prose.split('`').skip(1).step_by(2) {
            let is_path = quoted.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
            if !is_path || quoted.contains(['<', ' ']) {
                continue;
            }
            for path in expanded(quoted) {
                named += 1;
                if !root().join(&path).exists() {
                    missing.push(format!("{guide}: {path}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named > 40, "only {named} paths were found: are they still in backquotes?");
}
