//! Histories of money: tenants come, change plans, move, use, pay late or too much, get money
//! back, and the program dies at any write; a plain model says what every invoice and every account
//! must come to.
//!
//! A history follows from its seed, on SQLite, with the code that bills: `billing run`, the store's
//! payments, credit notes and wallets. The model is written anew, in whole cents and fractions of
//! whole numbers, and shares no code with it.

mod answer;
mod bills;
mod books;
mod crash;
mod model;
mod paying;
mod price;
mod script;
mod world;

use std::{
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use self::{
    script::{Script, TENANTS},
    world::World,
};

/// Months of a history.
pub const MONTHS: u32 = 8;

/// Outcome of a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Months of tenants other than the root.
    pub tenant_months: u64,
    /// Invoices that were issued and compared.
    pub invoices: usize,
    /// Steps that happened.
    pub steps: usize,
    /// Crashes amid a step.
    pub crashes: usize,
}

/// The place where store and model differ.
#[derive(Debug, thiserror::Error)]
pub struct Failure {
    seed: u64,
    step: Option<(usize, String)>,
    what: String,
}

impl Failure {
    const fn of(what: String) -> Self {
        Self { seed: 0, step: None, what }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, what } = self;
        write!(formatter, "history {seed}")?;
        if let Some((number, step)) = step {
            write!(formatter, ", step {number} ({step})")?;
        }
        write!(formatter, ": {what}; make simulate ARGS='--money --seed {seed}' lives it again")
    }
}

/// Lives the histories of all seeds, as many at the same time as there are processors. Gives what all
/// of them were together, or the failure of the lowest seed that was lived and failed.
pub fn live_all(seeds: RangeInclusive<u64>) -> Result<History, Failure> {
    let next = AtomicU64::new(*seeds.start());
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut all = History::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return Ok(all);
            }
            let directory = tempfile::tempdir_in(directory())?;
            let lived = runtime.block_on(live(seed, directory.path())).inspect_err(|_| {
                // The others need not begin another one.
                next.store(u64::MAX, Ordering::Relaxed);
            })?;
            all.add(lived);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let outcomes: Vec<Result<History, Failure>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let died = |_| Err(Failure::of("a thread died".into()));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(died)).collect()
    });
    let (lived, mut failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    failed.sort_by_key(|outcome| outcome.as_ref().err().map(|failure| failure.seed));
    if let Some(failure) = failed.into_iter().find_map(Result::err) {
        return Err(failure);
    }
    let mut all = History::default();
    for one in lived.into_iter().flatten() {
        all.add(one);
    }
    Ok(all)
}

/// Memory, if files can be kept there: histories wait for no disk.
fn directory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() }
}

impl History {
    fn add(&mut self, other: Self) {
        self.tenant_months += other.tenant_months;
        self.invoices += other.invoices;
        self.steps += other.steps;
        self.crashes += other.crashes;
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(error.to_string())
    }
}

/// Lives a history in a directory of its own.
pub async fn live(seed: u64, directory: &Path) -> Result<History, Failure> {
    let script = Script::new(seed, MONTHS);
    let at = |step, what| Failure { seed, step, ..what };
    let mut world = World::new(directory, &script).await.map_err(|error| at(None, error))?;
    for (number, step) in script.steps.iter().enumerate() {
        let lived = world.step(&script, step).await;
        lived.map_err(|error| at(Some((number, format!("{:?} at {}", step.act, step.at))), error))?;
    }
    let (invoices, crashes) = (world.invoice_count(), world.crashes);
    world.finish().await.map_err(|error| at(None, error))?;
    let tenant_months = u64::from(script.months) * (TENANTS as u64 - 1);
    Ok(History { tenant_months, invoices, steps: script.steps.len(), crashes })
}
