//! Tenants that are refused because of an unpaid invoice.

use sqlx::Row as _;

use crate::{
    id::{InvoiceId, TenantId},
    store::{
        StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        change_log::Changed,
        row::parsed_or_null,
        transaction::ChangeTransaction,
    },
};

/// Has gateways refuse a tenant, unless another invoice does so already.
pub(crate) async fn suspend(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    invoice: InvoiceId,
    pay_at: Option<String>,
) -> Result<(), StoreError> {
    let done =
        sqlx::query("UPDATE tenants SET unpaid_invoice = $1, pay_at = $2 WHERE id = $3 AND unpaid_invoice IS NULL")
            .bind(invoice.to_string())
            .bind(pay_at)
            .bind(tenant.to_string())
            .execute(change.connection())
            .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    change.record(Changed::Tenant(tenant)).await?;
    audit(change, AuditAction::DunningSuspend, tenant, invoice).await
}

/// Has gateways serve a tenant again that was refused because of this invoice; another invoice that
/// was to suspend it takes its place.
pub(crate) async fn resume_if_paid(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    invoice: InvoiceId,
) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT unpaid_invoice FROM tenants WHERE id = $1")
        .bind(tenant.to_string())
        .fetch_optional(change.connection())
        .await?;
    let refused_for: Option<InvoiceId> =
        row.as_ref().map(|row| parsed_or_null(row, "unpaid_invoice")).transpose()?.flatten();
    if refused_for != Some(invoice) {
        return Ok(());
    }
    let next = sqlx::query(
        "SELECT invoices.id AS id FROM invoices JOIN dunning_steps ON invoice_id = invoices.id \
         WHERE tenant_id = $1 AND status = 'finalized' AND open > 0 AND action = 'suspend' AND invoices.id <> $2 \
         ORDER BY seq LIMIT 1",
    )
    .bind(tenant.to_string())
    .bind(invoice.to_string())
    .fetch_optional(change.connection())
    .await?;
    let next: Option<String> = next.map(|row| row.try_get("id")).transpose()?;
    let is_over = next.is_none();
    // The address named the invoice that is paid.
    sqlx::query("UPDATE tenants SET unpaid_invoice = $1, pay_at = NULL WHERE id = $2")
        .bind(next)
        .bind(tenant.to_string())
        .execute(change.connection())
        .await?;
    change.record(Changed::Tenant(tenant)).await?;
    if is_over { audit(change, AuditAction::DunningResume, tenant, invoice).await } else { Ok(()) }
}

async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    tenant: TenantId,
    invoice: InvoiceId,
) -> Result<(), StoreError> {
    let after = state(&serde_json::json!({ "invoice": invoice }))?;
    let (subject_kind, subject, tenant) = ("tenant", tenant.to_string(), Some(tenant));
    change.audit(Audited { action, subject_kind, subject, tenant, before: None, after }).await
}
