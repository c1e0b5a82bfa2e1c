//! The hand-over between two sides in one process.

use std::{io, os::unix::net::UnixStream, path::Path};

use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::{Claim, Handover, Host, Sockets, UpgradeError, bind};
use crate::config::LISTENERS_MAX;

const FILE: &str = "gateway.yaml";

struct Running {
    directory: TempDir,
    clients: Vec<std::net::SocketAddr>,
    decisions: std::net::SocketAddr,
    handover: std::sync::Arc<Handover>,
    task: tokio::task::JoinHandle<()>,
}

fn addresses(sockets: &Sockets) -> Vec<std::net::SocketAddr> {
    sockets.clients.iter().map(|socket| socket.local_addr().unwrap()).collect()
}

impl Running {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("upgrade");
        let sockets = Sockets {
            clients: (0..LISTENERS_MAX).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect(),
            operators: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            upgrade: bind(&path, Path::new(FILE)).unwrap(),
            decision: None,
            decision_grpc: Some(std::net::TcpListener::bind("127.0.0.1:0").unwrap()),
        };
        let decisions = sockets.decision_grpc.as_ref().unwrap().local_addr().unwrap();
        let clients = addresses(&sockets);
        let host = Host::new(&sockets, path).unwrap();
        let handover = std::sync::Arc::clone(host.handover());
        Self { directory, clients, decisions, handover, task: tokio::spawn(host.run(sockets.upgrade)) }
    }

    async fn claim(&self) -> Claim {
        let path = self.directory.path().join("upgrade");
        spawn_blocking(move || Claim::open(&path, Path::new(FILE))).await.unwrap().unwrap()
    }
}

async fn sockets(mut claim: Claim) -> Result<(Claim, Sockets), UpgradeError> {
    spawn_blocking(move || claim.sockets().map(|sockets| (claim, sockets))).await.unwrap()
}

#[tokio::test]
async fn sockets_pass_as_they_are() {
    let running = Running::start();
    let claim = running.claim().await;
    assert_eq!(claim.process(), std::process::id().to_string());
    let (claim, sockets) = sockets(claim).await.unwrap();
    assert_eq!(addresses(&sockets), running.clients);
    assert!(sockets.decision.is_none());
    assert_eq!(sockets.decision_grpc.as_ref().unwrap().local_addr().unwrap(), running.decisions);
    assert!(!running.handover.is_taken());
    spawn_blocking(move || claim.take()).await.unwrap().unwrap();
    running.handover.taken().await;
    running.task.await.unwrap();
    // The old side holds none of them any more, and the new one still does.
    for (address, socket) in running.clients.iter().zip(&sockets.clients) {
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(socket.accept().unwrap().1, client.local_addr().unwrap());
    }
}

#[tokio::test]
async fn successor_that_goes_away_early_changes_nothing() {
    let running = Running::start();
    drop(running.claim().await);
    let (claim, passed) = sockets(running.claim().await).await.unwrap();
    drop((claim, passed));
    loop {
        // The one that went away may be noticed a moment later.
        match sockets(running.claim().await).await {
            Ok((claim, _)) => break spawn_blocking(move || claim.take()).await.unwrap().unwrap(),
            Err(error) => assert!(error.to_string().contains("just taking over"), "{error}"),
        }
    }
    assert!(running.handover.is_taken());
}

#[tokio::test]
async fn only_one_process_takes_over_at_a_time() {
    let running = Running::start();
    let _first = sockets(running.claim().await).await.unwrap();
    let error = sockets(running.claim().await).await.unwrap_err().to_string();
    assert!(error.contains("another process is just taking over"), "{error}");
    assert!(error.contains("setting `upgrade_socket` in gateway.yaml"), "{error}");
}

#[tokio::test]
async fn gateway_that_ends_offers_nothing() {
    let running = Running::start();
    let claim = running.claim().await;
    running.handover.withdraw();
    let error = sockets(claim).await.unwrap_err().to_string();
    assert!(error.contains("about to end"), "{error}");
}

#[tokio::test]
async fn nonsense_is_not_answered() {
    use io::{Read as _, Write as _};

    let running = Running::start();
    let path = running.directory.path().join("upgrade");
    for nonsense in [vec![b'x'; 100_000], b"take\n".to_vec(), vec![0xff, b'\n']] {
        let path = path.clone();
        let heard = spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            // It may be closed at any time.
            let _ = stream.write_all(&nonsense);
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard);
            heard
        });
        let heard = String::from_utf8(heard.await.unwrap()).unwrap();
        assert!(heard.lines().count() <= 1 && !heard.contains("sockets"), "{heard}");
    }
    assert!(!running.handover.is_taken());
    assert!(sockets(running.claim().await).await.is_ok());
}
