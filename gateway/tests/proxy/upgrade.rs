//! One process after another on the same sockets, and what clients notice of it: nothing.

use std::{
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use common::key::Secret;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::support::{
    Fixture, ROUTES, eventually,
    process::{Gateway, command},
    raw::Wire,
};

/// Clients that send one request after the other on connections that they keep.
const CLIENTS: usize = 8;

/// Requests that have to be answered between two upgrades.
const REQUESTS_BETWEEN: usize = 400;

fn upgrade_socket(fixture: &Fixture) -> PathBuf {
    fixture.config_file().with_file_name("journal").join("test.upgrade")
}

/// One request on a connection that stays open if the gateway lets it; whether it does.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, secret: &Secret) -> bool {
    wire.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {}\r\n\r\n", secret.expose())).await;
    let head = wire.read_until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length = value("content-length").expect("a content length").parse().unwrap();
    wire.read_exactly(length).await;
    value("connection") != Some("close")
}

/// Keeps asking until told to stop. Any request that is not answered fails the test, on a used
/// connection too.
async fn keep_asking(address: SocketAddr, secret: Secret, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    while !stop.load(Ordering::SeqCst) {
        let mut wire = Wire::connect(address).await;
        loop {
            let goes_on = ask(&mut wire, &secret).await;
            answered.fetch_add(1, Ordering::SeqCst);
            if !goes_on || stop.load(Ordering::SeqCst) {
                break;
            }
        }
    }
}

/// The kernel's number of the socket that listens on a port.
fn listening_inode(address: SocketAddr) -> String {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    let listening = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = listening.filter(|fields| fields[1].ends_with(&port) && fields[3] == "0A");
    found.next().expect("a listening socket")[9].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_upgrades_under_load_lose_no_request_and_no_usage() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let mut gateway = fixture.gateway().await;
    let (address, inode) = (gateway.address, listening_inode(gateway.address));
    let mode = std::fs::metadata(upgrade_socket(&fixture)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(keep_asking(address, customer.secret.clone(), Arc::clone(&stop), Arc::clone(&answered))))
        .collect();
    let more_answers = async || {
        let goal = answered.load(Ordering::SeqCst) + REQUESTS_BETWEEN;
        eventually("more answers", || async { (answered.load(Ordering::SeqCst) >= goal).then_some(()) }).await;
    };
    for _ in 0..2 {
        more_answers().await;
        let next = Gateway::upgrade(&fixture.config_file()).await;
        assert_eq!((next.address, next.admin), (gateway.address, gateway.admin));
        assert!(gateway.ended().await.success());
        assert_eq!(listening_inode(address), inode);
        next.wait_until_ready().await;
        gateway = next;
    }
    more_answers().await;
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("every request answered");
    }
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let (received, recorded) = (answered.load(Ordering::SeqCst), fixture.billing.records(customer.tenant).len());
    assert_eq!((received, received), (recorded, fixture.upstream.requests()));
    assert!(!upgrade_socket(&fixture).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_was_idle_is_answered_by_the_process_that_it_knows_and_then_told_to_go() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let old = fixture.gateway().await;
    let mut idle = Wire::connect(old.address).await;
    assert!(ask(&mut idle, &customer.secret).await);
    let new = Gateway::upgrade(&fixture.config_file()).await;
    let taken_over = |line: &Value| line["event"] == "taken_over";
    old.logged("the old process drains", taken_over).await;
    assert_eq!(new.status("/", &customer.secret).await, 200);
    assert!(old.runs());
    assert!(!ask(&mut idle, &customer.secret).await, "the connection may be used again");
    assert_eq!(idle.read_to_end().await, "");
    assert!(old.ended().await.success());
    assert_eq!(fixture.billing.wait_for(customer.tenant, 3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_puts_a_changed_address_into_force() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let old = fixture.gateway().await;
    fixture.configure_at(ROUTES, "127.0.0.2:0".parse().unwrap());
    let new = Gateway::upgrade(&fixture.config_file()).await;
    assert_eq!((new.address.ip().to_string().as_str(), new.admin), ("127.0.0.2", old.admin));
    assert_eq!(new.status("/", &customer.secret).await, 200);
    assert!(old.ended().await.success());
    assert!(tokio::net::TcpStream::connect(old.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn new_process_that_fails_leaves_the_old_one_serving() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    // The idle connections of the test's own client are not waited for.
    fixture.configure(&format!("upgrade_drain_seconds: 1\n{ROUTES}"));
    let gateway = Gateway::start(&fixture.config_file()).await;
    gateway.wait_until_ready().await;
    let refused = |file: &std::path::Path| {
        let output = command(file).arg("--upgrade").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = std::fs::read_to_string(fixture.config_file()).unwrap();
    let bad = fixture.config_file().with_file_name("bad.yaml");
    std::fs::write(&bad, text.replace("routes:", "rotes:")).unwrap();
    assert!(refused(&bad).contains("bad.yaml:"));
    // A store that does not open: it fails after it has found the running gateway.
    std::fs::write(&bad, text.replace("store: sqlite:", "store: mysql:")).unwrap();
    assert!(refused(&bad).contains("setting `store`"));
    // An address that is taken: it fails with the sockets in its hands.
    let holder = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let taken = format!("listen: {}", holder.local_addr().unwrap());
    std::fs::write(&bad, text.replace("listen: '127.0.0.1:0'", &taken)).unwrap();
    assert!(refused(&bad).contains("address already in use"));

    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    gateway.wait_until_ready().await;
    let next = Gateway::upgrade(&fixture.config_file()).await;
    assert!(gateway.ended().await.success());
    assert_eq!(next.status("/", &customer.secret).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_upgrade_tells_its_reason() {
    let fixture = Fixture::new().await;
    fixture.configure(ROUTES);
    let socket = upgrade_socket(&fixture);
    let told = |arguments: &[&str]| {
        let output = command(&fixture.config_file()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(&format!("{} (setting `upgrade_socket` in ", socket.display())), "{told}");
        told
    };
    assert!(told(&["--upgrade"]).contains("no gateway to take over from"));
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    std::fs::write(&socket, "").unwrap();
    assert!(told(&[]).contains("not a socket"));
    std::fs::remove_file(&socket).unwrap();
    // Left by a gateway that was killed: nobody to take over from, and nothing in the way of a
    // start.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(told(&["--upgrade"]).contains("no gateway to take over from"));
    let gateway = fixture.gateway().await;
    assert!(told(&[]).contains("another gateway uses this socket"));
    assert!(gateway.runs());
}
