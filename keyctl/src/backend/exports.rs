//! Exports, for commands.

use std::io::Write;

use async_trait::async_trait;
use common::export::ExportQuery;

use crate::error::Failure;

/// Exports.
#[async_trait]
pub(crate) trait Exports: Send + Sync {
    /// Writes an export piece by piece. After an error, what is written is incomplete.
    async fn export(&self, query: ExportQuery, sink: &mut (dyn Write + Send)) -> Result<(), Failure>;
}
