//! Usage, credit and the audit log through the API. It does not tell refusals.

use async_trait::async_trait;
use common::{
    api::{
        audit_log::AuditDocument,
        credit::{TenantCreditDocument, TopUpBody},
        quota::{QuotaStandingDocument, QuotasDocument},
        threshold::ThresholdDocument,
        usage::UsageDocument,
        usage_event::{
            AmendEventBody, RevertEventBody, UsageEventData, UsageEventDocument, UsageEventResultDocument,
            UsageEventResultsDocument, UsageEventRowDocument, UsageEventStateDocument,
        },
    },
    id::TenantId,
    quota::credit::TopUp,
    time::Window,
    usage::{
        event::{EventCorrection, UsageEvent},
        report::{UsageQuery, UsageStep},
        rollup::RefusalRollup,
    },
};

use super::{ApiBackend, error::ApiError};
use crate::{
    backend::{AuditQuery, Records, Used},
    error::Failure,
    words::word_of,
};

/// Every dimension that usage can be grouped by, beside time.
const EVERY_DIMENSION: &str = "tenant,key,route,meter,mode";

#[async_trait]
impl Records for ApiBackend {
    async fn usage(&self, tenant: Option<TenantId>, window: Window, hourly: bool) -> Result<Vec<Used>, Failure> {
        let step = if hourly { UsageStep::Hour } else { UsageStep::Month };
        // Unless a tenant is named, the API reports on the tenant of the token, and every other
        // tenant is below it.
        let call = self
            .get(&["usage"])
            .query("tenant", tenant)
            .query("subtree", Some(tenant.is_none()))
            .query("from", Some(window.start))
            .query("to", Some(window.end))
            .query("step", Some(word_of(&step)))
            .query("group_by", Some(EVERY_DIMENSION));
        let rows: Vec<UsageDocument> = call.pages(usize::MAX).await?;
        let used: Option<Vec<Used>> = rows.into_iter().map(Used::of_row).collect();
        Ok(used.ok_or_else(|| ApiError::Answer("a row of usage lacks a dimension".to_owned()))?)
    }

    async fn refusals(
        &self,
        _tenant: Option<TenantId>,
        _window: Window,
    ) -> Result<Option<Vec<RefusalRollup>>, Failure> {
        Ok(None)
    }

    async fn usage_report(&self, query: &UsageQuery) -> Result<Vec<UsageDocument>, Failure> {
        let group_by: Vec<_> = query.group_by.iter().map(word_of).collect();
        let call = self
            .get(&["usage"])
            .query("tenant", Some(query.tenant))
            .query("subtree", Some(query.subtree))
            .query("key", query.key)
            .query("route", query.route.as_ref())
            .query("meter", query.meter.as_ref())
            .query("mode", query.mode)
            .query("from", Some(query.window.start))
            .query("to", Some(query.window.end))
            .query("step", Some(word_of(&query.step)))
            .query("group_by", Some(group_by.join(",")));
        Ok(call.pages(usize::MAX).await?)
    }

    async fn record_event(&self, event: &UsageEvent) -> Result<UsageEventResultDocument, Failure> {
        let UsageEvent { tenant, source, id, at, meter, units, mode } = event.clone();
        let data = UsageEventData { meter: Some(meter.clone()), units: Some(units), mode: Some(mode) };
        let document = UsageEventDocument {
            specversion: "1.0".to_owned(),
            id,
            source,
            r#type: meter,
            subject: tenant,
            time: at.map(Into::into),
            data: Some(data),
        };
        let mut answer: UsageEventResultsDocument = self.create(&["usage", "events"], &document)?.read().await?;
        Ok(answer.results.pop().ok_or_else(|| ApiError::Answer("it has no result of the event".to_owned()))?)
    }

    async fn correct_event(&self, correction: &EventCorrection) -> Result<UsageEventStateDocument, Failure> {
        let EventCorrection { event, units, reason } = correction.clone();
        let (subject, source, id) = (event.tenant, event.source, event.id);
        let call = match units {
            Some(units) => {
                self.create(&["usage", "events", "amend"], &AmendEventBody { subject, source, id, units, reason })?
            }
            None => self.create(&["usage", "events", "revert"], &RevertEventBody { subject, source, id, reason })?,
        };
        Ok(call.read().await?)
    }

    async fn usage_events(&self, tenant: TenantId) -> Result<Vec<UsageEventRowDocument>, Failure> {
        Ok(self.get(&["usage", "events"]).query("tenant", Some(tenant)).pages(usize::MAX).await?)
    }

    async fn add_credit(&self, top_up: &TopUp) -> Result<(), Failure> {
        let TopUp { reference, tenant, meter, units, reason, added_at: _ } = top_up.clone();
        let body = TopUpBody { meter, units, reference: Some(reference), reason };
        Ok(self.create(&["tenants", &tenant.to_string(), "credit"], &body)?.done().await?)
    }

    async fn quotas(&self, tenant: TenantId) -> Result<Vec<QuotaStandingDocument>, Failure> {
        let found: QuotasDocument = self.get(&["tenants", &tenant.to_string(), "quotas"]).read().await?;
        Ok(found.quotas)
    }

    async fn thresholds(&self, subtree_of: Option<TenantId>, limit: u32) -> Result<Vec<ThresholdDocument>, Failure> {
        Ok(self.get(&["usage", "thresholds"]).query("tenant", subtree_of).pages(limit as usize).await?)
    }

    async fn credit(&self, tenant: TenantId) -> Result<TenantCreditDocument, Failure> {
        let tenant = tenant.to_string();
        let page = |cursor: Option<String>| {
            self.get(&["tenants", &tenant, "credit"]).query("limit", Some(1_000)).query("cursor", cursor)
        };
        let mut credit: TenantCreditDocument = page(None).read().await?;
        while let Some(cursor) = credit.next_cursor.take() {
            let more: TenantCreditDocument = page(Some(cursor)).read().await?;
            credit.top_ups.extend(more.top_ups);
            credit.next_cursor = more.next_cursor;
        }
        Ok(credit)
    }

    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditDocument>, Failure> {
        let AuditQuery { subtree_of, subject, action, from, to, limit } = query;
        let call = self
            .get(&["audit"])
            .query("tenant", *subtree_of)
            .query("subject", subject.as_ref())
            .query("action", *action)
            .query("from", *from)
            .query("to", *to);
        Ok(call.pages(*limit as usize).await?)
    }
}
