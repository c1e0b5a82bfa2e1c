//! Reasons why usage cannot be recorded.

/// Reason why usage cannot be recorded now.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The disk budget is spent: the sink has been away for too long.
    #[error("usage journal is full")]
    Full,
    /// A file cannot be written.
    #[error("usage journal cannot be written: {0}")]
    Io(#[from] std::io::Error),
    /// The record has a value that no sink would take.
    #[error("usage record is invalid: {0}")]
    Invalid(&'static str),
}
