//! Checks of the section `limits.redis`: where limits are shared, and how.

use std::{fmt::Display, path::Path, time::Duration};

use common::config::ConfigError;

use super::{Overrides, check::Check, file::RedisFile};
use crate::limit::bank::{BankAddress, BankSettings};

/// Most gateways that may share a limit while the bank is away.
const GATEWAYS_MAX: u64 = 10_000;

impl Check<'_> {
    /// Returns the settings of the bank; none unless the file or the environment names one.
    pub(super) fn bank(
        &self,
        file: Option<RedisFile>,
        overrides: &Overrides,
    ) -> Result<Option<BankSettings>, ConfigError> {
        if file.is_none() && overrides.redis.is_none() {
            return Ok(None);
        }
        let file = file.unwrap_or_default();
        let address = match (&overrides.redis, &file.url) {
            (Some(url), _) => BankAddress::parse(url, file.cluster)
                .map_err(|error| Self::outside(format!("environment variable TOLLGATE_REDIS: {error}")))?,
            (None, Some(url)) => {
                BankAddress::parse(url, file.cluster).map_err(|error| self.about("url", format!("`url`: {error}")))?
            }
            (None, None) => {
                let reason = "`redis` has no `url`: write it as in redis://127.0.0.1:6379";
                return Err(self.about("", reason));
            }
        };
        Ok(Some(BankSettings {
            address: self.vouched_for(address, file.ca_file.as_deref())?,
            tick: Duration::from_millis(self.within("tick_ms", file.tick_ms, 1, 100)?),
            timeout: Duration::from_millis(self.within("timeout_ms", file.timeout_ms, 5, 500)?),
            gateways: self.within("gateways", file.gateways, 1, GATEWAYS_MAX)?,
        }))
    }

    /// The address, with the authority that vouches for it if the file names one.
    fn vouched_for(&self, address: BankAddress, file: Option<&Path>) -> Result<BankAddress, ConfigError> {
        let Some(file) = file else {
            return Ok(address);
        };
        let wrong = |reason: &dyn Display| self.about("ca_file", format!("`ca_file` {}: {reason}", file.display()));
        let authority = std::fs::read(file).map_err(|error| wrong(&error))?;
        address.vouched_for_by(authority).map_err(|error| wrong(&error))
    }
}
