//! The section `documents`: how PDF documents are typeset.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{LanguageError, Languages, Typesetter, TypesetterSettings};

/// Name of the program that typesets.
const PROGRAM: &str = "documents";

/// The directory of fonts unless the settings name others; it may be missing.
const FONTS: &str = "/usr/share/fonts";

/// The `documents` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DocumentsConfig {
    /// The program `documents`; beside `billing` unless stated.
    pub program: Option<PathBuf>,
    /// Directories of fonts; `/usr/share/fonts` unless stated. Libertinus Serif is part of the program.
    pub fonts: Option<Vec<PathBuf>>,
    /// A directory with further languages: files such as `fr.yaml`.
    pub languages: Option<PathBuf>,
    /// Documents that are typeset at the same time.
    #[schemars(range(min = 1, max = 64))]
    #[serde(deserialize_with = "processes")]
    pub processes: u32,
    /// Longest time for a document, in seconds.
    #[schemars(range(min = 1, max = 600))]
    #[serde(deserialize_with = "seconds")]
    pub timeout_seconds: u32,
    /// Most memory of a process, in MiB.
    #[schemars(range(min = 256, max = 65_536))]
    #[serde(deserialize_with = "memory")]
    pub memory_mib: u32,
}

impl Default for DocumentsConfig {
    fn default() -> Self {
        Self { program: None, fonts: None, languages: None, processes: 1, timeout_seconds: 30, memory_mib: 2_048 }
    }
}

impl DocumentsConfig {
    /// The typesetter of these settings.
    pub fn typesetter(&self) -> Typesetter {
        let beside = || env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM)));
        let default_fonts = || Some(PathBuf::from(FONTS)).filter(|path| path.is_dir()).into_iter().collect();
        Typesetter::new(TypesetterSettings {
            program: self.program.clone().or_else(beside).unwrap_or_else(|| Path::new(PROGRAM).into()),
            fonts: self.fonts.clone().unwrap_or_else(default_fonts),
            processes: usize::try_from(self.processes).unwrap_or(1),
            time_limit: Duration::from_secs(self.timeout_seconds.into()),
            memory_mib: self.memory_mib.into(),
        })
    }

    /// The languages of these settings.
    pub fn languages(&self) -> Result<Languages, LanguageError> {
        Languages::load(self.languages.as_deref())
    }
}

fn processes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1, 64, "processes")
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1, 600, "seconds")
}

fn memory<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 256, 65_536, "MiB")
}

fn within<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    least: u32,
    most: u32,
    what: &str,
) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(serde::de::Error::custom(format!("{number} {what}: use {least} to {most}")))
}
