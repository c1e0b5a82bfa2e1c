//! Options for the lifetime of a key: its expiry, and the grace of a replaced key.

use clap::Args;
use common::time::Micros;

use crate::{duration::Seconds, pepper::PepperArgs};

/// The expiry of a new key.
#[derive(Debug, Args)]
pub(crate) struct ExpiryArgs {
    /// Refuse the key from this instant on
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires: Option<Micros>,

    /// Refuse the key after this span of time: seconds, or a number with s, m, h, d or w
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Seconds>,
}

/// The grace of a key that is replaced.
#[derive(Debug, Args)]
pub(crate) struct GraceArgs {
    /// Time for which the old key is still accepted, 0 to 24h: seconds, or a number with s, m or h
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    grace: Seconds,

    #[command(flatten)]
    pub(crate) pepper: PepperArgs,
}

impl ExpiryArgs {
    /// The instant of expiry, if one was given.
    pub(crate) fn at(&self, now: Micros) -> Option<Micros> {
        self.expires.or_else(|| self.expires_in.map(|span| now.plus_seconds(span.0.cast_signed())))
    }
}

impl GraceArgs {
    /// The grace in seconds. One that is too long is passed on, and refused by the backend.
    pub(crate) fn seconds(&self) -> u32 {
        u32::try_from(self.grace.0).unwrap_or(u32::MAX)
    }
}
