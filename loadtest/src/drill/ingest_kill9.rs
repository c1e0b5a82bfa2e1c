//! `kill -9` of `billing ingest` at random moments, while a second ingester takes over its partitions and back; then one
//! that sleeps through its session and wakes up with a transaction in hand.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    DrillError, Outcome, close,
    harm::{burst, customers, some_moment, steady, under_load},
};
use crate::house::{Books, House, Plan};

pub(super) const NAME: &str = "ingest-kill9";

/// Longer than the session time-out that the fleet sets.
const ASLEEP: Duration = Duration::from_secs(10);

pub(super) async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut house = House::build(Plan::at_scale()).await?;
    house.add_ingest().await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    for fault in 0..faults {
        let load = burst(&house, &customers);
        let victim = &mut house.ingest[fault as usize % 2];
        under_load(load, &mut books, async {
            some_moment(Duration::from_millis(1_800)).await;
            victim.process.kill().await?;
            victim.restart().await?;
            Ok(())
        })
        .await?;
    }
    let load = steady(&house, &customers, ASLEEP + Duration::from_secs(5));
    let sleeper = &house.ingest[0].process;
    under_load(load, &mut books, async {
        some_moment(Duration::from_secs(1)).await;
        sleeper.pause()?;
        sleep(ASLEEP).await;
        sleeper.resume()?;
        Ok(())
    })
    .await?;
    close(NAME, faults + 1, house, books, None).await
}
