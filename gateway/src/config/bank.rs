//! Checks of the section `limits.redis`: where limits are shared, and how.

use std::time::Duration;

use common::config::ConfigError;

use super::{Overrides, check::Check, file::RedisFile};
use crate::limit::bank::{BankAddress, BankSettings};

/// Most gateways that may share a limit while the bank is away.
const GATEWAYS_MAX: u64 = 10_000;

impl Check<'_> {
    /// Where limits are shared; nowhere unless the file or the environment says so.
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
                .map_err(|error| self.fault(1, format!("environment variable TOLLGATE_REDIS: {error}")))?,
            (None, Some(url)) => BankAddress::parse(url, file.cluster)
                .map_err(|error| self.fault(self.line_with("url:"), format!("`url`: {error}")))?,
            (None, None) => {
                let reason = "`redis` has no `url`: write it as in redis://127.0.0.1:6379";
                return Err(self.fault(self.line_with("redis:"), reason));
            }
        };
        Ok(Some(BankSettings {
            address,
            tick: Duration::from_millis(self.within("tick_ms", file.tick_ms, 1, 100)?),
            timeout: Duration::from_millis(self.within("timeout_ms", file.timeout_ms, 5, 500)?),
            gateways: self.within("gateways", file.gateways, 1, GATEWAYS_MAX)?,
        }))
    }
}
