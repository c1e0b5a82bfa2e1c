//! A year in the life of twelve tenants, day by day: through the API on a clock that the test sets, with
//! a PostgreSQL, two stand-ins for Stripe, an SMTP server, a receiver of webhooks and a running gateway.
//!
//! After each day the books balance, and each event and each mail has come once and in
//! order; every invoice is to the cent what an independent model says ([`model`]); a tenant is refused
//! by the gateway exactly while it has to be; in the end Stripe has charged what the model says.
//!
//! [`tenants`] says who does what on which day, [`day`] what a day is made of, [`checks`] what must hold
//! after it, [`world`] which servers there are.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod calendar;
mod checks;
mod day;
mod mailbox;
mod model;
mod plans;
mod receiver;
mod stripe;
mod tenants;
mod traffic;
mod world;

use calendar::Day;
use checks::Checks;
use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn year_of_twelve_tenants_balances_after_each_day() {
    let mut world = World::start().await;
    let mut checks = Checks::new();
    day::begin(&mut world).await;
    let mut last = Day::of(1, 1);
    for today in Day::all() {
        day::live(&mut world, today).await;
        checks.after(&mut world, today).await;
        last = today;
    }
    checks.at_the_end(&mut world, last).await;
}
