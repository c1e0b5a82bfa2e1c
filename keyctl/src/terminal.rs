//! Confirmation by a person before a change that cannot be undone.
//!
//! Invariant: only a terminal is asked. A script is never kept waiting for an answer.

use std::io::{self, IsTerminal as _, Write as _};

use crate::{error::Failure, output::without_controls};

/// Way in which a change is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// A person types the answer.
    Person,
    /// Nobody is asked: standard input or standard error is not a terminal.
    Nobody,
    /// Nobody is asked: `--yes` was given.
    Waived,
}

impl Asking {
    /// The way that follows from `--yes` and the terminal.
    pub(crate) fn new(yes: bool) -> Self {
        match (yes, io::stdin().is_terminal() && io::stderr().is_terminal()) {
            (true, _) => Self::Waived,
            (false, true) => Self::Person,
            (false, false) => Self::Nobody,
        }
    }

    /// Returns true if a person would be asked.
    pub(crate) fn is_person(self) -> bool {
        self == Self::Person
    }

    /// Asks a person for `y` or `yes`; succeeds at once if nobody is asked.
    pub(crate) fn confirm(self, question: &str) -> Result<(), Failure> {
        self.require(&format!("{question} [y/N] "), |answer| {
            answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
        })
    }

    /// Asks a person to type `name`; succeeds at once if nobody is asked.
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
