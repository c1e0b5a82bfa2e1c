//! A PostgreSQL server under faults: tests and drills rely on this behaviour.

use servers::{Postgres, free_port};

#[test]
fn killed_server_keeps_committed_data() {
    let mut postgres = Postgres::start().unwrap();
    postgres.create_database("kept").unwrap();
    postgres.kill().unwrap();
    assert!(!postgres.is_ready());
    assert!(postgres.create_database("other").is_err());

    postgres.restart().unwrap();
    let error = postgres.create_database("kept").unwrap_err().to_string();
    assert!(error.contains("already exists"), "{error}");
}

#[test]
fn paused_server_does_not_answer_until_resumed() {
    let postgres = Postgres::start().unwrap();
    postgres.pause().unwrap();
    assert!(!postgres.is_ready());
    postgres.resume().unwrap();
    postgres.create_database("after").unwrap();
}

#[test]
fn stopped_server_restarts_on_the_same_port() {
    let mut postgres = Postgres::start().unwrap();
    let url = postgres.url("postgres");
    postgres.stop().unwrap();
    assert!(!postgres.is_ready());
    postgres.restart().unwrap();
    assert!(postgres.is_ready());
    assert_eq!(postgres.url("postgres"), url);
}

#[test]
fn dropped_server_leaves_no_directory_and_frees_its_port() {
    let postgres = Postgres::start().unwrap();
    let (port, directory) = (postgres.port(), postgres.directory().to_owned());
    assert!(directory.exists());
    drop(postgres);
    assert!(!directory.exists(), "{} is still there", directory.display());
    // Its port is free again.
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[test]
fn free_port_can_be_listened_on() {
    std::net::TcpListener::bind(("127.0.0.1", free_port().unwrap())).unwrap();
}
