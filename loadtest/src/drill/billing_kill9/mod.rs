//! `kill -9` of `billing run` at random moments, and of `billing serve` while payments come in:
//! nobody is invoiced twice, nobody is missed, numbers have no gap, and no payment that was
//! acknowledged is gone.

mod books;
pub(super) mod closing;
mod payments;
mod runs;

use std::time::Duration;

use servers::Postgres;
use tokio::task::spawn_blocking;

use self::{books::Ledgers, payments::Payments, runs::Runs};
use super::{
    error::DrillError,
    harm::Times,
    outcome::{Drill, Outcome},
};

pub(super) const DRILL: Drill = Drill {
    name: "billing-kill9",
    about: "kill -9 of billing run, and of billing serve while payments come in, at random moments",
    faults: 50,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Customers that are billed.
const TENANTS: usize = 60;

/// Faults in each month: two of three of them in runs, the others in the API.
const FAULTS_A_MONTH: u32 = 6;

async fn run(faults: u32, _times: Times) -> Result<Outcome, DrillError> {
    // A second provider would be one installed already: either serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir()?;
    let postgres = spawn_blocking(Postgres::start).await??;
    let url = postgres.url("postgres");
    let months = faults.div_ceil(FAULTS_A_MONTH).max(1);
    let ledgers = Ledgers::build(&url, TENANTS, months).await?;
    let runs = Runs::new(url.clone())?;
    let mut payments = Payments::start(directory.path(), &url, ledgers.root).await?;
    let mut span = Duration::from_secs(2);
    for fault in 0..faults {
        let month = fault / FAULTS_A_MONTH;
        if fault % 3 == 2 {
            payments.harm(&ledgers.store).await?;
        } else {
            runs.harm(month, span).await?;
        }
        let is_last_of_month = fault % FAULTS_A_MONTH == FAULTS_A_MONTH - 1;
        if is_last_of_month || fault + 1 == faults {
            span = runs.finish(month).await?;
        }
    }
    payments.finish(&ledgers.store).await?;
    let closing = ledgers.closing(TENANTS, months).await?;
    let recorded = ledgers.payments().await?;
    let audit = runs.audit().await.err().map(|error| error.to_string());
    let wrong = closing.wrong().or_else(|| payments.wrong(&recorded)).or(audit);
    Ok(Outcome {
        faults,
        at_risk: payments.repeated,
        received: payments.acknowledged(),
        billed: recorded.len() as u64,
        closing: Some(closing),
        ok: wrong.is_none(),
        wrong,
        ..Outcome::of(DRILL.name)
    })
}
