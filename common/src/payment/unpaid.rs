//! Unpaid invoices, and the steps that were taken against them.

use serde::{Deserialize, Serialize};
use sqlx::{Row as _, any::AnyRow};

use super::attempt::begin;
use crate::{
    dunning::{CampaignStep, DunningAction, DunningPolicy, suspend},
    event::emit,
    id::{InvoiceId, PaymentAttemptId, TenantId},
    invoice::{BillingDetails, InvoiceStatus, event::of_unpaid, locked},
    store::{
        Store, StoreError,
        row::{corrupt, instant, instant_or_null, parsed},
    },
    time::Micros,
};

/// Invoices that are read at once.
const PAGE: i64 = 500;

/// A step that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DunningStep {
    /// Its number in the campaign, from 0 on.
    pub number: u32,
    /// The action that it took.
    pub action: DunningAction,
    /// Time at which it was taken.
    pub taken_at: Micros,
}

/// Effect of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenStep {
    /// The attempt to collect that it has begun.
    pub begun: Option<PaymentAttemptId>,
}

/// An invoice that is to be paid, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpaidInvoice {
    /// Its place among all invoices.
    pub seq: i64,
    /// The invoice.
    pub id: InvoiceId,
    /// The tenant that is paid.
    pub issuer: TenantId,
    /// The tenant that pays.
    pub tenant: TenantId,
    /// Time by which it is to be paid.
    pub due_at: Micros,
    /// Time at which an attempt to collect it first failed.
    pub failed_at: Option<Micros>,
    /// Attempts to charge a saved method for it so far.
    pub attempts: u32,
    /// The method of the last attempt.
    pub last_method: Option<String>,
    /// The method of the last attempt, if that method will not do later either.
    pub useless_method: Option<String>,
    /// True while an attempt may still succeed.
    pub is_attempted: bool,
    /// The last step that was taken.
    pub taken: Option<u32>,
    /// The campaign of its plan, or else of its issuer, if there is one.
    pub policy: Option<DunningPolicy>,
    /// True if nothing is to be done about it: its tenant is on hold, or has an open dispute with the
    /// issuer.
    pub on_hold: bool,
    /// Time at which a bank took back what had paid it. Nothing is charged for it by itself then.
    pub taken_back_at: Option<Micros>,
}

impl UnpaidInvoice {
    /// The beginning of the campaign: the first failure, or the end of the time to pay; if a bank took
    /// back what had paid it, the time of that.
    pub fn campaign_start(&self) -> Micros {
        let first = self.failed_at.map_or(self.due_at, |failed| failed.min(self.due_at));
        self.taken_back_at.unwrap_or(first)
    }

    /// The step to take at `now`. `can_retry`: the tenant has a saved method that may yet do.
    pub fn due_step(&self, can_retry: bool, now: Micros) -> Option<CampaignStep> {
        let policy = self.policy.as_ref().filter(|_| !self.on_hold)?;
        policy.due(self.campaign_start(), can_retry, self.taken, now)
    }
}

const UNPAID: &str = "SELECT invoices.seq AS seq, invoices.id AS id, invoices.issuer_id AS issuer_id, \
    invoices.tenant_id AS tenant_id, due_at, \
    CASE WHEN EXISTS (SELECT 1 FROM billing_details WHERE billing_details.tenant_id = invoices.issuer_id \
     AND body LIKE '%dunning_of_plans%') THEN content END AS content, \
    (SELECT MIN(updated_at) FROM payment_attempts WHERE invoice_id = invoices.id AND status = 'failed' \
     AND method <> 'page') AS failed_at, \
    (SELECT COUNT(*) FROM payment_attempts WHERE invoice_id = invoices.id AND method <> 'page') AS attempts, \
    (SELECT COUNT(*) FROM payment_attempts WHERE invoice_id = invoices.id AND check_at IS NOT NULL) AS under_way, \
    (SELECT method FROM payment_attempts WHERE invoice_id = invoices.id AND method <> 'page' \
     ORDER BY payment_attempts.seq DESC LIMIT 1) AS last_method, \
    (SELECT method FROM payment_attempts WHERE invoice_id = invoices.id AND is_final = 1 AND payment_attempts.seq = \
     (SELECT MAX(last.seq) FROM payment_attempts AS last WHERE last.invoice_id = invoices.id \
     AND last.method <> 'page')) AS useless_method, \
    (SELECT MAX(step) FROM dunning_steps WHERE invoice_id = invoices.id) AS taken, \
    (SELECT COUNT(*) FROM disputes WHERE disputes.tenant_id = invoices.tenant_id \
     AND disputes.issuer_id = invoices.issuer_id AND closed_at IS NULL) AS disputes, \
    (SELECT MAX(closed_at) FROM disputes WHERE disputes.invoice_id = invoices.id AND disputes.status = 'lost') \
     AS taken_back_at, \
    (SELECT body FROM billing_details WHERE billing_details.tenant_id = invoices.issuer_id) AS issuer_details, \
    (SELECT body FROM billing_details WHERE billing_details.tenant_id = invoices.tenant_id) AS payer_details \
    FROM invoices WHERE invoices.status = 'finalized' AND open > 0 AND invoices.seq > $1 ORDER BY invoices.seq LIMIT $2";

