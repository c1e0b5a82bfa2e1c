//! Exports from the store.

use std::io::Write;

use async_trait::async_trait;
use common::export::ExportQuery;

use super::StoreBackend;
use crate::{backend::Exports, error::Failure};

#[async_trait]
impl Exports for StoreBackend {
    async fn export(&self, query: ExportQuery, sink: &mut (dyn Write + Send)) -> Result<(), Failure> {
        let mut export = self.store.export(query).await?;
        while let Some(piece) = export.next().await? {
            sink.write_all(&piece)?;
        }
        Ok(())
    }
}
