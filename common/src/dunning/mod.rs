//! Dunning: what happens to an invoice that is not paid, step by step, up to the suspension of its
//! tenant.
//!
//! Invariants: a step is taken once. A tenant that is refused because of an invoice is served again
//! in the transaction that pays the invoice, or ends it otherwise. This refusal and one by an operator are
//! two things: neither lifts the other.

mod campaign;
mod suspension;

pub use campaign::{CampaignStep, DunningAction};
use serde::{Deserialize, Serialize};
pub(crate) use suspension::{resume_if_paid, suspend};

use crate::id::InvoiceId;

/// Most steps of a campaign before the suspension.
const STEPS_MAX: usize = 12;

/// Longest campaign, in days.
const DAYS_MAX: u32 = 365;

/// Mark that stands for the invoice's id in an address at which it is paid.
const INVOICE_MARK: &str = "{invoice}";

/// The unpaid invoice because of which a tenant, and everybody below it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpaid {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The address at which it is paid, if the issuer has stated one.
    pub pay_at: Option<String>,
}

/// The campaign of an issuer against invoices that are not paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DunningPolicy {
    /// Days after the first failure, or after the due date, on which a saved method is tried again; without
    /// one, a reminder is due. 3, 5 and 7 unless stated.
    pub days: Vec<u32>,
    /// Days after the last of those until the tenant is suspended; 7 unless stated.
    pub grace_days: u32,
    /// False: the tenant is never suspended.
    pub suspend: bool,
    /// Address at which an invoice is paid; `{invoice}` in it stands for the id. Refused requests name
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pay_at: Option<String>,
}

impl Default for DunningPolicy {
    fn default() -> Self {
        Self { days: vec![3, 5, 7], grace_days: 7, suspend: true, pay_at: None }
    }
}

impl DunningPolicy {
    /// Checks what the types alone cannot hold; gives the first fault with its field.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.days.is_empty() || self.days.len() > STEPS_MAX {
            return Err(("days", format!("use 1 to {STEPS_MAX} days")));
        }
        if !self.days.is_sorted_by(|one, next| one < next) {
            return Err(("days", "write each day once, in their order".into()));
        }
        if self.days.iter().any(|day| !(1..=DAYS_MAX).contains(day)) {
            return Err(("days", format!("use days from 1 to {DAYS_MAX}")));
        }
        if self.grace_days > DAYS_MAX {
            return Err(("grace_days", format!("use 0 to {DAYS_MAX}")));
        }
        let is_address = |address: &String| {
            (address.starts_with("https://") || address.starts_with("http://"))
                && address.len() <= 500
                && !address.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        };
        if self.pay_at.as_ref().is_some_and(|address| !is_address(address)) {
            return Err(("pay_at", "write an address as in https://pay.example.com/{invoice}".into()));
        }
        Ok(())
    }

    /// The address at which an invoice is paid.
    pub(crate) fn pay_at(&self, invoice: InvoiceId) -> Option<String> {
        self.pay_at.as_ref().map(|address| address.replace(INVOICE_MARK, &invoice.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_that_make_no_sense_are_refused_with_their_field() {
        for (text, field) in [
            (r#"{"days":[]}"#, "days"),
            (r#"{"days":[3,3]}"#, "days"),
            (r#"{"days":[0]}"#, "days"),
            (r#"{"days":[366]}"#, "days"),
            (r#"{"grace_days":366}"#, "grace_days"),
            (r#"{"pay_at":"javascript:alert(1)"}"#, "pay_at"),
            (r#"{"pay_at":"https://a b"}"#, "pay_at"),
        ] {
            let policy: DunningPolicy = serde_json::from_str(text).unwrap();
            assert_eq!(policy.validate().unwrap_err().0, field, "{text}");
        }
        assert_eq!(DunningPolicy::default().validate(), Ok(()));
    }
}
