//! The topic replayed from its beginning: into the same database nothing changes, an empty one gets the same books.

use super::{
    DrillError, Outcome, close,
    harm::{burst, customers, under_load},
};
use crate::{
    fleet::IngestProcess,
    house::{Books, House, Plan, billing_command},
};

pub(super) const NAME: &str = "replay";

pub(super) async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut house = House::build(Plan::at_scale()).await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    let mut wrong = None;
    for fault in 0..faults {
        under_load(burst(&house, &customers), &mut books, async { Ok(()) }).await?;
        house.settle(&mut books).await?;
        house.gateway.restart().await?;
        let before = house.usage_in(house.store()).await?;
        let brokers = house.kafka.as_ref().map(stack::Kafka::bootstrap).unwrap_or_default();
        let directory = house.directory();
        let mut stores = vec![("the same database", house.store().to_owned())];
        if let Some(postgres) = &house.postgres {
            let name = format!("replayed_{fault}");
            postgres.create_database(&name)?;
            let empty = postgres.url(&name);
            billing_command(&["migrate", "--store", &empty]).await?;
            stores.push(("an empty database", empty));
        }
        for (what, store) in stores {
            for mut ingest in house.ingest.drain(..) {
                ingest.process.stop().await?;
            }
            house.ingest.push(IngestProcess::start(&directory, "ingest-replay", &store, &brokers, true).await?);
            house.consumed_everything().await?;
            if house.usage_in(&store).await? != before {
                wrong = Some(format!("a replay into {what} came to other books"));
            }
        }
        for mut ingest in house.ingest.drain(..) {
            ingest.process.stop().await?;
        }
        let back = IngestProcess::start(&directory, "ingest-back", house.store(), &brokers, false).await?;
        house.ingest.push(back);
    }
    close(NAME, faults, house, books, wrong).await
}
