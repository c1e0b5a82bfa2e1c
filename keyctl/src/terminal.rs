//! Asking a person before something is done that cannot be undone.
//!
//! Invariant: only a terminal is asked. A script is never kept waiting for an answer.

use std::io::{self, IsTerminal as _, Write as _};

use crate::{error::Failure, output::without_controls};

/// The person who confirms a change, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// A person, who types the answers.
    Person,
    /// Nobody: standard input or standard error is not a terminal.
    Nobody,
    /// Nobody needs to be: `--yes` was given.
    Waived,
}

impl Asking {
    /// As the command line and the terminal have it.
    pub(crate) fn new(yes: bool) -> Self {
        match (yes, io::stdin().is_terminal() && io::stderr().is_terminal()) {
            (true, _) => Self::Waived,
            (false, true) => Self::Person,
            (false, false) => Self::Nobody,
        }
    }

    /// Returns true if a question would be put to somebody.
    pub(crate) fn is_person(self) -> bool {
        self == Self::Person
    }

    /// Lets a person confirm with `y` or `yes`; goes on at once if there is nobody to ask.
    pub(crate) fn confirm(self, question: &str) -> Result<(), Failure> {
        self.require(&format!("{question} [y/N] "), |answer| {
            answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
        })
    }

    /// Lets a person confirm by typing `name`; goes on at once if there is nobody to ask.
    pub(crate) fn confirm_by_name(self, question: &str, name: &str) -> Result<(), Failure> {
        let shown = without_controls(name);
        self.require(&format!("{question} Type its name, {shown}: "), |answer| answer == name.trim() || answer == shown)
    }

    fn require(self, prompt: &str, is_yes: impl Fn(&str) -> bool) -> Result<(), Failure> {
        if !self.is_person() {
            return Ok(());
        }
        let mut stderr = io::stderr().lock();
        write!(stderr, "{}", without_controls(prompt))?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if is_yes(answer.trim()) { Ok(()) } else { Err(Failure::Declined) }
    }
}
