//! The process itself: how it starts, why it does not, and how it ends.

use std::net::TcpListener;

use servers::eventually;
use tokio::io::AsyncWriteExt as _;

use crate::deployment::{Deployment, stderr, stdout};

#[tokio::test]
async fn serve_creates_its_store_and_ends_on_a_signal() {
    for signal in ["TERM", "INT"] {
        let deployment = Deployment::new();
        let mut server = deployment.serve().await;
        assert!(deployment.path("tollgate.db").exists());
        assert_eq!(server.get("/health").await.text().await.unwrap(), r#"{"status":"ok"}"#);
        server.signal(signal);
        assert_eq!(server.exit_code().await, Some(0), "{signal}");
    }
}

/// Clients that connect and say nothing, more of them than the process may have descriptors.
#[tokio::test]
async fn silent_connections_beyond_the_descriptors_keep_no_caller_out() {
    let deployment = Deployment::new();
    let server = deployment.serve_with_descriptors(160).await;
    let mut silent = Vec::new();
    for index in 0..300 {
        let mut connection = tokio::net::TcpStream::connect(&server.address).await.unwrap();
        if index % 2 == 0 {
            // One that was turned away already may not take it.
            let _ = connection.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
        }
        silent.push(connection);
    }
    // While the flood is still being taken, a client may be asked to come back.
    eventually("an answer", async || server.try_get("/health").await == Some(200)).await;
    for _ in 0..10 {
        assert_eq!(server.get("/health").await.status(), 200);
    }
    assert!(server.metric("tollgate_connections_closed_total{listener=\"api\",reason=\"displaced\"}").await > 0);
}

#[tokio::test]
async fn taken_port_is_named_with_its_setting() {
    let deployment = Deployment::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    deployment.write_settings(&address.to_string());
    let output = deployment.run(&["serve", "--config", "billing.yaml"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&format!("port {}", address.port())), "{said}");
    assert!(said.contains("`listen` in billing.yaml"), "{said}");
}

#[tokio::test]
async fn bad_settings_are_named_by_file_and_line() {
    let deployment = Deployment::new();
    std::fs::write(deployment.path("billing.yaml"), "store: sqlite://x.db\nlisten_on: 1\n").unwrap();
    let output = deployment.run(&["serve", "--config", "billing.yaml"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("error: billing.yaml:2:1: ") && said.contains("listen_on"), "{said}");
}

#[tokio::test]
async fn missing_pepper_is_named_with_its_setting() {
    let deployment = Deployment::new();
    std::fs::remove_file(deployment.path("pepper")).unwrap();
    let output = deployment.run(&["serve", "--config", "billing.yaml"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`pepper_file`"), "{}", stderr(&output));
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let deployment = Deployment::new();
    let first = deployment.run(&["migrate", "--config", "billing.yaml"]).await;
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert!(stdout(&first).starts_with("schema version 0 -> "), "{}", stdout(&first));
    let second = deployment.run(&["migrate", "--store", &deployment.url()]).await;
    assert_eq!(second.status.code(), Some(0));
    assert!(stdout(&second).ends_with("(up to date)\n"), "{}", stdout(&second));
}

#[tokio::test]
async fn every_server_exports_its_version_and_process_metrics() {
    let deployment = Deployment::new();
    let settings = "pepper_file: pepper\ningest: { listen: '127.0.0.1:0', brokers: '127.0.0.1:1' }\n";
    std::fs::write(deployment.path("ingest.yaml"), format!("store: {}\n{settings}", deployment.url())).unwrap();
    for (command, file, event) in [("serve", "billing.yaml", "serving"), ("ingest", "ingest.yaml", "ingesting")] {
        let server = deployment.start(&[command, "--config", file], event).await;
        let text = server.get("/metrics").await.text().await.unwrap();
        let build = format!("tollgate_build_info{{program=\"billing {command}\",schema=\"");
        assert!(text.contains(&build), "no {build} in {text}");
        assert!(server.metric("process_open_fds").await > 0 && server.metric("process_threads").await > 0);
    }
}

#[tokio::test]
async fn check_config_reads_all_settings_without_serving() {
    let deployment = Deployment::new();
    let check = async || deployment.run(&["--config", "billing.yaml", "--check"]).await;
    let good = check().await;
    assert_eq!((good.status.code(), stdout(&good).as_str()), (Some(0), "billing.yaml: ok\n"));
    assert!(!deployment.path("tollgate.db").exists(), "nothing is opened");

    let faulty = "lissten: 127.0.0.1:0\nstore: 7\ningest:\n  late_days: soon\naccess:\n  trusted_proxies: [nowhere]\n";
    std::fs::write(deployment.path("billing.yaml"), faulty).unwrap();
    let bad = check().await;
    assert_eq!((bad.status.code(), stdout(&bad).as_str()), (Some(1), ""));
    let said = stderr(&bad);
    for fault in [
        "billing.yaml:1:1: `lissten` is not a setting here; did you mean `listen`?",
        "     1 | lissten: 127.0.0.1:0\n       | ^^^^^^^\n",
        "billing.yaml:4:14: ",
        "billing.yaml:6:21: ",
    ] {
        assert!(said.contains(fault), "no `{fault}` in\n{said}");
    }
}
