//! Runs that issue invoices although usage may be missing: somebody says why, and the audit log
//! keeps it.

use super::check_reason;
use crate::{
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
    },
    time::Micros,
};

impl Store {
    /// Records that the invoices of a period are issued although usage may be missing. Refused: an
    /// empty reason.
    pub async fn record_incomplete_run(
        &self,
        period: &str,
        reason: &str,
        missing: &[String],
        now: Micros,
    ) -> Result<(), StoreError> {
        check_reason(reason)?;
        let mut change = self.begin_change(now).await?;
        let (action, subject_kind, subject) = (AuditAction::InvoiceIncomplete, "period", period.to_owned());
        let after = state(&serde_json::json!({ "reason": reason, "missing": missing }))?;
        change.audit(Audited { action, subject_kind, subject, tenant: None, before: None, after }).await?;
        change.commit().await
    }
}
