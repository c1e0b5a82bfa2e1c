//! UBL 2.1 (ISO/IEC 19845), as Peppol BIS Billing 3.0 wants it.

use common::time::Date;

use super::{
    semantic::{ElectronicInvoice, Line, Side, Tax},
    xml::Xml,
};

const CUSTOMIZATION: &str = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0";
const PROFILE: &str = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0";

/// One unit, by UN/ECE Recommendation 20.
const UNIT: &str = "C62";

/// Types of documents, by UNTDID 1001.
const INVOICE: &str = "380";
const CREDIT_NOTE: &str = "381";

/// The document in UBL.
pub fn to_ubl(invoice: &ElectronicInvoice) -> String {
    let (root, namespace) = if invoice.is_credit_note {
        ("CreditNote", "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2")
    } else {
        ("Invoice", "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2")
    };
    let mut xml = Xml::new(
        root,
        &[
            ("xmlns", namespace),
            ("xmlns:cac", "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"),
            ("xmlns:cbc", "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"),
        ],
    );
    head(&mut xml, invoice);
    xml.element("cac:AccountingSupplierParty", |xml| party(xml, &invoice.seller, true));
    xml.element("cac:AccountingCustomerParty", |xml| party(xml, &invoice.buyer, false));
    payment(&mut xml, invoice);
    sums(&mut xml, invoice);
    for (place, line) in invoice.lines.iter().enumerate() {
        self::line(&mut xml, invoice, place + 1, line);
    }
    xml.finish()
}

fn head(xml: &mut Xml, invoice: &ElectronicInvoice) {
    xml.text("cbc:CustomizationID", CUSTOMIZATION);
    xml.text("cbc:ProfileID", PROFILE);
    xml.text("cbc:ID", &invoice.number);
    xml.text("cbc:IssueDate", &invoice.issued.to_string());
    if invoice.is_credit_note {
        xml.text("cbc:CreditNoteTypeCode", CREDIT_NOTE);
    } else {
        xml.text_if("cbc:DueDate", invoice.due.map(|due| due.to_string()).as_deref());
        xml.text("cbc:InvoiceTypeCode", INVOICE);
    }
    // Peppol allows one note.
    if !invoice.notes.is_empty() {
        xml.text("cbc:Note", &invoice.notes.join(" "));
    }
    xml.text("cbc:DocumentCurrencyCode", invoice.currency.code());
    xml.text("cbc:BuyerReference", &invoice.buyer_reference);
    period(xml, invoice.period);
    if let Some((number, day)) = &invoice.preceding {
        xml.element("cac:BillingReference", |xml| {
            xml.element("cac:InvoiceDocumentReference", |xml| {
                xml.text("cbc:ID", number);
                xml.text("cbc:IssueDate", &day.to_string());
            });
        });
    }
}

fn period(xml: &mut Xml, period: Option<(Date, Date)>) {
    if let Some((start, end)) = period {
        xml.element("cac:InvoicePeriod", |xml| {
            xml.text("cbc:StartDate", &start.to_string());
            xml.text("cbc:EndDate", &end.to_string());
        });
    }
}

fn party(xml: &mut Xml, side: &Side, is_seller: bool) {
    xml.element("cac:Party", |xml| {
        if let Some(address) = &side.electronic {
            xml.text_with("cbc:EndpointID", &[("schemeID", address.scheme)], &address.id);
        }
        xml.element("cac:PostalAddress", |xml| address(xml, side));
        if let Some(tax_id) = &side.party.tax_id {
            let is_vat = is_vat_id(tax_id);
            // A number that is no VAT id is one of the seller's tax office.
            if is_vat || is_seller {
                xml.element("cac:PartyTaxScheme", |xml| {
                    xml.text("cbc:CompanyID", tax_id);
                    xml.element("cac:TaxScheme", |xml| xml.text("cbc:ID", if is_vat { "VAT" } else { "TAX" }));
                });
            }
        }
        xml.element("cac:PartyLegalEntity", |xml| xml.text("cbc:RegistrationName", &side.party.name));
        if let Some(contact) = &side.contact {
            xml.element("cac:Contact", |xml| {
                xml.text_if("cbc:Name", contact.name.as_deref());
                xml.text_if("cbc:Telephone", contact.phone.as_deref());
                xml.text_if("cbc:ElectronicMail", contact.email.as_deref());
            });
        }
    });
}

