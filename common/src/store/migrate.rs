//! Bringing the schema up to date.

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// Schema version before; 0 is an empty database.
    pub from: i64,
    /// Schema version after.
    pub to: i64,
}
