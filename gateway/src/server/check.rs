//! The check of a configuration file, without a start.

use std::{path::Path, sync::Arc};

use common::config::Fault;
use tokio::runtime::Builder;

use super::StartError;
use crate::{
    config::{Overrides, ServerAddress, Settings, UsageSettings},
    meter::journal_shortage,
    upstream,
};

/// The content of a valid configuration file.
pub struct Checked {
    /// One line.
    pub summary: String,
    /// Findings that keep nobody from starting with it, and deserve a look.
    pub warnings: Vec<String>,
}

/// Checks a configuration file and says what it holds. Names of servers are looked up: one that
/// does not resolve is a warning, because it may by the time of the start.
pub fn check(file: &Path) -> Result<Checked, StartError> {
    let settings = Settings::load(file, &Overrides::from_environment())?;
    let (routes, upstreams) = (settings.routes.len(), settings.upstreams.len());
    let summary = format!("{}: ok, {routes} routes, {upstreams} upstreams", file.display());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let unresolved = runtime.block_on(upstream::unresolved(&settings.upstreams));
    // A look-up that hangs is not waited for.
    runtime.shutdown_background();
    let shortage = journal_warning(&settings.process.usage);
    let name = |(upstream, server, reason): (Arc<str>, ServerAddress, String)| {
        format!("upstream `{upstream}`: `{server}` does not resolve, and is down until it does: {reason}")
    };
    let placed = settings.warnings.iter().map(|Fault { place, reason }| {
        format!("{}:{}:{}: warning: {reason}", file.display(), place.line, place.column)
    });
    let told = shortage.into_iter().chain(unresolved.into_iter().map(name));
    let told = told.map(|told| format!("{}: warning: {told}", file.display()));
    Ok(Checked { summary, warnings: placed.chain(told).collect() })
}

/// Tells if the disk cannot hold what the journal may take.
fn journal_warning(usage: &UsageSettings) -> Option<String> {
    let shortage = journal_shortage(&usage.journal, usage.journal_budget_bytes).ok().flatten()?;
    Some(format!(
        "the disk of {} lacks {shortage} bytes for `usage.journal_budget_mib: {}`; free some, or allow less",
        usage.journal.display(),
        usage.journal_budget_bytes / (1024 * 1024),
    ))
}
