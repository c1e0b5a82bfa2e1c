//! `/v1/invoices/{invoice}/payment-page`: a page of the provider on which an invoice is paid.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::invoice::{NewInvoicePageBody, PaymentAttemptDocument},
    id::InvoiceId,
};

use super::{methods::check_back_to, provider, refused};
use crate::{
    access::Caller,
    api::{body::Body, parameters::Named, services::Services},
    payment::{PageError, open_page},
    problem::Problem,
};

/// Make a page on which an invoice is paid
///
/// The page is the provider's and takes any method that the provider has, with the confirmation that the payer's
/// bank asks for: `action_url` is its address, for an hour. While it is open, the saved method is not charged; the
/// same again gives the same page.
#[utoipa::path(
    post,
    operation_id = "make_invoice_page",
    path = "/v1/invoices/{invoice}/payment-page",
    tag = "payments",
    params(("invoice" = String, Path, description = "The invoice's id")),
    request_body = NewInvoicePageBody,
    responses((status = 200, description = "The attempt that waits for the payer", body = PaymentAttemptDocument)),
)]
pub(in crate::api) async fn make(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
    Body(body): Body<NewInvoicePageBody>,
) -> Result<Json<PaymentAttemptDocument>, Problem> {
    check_back_to(&body.back_to)?;
    let now = services.clock.now();
    let invoice = caller.store().invoice(invoice).await?;
    let provider = provider(&services, invoice.issuer)?;
    super::methods::customer(&services, &provider, (invoice.issuer, invoice.tenant)).await?;
    let opened = open_page(&services.store, provider.as_ref(), &invoice, &body.back_to, now).await;
    opened.map(|attempt| Json(attempt.into())).map_err(|error| match error {
        PageError::Store(error) => error.into(),
        PageError::Provider(error) => refused(&error),
    })
}
