//! CII (UN/CEFACT Cross Industry Invoice D16B), as Factur-X and ZUGFeRD have it in their profile EN
//! 16931.

use common::time::Date;

use super::{
    semantic::{ElectronicInvoice, Line, Side},
    ubl::is_vat_id,
    xml::Xml,
};

const GUIDELINE: &str = "urn:cen.eu:en16931:2017";

/// One unit, by UN/ECE Recommendation 20.
const UNIT: [(&str, &str); 1] = [("unitCode", "C62")];

/// The form of days: year, month and day.
const DAY: [(&str, &str); 1] = [("format", "102")];

/// The document in CII.
pub fn to_cii(invoice: &ElectronicInvoice) -> String {
    let mut xml = Xml::new(
        "rsm:CrossIndustryInvoice",
        &[
            ("xmlns:rsm", "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"),
            ("xmlns:qdt", "urn:un:unece:uncefact:data:standard:QualifiedDataType:100"),
            ("xmlns:ram", "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"),
            ("xmlns:udt", "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100"),
        ],
    );
    xml.element("rsm:ExchangedDocumentContext", |xml| {
        xml.element("ram:GuidelineSpecifiedDocumentContextParameter", |xml| xml.text("ram:ID", GUIDELINE));
    });
    xml.element("rsm:ExchangedDocument", |xml| {
        xml.text("ram:ID", &invoice.number);
        xml.text("ram:TypeCode", if invoice.is_credit_note { "381" } else { "380" });
        day(xml, "ram:IssueDateTime", invoice.issued);
        for note in &invoice.notes {
            xml.element("ram:IncludedNote", |xml| xml.text("ram:Content", note));
        }
    });
    xml.element("rsm:SupplyChainTradeTransaction", |xml| {
        for (place, line) in invoice.lines.iter().enumerate() {
            xml.element("ram:IncludedSupplyChainTradeLineItem", |xml| self::line(xml, place + 1, line));
        }
        xml.element("ram:ApplicableHeaderTradeAgreement", |xml| {
            xml.text("ram:BuyerReference", &invoice.buyer_reference);
            xml.element("ram:SellerTradeParty", |xml| party(xml, &invoice.seller, true));
            xml.element("ram:BuyerTradeParty", |xml| party(xml, &invoice.buyer, false));
        });
        xml.element("ram:ApplicableHeaderTradeDelivery", |_| {});
        xml.element("ram:ApplicableHeaderTradeSettlement", |xml| settlement(xml, invoice));
    });
    xml.finish()
}

fn day(xml: &mut Xml, name: &'static str, date: Date) {
    xml.element(name, |xml| xml.text_with("udt:DateTimeString", &DAY, &compact(date)));
}

fn compact(date: Date) -> String {
    date.to_string().replace('-', "")
}

fn period(xml: &mut Xml, period: Option<(Date, Date)>) {
    if let Some((start, end)) = period {
        xml.element("ram:BillingSpecifiedPeriod", |xml| {
            day(xml, "ram:StartDateTime", start);
            day(xml, "ram:EndDateTime", end);
        });
    }
}

fn line(xml: &mut Xml, number: usize, Line { line, period: days }: &Line) {
    xml.element("ram:AssociatedDocumentLineDocument", |xml| xml.text("ram:LineID", &number.to_string()));
    xml.element("ram:SpecifiedTradeProduct", |xml| xml.text("ram:Name", &line.name));
    xml.element("ram:SpecifiedLineTradeAgreement", |xml| {
        xml.element("ram:NetPriceProductTradePrice", |xml| {
            xml.text("ram:ChargeAmount", &line.price);
            if line.per != 1 {
                xml.text_with("ram:BasisQuantity", &UNIT, &line.per.to_string());
            }
        });
    });
    xml.element("ram:SpecifiedLineTradeDelivery", |xml| {
        xml.text_with("ram:BilledQuantity", &UNIT, &line.quantity.to_string());
    });
    xml.element("ram:SpecifiedLineTradeSettlement", |xml| {
        xml.element("ram:ApplicableTradeTax", |xml| {
            xml.text("ram:TypeCode", "VAT");
            xml.text("ram:CategoryCode", line.tax.category());
            xml.text("ram:RateApplicablePercent", &line.tax.percent.normalize().to_string());
        });
        period(xml, *days);
        xml.element("ram:SpecifiedTradeSettlementLineMonetarySummation", |xml| {
            xml.text("ram:LineTotalAmount", &line.net.digits());
        });
    });
}

