//! Reloads and upgrades, one after the other, and the memory of the process that sees most of them.

use std::time::Duration;

use nix::sys::signal::Signal;
use servers::within;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::settings::{GENERATION_PATH, Surroundings};
use crate::{
    drill::error::DrillError,
    process_stat,
    processes::{self, GatewayProcess, Process},
};

/// Growth of memory that is allowed over the reloads: more than the load alone makes of it, less than
/// as many configurations that are never freed.
pub(super) const GROWTH_MAX_MIB: f64 = 16.0;

/// Longest time until a reload has taken effect.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Reloads over which memory is averaged: it varies with the requests under way.
const SAMPLES: u32 = 10;

/// Fewest reloads between the two looks at memory: a process that has just begun still grows.
const JUDGED_RELOADS: u32 = 50;

/// The changes to make.
pub(super) struct Plan {
    /// Upgrades; all of them begin in the first half of the reloads.
    pub(super) upgrades: u32,
    pub(super) reloads: u32,
    /// Time from one reload to the next.
    pub(super) interval: Duration,
}

/// The changes that were made.
pub(super) struct Changes {
    /// Anonymous memory of the last process after its first reloads, in MiB.
    pub(super) early_mib: f64,
    /// The same after the last reload.
    pub(super) late_mib: f64,
    /// The first thing that did not go as it should.
    pub(super) wrong: Option<String>,
}

impl Plan {
    /// Returns true if an upgrade begins before this reload, of which the first is 1.
    fn upgrades_at(&self, reload: u32) -> bool {
        let part = |reload: u32| (reload * self.upgrades * 2 / self.reloads.max(1)).min(self.upgrades);
        part(reload) > part(reload - 1)
    }

    /// The reload from which on early memory is read: the last upgrade is over by then.
    const fn early(&self) -> u32 {
        self.reloads * 3 / 5
    }

    /// Returns true if there are enough reloads to tell growth by reloads from that of a beginning.
    pub(super) const fn judges_memory(&self) -> bool {
        self.reloads - self.early() >= JUDGED_RELOADS
    }
}

/// Makes all changes.
pub(super) async fn make(
    gateway: &mut GatewayProcess,
    surroundings: &Surroundings,
    plan: &Plan,
) -> Result<Changes, DrillError> {
    let mut ticks = interval_at(Instant::now() + plan.interval, plan.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut changing = Changing { former: None, wrong: None };
    let mut memory = Vec::new();
    for number in 1..=plan.reloads {
        ticks.tick().await;
        if plan.upgrades_at(number) {
            changing.end_former().await?;
            changing.former = Some(gateway.begin_upgrade()?);
        }
        changing.reload(gateway, surroundings, number).await?;
        if number == plan.early() {
            changing.end_former().await?;
        }
        memory.push(process_stat::anonymous_mib(gateway.process.pid()?)?);
    }
    changing.end_former().await?;
    let count = SAMPLES.min(plan.reloads / 5) as usize;
    let early = plan.early() as usize;
    let (early_mib, late_mib) = (mean(&memory[early..early + count]), mean(&memory[memory.len() - count..]));
    Ok(Changes { early_mib, late_mib, wrong: changing.wrong })
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// The process that is being replaced, if there is one.
struct Changing {
    former: Option<Process>,
    wrong: Option<String>,
}

impl Changing {
    /// Puts a configuration into force. A process that hands over gets the signal for as long as it
    /// runs: the new one follows the file by itself.
    async fn reload(
        &mut self,
        gateway: &mut GatewayProcess,
        surroundings: &Surroundings,
        number: u32,
    ) -> Result<(), DrillError> {
        gateway.configure(Surroundings::routes(number), surroundings.further(number))?;
        self.look_after_former()?;
        self.former.as_ref().unwrap_or(&gateway.process).signal(Signal::SIGHUP)?;
        let expected = number.to_string();
        let in_force = within(PATIENCE, LOOK_INTERVAL, async || {
            self.look_after_former()?;
            match processes::get(gateway.address(), GENERATION_PATH).await {
                Ok(answer) => Ok::<_, DrillError>(answer.status == 200 && answer.body == expected),
                // A connection is refused by no process, whichever of them serves.
                Err(error) => {
                    self.wrong.get_or_insert_with(|| format!("a new connection was not served: {error}"));
                    Ok(false)
                }
            }
        });
        let in_force = in_force.await.transpose()?;
        in_force.ok_or_else(|| DrillError::Patience(format!("configuration {number} in force")))
    }

    /// Notes how the former process ended, if it has.
    fn look_after_former(&mut self) -> Result<(), DrillError> {
        let Some(former) = &mut self.former else { return Ok(()) };
        if let Some(status) = former.ended()? {
            self.former = None;
            if !status.success() {
                self.wrong.get_or_insert_with(|| format!("the former process ended with {status}"));
            }
        }
        Ok(())
    }

    /// Waits until the former process has ended.
    async fn end_former(&mut self) -> Result<(), DrillError> {
        if let Some(former) = &mut self.former {
            former.wait_end().await?;
        }
        self.look_after_former()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrades_are_spread_over_the_first_half_of_the_reloads() {
        for (upgrades, reloads) in [(5, 200), (1, 12), (3, 36)] {
            let plan = Plan { upgrades, reloads, interval: Duration::ZERO };
            let begun: Vec<u32> = (1..=reloads).filter(|reload| plan.upgrades_at(*reload)).collect();
            assert_eq!(begun.len(), upgrades as usize, "{begun:?}");
            assert!(begun.iter().all(|reload| *reload <= reloads / 2), "{begun:?}");
            assert!(*begun.last().unwrap() < plan.early());
        }
    }
}