impl Store {
    /// Invoices of which something is open, behind `after`, by their place; a page of them.
    pub async fn unpaid_invoices(&self, after: i64) -> Result<Vec<UnpaidInvoice>, StoreError> {
        let rows = sqlx::query(UNPAID).bind(after).bind(PAGE).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Takes a step against an invoice; none if it was taken before, or the invoice is not to be paid
    /// any more. A suspension is in force for gateways with it; the attempt of a step that tries again,
    /// by `provider`, is begun with it, unless the tenant has no saved method any more.
    pub async fn take_dunning_step(
        &self,
        unpaid: &UnpaidInvoice,
        step: CampaignStep,
        provider: Option<&str>,
        now: Micros,
    ) -> Result<Option<TakenStep>, StoreError> {
        let mut change = self.begin_change(now).await?;
        let invoice = locked(&mut change, unpaid.id).await?;
        if invoice.status != InvoiceStatus::Finalized || invoice.open.minor() <= 0 {
            return Ok(None);
        }
        let taken = sqlx::query(
            "INSERT INTO dunning_steps (invoice_id, step, action, taken_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (invoice_id, step) DO NOTHING",
        )
        .bind(invoice.id.to_string())
        .bind(i64::from(step.number))
        .bind(step.action.as_str())
        .bind(now.0)
        .execute(change.connection())
        .await?;
        if taken.rows_affected() == 0 {
            return Ok(None);
        }
        if step.action == DunningAction::Suspend {
            let pay_at = unpaid.policy.as_ref().and_then(|policy| policy.pay_at(invoice.id));
            suspend(&mut change, invoice.tenant, invoice.id, pay_at).await?;
        }
        if step.action != DunningAction::Retry {
            let pay_at = unpaid.policy.as_ref().and_then(|policy| policy.pay_at(invoice.id));
            let told = of_unpaid(&invoice, step.action.as_str(), pay_at.as_deref());
            emit(change.connection(), &[told], now).await?;
        }
        let mut begun = None;
        if let (DunningAction::Retry, Some(provider)) = (step.action, provider) {
            begun = match begin(&mut change, &invoice, provider, now).await {
                Ok(attempt) => Some(attempt.id),
                Err(StoreError::Conflict(_)) => None,
                Err(error) => return Err(error),
            };
        }
        change.commit().await?;
        Ok(Some(TakenStep { begun }))
    }

    /// Steps that were taken against an invoice, in their order.
    pub async fn dunning_steps(&self, invoice: InvoiceId) -> Result<Vec<DunningStep>, StoreError> {
        self.invoice(invoice).await?;
        let rows = sqlx::query("SELECT step, action, taken_at FROM dunning_steps WHERE invoice_id = $1 ORDER BY step")
            .bind(invoice.to_string())
            .fetch_all(&self.pool)
            .await?;
        let read = |row: &AnyRow| {
            let number = u32::try_from(row.try_get::<i64, _>("step")?).map_err(|error| corrupt("step", error))?;
            Ok(DunningStep { number, action: parsed(row, "action")?, taken_at: instant(row, "taken_at")? })
        };
        rows.iter().map(read).collect()
    }
}

/// The part of an invoice's content that says which campaign it has.
#[derive(Deserialize)]
struct Billed {
    plan: Option<BilledPlan>,
}

#[derive(Deserialize)]
struct BilledPlan {
    id: String,
}

fn read(row: &AnyRow) -> Result<UnpaidInvoice, StoreError> {
    let details = |column: &str| {
        let body: Option<String> = row.try_get(column)?;
        let details = body.map(|body| serde_json::from_str::<BillingDetails>(&body)).transpose();
        details.map_err(|error| corrupt("billing details", error))
    };
    // It is large, and read only where campaigns depend on it.
    let content: Option<String> = row.try_get("content")?;
    let billed = content.map(|content| serde_json::from_str::<Billed>(&content)).transpose();
    let billed = billed.map_err(|error| corrupt("invoice", error))?;
    let plan = billed.and_then(|billed| billed.plan).map(|plan| plan.id);
    let number = |value: i64| u32::try_from(value).map_err(|error| corrupt("count", error));
    Ok(UnpaidInvoice {
        seq: row.try_get("seq")?,
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        due_at: instant(row, "due_at")?,
        failed_at: instant_or_null(row, "failed_at")?,
        attempts: number(row.try_get("attempts")?)?,
        last_method: row.try_get("last_method")?,
        useless_method: row.try_get("useless_method")?,
        is_attempted: row.try_get::<i64, _>("under_way")? > 0,
        taken: row.try_get::<Option<i64>, _>("taken")?.map(number).transpose()?,
        policy: details("issuer_details")?.and_then(|details| details.dunning_of(plan.as_deref()).cloned()),
        on_hold: details("payer_details")?.is_some_and(|details| details.dunning_hold)
            || row.try_get::<i64, _>("disputes")? > 0,
        taken_back_at: instant_or_null(row, "taken_back_at")?,
    })
}
