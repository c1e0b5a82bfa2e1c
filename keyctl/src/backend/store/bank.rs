//! Bank statements and their entries in the store.

use async_trait::async_trait;
use common::{
    api::bank::{BankEntryDocument, BankImportDocument},
    bank::{
        EntryFilter, EntryStatus, EntryTarget,
        statement::{camt, table},
    },
    id::{BankEntryId, TenantId},
};

use super::{ALL, StoreBackend};
use crate::{
    backend::{Bank, StatementFile},
    error::Failure,
};

#[async_trait]
impl Bank for StoreBackend {
    async fn import_statement(&self, issuer: TenantId, file: StatementFile) -> Result<BankImportDocument, Failure> {
        let statement = match &file.table {
            Some(profile) => table::read(&file.bytes, profile)?,
            None => camt::read(&file.bytes)?,
        };
        Ok(self.store.import_bank_statement(issuer, &statement, self.now).await?.into())
    }

    async fn bank_entries(
        &self,
        issuer: TenantId,
        status: Option<EntryStatus>,
    ) -> Result<Vec<BankEntryDocument>, Failure> {
        let found = self.store.bank_entries(issuer, EntryFilter { status }, ALL).await?;
        Ok(found.items.into_iter().map(Into::into).collect())
    }

    async fn assign_entry(&self, entry: BankEntryId, target: EntryTarget) -> Result<BankEntryDocument, Failure> {
        Ok(self.store.assign_bank_entry(entry, target, self.now).await?.into())
    }

    async fn ignore_entry(&self, entry: BankEntryId, reason: &str) -> Result<BankEntryDocument, Failure> {
        Ok(self.store.ignore_bank_entry(entry, reason, self.now).await?.into())
    }
}
