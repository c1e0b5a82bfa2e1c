//! docs/runbook.md has a section for each alert and each drill, and its commands are real.

use std::{path::Path, process::Command};

use loadtest::{drill::DRILLS, processes::binary};

use crate::{files::text, rules::alerts};

const RUNBOOK: &str = "docs/runbook.md";

/// Headings of the third level.
fn sections() -> Vec<String> {
    text(RUNBOOK).lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect()
}

#[test]
fn sections_are_the_alerts_and_the_drills() {
    let mut expected: Vec<_> = alerts().into_iter().collect();
    expected.extend(DRILLS.iter().map(|drill| format!("Drill {}", drill.name)));
    let mut found = sections();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn links_inside_lead_to_sections() {
    let anchors: Vec<_> = sections().iter().map(|title| title.to_lowercase().replace(' ', "-")).collect();
    let text = text(RUNBOOK);
    for link in text.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(anchors.iter().any(|anchor| anchor == link), "no section #{link}");
    }
}

/// The words of a command line, with quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Runs a command in an empty directory, on an empty store, and returns its exit code.
fn run(directory: &Path, command: &[String]) -> (Option<i32>, String) {
    let output = Command::new(binary(&command[0]).unwrap())
        .args(&command[1..])
        .current_dir(directory)
        .env("TOLLGATE_STORE", format!("sqlite://{}/store.db", directory.display()))
        .env("TOLLGATE_PEPPER", "0123456789abcdef0123456789abcdef")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn commands_are_ones_that_the_programs_know() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(directory.path(), &words("billing migrate")).0, Some(0));
    let text = text(RUNBOOK);
    let blocks = text.split("```sh\n").skip(1).flat_map(|rest| rest.split("```").next().unwrap().lines());
    let quoted = text.split('`').skip(1).step_by(2);
    let commands = blocks.chain(quoted).map(|line| line.split(" #").next().unwrap().trim());
    let mut tried = 0;
    for line in commands.filter(|line| line.starts_with("billing ") || line.starts_with("keyctl ")) {
        // Commands that serve, and names of settings or programs in the text.
        if ["billing serve", "billing ingest", "keyctl --api"].iter().any(|serves| line.starts_with(serves)) {
            continue;
        }
        // 2: the command line is invalid. That there is nothing to accept or show is another matter.
        let (code, said) = run(directory.path(), &words(line));
        let incomplete = said.contains("required arguments were not provided") || line.split(' ').count() <= 2;
        assert!(code != Some(2) || incomplete && !said.contains("unrecognized"), "{line}: {said}");
        tried += 1;
    }
    assert!(tried > 30, "only {tried} commands were found");
}
