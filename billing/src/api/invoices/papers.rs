//! Documents as PDF and as XML: invoices, credit notes, receipts and statements.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use common::{
    api::problem::ProblemCode,
    branding::Branding,
    id::{CreditNoteId, InvoiceId, PaymentId, TenantId},
    invoice::{CreditNote, Invoice},
    money::Currency,
    store::Store,
    tenant::Tenant,
    time::{Micros, Window},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    access::Caller,
    api::{
        parameters::{Named, NamedPair, Parameters, from_text, instant},
        services::Services,
    },
    document::{DocumentError, Paper, read_statement},
    e_invoice::{self, ElectronicInvoice},
    problem::Problem,
};

const PDF: HeaderValue = HeaderValue::from_static("application/pdf");
const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// The form of a PDF.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PdfParameters {
    /// Two letters of ISO 639, as in `de`; that of the branding unless stated.
    language: Option<String>,
    /// True: with the electronic invoice in it, as Factur-X and ZUGFeRD 2 say.
    #[serde(default)]
    factur_x: bool,
}

/// The language of a PDF.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct LanguageParameters {
    /// Two letters of ISO 639, as in `de`; that of the branding unless stated.
    language: Option<String>,
}

/// The form of an electronic invoice.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct XmlParameters {
    /// The syntax.
    #[serde(default)]
    #[param(inline)]
    syntax: Syntax,
}

/// Syntaxes of EN 16931.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Syntax {
    /// UBL 2.1, as in Peppol BIS Billing 3.0.
    #[default]
    Ubl,
    /// CII, as in Factur-X.
    Cii,
}

/// The part of the books that a statement shows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StatementParameters {
    /// The tenant in whose books the entries are; the tenant above unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    issuer: Option<TenantId>,
    /// The currency.
    #[param(value_type = String, example = "EUR")]
    currency: Currency,
    /// The first instant that it covers; from the beginning unless stated.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>)]
    from: Option<Micros>,
    /// The first instant after; now unless stated.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>)]
    to: Option<Micros>,
    /// Two letters of ISO 639, as in `de`; that of the branding unless stated.
    language: Option<String>,
}

/// Show an invoice as PDF
///
/// PDF/A, in the branding of its issuer. The same request gives the same bytes.
#[utoipa::path(
    get,
    operation_id = "invoice_pdf",
    path = "/v1/invoices/{invoice}/pdf",
    tag = "invoices",
    params(("invoice" = String, Path, description = "Its id"), PdfParameters),
    responses((status = 200, description = "The document", content_type = "application/pdf", body = Vec<u8>)),
)]
pub(in crate::api) async fn invoice(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<InvoiceId>,
    Parameters(parameters): Parameters<PdfParameters>,
) -> Result<Response, Problem> {
    let invoice = caller.store().invoice(id).await?;
    pdf(&services, Paper::Invoice(&invoice), (invoice.issuer, &invoice.number), &parameters).await
}

/// Show an invoice as XML
///
/// An electronic invoice by EN 16931. Refused if the norm asks for something that the invoice lacks,
/// such as an address.
#[utoipa::path(
    get,
    operation_id = "invoice_xml",
    path = "/v1/invoices/{invoice}/xml",
    tag = "invoices",
    params(("invoice" = String, Path, description = "Its id"), XmlParameters),
    responses((status = 200, description = "The document", content_type = "application/xml", body = String)),
)]
pub(in crate::api) async fn invoice_xml(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<InvoiceId>,
    Parameters(XmlParameters { syntax }): Parameters<XmlParameters>,
) -> Result<Response, Problem> {
    let invoice = caller.store().invoice(id).await?;
    let branding = branding(&services, invoice.issuer).await?;
    let electronic = e_invoice::of_invoice(&invoice, &branding).map_err(DocumentError::from)?;
    Ok(xml(&electronic, syntax, &invoice.number))
}

/// Show a credit note as PDF
#[utoipa::path(
    get,
    operation_id = "credit_note_pdf",
    path = "/v1/invoices/{invoice}/credit-notes/{credit_note}/pdf",
    tag = "invoices",
    params(
        ("invoice" = String, Path, description = "The invoice's id"),
        ("credit_note" = String, Path, description = "Its id"),
        PdfParameters,
    ),
    responses((status = 200, description = "The document", content_type = "application/pdf", body = Vec<u8>)),
)]
pub(in crate::api) async fn credit_note(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(invoice, note): NamedPair<InvoiceId, CreditNoteId>,
    Parameters(parameters): Parameters<PdfParameters>,
) -> Result<Response, Problem> {
    let (invoice, note) = find(&caller, invoice, note).await?;
    pdf(&services, Paper::CreditNote(&note, &invoice), (note.issuer, &note.number), &parameters).await
}

/// Show a credit note as XML
#[utoipa::path(
    get,
    operation_id = "credit_note_xml",
    path = "/v1/invoices/{invoice}/credit-notes/{credit_note}/xml",
    tag = "invoices",
    params(
        ("invoice" = String, Path, description = "The invoice's id"),
        ("credit_note" = String, Path, description = "Its id"),
        XmlParameters,
    ),
    responses((status = 200, description = "The document", content_type = "application/xml", body = String)),
)]
pub(in crate::api) async fn credit_note_xml(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(invoice, note): NamedPair<InvoiceId, CreditNoteId>,
    Parameters(XmlParameters { syntax }): Parameters<XmlParameters>,
) -> Result<Response, Problem> {
    let (invoice, note) = find(&caller, invoice, note).await?;
    let branding = branding(&services, note.issuer).await?;
    let electronic = e_invoice::of_credit_note(&note, &invoice, &branding);
    let electronic = electronic.map_err(DocumentError::from)?;
    Ok(xml(&electronic, syntax, &note.number))
}

