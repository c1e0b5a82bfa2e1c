//! Programs in a terminal: of a size, with somebody who types. The terminal is made by Python's
//! `pty`.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{error::ServerError, program};

const SCRIPT: &str = include_str!("terminal.py");

/// An action at the terminal, taken once a text was printed.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The text to wait for, after the text of the step before.
    pub when: &'a str,
    /// The action.
    pub act: Act<'a>,
}

/// An action at a terminal.
#[derive(Debug, Clone, Copy)]
pub enum Act<'a> {
    /// These characters are typed.
    Type(&'a str),
    /// The terminal gets so many columns and rows.
    Resize(u16, u16),
    /// The program gets the signal of this number.
    Signal(i32),
}

/// Output and end of a program in a terminal.
#[derive(Debug)]
pub struct Seen {
    /// Its exit code; negative: the signal that ended it.
    pub code: i64,
    /// All that was printed, with the terminal's control sequences.
    pub output: String,
    /// Number of steps that were taken.
    pub steps: u64,
}

/// Runs `command` in a terminal of so many columns and rows. Its standard streams are the terminal.
pub fn in_terminal((columns, rows): (u16, u16), steps: &[Step<'_>], command: &Command) -> Result<Seen, ServerError> {
    let python = program::find("python3", "python3")?;
    let steps: Value = steps.iter().map(Step::document).collect();
    let mut terminal = Command::new(python);
    terminal
        .args(["-c", SCRIPT, &columns.to_string(), &rows.to_string(), &steps.to_string()])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        terminal.current_dir(directory);
    }
    let what = "a program in a terminal";
    let printed = program::run(what, terminal)?;
    let seen: Option<Seen> = serde_json::from_str(&printed).ok().and_then(|seen: Value| {
        let output = seen["output"].as_str()?.to_owned();
        Some(Seen { code: seen["code"].as_i64()?, output, steps: seen["steps"].as_u64()? })
    });
    seen.ok_or_else(|| ServerError::Failed { what: what.into(), status: "unreadable".into(), output: printed })
}

impl Step<'_> {
    fn document(&self) -> Value {
        match self.act {
            Act::Type(text) => json!({ "await": self.when, "send": text }),
            Act::Resize(columns, rows) => json!({ "await": self.when, "resize": [columns, rows] }),
            Act::Signal(number) => json!({ "await": self.when, "signal": number }),
        }
    }
}
