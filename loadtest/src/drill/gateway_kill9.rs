//! `kill -9` of the gateway at random moments under load, with restart.

use super::{
    Drill, DrillError, Outcome, close,
    harm::{amid_burst, burst, customers, under_load},
};
use crate::house::{Books, House, Plan};

pub(super) const DRILL: Drill = Drill {
    name: "gateway-kill9",
    about: "kill -9 of the gateway at random moments under load, with restart",
    faults: 50,
    run: |faults, _times| Box::pin(run(faults)),
};

async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut house = House::build(Plan::at_scale()).await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    for _ in 0..faults {
        let load = burst(&house, &customers);
        under_load(load, &mut books, async {
            amid_burst().await;
            house.gateway.process.kill().await?;
            house.gateway.restart().await?;
            Ok(())
        })
        .await?;
    }
    close(&DRILL, faults, house, books, None).await
}