fn address(xml: &mut Xml, side: &Side) {
    let mut lines = side.address.lines.iter();
    xml.text_if("cbc:StreetName", lines.next().map(String::as_str));
    xml.text_if("cbc:AdditionalStreetName", lines.next().map(String::as_str));
    xml.text("cbc:CityName", &side.address.city);
    xml.text_if("cbc:PostalZone", side.address.postal_code.as_deref());
    let others: Vec<&str> = lines.map(String::as_str).collect();
    if !others.is_empty() {
        xml.element("cac:AddressLine", |xml| xml.text("cbc:Line", &others.join(", ")));
    }
    xml.element("cac:Country", |xml| xml.text("cbc:IdentificationCode", &side.address.country));
}

fn payment(xml: &mut Xml, invoice: &ElectronicInvoice) {
    if let Some(bank) = &invoice.bank {
        xml.element("cac:PaymentMeans", |xml| {
            xml.text("cbc:PaymentMeansCode", super::semantic::transfer(invoice.currency));
            xml.text("cbc:PaymentID", &invoice.number);
            xml.element("cac:PayeeFinancialAccount", |xml| {
                xml.text("cbc:ID", &bank.iban);
                xml.text_if("cbc:Name", bank.holder.as_deref());
                if let Some(bic) = &bank.bic {
                    xml.element("cac:FinancialInstitutionBranch", |xml| xml.text("cbc:ID", bic));
                }
            });
        });
    }
    if let Some(terms) = &invoice.terms {
        xml.element("cac:PaymentTerms", |xml| xml.text("cbc:Note", terms));
    }
}

fn sums(xml: &mut Xml, invoice: &ElectronicInvoice) {
    let currency = [("currencyID", invoice.currency.code())];
    xml.element("cac:TaxTotal", |xml| {
        xml.text_with("cbc:TaxAmount", &currency, &invoice.tax.digits());
        for tax in &invoice.taxes {
            xml.element("cac:TaxSubtotal", |xml| {
                xml.text_with("cbc:TaxableAmount", &currency, &tax.net.digits());
                xml.text_with("cbc:TaxAmount", &currency, &tax.amount.digits());
                xml.element("cac:TaxCategory", |xml| category(xml, tax));
            });
        }
    });
    xml.element("cac:LegalMonetaryTotal", |xml| {
        xml.text_with("cbc:LineExtensionAmount", &currency, &invoice.net.digits());
        xml.text_with("cbc:TaxExclusiveAmount", &currency, &invoice.net.digits());
        xml.text_with("cbc:TaxInclusiveAmount", &currency, &invoice.total.digits());
        if !invoice.paid.is_zero() {
            xml.text_with("cbc:PrepaidAmount", &currency, &invoice.paid.digits());
        }
        xml.text_with("cbc:PayableAmount", &currency, &invoice.due_amount.digits());
    });
}

fn category(xml: &mut Xml, tax: &Tax) {
    xml.text("cbc:ID", tax.category);
    xml.text("cbc:Percent", &tax.percent.to_string());
    xml.text_if("cbc:TaxExemptionReason", tax.reason);
    tax_scheme(xml);
}

fn tax_scheme(xml: &mut Xml) {
    xml.element("cac:TaxScheme", |xml| xml.text("cbc:ID", "VAT"));
}

fn line(xml: &mut Xml, invoice: &ElectronicInvoice, number: usize, Line { line, period: days }: &Line) {
    let currency = [("currencyID", invoice.currency.code())];
    let (element, quantity) = if invoice.is_credit_note {
        ("cac:CreditNoteLine", "cbc:CreditedQuantity")
    } else {
        ("cac:InvoiceLine", "cbc:InvoicedQuantity")
    };
    xml.element(element, |xml| {
        xml.text("cbc:ID", &number.to_string());
        xml.text_with(quantity, &[("unitCode", UNIT)], &line.quantity.to_string());
        xml.text_with("cbc:LineExtensionAmount", &currency, &line.net.digits());
        period(xml, *days);
        xml.element("cac:Item", |xml| {
            xml.text("cbc:Name", &line.name);
            xml.element("cac:ClassifiedTaxCategory", |xml| {
                xml.text("cbc:ID", line.tax.category());
                xml.text("cbc:Percent", &line.tax.percent.normalize().to_string());
                tax_scheme(xml);
            });
        });
        xml.element("cac:Price", |xml| {
            xml.text_with("cbc:PriceAmount", &currency, &line.price);
            if line.per != 1 {
                xml.text_with("cbc:BaseQuantity", &[("unitCode", UNIT)], &line.per.to_string());
            }
        });
    });
}

/// Returns true if a tax id begins with its country, as VAT ids do.
pub(super) fn is_vat_id(tax_id: &str) -> bool {
    tax_id.len() > 2 && tax_id.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
}
