//! Certificates that the gateway orders from an authority (ACME, RFC 8555) and renews in time.
//!
//! | module | what it does |
//! |---|---|
//! | [`settings`] | an authority, and the certificates that it is asked for |
//! | [`storage`] | files of account, certificates and pending challenges, and the lock on them |
//! | [`challenge`] | answers to the authority's question whether a name is ours |
//! | [`client`] | requests to the authority |
//! | [`account`] | the account, made once and kept |
//! | [`order`] | one order, from the names to the certificate |
//! | [`renewal`] | the moment of the next order |
//! | [`keeper`] | the task that keeps all of them in time |
//!
//! A certificate lies in one file with its key, which is replaced by renaming. Listeners follow the
//! file like any other, and so does every gateway that shares the storage.
//!
//! Invariants: of all gateways that share a storage, one at a time orders; the certificate in force
//! stays until another one is complete; what one gateway offers as proof, each of them shows.

mod account;
pub mod challenge;
mod client;
pub mod keeper;
mod metrics;
mod order;
mod renewal;
pub mod settings;
pub mod storage;

pub use keeper::CertificateKeeper;
pub use settings::{AuthoritySettings, Challenge, ExternalAccount, HOSTS_MAX};
pub use storage::Storage;

/// A certificate could not be had from its authority.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The authority does not answer, or not as an authority does.
    #[error("the authority cannot be reached: {0}")]
    Away(String),
    /// The authority refuses.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// The authority offers no challenge of the kind that is set.
    #[error("the authority offers no challenge `{challenge}` for {host}; choose another `challenge`")]
    NoChallenge {
        /// The name that is to be proved.
        host: String,
        /// The kind, as the settings name it.
        challenge: &'static str,
    },
    /// A file of the storage, or one that the settings name, cannot be used.
    #[error("{0}")]
    File(String),
    /// The authority's certificate does not fit what was ordered.
    #[error("the certificate that came cannot be used: {0}")]
    Certificate(String),
    /// Nothing came within the time for an order.
    #[error("no certificate came within {0} s")]
    Late(u64),
}

impl OrderError {
    /// Returns true if the authority may count the failure against a limit of its own.
    const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Away(_) | Self::File(_))
    }
}

impl From<instant_acme::Error> for OrderError {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => Self::Refused(problem.to_string()),
            instant_acme::Error::Unsupported(_) | instant_acme::Error::Timeout(_) => Self::Refused(error.to_string()),
            _ => Self::Away(error.to_string()),
        }
    }
}

impl From<std::io::Error> for OrderError {
    fn from(error: std::io::Error) -> Self {
        Self::File(error.to_string())
    }
}
