//! One-off invoices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AmountError, amount};
use crate::{
    id::TenantId,
    invoice::{Counts, InvoiceLine, LineKind, NewInvoice, tax::TaxRule},
    money::Currency,
};

/// A one-off invoice that is to be issued.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInvoice)]
pub struct NewInvoiceBody {
    /// The tenant that sells; the tenant of the caller's role unless stated.
    #[schema(value_type = Option<String>)]
    pub issuer: Option<TenantId>,
    /// The tenant that owes, which is below the issuer.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// The currency, by its ISO 4217 code.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// Its lines.
    #[schema(min_items = 1, max_items = 100)]
    pub lines: Vec<NewLineBody>,
    /// A text for the invoice.
    #[schema(min_length = 1, max_length = 200)]
    pub memo: Option<String>,
}

/// A line that somebody writes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInvoiceLine)]
pub struct NewLineBody {
    /// The text that people read.
    #[schema(min_length = 1, max_length = 200, example = "Onboarding")]
    pub description: String,
    /// The amount in major units; below zero for a deduction.
    #[schema(example = "500.00")]
    pub amount: String,
    /// The meter whose tax rule counts, if that is not the tenant's own.
    pub meter: Option<String>,
}

impl NewInvoiceBody {
    /// The invoice that it asks `issuer` for.
    pub fn invoice(self, issuer: TenantId) -> Result<NewInvoice, AmountError> {
        let line = |(place, line): (usize, NewLineBody)| {
            Ok(InvoiceLine {
                kind: LineKind::Custom,
                description: line.description,
                meter: line.meter,
                quantity: 1,
                unit_price: None,
                exact: None,
                amount_minor: amount(&format!("lines[{place}].amount"), &line.amount, self.currency)?.minor(),
                tax: TaxRule::NONE,
                period: None,
                coupon: None,
                in_advance: false,
            })
        };
        Ok(NewInvoice {
            issuer,
            tenant: self.tenant,
            currency: self.currency,
            period: None,
            part: 0,
            last_part: 0,
            plan: None,
            counts: Counts::default(),
            lines: self.lines.into_iter().enumerate().map(line).collect::<Result<_, AmountError>>()?,
            usage: Vec::new(),
            memo: self.memo,
            input_hash: None,
        })
    }
}
