//! The end of a month of many tenants: `billing run` on PostgreSQL must issue every invoice within a
//! minute, in memory that does not grow with usage, and leave clean books.

pub(super) mod documents;
pub(super) mod figures;
mod fixture;
mod run;

use servers::Postgres;
use tokio::task::spawn_blocking;

use self::{documents::DocumentFigures, figures::MonthFigures, fixture::Fixture, run::Finished};
use super::{
    error::DrillError,
    harm::Times,
    outcome::{Drill, Outcome},
};
use crate::deployment::billing_command;

pub(super) const DRILL: Drill = Drill {
    name: "close-month",
    about: "the end of a month of 10,000 tenants with 20 keys each, used in so many hours of every day (24: 60 GB)",
    faults: 4,
    run: |hours, times| Box::pin(run(hours, times)),
};

/// Longest time that the run may take.
const SECONDS_MAX: f64 = 60.0;

/// Most memory that the run may take: what 10,000 tenants need, and nothing for their usage.
const RSS_MIB_MAX: f64 = 256.0;

/// Longest time that 10,000 documents may take.
const DOCUMENT_SECONDS_MAX: f64 = 120.0;

/// Growth of memory that is none: what is read ahead, and what an allocator keeps.
const GROWTH_MAX: f64 = 1.1;

/// `hours` is the number of hours of each day in which each key is used.
async fn run(hours: u32, times: Times) -> Result<Outcome, DrillError> {
    let postgres = spawn_blocking(Postgres::start).await??;
    let url = postgres.url("postgres");
    let fixture = Fixture { tenants: times.tenants, keys: 20, hours: hours.min(24) };
    let expected = fixture.fill(&url).await?;
    let Finished { seconds, peak_rss_mib } = run::close(&url).await?;
    let billed = fixture::billed(&url).await?;
    let audit = billing_command(&["audit", "--store", &url]).await.err().map(|error| error.to_string());
    let documents = if times.with_documents { Some(documents::typeset(&url).await?) } else { None };
    let figures = MonthFigures {
        seconds,
        tenants: fixture.tenants,
        invoices: billed.invoices,
        rollups: expected.rollups,
        peak_rss_mib,
        documents,
    };
    let wrong = billed.wrong(&expected).or(audit).or_else(|| too_much(&figures, times));
    Ok(Outcome {
        received: u64::try_from(expected.requests).unwrap_or_default(),
        billed: u64::try_from(billed.requests).unwrap_or_default(),
        month: Some(figures),
        ok: wrong.is_none(),
        wrong,
        ..Outcome::of(DRILL.name)
    })
}

/// The target that was missed, in words.
fn too_much(figures: &MonthFigures, times: Times) -> Option<String> {
    let MonthFigures { seconds, peak_rss_mib, documents, invoices, .. } = figures;
    if *peak_rss_mib > RSS_MIB_MAX {
        return Some(format!("the run took {peak_rss_mib} MiB, and {RSS_MIB_MAX} are enough"));
    }
    let is_slow = times.judges_speed && *seconds > SECONDS_MAX;
    is_slow
        .then(|| format!("the run took {seconds} s, and {SECONDS_MAX} are enough"))
        .or_else(|| documents.as_ref().and_then(|documents| wrong_with(documents, *invoices, times)))
}

/// The target of documents that was missed, in words.
fn wrong_with(figures: &DocumentFigures, invoices: i64, times: Times) -> Option<String> {
    let DocumentFigures { documents, documents_seconds: seconds, .. } = figures;
    if i64::try_from(*documents) != Ok(invoices) {
        return Some(format!("{documents} documents were made of {invoices} invoices"));
    }
    let (before, after) = (figures.documents_mib_first_half, figures.documents_mib_second_half);
    if times.judges_speed && after > before * GROWTH_MAX {
        return Some(format!("making documents took {before} MiB in the first half and {after} MiB in the second"));
    }
    let is_slow = times.judges_speed && *seconds > DOCUMENT_SECONDS_MAX;
    is_slow.then(|| format!("the documents took {seconds} s, and {DOCUMENT_SECONDS_MAX} are enough"))
}
