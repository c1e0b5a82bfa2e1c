//! Reasons why the bank grants nothing.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

/// Reason why the bank grants nothing.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The text is not an address.
    #[error(
        "{0}: write it as in redis://127.0.0.1:6379 or rediss://:password@host:6380, nodes of a cluster with commas"
    )]
    Address(String),
    /// No connection, or a broken one.
    #[error("cannot be reached: {0}")]
    Unreachable(RedisError),
    /// No answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    /// The server refuses the user or password, or a command.
    #[error("refuses the user or password, or what that user may do ({0}): see `limits.redis.url` and TOLLGATE_REDIS")]
    Refused(RedisError),
    /// The server is not a Redis, or does not run scripts as expected.
    #[error("what answers is not the expected Redis: {0}")]
    Foreign(String),
    /// The bank records reports and grants nothing yet.
    #[error("waits for other gateways to report, after a silence or on another server")]
    AwaitsReports,
    /// The server cannot serve now: loading, out of memory, read-only, or a failed script.
    #[error("Redis cannot serve: {0}")]
    Unable(RedisError),
}

impl BankError {
    /// All kinds, as metrics name them.
    pub const KINDS: [&'static str; 7] =
        ["address", "unreachable", "silent", "refused", "foreign", "settling", "unable"];

    /// Kind of the error, as metrics name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Unreachable(_) => "unreachable",
            Self::Silent(_) => "silent",
            Self::Refused(_) => "refused",
            Self::Foreign(_) => "foreign",
            Self::AwaitsReports => "settling",
            Self::Unable(_) => "unable",
        }
    }

    /// Returns true if the error stays until somebody changes a setting.
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Refused(_) | Self::Foreign(_))
    }
}

impl From<RedisError> for BankError {
    fn from(error: RedisError) -> Self {
        let refuses = |error: &RedisError| matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED"));
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Refused(error),
            _ if refuses(&error) => Self::Refused(error),
            ErrorKind::InvalidClientConfig => Self::Address(error.to_string()),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::RESP3NotSupported => {
                Self::Foreign(error.to_string())
            }
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Unable(error),
            _ => Self::Unreachable(error),
        }
    }
}
