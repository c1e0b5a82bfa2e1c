//! The connections of a run: each takes the next request that is due, sends it, and counts how it
//! ended.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Exchange, Load, LoadError, LoadResult, Stages,
    connection::{Connection, Failure, Received},
    pace::Schedule,
    tally::Tally,
};

/// Pause after a connection was refused, so that a server that is down does not keep the client
/// busy.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// State that the connections of a run share.
struct Run {
    target: SocketAddr,
    wire: Vec<Vec<u8>>,
    timeout: Duration,
    schedule: Schedule,
    stages: Stages,
    tally: Mutex<Tally>,
}

pub(super) async fn run(load: &Load) -> Result<LoadResult, LoadError> {
    let host = load.target.to_string();
    let run = Arc::new(Run {
        target: load.target,
        wire: load.requests.iter().map(|request| request.encode(&host)).collect(),
        timeout: load.timeout,
        schedule: Schedule::new(load),
        stages: load.stages.clone(),
        tally: Mutex::new(Tally::new(load.requests.len(), load.traced)),
    });
    let mut clients = JoinSet::new();
    for _ in 0..load.connections {
        clients.spawn(Arc::clone(&run).client());
    }
    let _end = EndOfRun(Arc::clone(&run));
    let timekeeper = tokio::spawn(Arc::clone(&run).keep_time());
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    timekeeper.abort();
    match timekeeper.await {
        Ok(kept) => kept?,
        Err(error) if error.is_cancelled() => {}
        Err(error) => return Err(error.into()),
    }
    let elapsed = run.schedule.start().elapsed();
    let tally = run.tally.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(tally.result(&load.requests, elapsed, run.schedule.unsent()))
}

/// Ends the open loop when its run is over or abandoned.
struct EndOfRun(Arc<Run>);

impl Drop for EndOfRun {
    fn drop(&mut self) {
        self.0.schedule.close();
    }
}

impl Run {
    async fn keep_time(self: Arc<Self>) -> Result<(), LoadError> {
        if !self.schedule.is_open_loop() {
            return Ok(());
        }
        let run = Arc::clone(&self);
        let kept = tokio::task::spawn_blocking(move || run.schedule.keep_time()).await;
        if matches!(kept, Ok(Ok(()))) {
            // What a slow server has piled up may still be sent for a while; what is left then
            // shows as unsent.
            sleep(self.timeout).await;
        }
        self.schedule.close();
        kept?.map_err(LoadError::Timer)
    }

    async fn client(self: Arc<Self>) {
        let mut connection = None;
        while let Some(due) = self.schedule.next().await {
            let kind = usize::try_from(due.number % self.wire.len() as u64).unwrap_or(0);
            let (sent, stage) = (Instant::now(), self.stages.current());
            let answered = match timeout(self.timeout, self.exchange(&mut connection, kind)).await {
                Ok(answered) => answered,
                Err(_) => Err(Failure::Timeout),
            };
            self.count(kind, stage, (due.since, sent), answered);
            match answered {
                Ok(Received { reusable: true, .. }) => {}
                Ok(_) => connection = None,
                Err(failure) => {
                    connection = None;
                    if failure == Failure::Connect {
                        sleep(RECONNECT_PAUSE).await;
                    }
                }
            }
        }
    }

    async fn exchange(&self, connection: &mut Option<Connection>, kind: usize) -> Result<Received, Failure> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(Connection::open(self.target).await.map_err(|_| Failure::Connect)?),
        };
        connection.exchange(&self.wire[kind]).await
    }

    fn count(&self, kind: usize, stage: usize, (due, sent): (Instant, Instant), answered: Result<Received, Failure>) {
        let ended = Instant::now();
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        match answered {
            Ok(answer) => tally.received(kind, stage, Exchange { due, sent, received: ended, status: answer.status }),
            Err(failure) => tally.failed(failure),
        }
    }
}
