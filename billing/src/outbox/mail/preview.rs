//! Previews: what templates write of a sample.

use common::mail::{Language, MailKind};

use super::{
    Letter, TemplateError, Templates,
    sample::{sample, sample_issuer},
};

/// The letter of a sample.
pub fn preview(templates: &Templates, kind: MailKind, language: Language) -> Result<Letter, TemplateError> {
    templates.letter(&sample(kind, language), &sample_issuer(), language)
}
