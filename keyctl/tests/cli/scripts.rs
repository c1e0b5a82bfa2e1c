//! The contract with scripts: exit codes, errors on standard error, help and completions that need
//! no store.

use serde_json::{Value, json};

use crate::fixture::{Fixture, bare_command, run};

#[tokio::test]
async fn wrong_usage_is_exit_code_2() {
    let fixture = Fixture::new().await;
    for words in [
        &[][..],
        &["tenant"],
        &["tenant", "fly"],
        &["tenant", "show", "ten_zzz"],
        &["tenant", "show", "key_01jd0000000000000000000000"],
        &["tenant", "create"],
        &["tenant", "create", "--name", "A", "--kind", "guest"],
        &["tenant", "create", "--name", "A", "--time-zone", "Mars/Olympus"],
        &["tenant", "create", "--name", "A", "--plan", "Not A Plan"],
        &["key", "rotate", "key_01jd0000000000000000000000", "--grace", "-1"],
        &["usage", "show", "--period", "2026-13"],
        &["tenant", "list", "--output", "xml"],
    ] {
        let run = fixture.keyctl(words);
        assert_eq!(run.code, 2, "{words:?}: {run:?}");
        assert_eq!(run.stdout, "", "{words:?}");
    }
    let expiry_twice = ["--expires", "2099-01-01T00:00:00Z", "--expires-in", "1d"];
    let tenant = ["key", "create", "--name", "A", "--tenant", "ten_01jd0000000000000000000000"];
    assert_eq!(fixture.keyctl(&[&tenant[..], &expiry_twice].concat()).code, 2);
}

#[tokio::test]
async fn errors_are_json_if_output_is_json() {
    let fixture = Fixture::new().await;
    let id = "ten_01jd0000000000000000000000";
    for (words, code, exit_code) in [
        (&["tenant", "show", id][..], "not_found", 3),
        (&["tenant", "create", "--name", "A", "--kind", "customer"], "refused", 4),
        (&["plan", "apply", "nowhere.yaml"], "failed", 1),
    ] {
        let run = fixture.keyctl(&[words, &["--output", "json"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (exit_code, ""), "{run:?}");
        let error: Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"]["code"], code, "{run:?}");
        assert!(!error["error"]["message"].as_str().unwrap().is_empty(), "{run:?}");
    }
}

#[test]
fn missing_store_is_named_and_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let run = run(bare_command().current_dir(&directory).args(["tenant", "list"]), "");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("sqlite://data/tollgate.db"), "{run:?}");
    assert!(run.stderr.contains("billing migrate"), "{run:?}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "something was created");
}

#[test]
fn empty_store_must_be_migrated_first() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("empty.db"), "").unwrap();
    let words = ["--store", "sqlite://empty.db", "tenant", "list"];
    let run = run(bare_command().current_dir(&directory).args(words), "");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("billing migrate"), "{run:?}");
}

#[test]
fn password_of_a_store_is_in_no_error_and_no_help() {
    let url = "postgres://admin:hunter2@127.0.0.1:1/tollgate";
    for words in [&["tenant", "list"][..], &["--help"], &["key", "create", "--help"]] {
        let run = run(
            bare_command().env("TOLLGATE_STORE", url).env("TOLLGATE_PEPPER", "hunter2hunter2hunter2").args(words),
            "",
        );
        assert_eq!(run.code, i32::from(words == ["tenant", "list"]), "{run:?}");
        assert!(!run.stdout.contains("hunter2") && !run.stderr.contains("hunter2"), "{run:?}");
    }
}

#[tokio::test]
async fn option_overrides_the_environment() {
    let fixture = Fixture::new().await;
    fixture.root();
    let other = Fixture::new().await;
    assert_eq!(other.json(&["tenant", "list"]), json!([]));
    assert_eq!(other.json(&["tenant", "list", "--store", &fixture.url()]).as_array().unwrap().len(), 1);
}

#[test]
fn help_shows_examples_and_exit_codes_without_a_store() {
    let directory = tempfile::tempdir().unwrap();
    for words in [
        &[][..],
        &["tenant"],
        &["tenant", "create"],
        &["plan", "apply"],
        &["key", "create"],
        &["key", "rotate"],
        &["usage", "show"],
        &["completions"],
    ] {
        let help = run(bare_command().current_dir(&directory).args(words).arg("--help"), "");
        assert_eq!(help.code, 0, "{help:?}");
        assert!(help.stdout.contains("Examples:\n  keyctl "), "{words:?}: {}", help.stdout);
    }
    let help = run(bare_command().arg("--help"), "").stdout;
    for code in 0..=4 {
        assert!(help.contains(&format!("\n  {code}  ")), "exit code {code} is not explained: {help}");
    }
}

#[test]
fn completions_need_no_store() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(bare_command().current_dir(&directory).args(["completions", shell]), "");
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        assert!(script.stdout.contains("keyctl") && script.stdout.contains("suspend"), "{shell}");
    }
    assert_eq!(run(bare_command().args(["completions", "tcsh"]), "").code, 2);
}

#[test]
fn closed_pipe_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = bare_command().args(["completions", "bash"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
