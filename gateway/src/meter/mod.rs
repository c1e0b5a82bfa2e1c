//! What was used: each answered request becomes a record in the journal before its response leaves, and the drain
//! hands the journal to the sink. Nothing is dropped: what the sink has not acknowledged stays in the journal.

use common::{
    id::{KeyId, TenantId},
    usage::UsageRecord,
};

/// The meter room's front.
pub struct Meter {
    _private: (),
}

/// Why usage cannot be recorded now.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The disk budget is spent: the sink has been away for too long.
    #[error("usage journal is full")]
    Full,
    /// The disk refused.
    #[error("usage journal cannot be written: {0}")]
    Io(#[from] std::io::Error),
}

impl Meter {
    /// Whether a record would find room now; asked before a request is forwarded.
    pub fn has_room(&self) -> bool {
        todo!()
    }

    /// Appends a record; once this returns, the record survives a crash of this process.
    pub fn record(&self, record: &UsageRecord) -> Result<(), MeterError> {
        let _ = record;
        todo!()
    }

    /// Counts a refusal by the gateway itself; summed up and journaled each second.
    pub fn refused(&self, tenant: TenantId, key: KeyId, reason: &'static str) {
        let _ = (tenant, key, reason);
        todo!()
    }
}
