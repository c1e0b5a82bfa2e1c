//! Load with harm in the middle of it.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::sleep;

use super::DrillError;
use crate::{
    house::{Books, Customer, House},
    load::{Load, Pace},
};

/// Requests per second during an outage of a minute: enough to fill batches, little enough for two cores.
const STEADY_RATE: u32 = 500;

/// Customers of a drill; their keys are used in turn.
pub(super) async fn customers(house: &House) -> Result<Vec<Customer>, DrillError> {
    let mut customers = Vec::new();
    for name in ["Acme", "Globex", "Initech"] {
        customers.push(house.customer(name, "enterprise").await?);
    }
    Ok(customers)
}

/// As much load as goes, for about two seconds: short enough to be killed in often.
pub(super) fn burst(house: &House, customers: &[Customer]) -> Load {
    Load { duration: Duration::from_secs(2), connections: 8, ..house.load(customers) }
}

/// Steady load for `duration`.
pub(super) fn steady(house: &House, customers: &[Customer], duration: Duration) -> Load {
    let pace = Pace::Open { per_second: STEADY_RATE };
    Load { duration, pace, connections: 32, ..house.load(customers) }
}

/// Runs `load` and, while it runs, `harm`; the books get what was received.
pub(super) async fn under_load<H>(load: Load, books: &mut Books, harm: H) -> Result<(), DrillError>
where
    H: Future<Output = Result<(), DrillError>>,
{
    let (result, harmed) = tokio::join!(load.run(), harm);
    harmed?;
    books.add(&result?);
    Ok(())
}

/// A moment somewhere in the next seconds.
pub(super) async fn some_moment(at_most: Duration) {
    let milliseconds = rand::rng().random_range(0..u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX).max(1));
    sleep(Duration::from_millis(milliseconds)).await;
}
