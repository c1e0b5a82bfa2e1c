//! A place in the change log.

use crate::time::Micros;

/// A place in the change log of one store. Another store has, at the same number, another change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMark {
    /// The number of the last change seen; 0 before the first.
    pub seq: i64,
    /// Time of the change.
    pub at: Micros,
    /// Kind and subject of the change.
    pub what: String,
}

impl ChangeMark {
    /// Before the first change.
    pub const NONE: Self = Self { seq: 0, at: Micros(0), what: String::new() };
}
