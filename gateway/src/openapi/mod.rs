//! Routes from an `OpenAPI` document: `gateway routes import openapi.yaml`.
//!
//! | module | what it does |
//! |---|---|
//! | [`document`] | reads the document, and follows its references |
//! | [`base`] | the base path and the server |
//! | [`template`] | path templates as paths of routes |
//! | [`operation`] | operations as routes |
//! | [`yaml`] | the configuration that is printed |
//!
//! Invariants: what is printed is a configuration that `gateway --check` accepts; what of the
//! document cannot be said in it is told in a note, with its place.

mod base;
mod document;
mod operation;
mod template;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::Path;

use common::config::ConfigError;
use document::Document;

use crate::config::{Overrides, Settings};

/// Routes that were made of a document.
#[derive(Debug)]
pub struct Imported {
    /// The configuration.
    pub yaml: String,
    /// Parts of the document that it leaves out, or says in other words.
    pub notes: Vec<String>,
}

/// The reason why a document gives no routes.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file, or one that it refers to, cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// Neither YAML nor JSON.
    #[error("{file}: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// Reason, with line and column.
        reason: String,
    },
    /// Another document.
    #[error("{file}: is no OpenAPI document: `openapi: 3.x` or `swagger: \"2.0\"` is missing")]
    Foreign {
        /// The file.
        file: String,
    },
    /// There is no operation that a route could serve.
    #[error("{file}: has no operation that can be routed{}", told(.notes))]
    Empty {
        /// The file.
        file: String,
        /// Operations that cannot.
        notes: Vec<String>,
    },
    /// The name of the upstream is none.
    #[error("`{0}` is not the name of an upstream: use 1 to 64 characters of A-Z, a-z, 0-9, - _ and .")]
    Upstream(String),
    /// The configuration would be refused: a fault of the import.
    #[error("the routes of {file} would be refused: {source}")]
    Refused {
        /// The file.
        file: String,
        /// The faults.
        source: ConfigError,
    },
}

/// Makes a configuration of the document in a file. Its routes go to the upstream of this name, or
/// to one that is named after the document.
pub fn import(path: &Path, upstream: Option<&str>) -> Result<Imported, ImportError> {
    let file = path.display().to_string();
    let mut notes = Vec::new();
    let document = Document::open(path)?;
    let server = base::server(&document, &mut notes);
    let upstream = match upstream {
        None => yaml::name(document.title().unwrap_or("api"), "api"),
        Some(name) if yaml::name(name, "") == name => name.to_owned(),
        Some(name) => return Err(ImportError::Upstream(name.to_owned())),
    };
    let routes = operation::routes(&document, &server, &mut notes);
    if routes.is_empty() {
        return Err(ImportError::Empty { file, notes });
    }
    let yaml = yaml::print(&file, &upstream, server.address.as_deref(), &routes);
    match Settings::parse(&yaml, &file, &Overrides::default()) {
        Ok(_) => Ok(Imported { yaml, notes }),
        Err(source) => Err(ImportError::Refused { file, source }),
    }
}

fn told(notes: &[String]) -> String {
    notes.iter().flat_map(|note| ["\n  ", note]).collect()
}
