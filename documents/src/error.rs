//! The reasons for which a document cannot be typeset.

use serde::{Deserialize, Serialize};

/// The reason for which a document cannot be typeset, with its place in the template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// The kind of reason.
    pub kind: Kind,
    /// The reason, for people.
    pub message: String,
    /// Line of the template, from 1, if the reason lies there.
    pub line: Option<usize>,
    /// Column of that line, from 1.
    pub column: Option<usize>,
}

/// The kinds of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request cannot be read.
    Request,
    /// The template is not right, or does not fit its data.
    Template,
    /// No font has a character.
    Glyph,
    /// A file of the request is no image that can be shown.
    Image,
    /// The document cannot be written as the standard asks.
    Standard,
}

impl Fault {
    /// A fault that lies in no line of the template.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), line: None, column: None }
    }
}
