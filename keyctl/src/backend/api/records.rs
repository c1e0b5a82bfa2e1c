//! Usage, credit and the audit log, as the API has them. It does not tell refusals.

use async_trait::async_trait;
use common::{
    id::TenantId,
    quota::credit::TopUp,
    time::Window,
    usage::{
        report::{UsageQuery, UsageStep},
        rollup::RefusalSum,
    },
};
use serde_json::json;

use super::ApiBackend;
use crate::{
    backend::{AuditQuery, Records},
    error::Failure,
    view::{AuditView, CreditReport, QuotaView, ReportRow, TenantCredit, ThresholdView, Used},
    words::word_of,
};

/// All that usage is told apart by, beside time.
const EVERYTHING: &str = "tenant,key,route,meter,mode";

/// The quotas of a tenant, as the API tells them.
#[derive(serde::Deserialize)]
struct Quotas {
    quotas: Vec<QuotaView>,
}

#[async_trait]
impl Records for ApiBackend {
    async fn usage(&self, tenant: Option<TenantId>, window: Window, hourly: bool) -> Result<Vec<Used>, Failure> {
        let step = if hourly { UsageStep::Hour } else { UsageStep::Month };
        // Unless it is told whose, the API reports on the tenant that the token is of, and everybody is below it.
        let call = self
            .get(&["usage"])
            .query("tenant", tenant)
            .query("subtree", Some(tenant.is_none()))
            .query("from", Some(window.start))
            .query("to", Some(window.end))
            .query("step", Some(word_of(&step)))
            .query("group_by", Some(EVERYTHING));
        Ok(call.pages(usize::MAX).await?)
    }

    async fn refusals(&self, _tenant: Option<TenantId>, _window: Window) -> Result<Option<Vec<RefusalSum>>, Failure> {
        Ok(None)
    }

    async fn usage_report(&self, query: &UsageQuery) -> Result<Vec<ReportRow>, Failure> {
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

    async fn add_credit(&self, top_up: &TopUp) -> Result<(), Failure> {
        let TopUp { reference, tenant, meter, units, reason, added_at: _ } = top_up;
        let body = json!({ "meter": meter, "units": units, "reference": reference, "reason": reason });
        Ok(self.create(&["tenants", &tenant.to_string(), "credit"], body).done().await?)
    }

    async fn quotas(&self, tenant: TenantId) -> Result<Vec<QuotaView>, Failure> {
        let quotas: Quotas = self.get(&["tenants", &tenant.to_string(), "quotas"]).read().await?;
        Ok(quotas.quotas)
    }

    async fn thresholds(&self, subtree_of: Option<TenantId>, limit: u32) -> Result<Vec<ThresholdView>, Failure> {
        Ok(self.get(&["usage", "thresholds"]).query("tenant", subtree_of).pages(limit as usize).await?)
    }

    async fn credit(&self, tenant: TenantId) -> Result<CreditReport, Failure> {
        let tenant_id = tenant.to_string();
        let page = |cursor: Option<String>| {
            self.get(&["tenants", &tenant_id, "credit"]).query("limit", Some(1_000)).query("cursor", cursor)
        };
        let mut credit: TenantCredit = page(None).read().await?;
        while let Some(cursor) = credit.next_cursor.take() {
            let more: TenantCredit = page(Some(cursor)).read().await?;
            credit.top_ups.extend(more.top_ups);
            credit.next_cursor = more.next_cursor;
        }
        Ok(CreditReport::of(tenant, credit))
    }

    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditView>, Failure> {
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
