//! Bank statements and their entries, for commands.

use async_trait::async_trait;
use common::{
    api::bank::{BankEntryDocument, BankImportDocument},
    bank::{EntryStatus, EntryTarget, statement::table::TableProfile},
    id::{BankEntryId, TenantId},
};

use crate::error::Failure;

/// The bytes of a statement, and how they are read.
#[derive(Debug)]
pub(crate) struct StatementFile {
    pub(crate) bytes: Vec<u8>,
    /// None: it is camt.053.
    pub(crate) table: Option<TableProfile>,
}

/// Bank statements.
#[async_trait]
pub(crate) trait Bank: Send + Sync {
    /// Imports a statement.
    async fn import_statement(&self, issuer: TenantId, file: StatementFile) -> Result<BankImportDocument, Failure>;

    /// Lists bank entries, oldest first.
    async fn bank_entries(
        &self,
        issuer: TenantId,
        status: Option<EntryStatus>,
    ) -> Result<Vec<BankEntryDocument>, Failure>;

    /// Says what an open entry pays.
    async fn assign_entry(&self, entry: BankEntryId, target: EntryTarget) -> Result<BankEntryDocument, Failure>;

    /// Says that nothing follows from an open entry.
    async fn ignore_entry(&self, entry: BankEntryId, reason: &str) -> Result<BankEntryDocument, Failure>;
}
