//! `kill -9` of the gateway at random moments under load, with restart.

use std::time::Duration;

use super::{
    DrillError, Outcome, close,
    harm::{burst, customers, some_moment, under_load},
};
use crate::house::{Books, House, Plan};

pub(super) const NAME: &str = "gateway-kill9";

pub(super) async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut house = House::build(Plan::at_scale()).await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    for _ in 0..faults {
        let load = burst(&house, &customers);
        under_load(load, &mut books, async {
            some_moment(Duration::from_millis(1_800)).await;
            house.gateway.process.kill().await?;
            house.gateway.restart().await?;
            Ok(())
        })
        .await?;
    }
    close(NAME, faults, house, books, None).await
}
