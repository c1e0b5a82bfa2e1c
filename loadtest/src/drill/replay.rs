//! The topic replayed from its beginning: into the same database nothing changes, an empty one gets the same books.

use super::{
    Drill, DrillError, Outcome, close,
    harm::{burst, customers, under_load},
};
use crate::house::{Books, House, Plan, billing_command};

pub(super) const DRILL: Drill = Drill {
    name: "replay",
    about: "the topic replayed from its beginning, into the same database and into an empty one",
    faults: 2,
    run: |faults, _times| Box::pin(run(faults)),
};

async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut house = House::build(Plan::at_scale()).await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    let mut wrong = None;
    for fault in 0..faults {
        under_load(burst(&house, &customers), &mut books, async { Ok(()) }).await?;
        house.settle(&mut books).await?;
        house.gateway.restart().await?;
        let before = house.usage_in(house.store()).await?;
        let mut stores = vec![("the same database", house.store().to_owned())];
        if let Some(postgres) = &house.postgres {
            let name = format!("replayed_{fault}");
            postgres.create_database(&name)?;
            let empty = postgres.url(&name);
            billing_command(&["migrate", "--store", &empty]).await?;
            stores.push(("an empty database", empty));
        }
        for (what, store) in stores {
            stop_ingest(&mut house).await?;
            let replaying = house.start_ingest("ingest-replay", &store, true).await?;
            house.ingest.push(replaying);
            house.consumed_everything().await?;
            if house.usage_in(&store).await? != before {
                wrong = Some(format!("a replay into {what} came to other books"));
            }
        }
        stop_ingest(&mut house).await?;
        let back = house.start_ingest("ingest-back", house.store(), false).await?;
        house.ingest.push(back);
    }
    close(&DRILL, faults, house, books, wrong).await
}

async fn stop_ingest(house: &mut House) -> Result<(), DrillError> {
    for mut ingest in house.ingest.drain(..) {
        ingest.process.stop().await?;
    }
    Ok(())
}
