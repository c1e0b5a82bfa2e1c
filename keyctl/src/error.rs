//! What can go wrong, and the exit codes by which scripts tell it apart.

use common::{config::ConfigError, key::PepperError, store::StoreError, time::TimeError};

use reqwest::StatusCode;

use crate::backend::ApiError;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store failed or said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The API failed or said no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The plan file cannot be read or is invalid.
    #[error("{0}\nnothing was applied")]
    PlanFile(#[from] ConfigError),
    /// The pepper is unusable.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// There is no pepper at all.
    #[error("no pepper to hash the key with: give --pepper-file FILE or set TOLLGATE_PEPPER, to the gateways' pepper")]
    PepperMissing,
    /// Nobody's secret. What was read is not quoted, as it may be one.
    #[error("no key has this secret")]
    SecretUnknown,
    /// Not a secret of the kind that was asked for. What was read is not quoted, as it may be one.
    #[error("standard input is not one secret of {0}")]
    NotASecret(&'static str),
    /// A report on no time at all.
    #[error("--from has to be before --to")]
    EmptyWindow,
    /// A period that cannot be computed with.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The answer cannot be expressed as JSON.
    #[error("cannot write the answer as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A person was asked, and said no.
    #[error("nothing was changed, as it was not confirmed")]
    Declined,
    /// Limits would be gone, and nobody has confirmed it.
    #[error("limits would be dropped ({0}): look at them with --dry-run, and confirm with --yes; nothing was applied")]
    LimitsDropped(String),
    /// The store kept silent.
    #[error(
        "the store did not answer within {0} s (--timeout); if something was to be changed, look whether it was done"
    )]
    NoAnswer(u64),
    /// Standard output does not take the answer.
    #[error("cannot write the answer: {0}")]
    Write(#[from] std::io::Error),
}

/// What a script needs to know of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Something did not work; it may later.
    Failed,
    /// The command was not complete.
    Usage,
    /// What it names does not exist.
    NotFound,
    /// A rule says no, by itself or as things stand; it will say no again.
    Refused,
}

impl Failure {
    /// Returns true if the credential is good for something else.
    pub(crate) const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api(ApiError::Problem { status: StatusCode::FORBIDDEN, .. }))
    }

    /// The class that decides the exit code.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::PepperMissing | Self::EmptyWindow | Self::NotASecret(_) => Class::Usage,
            Self::Api(error) => error.class(),
            Self::Store(StoreError::NotFound { .. }) | Self::SecretUnknown => Class::NotFound,
            Self::Store(StoreError::Refused(_) | StoreError::Conflict(_))
            | Self::Declined
            | Self::LimitsDropped(_)
            | Self::Pepper(PepperError::TooShort(_))
            | Self::PlanFile(ConfigError::Invalid { .. } | ConfigError::Fault(_) | ConfigError::Faulty(_)) => {
                Class::Refused
            }
            Self::Store(_)
            | Self::Pepper(_)
            | Self::PlanFile(ConfigError::Unreadable { .. })
            | Self::Time(_)
            | Self::Json(_)
            | Self::NoAnswer(_)
            | Self::Write(_) => Class::Failed,
        }
    }
}

impl Class {
    /// The process's exit code.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
        }
    }

    /// The word for it in JSON.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
        }
    }
}
