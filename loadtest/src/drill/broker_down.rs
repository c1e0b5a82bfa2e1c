//! The broker killed mid-batch, paused so that its connections stay open and nothing answers, and down for a minute.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    DrillError, Outcome, close,
    harm::{customers, some_moment, steady},
};
use crate::house::{Books, House, Plan};

pub(super) const NAME: &str = "broker-down";

/// How long the broker is away when it is away for long.
const AWAY: Duration = Duration::from_mins(1);

/// How long it is held still.
const PAUSED: Duration = Duration::from_secs(15);

/// Load before and after.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut house = House::build(Plan::at_scale()).await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    for fault in 0..faults {
        let away = match fault % 3 {
            0 => Duration::ZERO,
            1 => PAUSED,
            _ => AWAY,
        };
        let load = steady(&house, &customers, MARGIN + away + MARGIN);
        let Some(mut kafka) = house.kafka.take() else { break };
        let harm = async {
            some_moment(MARGIN).await;
            if fault % 3 == 1 {
                kafka.pause()?;
                sleep(away).await;
                kafka.resume()?;
                return Ok(kafka);
            }
            let mut kafka = tokio::task::spawn_blocking(move || kafka.kill().map(|()| kafka)).await??;
            sleep(away).await;
            Ok(tokio::task::spawn_blocking(move || kafka.restart().map(|()| kafka)).await??)
        };
        let (result, harmed): (_, Result<_, DrillError>) = tokio::join!(load.run(), harm);
        house.kafka = Some(harmed?);
        books.add(&result?);
    }
    close(NAME, faults, house, books, None).await
}
