//! `make run`, as scripts use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use loadtest::processes;
use nix::sys::signal::Signal;
use serde_json::Value;
use servers::{Act, Step, in_terminal};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(arguments).output().unwrap()
}

fn free_ports() -> Vec<String> {
    ["--gateway-port", "--admin-port", "--billing-port", "--upstream-port"]
        .into_iter()
        .flat_map(|option| [option.to_owned(), processes::free_address().unwrap().port().to_string()])
        .collect()
}

#[test]
fn single_run_bills_exactly_the_counts_of_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("demo");
    let ports = free_ports();
    let mut arguments = vec!["--once", "--directory", directory.to_str().unwrap()];
    arguments.extend(ports.iter().map(String::as_str));

    let first = demo(&arguments);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let lines: Vec<_> = first.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "exactly one line is printed");
    let outcome: Value = serde_json::from_slice(lines[0]).unwrap();
    assert_eq!(outcome["ok"], true);
    assert_eq!(outcome["sent"], outcome["received"]);
    assert_eq!(outcome["received"], outcome["billed"]);
    assert_eq!(outcome["currency"], "USD");
    // Growth 99.00 + Starter 29.00; 20 of 80 requests of each customer use 25,000 units, and 20 x
    // 25,000 + 60 units are 60 beyond what Starter includes: 0.0003, which rounds to nothing.
    assert_eq!(outcome["total"], "128.00");

    let second = demo(&arguments);
    assert!(second.status.success(), "a second run starts from nothing again");
    assert_eq!(second.stdout, first.stdout);
}

/// A shell whose umask lets everybody read and write starts the demo; all of its programs keep
/// their files private.
#[test]
fn files_are_private_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("demo");
    let ports = free_ports();
    let mut arguments = vec!["--once", "--directory", directory.to_str().unwrap()];
    arguments.extend(ports.iter().map(String::as_str));
    let demo = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_demo")])
        .args(&arguments)
        .output()
        .unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let mut seen = Vec::new();
    assert_private(&directory, &mut seen);
    for name in ["tollgate.db", "pepper"] {
        assert!(seen.iter().any(|path| path.ends_with(name)), "no {name} in {seen:?}");
    }
}

/// Checks that nobody but the owner may do anything with `path` and all below it.
fn assert_private(path: &Path, seen: &mut Vec<PathBuf>) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
    seen.push(path.to_owned());
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            assert_private(&entry.unwrap().path(), seen);
        }
    }
}

#[test]
fn taken_port_is_refused_with_the_setting_that_moves_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let refused =
        demo(&["--once", "--billing-port", &port, "--directory", directory.path().join("demo").to_str().unwrap()]);
    assert!(!refused.status.success());
    let message = String::from_utf8_lossy(&refused.stderr);
    // Another of the default ports may be taken as well; then that one is named, by the same words.
    assert!(message.contains("is taken") && message.contains("-port"), "{message}");
}

#[test]
fn directory_with_foreign_files_is_left_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let precious = directory.path().join("precious");
    std::fs::write(&precious, "keep").unwrap();
    let ports = free_ports();
    let mut arguments = vec!["--once", "--directory", directory.path().to_str().unwrap()];
    arguments.extend(ports.iter().map(String::as_str));
    let refused = demo(&arguments);
    assert!(!refused.status.success());
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "keep");
}

/// The lines of what a terminal was sent, without its control sequences.
fn lines(output: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = output.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => _ = rest.by_ref().skip(1).find(char::is_ascii_alphabetic),
            '\r' => {}
            _ => text.push(character),
        }
    }
    text.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn terminal_of_80_columns_shows_addresses_and_a_refusal_and_is_drawn_anew_when_it_shrinks() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.current_dir(directory.path()).args(["--directory", "demo"]).args(free_ports());
    let interrupt = Signal::SIGINT as i32;
    let steps = [
        Step { when: "Last refusal: Initech, 429 rate_limited", act: Act::Resize(60, 24) },
        Step { when: "\u{1b}[2J", act: Act::Type("") },
        Step { when: "Last refusal: Initech", act: Act::Signal(interrupt) },
    ];
    let seen = in_terminal((80, 24), &steps, &command).unwrap();
    assert_eq!((seen.code, seen.steps), (0, 3), "{}", seen.output);
    let (before, after) = seen.output.split_once("\u{1b}[2J").unwrap();
    for line in lines(before) {
        assert!(line.chars().count() <= 80, "wider than the terminal: {line}\n{before}");
    }
    for told in [
        "/docs, /openapi.json",
        "/health/ready, /metrics",
        "/console/#link=lnk_",
        "/portal/#link=lnk_",
        "Bearer adm_",
        "TOLLGATE_PEPPER",
    ] {
        assert!(before.contains(told) && after.contains(told), "no `{told}` in\n{}", seen.output);
    }
    for line in lines(after).iter().filter(|line| line.contains('│')) {
        assert!(line.chars().count() <= 60, "wider than the terminal: {line}\n{after}");
    }
}
