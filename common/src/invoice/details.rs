//! Billing details: what invoices say of a tenant, as the side that sells and as the side that buys,
//! and the rules by which they are issued.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _};

use super::tax::{TaxRounding, TaxRule};
use crate::{
    dunning::DunningPolicy,
    id::TenantId,
    name::validate_name,
    plan::is_slug,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{corrupt, parsed},
    },
    tenant::row as tenants,
    time::Micros,
};

/// Longest time to pay, in days.
const PAYMENT_DAYS_MAX: u32 = 365;

/// Most plans that have a campaign of their own.
const PLANS_MAX: usize = 100;

/// Most tenants that are on one bill.
const PAID_FOR_MAX: usize = 1_000;

/// Most meters that have a tax rule of their own.
const METERS_MAX: usize = 100;

/// Billing details of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BillingDetails {
    /// Name on invoices; the tenant's name unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_name: Option<String>,
    /// Postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Address for mail about invoices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Number with the tax authority, as in `DE123456789`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    /// As a buyer: the rule by which its invoices are taxed. Not taxed unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxRule>,
    /// As a buyer: rules for lines of some meters, by meter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tax_of_meters: BTreeMap<String, TaxRule>,
    /// As a buyer: tenants below it whose bills are on its own invoice, each in a section. Those
    /// that are not below it, and bills that it issues itself, are not affected.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "api", schema(value_type = Vec<String>))]
    pub pays_for: BTreeSet<TenantId>,
    /// As an issuer: beginning of invoice numbers, 1 to 16 of A-Z, 0-9 and -. `INV` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// As an issuer: days in which an invoice is to be paid, 0 to 365. 14 unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_days: Option<u32>,
    /// As an issuer: place of rounding of tax.
    #[serde(skip_serializing_if = "is_default")]
    pub tax_rounding: TaxRounding,
    /// As an issuer: the campaign against invoices that are not paid. None unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dunning: Option<DunningPolicy>,
    /// As an issuer: campaigns against invoices of some plans, by plan, instead of `dunning`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dunning_of_plans: BTreeMap<String, DunningPolicy>,
    /// As a buyer: true if no campaign runs against its invoices.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dunning_hold: bool,
}

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Street and number, and further lines.
    pub lines: Vec<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// City.
    pub city: String,
    /// Country, as two letters of ISO 3166.
    pub country: String,
}

/// The reason for which billing details are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct DetailsError {
    field: String,
    reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_default(rounding: &TaxRounding) -> bool {
    *rounding == TaxRounding::default()
}

impl BillingDetails {
    /// Beginning of invoice numbers.
    pub fn series(&self) -> &str {
        self.series.as_deref().unwrap_or("INV")
    }

    /// Days in which an invoice is to be paid.
    pub fn payment_days(&self) -> u32 {
        self.payment_days.unwrap_or(14)
    }

    /// The campaign against invoices of a plan: the plan's, or else that of the issuer.
    pub fn dunning_of(&self, plan: Option<&str>) -> Option<&DunningPolicy> {
        plan.and_then(|plan| self.dunning_of_plans.get(plan)).or(self.dunning.as_ref())
    }

    /// The rule by which a line of the tenant's invoices is taxed.
    pub fn tax_of(&self, meter: Option<&str>) -> TaxRule {
        let own = meter.and_then(|meter| self.tax_of_meters.get(meter)).or(self.tax.as_ref());
        own.copied().unwrap_or(TaxRule::NONE)
    }

    /// Checks what the types alone cannot hold; tells the first fault and its field.
    pub fn validate(&self) -> Result<(), DetailsError> {
        let fault = |field: &str, reason: String| Err(DetailsError { field: field.into(), reason });
        let texts = [("legal_name", &self.legal_name), ("email", &self.email), ("tax_id", &self.tax_id)];
        for (field, text) in texts {
            if let Some(Err(error)) = text.as_deref().map(validate_name) {
                return fault(field, error.to_string());
            }
        }
        if self.email.as_ref().is_some_and(|email| !email.contains('@') || email.contains(char::is_whitespace)) {
            return fault("email", "write it as in billing@example.com".into());
        }
        if let Some(address) = &self.address {
            address.validate()?;
        }
        if let Some(rule) = &self.tax {
            rule.validate().or_else(|reason| fault("tax.percent", reason))?;
        }
        if self.tax_of_meters.len() > METERS_MAX {
            return fault("tax_of_meters", format!("at most {METERS_MAX} meters can have a rule of their own"));
        }
        for (meter, rule) in &self.tax_of_meters {
            rule.validate().or_else(|reason| fault(&format!("tax_of_meters.{meter}.percent"), reason))?;
        }
        if self.pays_for.len() > PAID_FOR_MAX {
            return fault("pays_for", format!("at most {PAID_FOR_MAX} tenants can be on one bill"));
        }
        let is_series = |text: &str| {
            (1..=16).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if self.series.as_deref().is_some_and(|series| !is_series(series)) {
            return fault("series", "use 1 to 16 characters of A-Z, 0-9 and -".into());
        }
        if self.payment_days.is_some_and(|days| days > PAYMENT_DAYS_MAX) {
            return fault("payment_days", format!("use 0 to {PAYMENT_DAYS_MAX}"));
        }
        if let Some(Err((field, reason))) = self.dunning.as_ref().map(DunningPolicy::validate) {
            return fault(&format!("dunning.{field}"), reason);
        }
        if self.dunning_of_plans.len() > PLANS_MAX {
            return fault("dunning_of_plans", format!("at most {PLANS_MAX} plans can have a campaign of their own"));
        }
        for (plan, policy) in &self.dunning_of_plans {
            if !is_slug(plan) {
                return fault("dunning_of_plans", format!("`{plan}` is not the id of a plan"));
            }
            policy.validate().or_else(|(field, reason)| fault(&format!("dunning_of_plans.{plan}.{field}"), reason))?;
        }
        Ok(())
    }
}

impl Address {
    fn validate(&self) -> Result<(), DetailsError> {
        let fault = |field: &str, reason: String| Err(DetailsError { field: format!("address.{field}"), reason });
        if self.lines.len() > 5 {
            return fault("lines", "use at most 5".into());
        }
        let texts = self.lines.iter().map(|line| ("lines", line));
        for (field, text) in
            texts.chain([("city", &self.city)]).chain(self.postal_code.iter().map(|code| ("postal_code", code)))
        {
            if let Err(error) = validate_name(text) {
                return fault(field, error.to_string());
            }
        }
        if self.country.len() == 2 && self.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Ok(());
        }
        fault("country", "use two letters of ISO 3166, as in DE".into())
    }
}

