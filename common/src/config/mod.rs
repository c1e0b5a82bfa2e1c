//! Reading the YAML that people edit: every fault of a file at once, each as `file:line:column:
//! reason` with the line.
//!
//! | module | what it does |
//! |---|---|
//! | [`builder`], [`tree`] | the document as a tree whose nodes know their places |
//! | [`reader`], [`access`], [`value`], [`unusable`] | from the tree to a typed value, through serde, noting what cannot be used |
//! | [`fault`] | a fault, and how it is shown |
//! | [`words`] | errors of serde in plain words |
//!
//! Programs then check the value as a whole, and ask the [`Document`] for the places of what they
//! find. Variables of the environment are not expanded: what a file says is what is written in it.

mod access;
mod builder;
mod fault;
mod reader;
#[cfg(test)]
mod tests;
mod tree;
mod unusable;
mod value;
mod words;

use std::path::Path;

pub use fault::{Fault, Faults, Place, did_you_mean, nearest, quoted};
use serde::de::DeserializeOwned;
pub(crate) use tree::way;
pub use tree::{Step, Tree};

/// The reason why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read at all.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// Malformed YAML, an unknown or missing field, a value of the wrong type.
    #[error("{file}:{line}: {reason}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// Reason for the refusal.
        reason: String,
    },
    /// One fault of a file that is being checked.
    #[error("{}:{}: {}", .0.place.line, .0.place.column, .0.reason)]
    Fault(Fault),
    /// Everything that is wrong with the file.
    #[error("{0}")]
    Faulty(Faults),
}

/// A configuration file, read.
#[derive(Debug)]
pub struct Document<'a> {
    file: &'a str,
    text: &'a str,
    tree: Tree,
    faults: Vec<Fault>,
}

impl<'a> Document<'a> {
    /// The document in a text; `file` names it in errors.
    pub fn new(text: &'a str, file: &'a str) -> Self {
        let (tree, faults) = Tree::parse(text);
        Self { file, text, tree, faults }
    }

    /// The document's value, as far as it can be used; what cannot is noted.
    pub fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        reader::read(&mut self.tree, &mut self.faults)
    }

    /// The document as a tree without what cannot be used.
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns true if some fault was noted.
    pub fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The refusal, if there is any fault: those noted here, and `more`.
    pub fn refuse(mut self, more: Vec<Fault>) -> Result<(), ConfigError> {
        self.faults.extend(more);
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Faulty(Faults::new(self.file, self.text, self.faults)))
    }
}

/// The value of a document that needs no further checks, or every fault of it.
pub fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    let mut document = Document::new(text, file);
    let value = document.read();
    document.refuse(Vec::new())?;
    // Nothing is missing without a fault.
    value.ok_or_else(|| ConfigError::Invalid { file: file.to_owned(), line: 1, reason: "the file is empty".into() })
}

/// The text of a configuration file.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { file: path.display().to_string(), source })
}

/// The value of an environment variable that overrides a setting; an empty one counts as unset.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
