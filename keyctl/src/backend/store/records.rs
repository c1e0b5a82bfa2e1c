//! Usage, credit and the audit log in the store.

use async_trait::async_trait;
use common::{
    api::{
        audit_log::AuditDocument,
        credit::TenantCreditDocument,
        quota::QuotaStandingDocument,
        threshold::ThresholdDocument,
        usage::UsageDocument,
        usage_event::{UsageEventResultDocument, UsageEventRowDocument, UsageEventStateDocument, UsageEventStatus},
    },
    id::TenantId,
    quota::credit::TopUp,
    store::{AuditFilter, PageRequest, StoreError},
    time::{Micros, Window},
    usage::{
        event::{EventCorrection, EventOutcome, UsageEvent},
        report::UsageQuery,
        rollup::{RefusalRollup, UsageFilter},
    },
};

use super::StoreBackend;
use crate::{
    backend::{AuditQuery, Records, Used},
    error::Failure,
};

#[async_trait]
impl Records for StoreBackend {
    async fn usage(&self, tenant: Option<TenantId>, window: Window, _hourly: bool) -> Result<Vec<Used>, Failure> {
        let filter = UsageFilter { tenant, window: Some(window) };
        Ok(self.store.usage(&filter).await?.into_iter().map(Used::from).collect())
    }

    async fn refusals(&self, tenant: Option<TenantId>, window: Window) -> Result<Option<Vec<RefusalRollup>>, Failure> {
        let filter = UsageFilter { tenant, window: Some(window) };
        Ok(Some(self.store.refusals(&filter).await?))
    }

    async fn usage_report(&self, query: &UsageQuery) -> Result<Vec<UsageDocument>, Failure> {
        let mut query = query.clone();
        let mut rows = Vec::new();
        loop {
            let page = self.store.usage_report(&query).await?;
            self.patience.heard();
            rows.extend(page.rows.into_iter().map(UsageDocument::from));
            if page.next.is_none() {
                return Ok(rows);
            }
            query.after = page.next;
        }
    }

    async fn record_event(&self, event: &UsageEvent) -> Result<UsageEventResultDocument, Failure> {
        let outcome = self.store.record_usage_events(std::slice::from_ref(event), self.now).await?.pop();
        let (status, backfill, time) = match outcome {
            Some(EventOutcome::Booked { at, backfill }) => (UsageEventStatus::Booked, backfill, Some(at.into())),
            Some(EventOutcome::Duplicate) => (UsageEventStatus::Duplicate, false, None),
            Some(EventOutcome::Refused(fault)) => return Err(StoreError::from(fault).into()),
            None => return Err(StoreError::Refused("the event was not recorded".to_owned()).into()),
        };
        let (id, source) = (Some(event.id.clone()), Some(event.source.clone()));
        Ok(UsageEventResultDocument { id, source, status, backfill, time, problem: None })
    }

    async fn correct_event(&self, correction: &EventCorrection) -> Result<UsageEventStateDocument, Failure> {
        Ok(self.store.correct_usage_event(correction, self.now).await?.into())
    }

    async fn usage_events(&self, tenant: TenantId) -> Result<Vec<UsageEventRowDocument>, Failure> {
        let page = self.store.usage_events(tenant, PageRequest { after: None, limit: u32::MAX }).await?;
        Ok(page.items.into_iter().map(Into::into).collect())
    }

    async fn add_credit(&self, top_up: &TopUp) -> Result<(), Failure> {
        self.store.add_credit(top_up).await?;
        Ok(())
    }

    async fn quotas(&self, tenant: TenantId) -> Result<Vec<QuotaStandingDocument>, Failure> {
        // The quotas of an unknown tenant are an error, not an empty list.
        self.store.tenant(tenant).await?;
        Ok(self.store.quotas(tenant).await?.into_iter().map(QuotaStandingDocument::from).collect())
    }

    async fn thresholds(&self, subtree_of: Option<TenantId>, limit: u32) -> Result<Vec<ThresholdDocument>, Failure> {
        let page = self.store.threshold_events(subtree_of, PageRequest { after: None, limit }).await?;
        Ok(page.items.into_iter().map(ThresholdDocument::from).collect())
    }

    async fn credit(&self, tenant: TenantId) -> Result<TenantCreditDocument, Failure> {
        // The credit of an unknown tenant is an error, not an empty list.
        self.store.tenant(tenant).await?;
        let credit = self.store.credit(tenant).await?.into_iter().map(Into::into).collect();
        let top_ups = self.store.top_ups(tenant).await?.into_iter().map(Into::into).collect();
        Ok(TenantCreditDocument { credit, top_ups, next_cursor: None })
    }

    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditDocument>, Failure> {
        let AuditQuery { subtree_of, subject, action, from, to, limit } = query;
        let window = Window { start: from.unwrap_or(Micros(i64::MIN)), end: to.unwrap_or(Micros(i64::MAX)) };
        let filter =
            AuditFilter { subtree_of: *subtree_of, subject: subject.clone(), action: *action, window: Some(window) };
        let page = self.store.audit_log(&filter, PageRequest { after: None, limit: *limit }).await?;
        Ok(page.items.into_iter().map(AuditDocument::from).collect())
    }
}
