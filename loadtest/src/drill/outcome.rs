//! A drill, and the outcome that it comes to.

use std::pin::Pin;

use serde::Serialize;

use super::{
    billing_kill9::closing::Closing, close_month::figures::MonthFigures, error::DrillError, harm::Times,
    limits_fleet::phase::LimitPhase, outage::figures::OutageFigures, payments_kill9::charges::Charges,
    reload_upgrade::counts::Changeover, revocation::reach::Reach,
};
use crate::deployment::{Books, Deployment};

/// One drill.
pub struct Drill {
    /// Its name on the command line.
    pub name: &'static str,
    /// A line about it, for the list of drills.
    pub about: &'static str,
    /// Number of faults, unless stated.
    pub faults: u32,
    pub(super) run: fn(u32, Times) -> Running,
}

pub(super) type Running = Pin<Box<dyn Future<Output = Result<Outcome, DrillError>>>>;

/// The outcome of a drill: its closing JSON line.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The drill.
    pub drill: &'static str,
    /// Number of faults.
    pub faults: u32,
    /// Requests that were open during a fault and got no answer.
    pub at_risk: u64,
    /// Answers that the client received in full.
    pub received: u64,
    /// Requests on the bill.
    pub billed: u64,
    /// Requests that the upstream accepted; not told where its servers are killed, and their counts
    /// with them.
    #[serde(skip_serializing_if = "is_nothing")]
    pub accepted: u64,
    /// Requests that failed, in a drill about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// Answers without a record, in a drill that counts them one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// The phases of a drill about a limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<LimitPhase>,
    /// Times until changes arrived, per engine, in the drill about changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<Reach>,
    /// Figures of the outages, in the drill that measures them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<OutageFigures>,
    /// Figures of the drill about reloads and upgrades.
    #[serde(flatten)]
    pub changeover: Option<Changeover>,
    /// Figures of the drill about invoices.
    #[serde(flatten)]
    pub closing: Option<Closing>,
    /// Figures of the drill about payments.
    #[serde(flatten)]
    pub charges: Option<Charges>,
    /// Figures of the drill about the end of a month.
    #[serde(flatten)]
    pub month: Option<MonthFigures>,
    /// True if the books balance for every key, the audit is clean, and the drill's own targets are
    /// met.
    pub ok: bool,
    /// The first target that was missed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_nothing(count: &u64) -> bool {
    *count == 0
}

impl Outcome {
    /// An outcome of this drill that tells nothing yet.
    pub(super) fn of(drill: &'static str) -> Self {
        Self {
            drill,
            faults: 0,
            at_risk: 0,
            received: 0,
            billed: 0,
            accepted: 0,
            failed: None,
            lost: None,
            phases: Vec::new(),
            engines: Vec::new(),
            outages: Vec::new(),
            changeover: None,
            closing: None,
            charges: None,
            month: None,
            ok: false,
            wrong: None,
        }
    }
}

impl Drill {
    /// Runs it, with this many faults.
    pub async fn run(&self, faults: u32, times: Times) -> Result<Outcome, DrillError> {
        (self.run)(faults, times).await
    }
}

/// Reconciles the books with the deployment. `wrong` is the drill's own finding.
pub(super) async fn close(
    drill: &Drill,
    faults: u32,
    deployment: Deployment,
    mut books: Books,
    wrong: Option<String>,
) -> Result<Outcome, DrillError> {
    close_books(drill, faults, deployment, &mut books, wrong).await
}

/// The same, for a caller that looks into the books afterwards.
pub(super) async fn close_books(
    drill: &Drill,
    faults: u32,
    mut deployment: Deployment,
    books: &mut Books,
    wrong: Option<String>,
) -> Result<Outcome, DrillError> {
    deployment.reconcile(books).await?;
    let audit = deployment.audit().await.err().map(|error| error.to_string());
    let unbalanced = (!books.balance()).then(|| format!("the books do not balance: {:?}", books.keys));
    let wrong = wrong.or(unbalanced).or(audit);
    let total = books.total();
    Ok(Outcome {
        faults,
        at_risk: books.at_risk,
        received: total.received,
        billed: total.billed,
        accepted: total.accepted,
        ok: wrong.is_none(),
        wrong,
        ..Outcome::of(drill.name)
    })
}
