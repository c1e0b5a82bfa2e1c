//! Failures of a command, each with its class.

use common::{
    bank::statement::StatementError, branding::ImageError, config::ConfigError, export::DatevError, key::PepperError,
    money::MoneyError, store::StoreError, time::TimeError,
};
use reqwest::StatusCode;

use crate::{backend::api::error::ApiError, class::Class};

/// Reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The API failed or refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A plan or catalog file cannot be read or is invalid.
    #[error("{0}\nnothing was applied")]
    PlanFile(#[from] ConfigError),
    /// A catalog file cannot be used or written.
    #[error("{0}")]
    CatalogText(String),
    /// A catalog file and what is there differ.
    #[error("{0} changes would be made")]
    Differences(usize),
    /// A change of a catalog file failed. Those before it are made.
    #[error("{what}: {reason}; {done} of {all} changes are made, and those after it were not tried")]
    ChangeFailed {
        /// The change.
        what: String,
        /// Changes that are made.
        done: usize,
        /// Changes in all.
        all: usize,
        /// The reason.
        reason: Box<Self>,
    },
    /// Secrets would be made, and there is no file for them.
    #[error(
        "{0} is created with a secret: give --secrets-file FILE, a new file that secrets are written to; nothing was applied"
    )]
    SecretsFileMissing(String),
    /// Secrets cannot be written.
    #[error("--secrets-file: {0}: {1}")]
    SecretsFile(String, String),
    /// The pepper is unusable.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// No pepper was given.
    #[error(
        "no pepper to hash the key with: give --pepper-file FILE or set TOLLGATE_PEPPER to the pepper of the gateways"
    )]
    PepperMissing,
    /// No key has the secret. The input is not quoted, as it may be a secret.
    #[error("no key has this secret")]
    SecretUnknown,
    /// Standard input is not a secret of this kind. The input is not quoted, as it may be a secret.
    #[error("standard input is not one secret of {0}")]
    NotASecret(&'static str),
    /// The window of the report is empty.
    #[error("--from has to be before --to")]
    EmptyWindow,
    /// A bank statement cannot be read.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A profile of a table, for a file that is none.
    #[error("--profile says how a table is read, and the file is camt.053: leave it out, or give --form csv")]
    ProfileOfXml,
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// The error.
        source: std::io::Error,
    },
    /// A batch for DATEV cannot be written.
    #[error(transparent)]
    Datev(#[from] DatevError),
    /// A batch for DATEV has no fiscal year.
    #[error("--from: DATEV takes what is of one fiscal year: state the first instant")]
    FiscalYear,
    /// Only `billing serve` can do it.
    #[error("{0} takes `billing serve`: give --api URL instead of --store")]
    ByApi(&'static str),
    /// A logo is no image.
    #[error("--logo: {0}")]
    Image(#[from] ImageError),
    /// A period that cannot be computed with.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// An amount cannot be read.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The answer cannot be expressed as JSON.
    #[error("cannot write the answer as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A person was asked to confirm and declined.
    #[error("nothing was changed, as it was not confirmed")]
    Declined,
    /// Limits would be dropped, and nobody confirmed it.
    #[error("limits would be dropped ({0}): look at them with --dry-run, and confirm with --yes; nothing was applied")]
    LimitsDropped(String),
    /// The store did not answer in time.
    #[error(
        "the store did not answer within {0} s (--timeout); if the command changes something, look whether it was done"
    )]
    NoAnswer(u64),
    /// The answer cannot be written to standard output.
    #[error("cannot write the answer: {0}")]
    Write(#[from] std::io::Error),
}

impl Failure {
    /// Returns true if the API refused the credential for this operation only.
    pub(crate) const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api(ApiError::Problem { status: StatusCode::FORBIDDEN, .. }))
    }

    /// The class that decides the exit code.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::PepperMissing
            | Self::EmptyWindow
            | Self::NotASecret(_)
            | Self::Money(_)
            | Self::ProfileOfXml
            | Self::Datev(_)
            | Self::FiscalYear
            | Self::ByApi(_)
            | Self::SecretsFileMissing(_)
            | Self::Image(_) => Class::Usage,
            Self::Differences(_) => Class::Differences,
            Self::ChangeFailed { reason, .. } => reason.class(),
            Self::Api(error) => error.class(),
            Self::Store(error) => store_class(error),
            Self::SecretUnknown => Class::NotFound,
            Self::Declined
            | Self::LimitsDropped(_)
            | Self::Statement(_)
            | Self::Pepper(PepperError::TooShort(_))
            | Self::PlanFile(ConfigError::Invalid { .. } | ConfigError::Fault(_) | ConfigError::Faulty(_)) => {
                Class::Refused
            }
            Self::Pepper(PepperError::Unreadable { .. } | PepperError::Missing)
            | Self::PlanFile(ConfigError::Unreadable { .. })
            | Self::CatalogText(_)
            | Self::SecretsFile(..)
            | Self::Time(_)
            | Self::Json(_)
            | Self::NoAnswer(_)
            | Self::File { .. }
            | Self::Write(_) => Class::Failed,
        }
    }
}

/// The class of an error of the store.
const fn store_class(error: &StoreError) -> Class {
    match error {
        StoreError::NotFound { .. } => Class::NotFound,
        StoreError::Refused(_) | StoreError::Conflict(_) => Class::Refused,
        StoreError::Url { .. }
        | StoreError::Unavailable { .. }
        | StoreError::SchemaOlder { .. }
        | StoreError::SchemaNewer { .. }
        | StoreError::ReadOnly(_)
        | StoreError::Locked(_)
        | StoreError::Stale { .. }
        | StoreError::Replayed { .. }
        | StoreError::IdempotencyMismatch
        | StoreError::PositionMoved { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Database(_) => Class::Failed,
    }
}
