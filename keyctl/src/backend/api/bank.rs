//! Bank statements and their entries through the API.

use async_trait::async_trait;
use common::{
    api::{
        bank::{BankEntryDocument, BankImportDocument, EntryTargetBody},
        invoice::ReasonBody,
    },
    bank::{EntryStatus, EntryTarget},
    id::{BankEntryId, TenantId},
};
use reqwest::Method;
use serde::Serialize;

use super::{ApiBackend, call::Call};
use crate::{
    backend::{Bank, StatementFile},
    error::Failure,
};

impl ApiBackend {
    /// A decision about an entry.
    fn decide(&self, entry: BankEntryId, verb: &str, body: &impl Serialize) -> Result<Call<'_>, Failure> {
        let path = ["bank-entries", &entry.to_string(), verb];
        self.call(Method::POST, &path).with(body)
    }
}

#[async_trait]
impl Bank for ApiBackend {
    async fn import_statement(&self, issuer: TenantId, file: StatementFile) -> Result<BankImportDocument, Failure> {
        let call = self.call(Method::POST, &["tenants", &issuer.to_string(), "bank-statements"]);
        let Some(profile) = file.table else {
            return Ok(call.with_bytes("application/xml", file.bytes).read().await?);
        };
        // The members of a profile are the parameters of the API.
        let members = match serde_json::to_value(profile)? {
            serde_json::Value::Object(members) => members,
            _ => serde_json::Map::new(),
        };
        let call = members.iter().fold(call, |call, (name, value)| call.query(name, value.as_str()));
        Ok(call.with_bytes("text/csv", file.bytes).read().await?)
    }

    async fn bank_entries(
        &self,
        issuer: TenantId,
        status: Option<EntryStatus>,
    ) -> Result<Vec<BankEntryDocument>, Failure> {
        let call = self.get(&["tenants", &issuer.to_string(), "bank-entries"]).query("status", status);
        Ok(call.pages(usize::MAX).await?)
    }

    async fn assign_entry(&self, entry: BankEntryId, target: EntryTarget) -> Result<BankEntryDocument, Failure> {
        Ok(self.decide(entry, "assign", &EntryTargetBody::from(target))?.read().await?)
    }

    async fn ignore_entry(&self, entry: BankEntryId, reason: &str) -> Result<BankEntryDocument, Failure> {
        let body = ReasonBody { reason: reason.to_owned() };
        Ok(self.decide(entry, "ignore", &body)?.read().await?)
    }
}
