//! The data that a template gets: everything is a text in the document's language, so that a
//! template has nothing to compute.

use serde::Serialize;

/// The data of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DocumentData {
    /// The kind: `invoice`, `credit_note`, `receipt` or `statement`.
    pub kind: &'static str,
    /// Two letters of ISO 639.
    pub language: String,
    /// Colour of titles and rules.
    pub colour: String,
    /// Size of pages, as typst names it.
    pub paper: &'static str,
    /// Name of the logo's file.
    pub logo: Option<String>,
    /// The kind in words, as in `Invoice`.
    pub heading: String,
    /// Heading and number.
    pub title: String,
    /// Number in the issuer's books.
    pub number: String,
    /// The side that sells.
    pub issuer: PartyData,
    /// The side that owes.
    pub buyer: PartyData,
    /// Number, days and the like.
    pub facts: Vec<Fact>,
    /// Paragraphs before the table.
    pub introduction: Vec<String>,
    /// The table of lines.
    pub table: Table,
    /// Sums, in their order.
    pub totals: Vec<Total>,
    /// Terms and remarks after the sums.
    pub notes: Vec<String>,
    /// Texts at the foot of each page.
    pub footer: Vec<String>,
    /// Words that the template itself puts in.
    pub words: TemplateWords,
}

/// A side of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartyData {
    /// Name.
    pub name: String,
    /// Lines of its address, with city and country; none without an address.
    pub address: Vec<String>,
    /// Mail address.
    pub email: Option<String>,
    /// Number with the tax authority.
    pub tax_id: Option<String>,
}

/// A fact at the head of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Name for templates, as in `due`.
    pub name: &'static str,
    /// Label in the document's language.
    pub label: String,
    /// Value.
    pub value: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, a text for each column. A line break begins a remark.
    pub rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Name for templates, as in `quantity`.
    pub name: &'static str,
    /// Label in the document's language.
    pub label: String,
    /// `left` or `right`.
    pub align: &'static str,
    /// `auto`, or `rest` for the column that gets what is left.
    pub width: &'static str,
}

/// A sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Name for templates, as in `subtotal`.
    pub name: &'static str,
    /// Label in the document's language.
    pub label: String,
    /// Amount with its currency.
    pub amount: String,
    /// True for the sum that counts.
    pub strong: bool,
}

/// Words that the template itself puts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateWords {
    /// Before the number with the tax authority.
    pub tax_id: String,
    /// `{page}` of `{pages}`.
    pub page: String,
}

impl Column {
    /// A column of texts that gets what is left.
    pub(super) fn text(name: &'static str, label: &str) -> Self {
        Self { name, label: label.into(), align: "left", width: "rest" }
    }

    /// A column of texts as wide as they are.
    pub(super) fn narrow(name: &'static str, label: &str) -> Self {
        Self { name, label: label.into(), align: "left", width: "auto" }
    }

    /// A column of numbers.
    pub(super) fn number(name: &'static str, label: &str) -> Self {
        Self { name, label: label.into(), align: "right", width: "auto" }
    }
}
