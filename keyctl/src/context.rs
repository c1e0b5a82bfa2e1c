//! The context that all commands share: the backend, the time and the output.

use common::time::Micros;

use crate::{
    backend::Backend,
    error::Failure,
    output::{Output, View},
    patience::Patience,
    terminal::Asking,
};

/// Note to a person who is shown a secret.
const SECRET_NOTE: &str = "Keep the secret now: it is stored nowhere and will not be shown again.";

/// The context of one command.
pub(crate) struct Context {
    pub(crate) backend: Box<dyn Backend>,
    /// The time of the whole command, so that everything it shows agrees.
    pub(crate) now: Micros,
    pub(crate) output: Output,
    pub(crate) asking: Asking,
    pub(crate) patience: Option<Patience>,
}

impl Context {
    /// Asks a person at a terminal to confirm; elsewhere `question` is not evaluated. The time that
    /// a person takes does not count against the store.
    pub(crate) async fn confirm(&self, question: impl AsyncFnOnce() -> Result<String, Failure>) -> Result<(), Failure> {
        if self.asking.is_person() {
            self.asking.confirm(&question().await?)?;
            self.heard();
        }
        Ok(())
    }

    /// Shows a new key with its secret, and a note to keep the secret.
    pub(crate) fn show_secret(&self, created: &impl View) -> Result<(), Failure> {
        self.output.show(created)?;
        self.output.note(SECRET_NOTE);
        Ok(())
    }

    /// Restarts the wait for the store.
    pub(crate) fn heard(&self) {
        if let Some(patience) = &self.patience {
            patience.heard();
        }
    }
}
