//! The set-up of a test: a directory of its own with a migrated SQLite store and the `keyctl` that
//! was just built.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use common::store::Store;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PEPPER: &str = "a pepper for tests only";

pub(crate) struct Fixture {
    directory: TempDir,
    pub(crate) store: Store,
}

/// Exit code and output of a command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fixture {
    /// A fixture with an empty store.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open_and_migrate(&url_in(&directory)).await.unwrap();
        Self { directory, store }
    }

    /// URL of the store.
    pub(crate) fn url(&self) -> String {
        url_in(&self.directory)
    }

    /// The binary, set up for this fixture, for tests that run it in their own way.
    pub(crate) fn command(&self) -> Command {
        let mut command = bare_command();
        command.current_dir(self.directory.path()).env("TOLLGATE_STORE", self.url()).env("TOLLGATE_PEPPER", PEPPER);
        command
    }

    /// Runs `keyctl` with these words.
    pub(crate) fn keyctl(&self, words: &[&str]) -> Run {
        run(self.command().args(words), "")
    }

    /// Runs `keyctl` with these words and text on its standard input.
    pub(crate) fn keyctl_reading(&self, words: &[&str], stdin: &str) -> Run {
        run(self.command().args(words), stdin)
    }

    /// The output of `keyctl --output json` with these words; the command must succeed.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let run = run(self.command().args(["--output", "json"]).args(words), "");
        assert_eq!(run.code, 0, "{words:?}: {run:?}");
        assert_eq!(run.stderr, "", "{words:?}");
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {run:?}"))
    }

    /// The id in an answer to `keyctl --output json`.
    pub(crate) fn id(&self, words: &[&str]) -> String {
        text(&self.json(words)["id"])
    }

    /// A root without a plan.
    pub(crate) fn root(&self) -> String {
        self.id(&["tenant", "create", "--name", "Example API"])
    }

    /// A file at this fixture.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// The binary without any setting of its surroundings.
pub(crate) fn bare_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyctl"));
    let variables = [
        "TOLLGATE_STORE",
        "TOLLGATE_PEPPER",
        "TOLLGATE_API",
        "TOLLGATE_API_TOKEN",
        "TOLLGATE_API_CA_FILE",
        "TOLLGATE_API_CLIENT_CERT",
        "TOLLGATE_API_CLIENT_KEY",
    ];
    for name in variables {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, stdin: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A JSON text without its quotes.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn url_in(directory: &TempDir) -> String {
    format!("sqlite://{}/tollgate.db", directory.path().display())
}
