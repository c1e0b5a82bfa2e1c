//! Answers of the store, held against what the model expects.

use billing::invoice::InvoiceError;
use common::store::StoreError;

use super::{Failure, crash::MESSAGE};

/// An answer of the store, or of the simulated crash.
pub(super) enum Answer<T> {
    Done(T),
    Refused(String),
}

impl<T> Answer<T> {
    /// Compares whether something was done with whether it should be.
    pub(super) fn agree(self, what: &str, expected: bool) -> Result<(), Failure> {
        match (self, expected) {
            (Self::Done(_), true) | (Self::Refused(_), false) => Ok(()),
            (Self::Done(_), false) => Err(Failure::of(format!("{what} was taken, and should be refused"))),
            (Self::Refused(reason), true) => Err(Failure::of(format!("{what} was refused: {reason}"))),
        }
    }
}

/// Tells a refusal from a failure.
pub(super) fn answer<T>(result: Result<T, StoreError>) -> Result<Answer<T>, Failure> {
    match result {
        Ok(done) => Ok(Answer::Done(done)),
        Err(error @ (StoreError::Refused(_) | StoreError::Conflict(_))) if !error.to_string().contains(MESSAGE) => {
            Ok(Answer::Refused(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn agree<T: PartialEq + std::fmt::Debug + Copy>(what: &str, found: T, expected: T) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(Failure::of(format!("{what}: {found:?}, and the model has {expected:?}")))
}

/// A place among so many, if there are any.
pub(super) fn some(pick: usize, count: usize) -> Option<usize> {
    pick.checked_rem(count)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of(error.to_string())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::of(error.to_string())
    }
}

impl From<jiff::Error> for Failure {
    fn from(error: jiff::Error) -> Self {
        Self::of(error.to_string())
    }
}

impl From<InvoiceError> for Failure {
    fn from(error: InvoiceError) -> Self {
        Self::of(error.to_string())
    }
}
