//! The outcome: rows, the usage check, and under what circumstances they came about.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Options, Row, UsageCheck, figures::Round, kind::Contest};

/// Below this share, the row's core was not what limited the closed loop.
const CORE_FULL: f64 = 0.9;

/// A finished comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// True if every request was answered with 200 and the usage adds up.
    pub ok: bool,
    /// The machine.
    pub machine: Machine,
    /// Options of the comparison.
    pub options: Options,
    /// One per server.
    pub rows: Vec<Row>,
    /// The check of the usage.
    pub usage: UsageCheck,
    /// Remarks that a reader needs to judge the numbers.
    pub notes: Vec<String>,
}

/// The machine of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor, as the kernel names it.
    pub processor: String,
    /// Cores that were available.
    pub cores: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// True if the programs were built with optimisations.
    pub optimised: bool,
}

impl Report {
    pub(super) fn new(options: Options, rows: Vec<Row>, usage: UsageCheck) -> Self {
        let machine = Machine::this();
        let mut notes = Vec::new();
        if !machine.optimised {
            notes.push("this is a debug build: the numbers mean nothing".to_owned());
        }
        for row in &rows {
            if row.faults > 0 {
                let name = row.name;
                let sum = |count: fn(&Round) -> u64| row.rounds.iter().map(count).sum::<u64>();
                let (failed, refused) = (sum(|round| round.failed), sum(|round| round.refused));
                let statuses = statuses(&row.rounds);
                let unsent = sum(|round| round.unsent);
                notes.push(format!(
                    "{name}: {failed} requests failed, {refused} were refused ({statuses}) and {unsent} could not be sent when they \
                     were due, as every connection was busy: do not quote it"
                ));
            }
        }
        for row in rows.iter().filter(|row| row.kind.has_core() && row.median.core_busy < CORE_FULL) {
            let (name, busy, others) = (row.name, row.median.core_busy * 100.0, Contest::of(&options).others());
            notes.push(format!(
                "{name}: its core was {busy:.0} % busy, so {others} set the pace and its requests per second are a \
                 floor; CPU per request is not affected"
            ));
        }
        if options.without_nginx {
            notes.push("nginx was left out (--without-nginx)".to_owned());
        }
        let ok = usage.holds && rows.iter().all(|row| row.faults == 0);
        Self { ok, machine, options, rows, usage, notes }
    }
}

/// Counts of the statuses other than 200.
fn statuses(rounds: &[Round]) -> String {
    let mut counts = BTreeMap::<u16, u64>::new();
    for (status, count) in rounds.iter().flat_map(|round| &round.by_status) {
        *counts.entry(*status).or_default() += count;
    }
    let told: Vec<_> = counts.iter().map(|(status, count)| format!("{count} with {status}")).collect();
    if told.is_empty() { "all of them decisions".to_owned() } else { told.join(", ") }
}

impl Machine {
    pub(super) fn this() -> Self {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let named = processors.lines().filter_map(|line| line.split_once(':'));
        let model = named.filter(|(field, _)| field.trim() == "model name").map(|(_, model)| model.trim()).next();
        Self {
            processor: model.unwrap_or("unknown").to_owned(),
            cores: processors.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            optimised: !cfg!(debug_assertions),
        }
    }
}
