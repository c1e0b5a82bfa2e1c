//! Branding: the looks of the documents that a tenant issues, and what they say of it beside its
//! billing details.
//!
//! Invariant: branding that is stored was checked, and its template and logo were tried by whoever
//! stored it; what does not pass leaves the branding of before in place.

mod image;
mod rows;

pub use image::{Image, ImageError};
use serde::{Deserialize, Serialize};

use crate::name::validate_name;

/// Longest template, in bytes.
const TEMPLATE_MAX_BYTES: usize = 200_000;

/// Most lines of a footer.
const FOOTER_LINES_MAX: usize = 4;

/// Longest terms of payment, in characters.
const TERMS_MAX_CHARS: usize = 1_000;

/// The looks of a tenant's documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Branding {
    /// Colour of titles and rules, as in `#1d4ed8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "api", schema(pattern = "^#[0-9a-f]{6}$", example = "#1d4ed8"))]
    pub colour: Option<String>,
    /// Language of documents unless a request names another, as in `de`; English unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "api", schema(pattern = "^[a-z]{2}$", example = "de"))]
    pub language: Option<String>,
    /// Size of pages.
    #[serde(skip_serializing_if = "is_default")]
    pub paper: Paper,
    /// The person or office to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// The account to pay to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank: Option<BankAccount>,
    /// Terms of payment, at most 1,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "api", schema(min_length = 1, max_length = 1_000))]
    pub payment_terms: Option<String>,
    /// Lines at the foot of each page, at most 4: register, directors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "api", schema(max_items = 4))]
    pub footer: Vec<String>,
    /// The logo: PNG, JPEG or SVG of at most 500,000 bytes, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<Image>,
    /// The template of all documents, in typst, of at most 200,000 bytes; that of Tollgate unless
    /// stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// Sizes of pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// 210 mm x 297 mm.
    #[default]
    A4,
    /// 8.5 in x 11 in.
    UsLetter,
}

/// A person or office to ask about documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Contact {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// An account at a bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BankAccount {
    /// Name of the account's holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// International number of the account (IBAN), without spaces.
    #[cfg_attr(feature = "api", schema(example = "DE89370400440532013000"))]
    pub iban: String,
    /// Code of the bank (BIC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bic: Option<String>,
}

/// The reason for which branding is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct BrandingError {
    field: &'static str,
    reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_default(paper: &Paper) -> bool {
    *paper == Paper::default()
}

impl Branding {
    /// Checks what the types alone cannot hold; tells the first fault and its field.
    pub fn validate(&self) -> Result<(), BrandingError> {
        let fault = |field, reason: String| Err(BrandingError { field, reason });
        let is_colour = |text: &String| {
            text.strip_prefix('#').is_some_and(|digits| {
                digits.len() == 6 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        if !self.colour.as_ref().is_none_or(is_colour) {
            return fault("colour", "write six hexadecimal digits, as in #1d4ed8".into());
        }
        let is_language = |text: &String| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_lowercase());
        if !self.language.as_ref().is_none_or(is_language) {
            return fault("language", "write two letters of ISO 639, as in de".into());
        }
        if self.payment_terms.as_ref().is_some_and(|terms| !(1..=TERMS_MAX_CHARS).contains(&terms.chars().count())) {
            return fault("payment_terms", format!("use 1 to {TERMS_MAX_CHARS} characters"));
        }
        if self.footer.len() > FOOTER_LINES_MAX {
            return fault("footer", format!("use at most {FOOTER_LINES_MAX} lines"));
        }
        if self.template.as_ref().is_some_and(|template| template.len() > TEMPLATE_MAX_BYTES) {
            return fault("template", format!("use at most {TEMPLATE_MAX_BYTES} bytes"));
        }
        for (field, text) in self.names() {
            validate_name(text).or_else(|error| fault(field, error.to_string()))?;
        }
        self.bank.as_ref().map_or(Ok(()), BankAccount::validate)
    }

    /// The texts that are names, each with its field.
    fn names(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let contact = self.contact.iter().flat_map(|contact| {
            [
                ("contact.name", contact.name.as_ref()),
                ("contact.phone", contact.phone.as_ref()),
                ("contact.email", contact.email.as_ref()),
            ]
        });
        let holder = self.bank.iter().map(|bank| ("bank.holder", bank.holder.as_ref()));
        let footer = self.footer.iter().map(|line| ("footer", Some(line)));
        contact.chain(holder).chain(footer).filter_map(|(field, text)| Some((field, text?)))
    }
}

impl BankAccount {
    fn validate(&self) -> Result<(), BrandingError> {
        let fault = |field, reason: &str| Err(BrandingError { field, reason: reason.into() });
        if !is_iban(&self.iban) {
            return fault("bank.iban", "its check digits do not match; write it without spaces");
        }
        let is_bic = |bic: &String| {
            matches!(bic.len(), 8 | 11) && bic.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        if self.bic.as_ref().is_none_or(is_bic) { Ok(()) } else { fault("bank.bic", "use 8 or 11 of A-Z and 0-9") }
    }
}

/// Returns true if an account number keeps to ISO 13616: its first four characters behind the
/// others, letters as numbers from 10 on, it leaves 1 when divided by 97.
fn is_iban(text: &str) -> bool {
    if !(15..=34).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    {
        return false;
    }
    let rest = text.bytes().skip(4).chain(text.bytes().take(4)).fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branding_that_makes_no_sense_is_refused_with_its_field() {
        for (text, field) in [
            (r#"{"colour":"blue"}"#, "colour: "),
            (r##"{"colour":"#1D4ED8"}"##, "colour: "),
            (r#"{"language":"German"}"#, "language: "),
            (r#"{"payment_terms":""}"#, "payment_terms: "),
            (r#"{"footer":["a","b","c","d","e"]}"#, "footer: "),
            (r#"{"footer":[" "]}"#, "footer: "),
            (r#"{"contact":{"name":" "}}"#, "contact.name: "),
            (r#"{"bank":{"iban":"DE89370400440532013001"}}"#, "bank.iban: "),
            (r#"{"bank":{"iban":"DE89 3704 0044 0532 0130 00"}}"#, "bank.iban: "),
            (r#"{"bank":{"iban":"DE89370400440532013000","bic":"x"}}"#, "bank.bic: "),
        ] {
            let branding: Branding = serde_json::from_str(text).unwrap();
            let refused = branding.validate().unwrap_err().to_string();
            assert!(refused.starts_with(field), "{text}: {refused}");
        }
        let long = Branding { template: Some("x".repeat(TEMPLATE_MAX_BYTES + 1)), ..Branding::default() };
        assert!(long.validate().unwrap_err().to_string().starts_with("template: "));
    }

    #[test]
    fn account_numbers_of_the_registry_are_right() {
        for iban in
            ["DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"]
        {
            assert!(is_iban(iban), "{iban}");
        }
    }

    #[test]
    fn branding_is_written_as_it_was_read() {
        let text = r##"{"colour":"#1d4ed8","language":"de","paper":"us-letter","footer":["HRB 1"]}"##;
        let branding: Branding = serde_json::from_str(text).unwrap();
        branding.validate().unwrap();
        assert_eq!(serde_json::to_string(&branding).unwrap(), text);
    }
}