/// Show the receipt of a payment as PDF
///
/// That of a refund, too.
#[utoipa::path(
    get,
    operation_id = "receipt_pdf",
    path = "/v1/invoices/{invoice}/payments/{payment}/pdf",
    tag = "invoices",
    params(
        ("invoice" = String, Path, description = "The invoice's id"),
        ("payment" = String, Path, description = "The payment's id"),
        LanguageParameters,
    ),
    responses((status = 200, description = "The document", content_type = "application/pdf", body = Vec<u8>)),
)]
pub(in crate::api) async fn receipt(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(invoice, payment): NamedPair<InvoiceId, PaymentId>,
    Parameters(LanguageParameters { language }): Parameters<LanguageParameters>,
) -> Result<Response, Problem> {
    let store = caller.store();
    let (invoice, payment) = (store.invoice(invoice).await?, store.payment(payment).await?);
    if payment.invoice != invoice.id {
        return Err(missing("payment", &payment.id));
    }
    let parameters = PdfParameters { language, factur_x: false };
    let name = payment.id.to_string();
    pdf(&services, Paper::Receipt(&payment, &invoice), (payment.issuer, &name), &parameters).await
}

/// Show a statement of account as PDF
///
/// Charges and payments of a tenant in a time, with the balance after each entry.
#[utoipa::path(
    get,
    operation_id = "statement_pdf",
    path = "/v1/tenants/{tenant}/statement/pdf",
    tag = "invoices",
    params(("tenant" = String, Path, description = "The tenant's id"), StatementParameters),
    responses((status = 200, description = "The document", content_type = "application/pdf", body = Vec<u8>)),
)]
pub(in crate::api) async fn statement(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<StatementParameters>,
) -> Result<Response, Problem> {
    let StatementParameters { issuer, currency, from, to, language } = parameters;
    let found = caller.store().tenant(tenant).await?;
    let issuer = match issuer {
        Some(issuer) => above(&services.store, &found, issuer).await?,
        None => found.parent.unwrap_or(tenant),
    };
    let window = Window { start: from.unwrap_or(found.created_at), end: to.unwrap_or_else(|| services.clock.now()) };
    if window.start >= window.end {
        let detail = "from: it is not before `to`";
        return Err(Problem::new(ProblemCode::ParameterInvalid, detail));
    }
    // The entries are the tenant's own; of its issuer, which may be above the caller, it shows the
    // name and address that invoices show, too.
    let statement = read_statement(&services.store, (issuer, tenant), currency, window).await?;
    let parameters = PdfParameters { language, factur_x: false };
    pdf(&services, Paper::Statement(&statement), (issuer, "statement"), &parameters).await
}

/// The issuer, if it is the tenant itself or above it: nobody else has sent it an invoice.
async fn above(store: &Store, tenant: &Tenant, issuer: TenantId) -> Result<TenantId, Problem> {
    let (mut one, mut parent) = (tenant.id, tenant.parent);
    while one != issuer {
        one = parent.ok_or_else(|| missing("tenant", &issuer))?;
        parent = store.tenant(one).await?.parent;
    }
    Ok(issuer)
}

/// The credit note of an invoice.
async fn find(caller: &Caller, invoice: InvoiceId, note: CreditNoteId) -> Result<(Invoice, CreditNote), Problem> {
    let store = caller.store();
    let (invoice, note) = (store.invoice(invoice).await?, store.credit_note(note).await?);
    if note.invoice == invoice.id {
        return Ok((invoice, note));
    }
    Err(missing("credit note", &note.id))
}

fn missing(what: &str, id: &impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::NotFound, format!("no {what} {id}"))
}

/// The branding of an issuer, which may be above the caller.
async fn branding(services: &Services, issuer: TenantId) -> Result<Branding, Problem> {
    Ok(services.store.branding(issuer).await?)
}

async fn pdf(
    services: &Services,
    paper: Paper<'_>,
    (issuer, name): (TenantId, &str),
    PdfParameters { language, factur_x }: &PdfParameters,
) -> Result<Response, Problem> {
    let (branding, language) = (branding(services, issuer).await?, language.as_deref());
    let bytes = if *factur_x {
        services.documents.factur_x(paper, &branding, language).await?
    } else {
        services.documents.pdf(paper, &branding, language).await?
    };
    Ok(file(bytes, PDF, &format!("{name}.pdf")))
}

fn xml(electronic: &ElectronicInvoice, syntax: Syntax, name: &str) -> Response {
    let text = match syntax {
        Syntax::Ubl => e_invoice::to_ubl(electronic),
        Syntax::Cii => e_invoice::to_cii(electronic),
    };
    file(text.into_bytes(), XML, &format!("{name}.xml"))
}

/// An answer that browsers show, and save under this name: numbers have letters, digits and `-`.
fn file(bytes: Vec<u8>, kind: HeaderValue, name: &str) -> Response {
    let name: String =
        name.chars().filter(|one| one.is_ascii_alphanumeric() || ['-', '_', '.'].contains(one)).collect();
    let disposition = HeaderValue::from_str(&format!("inline; filename=\"{name}\""));
    let mut response = ([(header::CONTENT_TYPE, kind)], bytes).into_response();
    if let Ok(disposition) = disposition {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}