fn party(xml: &mut Xml, side: &Side, is_seller: bool) {
    xml.text("ram:Name", &side.party.name);
    if let Some(contact) = &side.contact {
        xml.element("ram:DefinedTradeContact", |xml| {
            xml.text_if("ram:PersonName", contact.name.as_deref());
            if let Some(phone) = &contact.phone {
                xml.element("ram:TelephoneUniversalCommunication", |xml| xml.text("ram:CompleteNumber", phone));
            }
            if let Some(email) = &contact.email {
                xml.element("ram:EmailURIUniversalCommunication", |xml| xml.text("ram:URIID", email));
            }
        });
    }
    xml.element("ram:PostalTradeAddress", |xml| {
        xml.text_if("ram:PostcodeCode", side.address.postal_code.as_deref());
        let mut lines = side.address.lines.iter();
        xml.text_if("ram:LineOne", lines.next().map(String::as_str));
        xml.text_if("ram:LineTwo", lines.next().map(String::as_str));
        let others: Vec<&str> = lines.map(String::as_str).collect();
        xml.text_if("ram:LineThree", (!others.is_empty()).then(|| others.join(", ")).as_deref());
        xml.text("ram:CityName", &side.address.city);
        xml.text("ram:CountryID", &side.address.country);
    });
    if let Some(address) = &side.electronic {
        xml.element("ram:URIUniversalCommunication", |xml| {
            xml.text_with("ram:URIID", &[("schemeID", address.scheme)], &address.id);
        });
    }
    if let Some(tax_id) = &side.party.tax_id {
        let is_vat = is_vat_id(tax_id);
        if is_vat || is_seller {
            xml.element("ram:SpecifiedTaxRegistration", |xml| {
                xml.text_with("ram:ID", &[("schemeID", if is_vat { "VA" } else { "FC" })], tax_id);
            });
        }
    }
}

fn settlement(xml: &mut Xml, invoice: &ElectronicInvoice) {
    xml.text("ram:PaymentReference", &invoice.number);
    xml.text("ram:InvoiceCurrencyCode", invoice.currency.code());
    if let Some(bank) = &invoice.bank {
        xml.element("ram:SpecifiedTradeSettlementPaymentMeans", |xml| {
            xml.text("ram:TypeCode", super::semantic::transfer(invoice.currency));
            xml.element("ram:PayeePartyCreditorFinancialAccount", |xml| {
                xml.text("ram:IBANID", &bank.iban);
                xml.text_if("ram:AccountName", bank.holder.as_deref());
            });
            if let Some(bic) = &bank.bic {
                xml.element("ram:PayeeSpecifiedCreditorFinancialInstitution", |xml| xml.text("ram:BICID", bic));
            }
        });
    }
    for tax in &invoice.taxes {
        xml.element("ram:ApplicableTradeTax", |xml| {
            xml.text("ram:CalculatedAmount", &tax.amount.digits());
            xml.text("ram:TypeCode", "VAT");
            xml.text_if("ram:ExemptionReason", tax.reason);
            xml.text("ram:BasisAmount", &tax.net.digits());
            xml.text("ram:CategoryCode", tax.category);
            xml.text("ram:RateApplicablePercent", &tax.percent.to_string());
        });
    }
    period(xml, invoice.period);
    if invoice.terms.is_some() || invoice.due.is_some() {
        xml.element("ram:SpecifiedTradePaymentTerms", |xml| {
            xml.text_if("ram:Description", invoice.terms.as_deref());
            if let Some(due) = invoice.due {
                day(xml, "ram:DueDateDateTime", due);
            }
        });
    }
    xml.element("ram:SpecifiedTradeSettlementHeaderMonetarySummation", |xml| {
        xml.text("ram:LineTotalAmount", &invoice.net.digits());
        xml.text("ram:TaxBasisTotalAmount", &invoice.net.digits());
        let currency = [("currencyID", invoice.currency.code())];
        xml.text_with("ram:TaxTotalAmount", &currency, &invoice.tax.digits());
        xml.text("ram:GrandTotalAmount", &invoice.total.digits());
        if !invoice.paid.is_zero() {
            xml.text("ram:TotalPrepaidAmount", &invoice.paid.digits());
        }
        xml.text("ram:DuePayableAmount", &invoice.due_amount.digits());
    });
    if let Some((number, issued)) = &invoice.preceding {
        xml.element("ram:InvoiceReferencedDocument", |xml| {
            xml.text("ram:IssuerAssignedID", number);
            xml.element("ram:FormattedIssueDateTime", |xml| {
                xml.text_with("qdt:DateTimeString", &DAY, &compact(*issued));
            });
        });
    }
}
