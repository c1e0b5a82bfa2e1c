//! A node that cannot be used, and the words in which that is told.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};

use super::{
    fault::{Place, did_you_mean, quoted},
    tree::{Entry, NodeId, Tree},
    words,
};

/// Most known names that a fault lists.
const LISTED_MAX: usize = 30;

/// The reason why a node cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) reason: String,
    /// The node, once it is known.
    pub(super) at: Option<NodeId>,
    /// The place that the message names, if it is not the node's.
    pub(super) place: Option<Place>,
    /// The key that the node stands under.
    pub(super) field: Option<String>,
    /// The setting that is missing in it, if that is the reason.
    pub(super) missing: Option<&'static str>,
}

impl Unusable {
    pub(super) fn new(reason: String) -> Self {
        Self { reason, at: None, place: None, field: None, missing: None }
    }

    pub(super) fn at(mut self, node: NodeId) -> Self {
        self.at = self.at.or(Some(node));
        self
    }

    /// Names the entry whose value is unusable.
    pub(super) fn under(mut self, entry: &Entry, tree: &Tree) -> Self {
        if self.at.is_none() {
            self.at = Some(entry.value);
        }
        if self.at == Some(entry.value) && self.place.is_none() {
            self.place = Some(tree.told_place(entry));
        }
        if self.field.is_none() {
            self.field = Some(entry.key.clone());
        }
        self
    }
}

impl std::error::Error for Unusable {}

impl Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl serde::de::Error for Unusable {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("{} is not {}", words::unexpected(&unexpected), words::expected(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "{} is not one of {}{}",
            quoted(variant),
            listed(expected),
            did_you_mean(variant, expected.iter().copied())
        ))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(unknown(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("`{field}` is missing here: it has no default")) }
    }
}

/// The message about a setting that nothing reads.
pub(super) fn unknown(field: &str, known: &[&str]) -> String {
    let meant = did_you_mean(field, known.iter().copied());
    let known = if meant.is_empty() { format!("; known are {}", listed(known)) } else { meant };
    format!("{} is not a setting here{known}", quoted(field))
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > LISTED_MAX { ", .." } else { "" };
    shown.join(", ") + more
}