impl Store {
    /// Billing details of a tenant; nothing is stated for a tenant that has none.
    pub async fn billing_details(&self, tenant: TenantId) -> Result<BillingDetails, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        read(&mut connection, tenant).await
    }

    /// Replaces the billing details of a tenant. Invoices that are finalized keep the old ones.
    /// Refused: details that do not make sense. A conflict: a deleted tenant.
    pub async fn set_billing_details(
        &self,
        tenant: TenantId,
        details: &BillingDetails,
        now: Micros,
    ) -> Result<(), StoreError> {
        details.validate().map_err(|error| StoreError::refused(error.to_string()))?;
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let before = read(change.connection(), tenant).await?;
        if before == *details {
            return Ok(());
        }
        let body = serde_json::to_string(details).map_err(|error| corrupt("billing details", error))?;
        sqlx::query(
            "INSERT INTO billing_details (tenant_id, body, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant_id) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at",
        )
        .bind(tenant.to_string())
        .bind(body)
        .bind(now.0)
        .execute(change.connection())
        .await?;
        let (action, subject_kind) = (AuditAction::BillingDetails, "tenant");
        let (subject, tenant) = (tenant.to_string(), Some(tenant));
        let (before, after) = (state(&before)?, state(details)?);
        change.audit(Audited { action, subject_kind, subject, tenant, before, after }).await?;
        change.commit().await
    }
}

impl Store {
    /// Tenants whose bills are on the invoice of another, by the tenant that pays.
    pub async fn paid_for(&self) -> Result<BTreeMap<TenantId, BTreeSet<TenantId>>, StoreError> {
        let rows = sqlx::query("SELECT tenant_id, body FROM billing_details WHERE body LIKE '%\"pays_for\":[%'")
            .fetch_all(&self.pool)
            .await?;
        let mut found = BTreeMap::new();
        for row in &rows {
            let body: String = row.try_get("body")?;
            let details: BillingDetails =
                serde_json::from_str(&body).map_err(|error| corrupt("billing details", error))?;
            found.insert(parsed(row, "tenant_id")?, details.pays_for);
        }
        Ok(found)
    }
}

/// Billing details of a tenant, whoever asks.
pub(crate) async fn read(connection: &mut AnyConnection, tenant: TenantId) -> Result<BillingDetails, StoreError> {
    let row = sqlx::query("SELECT body FROM billing_details WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(BillingDetails::default()) };
    let body: String = row.try_get("body")?;
    serde_json::from_str(&body).map_err(|error| corrupt("billing details", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Decimal;

    fn refused(text: &str) -> String {
        let details: BillingDetails = serde_json::from_str(text).unwrap();
        details.validate().unwrap_err().to_string()
    }

    #[test]
    fn details_that_make_no_sense_are_refused_with_their_field() {
        for (text, field) in [
            (r#"{"tax":{"treatment":"exclusive","percent":"-1"}}"#, "tax.percent: "),
            (r#"{"tax":{"treatment":"exclusive","percent":"100.01"}}"#, "tax.percent: "),
            (r#"{"tax":{"treatment":"reverse_charge","percent":"19"}}"#, "tax.percent: "),
            (
                r#"{"tax_of_meters":{"tokens":{"treatment":"inclusive","percent":"120"}}}"#,
                "tax_of_meters.tokens.percent: ",
            ),
            (r#"{"email":"nobody"}"#, "email: "),
            (r#"{"series":"inv"}"#, "series: "),
            (r#"{"payment_days":366}"#, "payment_days: "),
            (r#"{"dunning":{"days":[5,3]}}"#, "dunning.days: "),
            (r#"{"dunning_of_plans":{"growth":{"days":[5,3]}}}"#, "dunning_of_plans.growth.days: "),
            (r#"{"dunning_of_plans":{"Growth plan":{}}}"#, "dunning_of_plans: "),
            (r#"{"legal_name":" "}"#, "legal_name: "),
            (r#"{"address":{"lines":[],"city":"Berlin","country":"Germany"}}"#, "address.country: "),
        ] {
            assert!(refused(text).starts_with(field), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn rule_of_a_meter_goes_before_the_tenants_own() {
        let text = r#"{"tax":{"treatment":"exclusive","percent":"19"},"tax_of_meters":{"books":{"treatment":"exclusive","percent":"7"}}}"#;
        let details: BillingDetails = serde_json::from_str(text).unwrap();
        let percent = |meter| details.tax_of(meter).percent.to_string();
        assert_eq!([percent(None), percent(Some("requests")), percent(Some("books"))], ["19", "19", "7"]);
        assert_eq!(serde_json::to_string(&details).unwrap(), text);
        assert_eq!(BillingDetails::default().tax_of(None).percent, Decimal::ZERO);
    }
}
