//! Billing terms of a subscription: a trial, a negotiated discount, a flat fee of its own. Gateways
//! do not need them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{
    id::TenantId,
    money::{Decimal, Money},
    plan::Plan,
    store::{
        Store, StoreError,
        row::{corrupt, instant, parsed},
    },
    tenant::row as tenants,
    time::{CycleUnit, Micros},
};

/// Longest trial, in days.
pub const TRIAL_DAYS_MAX: u32 = 366;

/// Terms of a subscription that differ from those of its plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BillingOverride {
    /// True in a trial: neither fee nor usage is charged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trial: bool,
    /// True while it is paused: fee, minimum and maximum do not count, usage does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Percent off every line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount_percent: Option<Decimal>,
    /// Flat fee in place of the plan's, in major units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flat_fee: Option<String>,
    /// Day of the month on which periods begin, in place of the plan's alignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_day: Option<i8>,
}

/// Terms that are agreed on as a plan is assigned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agreement {
    /// Days of a trial before anything is charged.
    pub trial_days: u32,
    /// Percent off every line.
    pub discount_percent: Option<Decimal>,
    /// Flat fee in place of the plan's, in major units.
    pub flat_fee: Option<String>,
    /// Day of the month on which periods begin, from 1 to 31, in place of the plan's alignment.
    pub anchor_day: Option<i8>,
}

impl BillingOverride {
    /// Terms that differ in nothing.
    pub const NONE: Self =
        Self { trial: false, paused: false, discount_percent: None, flat_fee: None, anchor_day: None };

    /// Returns true if they differ in nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl Agreement {
    /// Returns true if nothing was agreed on.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what makes no sense for a plan.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), StoreError> {
        if self.trial_days > TRIAL_DAYS_MAX {
            return Err(StoreError::refused(format!("trial_days: use 0 to {TRIAL_DAYS_MAX}")));
        }
        if let Some(percent) = self.discount_percent
            && (percent.is_sign_negative() || percent > Decimal::ONE_HUNDRED || percent.scale() > 4)
        {
            let range = "use 0 to 100, with at most 4 decimal places";
            return Err(StoreError::refused(format!("discount_percent: {percent} is no discount: {range}")));
        }
        if self.anchor_day.is_some() && plan.billing.cycle == CycleUnit::Week {
            return Err(StoreError::refused("anchor_day: the plan is billed by weeks, which have no day of the month"));
        }
        if self.anchor_day.is_some_and(|day| !(1..=31).contains(&day)) {
            return Err(StoreError::refused("anchor_day: use a day of the month, 1 to 31"));
        }
        let Some(fee) = &self.flat_fee else { return Ok(()) };
        match Money::parse(fee, plan.currency) {
            Ok(fee) if fee.minor() >= 0 => Ok(()),
            Ok(_) => Err(StoreError::refused("flat_fee: is negative")),
            Err(error) => Err(StoreError::refused(format!("flat_fee: {error}"))),
        }
    }

    /// The terms while a trial lasts.
    pub(super) fn in_trial(&self) -> BillingOverride {
        BillingOverride { trial: true, ..self.after_trial() }
    }

    /// The terms once it has ended.
    pub(super) fn after_trial(&self) -> BillingOverride {
        BillingOverride {
            trial: false,
            paused: false,
            discount_percent: self.discount_percent.filter(|percent| !percent.is_zero()),
            flat_fee: self.flat_fee.clone(),
            anchor_day: self.anchor_day,
        }
    }
}

impl Store {
    /// Billing terms of all subscriptions that have some, by tenant and start.
    pub async fn billing_overrides(&self) -> Result<HashMap<(TenantId, Micros), BillingOverride>, StoreError> {
        let rows =
            sqlx::query("SELECT tenant_id, starts_at, terms FROM subscription_terms").fetch_all(&self.pool).await?;
        let entry = |row: &AnyRow| Ok(((parsed(row, "tenant_id")?, instant(row, "starts_at")?), read(row)?));
        rows.iter().map(entry).collect()
    }

    /// Billing terms of a tenant's subscriptions that have some, by start.
    pub async fn billing_overrides_of(&self, tenant: TenantId) -> Result<HashMap<Micros, BillingOverride>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        of(&mut connection, tenant).await
    }
}

/// Billing terms of a tenant's subscriptions, by start.
pub(super) async fn of(
    connection: &mut AnyConnection,
    tenant: TenantId,
) -> Result<HashMap<Micros, BillingOverride>, StoreError> {
    let rows = sqlx::query("SELECT starts_at, terms FROM subscription_terms WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((instant(row, "starts_at")?, read(row)?))).collect()
}

/// Writes the terms of a subscription that was written before; nothing, if they differ in nothing.
pub(super) async fn write(
    connection: &mut AnyConnection,
    tenant: TenantId,
    starts_at: Micros,
    terms: &BillingOverride,
) -> Result<(), StoreError> {
    if terms.is_none() {
        return Ok(());
    }
    sqlx::query("INSERT INTO subscription_terms (tenant_id, starts_at, terms) VALUES ($1, $2, $3)")
        .bind(tenant.to_string())
        .bind(starts_at.0)
        .bind(serde_json::to_string(terms).map_err(|error| corrupt("terms", error))?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Drops the terms of subscriptions that are no more.
pub(super) async fn drop_orphans(connection: &mut AnyConnection, tenant: TenantId) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM subscription_terms WHERE tenant_id = $1 AND NOT EXISTS (SELECT 1 FROM subscriptions \
         WHERE subscriptions.tenant_id = subscription_terms.tenant_id \
         AND subscriptions.starts_at = subscription_terms.starts_at)",
    )
    .bind(tenant.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<BillingOverride, StoreError> {
    let text: String = row.try_get("terms")?;
    serde_json::from_str(&text).map_err(|error| corrupt("terms", error))
}
