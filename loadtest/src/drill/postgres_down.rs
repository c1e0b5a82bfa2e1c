//! PostgreSQL killed mid-transaction, out of connections, and down for a minute. Gateways keep serving from memory.

use std::time::Duration;

use tokio::{net::TcpStream, time::sleep};

use super::{
    DrillError, Outcome, close,
    harm::{customers, some_moment, steady, under_load},
};
use crate::house::{Books, House, Plan};

pub(super) const NAME: &str = "postgres-down";

/// How long the server is away when it is away for long.
const AWAY: Duration = Duration::from_mins(1);

/// How long strangers hold all connections.
const CROWDED: Duration = Duration::from_secs(15);

/// Connections that strangers open: more than the server has.
const STRANGERS: usize = 150;

/// Load before and after.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut house = House::build(Plan::at_scale()).await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    for fault in 0..faults {
        if fault % 3 == 1 {
            let load = steady(&house, &customers, MARGIN + CROWDED + MARGIN);
            let Some(port) = house.postgres.as_ref().map(stack::Postgres::port) else { break };
            under_load(load, &mut books, crowd(port)).await?;
            continue;
        }
        let away = if fault % 3 == 0 { Duration::ZERO } else { AWAY };
        let load = steady(&house, &customers, MARGIN + away + MARGIN);
        let Some(mut postgres) = house.postgres.take() else { break };
        let harm = async {
            some_moment(MARGIN).await;
            let mut postgres = tokio::task::spawn_blocking(move || postgres.kill().map(|()| postgres)).await??;
            sleep(away).await;
            Ok(tokio::task::spawn_blocking(move || postgres.restart().map(|()| postgres)).await??)
        };
        let (result, harmed): (_, Result<_, DrillError>) = tokio::join!(load.run(), harm);
        house.postgres = Some(harmed?);
        books.add(&result?);
    }
    close(NAME, faults, house, books, None).await
}

/// Opens more connections than the server has, and holds them: it counts a connection before it knows who it is.
async fn crowd(port: u16) -> Result<(), DrillError> {
    some_moment(MARGIN).await;
    let mut strangers = Vec::new();
    for _ in 0..STRANGERS {
        strangers.push(TcpStream::connect(("127.0.0.1", port)).await?);
    }
    sleep(CROWDED).await;
    drop(strangers);
    Ok(())
}
