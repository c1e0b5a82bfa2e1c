//! Figures of an outage, beside the targets.

use serde::Serialize;

use super::watch::{Mark, Marks, Watch};
use crate::load::{LoadResult, StageResult};

/// Entries that leave the journal while it catches up, per entry that arrives: at least.
const CATCH_UP_TARGET: f64 = 5.0;

/// Largest part by which the 99th percentile may be longer than undisturbed.
const P99_TARGET: f64 = 0.10;

/// Figures of an outage.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OutageFigures {
    /// Requests per second.
    pub rate: u32,
    /// Before it.
    pub undisturbed: StageFigures,
    /// While the broker was gone.
    pub away: StageFigures,
    /// While it started on the same machine, until the first entry was acknowledged.
    pub returning: StageFigures,
    /// From then on until the spool was empty.
    pub catching_up: StageFigures,
    /// Most that the spool took of the disk.
    pub spool_high_water_bytes: u64,
    /// Most entries that waited in rings and spool.
    pub entries_high_water: u64,
    /// Entries that left rings and spool while it caught up, per entry that arrived.
    pub catch_up: f64,
    /// At least so many are asked for.
    pub catch_up_target: f64,
    /// Part by which the 99th percentile was longer than undisturbed: away or catching up, the
    /// worse one.
    pub p99_change: f64,
    /// At most so much is asked for.
    pub p99_change_target: f64,
    /// Requests that were due and never sent: the machine did not keep up with the rate.
    pub unsent: u64,
    /// True if both targets were met here, at the full rate.
    pub targets_met: bool,
}

/// Figures of one stage.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StageFigures {
    /// Its length.
    pub seconds: f64,
    /// Answers to requests of this stage.
    pub received: u64,
    /// Half of them took at most this long, in microseconds.
    pub p50_us: f64,
    /// 99 % of them.
    pub p99_us: f64,
    /// All.
    pub max_us: f64,
    /// Load of the machine.
    pub cores: Cores,
}

/// Processors that were busy on average.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cores {
    /// All of the machine.
    pub machine: f64,
    /// The gateway.
    pub gateway: f64,
    /// The client together with the upstream.
    pub client: f64,
}

impl OutageFigures {
    pub(super) fn new(rate: u32, marks: &Marks, watch: &Watch, result: &LoadResult) -> Self {
        // The first stage is the one in which everything warmed up.
        let stage = |index: usize, from: &Mark, to: &Mark| {
            StageFigures::new(result.stages.get(index).copied().unwrap_or_default(), from, to)
        };
        let undisturbed = stage(1, &marks.undisturbed, &marks.away);
        let away = stage(2, &marks.away, &marks.returning);
        let returning = stage(3, &marks.returning, &marks.catching_up);
        let catching_up = stage(4, &marks.catching_up, &marks.over);
        let (begin, end) = (&marks.catching_up.journal, &marks.over.journal);
        let left = end.acknowledged.saturating_sub(begin.acknowledged);
        let catch_up = ratio(left as f64, end.appended.saturating_sub(begin.appended) as f64);
        let p99_change = ratio(away.p99_us.max(catching_up.p99_us) - undisturbed.p99_us, undisturbed.p99_us);
        Self {
            rate,
            undisturbed,
            away,
            returning,
            catching_up,
            spool_high_water_bytes: watch.spool_high_water,
            entries_high_water: watch.entries_high_water,
            catch_up,
            catch_up_target: CATCH_UP_TARGET,
            p99_change,
            p99_change_target: P99_TARGET,
            unsent: result.unsent,
            targets_met: catch_up >= CATCH_UP_TARGET && p99_change <= P99_TARGET && result.unsent == 0,
        }
    }
}

impl StageFigures {
    fn new(result: StageResult, from: &Mark, to: &Mark) -> Self {
        let seconds = to.at.saturating_duration_since(from.at).as_secs_f64();
        Self {
            seconds,
            received: result.received,
            p50_us: result.latency.p50_us,
            p99_us: result.latency.p99_us,
            max_us: result.latency.max_us,
            cores: Cores {
                machine: ratio(to.spent.machine - from.spent.machine, seconds),
                gateway: ratio(to.spent.gateway - from.spent.gateway, seconds),
                client: ratio(to.spent.client - from.spent.client, seconds),
            },
        }
    }
}

/// Returns the ratio, rounded to three places; 0 if `of` is 0.
fn ratio(part: f64, of: f64) -> f64 {
    if of > 0.0 { (part / of * 1_000.0).round() / 1_000.0 } else { 0.0 }
}
