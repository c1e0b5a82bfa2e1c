//! Bytes on the wire to `billing`.

use std::net::SocketAddr;

use common::{
    key::Pepper,
    time::Micros,
    tls::{CertificateFiles, ClientTls, ListenerTls, MinVersion, ServerTls, TlsFile},
    usage::{BATCH_PATH, BATCH_STREAM_HEADER},
};
use servers::Authority;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn http_sink_sends_batches_that_billing_takes_and_reads_its_receipt() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = Pepper::new(b"a pepper for tests").unwrap().ingest_token();
    let (listener, address) = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    let sink = HttpSink::new(&format!("http://{address}/"), ClientTls::default(), &token).unwrap();
    let entries = vec![UsageEntry::Request(UsageRecord { at: Micros(5), ..record(3) })];
    let batch = UsageBatch { stream: StreamId::new("edge-1", 7, 0).unwrap(), first_seq: 9, entries };
    let (delivered, request) =
        tokio::join!(sink.deliver(&batch), answer_once(&listener, "200 OK", "{\"next_seq\":10}"));
    assert_eq!(delivered.unwrap(), 10);
    let (head, body) = request;
    assert!(head.starts_with(&format!("POST {BATCH_PATH} HTTP/1.1\r\n")), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("content-type: application/vnd.tollgate.usage-batch+protobuf"),
        "{head}"
    );
    assert!(head.contains(&format!("Bearer {}", token.expose())));
    assert_eq!(UsageBatch::decode(&body).unwrap(), batch);
    let stated = format!("{BATCH_STREAM_HEADER}: {}\r\n", batch.stream);
    assert!(head.to_ascii_lowercase().contains(&stated), "{head}");
    let buried = answer_once(&listener, "202 Accepted", "{\"dead_letter\":\"sums beyond what can be stored\"}");
    let (buried, _) = tokio::join!(sink.deliver(&batch), buried);
    assert_eq!(buried.unwrap(), batch.end_seq(), "the lane goes on");
    let (refused, _) = tokio::join!(sink.deliver(&batch), answer_once(&listener, "400 Bad Request", "entry 0: no"));
    assert!(matches!(refused, Err(SinkError::Refused { status: 400, ref reason }) if reason == "entry 0: no"));
    drop(listener);
    assert!(matches!(sink.deliver(&batch).await, Err(SinkError::Away(_))));
}

#[test]
fn sink_without_an_address_is_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = Pepper::new(b"a pepper for tests").unwrap().ingest_token();
    for url in ["", "billing:8090", "ftp://billing", "http://"] {
        let error = HttpSink::new(url, ClientTls::default(), &token).err().expect("a refusal").to_string();
        assert!(error.contains("is not the address"), "{error}");
    }
}

/// Takes one request and answers it; returns its head and body.
async fn answer_once(listener: &tokio::net::TcpListener, status: &str, body: &str) -> (String, Vec<u8>) {
    answer(listener.accept().await.unwrap().0, status, body).await
}

async fn answer(mut socket: impl AsyncRead + AsyncWrite + Unpin, status: &str, body: &str) -> (String, Vec<u8>) {
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        assert!(socket.read_buf(&mut received).await.unwrap() > 0, "cut short");
    };
    let head = String::from_utf8(received[..head_end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while received.len() < head_end + length.unwrap_or(0) {
        assert!(socket.read_buf(&mut received).await.unwrap() > 0, "cut short");
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    (head, received[head_end..].to_vec())
}

/// A server that wants certificates of an authority's clients, and answers each of them.
async fn serve_with_certificates(directory: &Path, authority: &Authority) -> SocketAddr {
    let server = authority.sign("127.0.0.1").unwrap();
    let file = TlsFile {
        certificate_file: server.certificate,
        key_file: server.key,
        ocsp_file: None,
        client_ca_file: Some(directory.join("clients.pem")),
        min_version: MinVersion::Tls13,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = ListenerTls::start("test", &ServerTls::load(file.settings()).unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = tls.acceptor().accept(stream).await {
                answer(stream, "200 OK", "{\"next_seq\":10}").await;
            }
        }
    });
    address
}

#[tokio::test]
async fn gateway_and_billing_know_each_other_by_certificates_that_may_be_replaced() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let ours = Authority::create(directory.path(), "ours").unwrap();
    let others = Authority::create(directory.path(), "others").unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::copy(ours.file(), at("clients.pem")).unwrap();
    let address = serve_with_certificates(directory.path(), &ours).await;
    let place = |authority: &Authority| {
        let identity = authority.sign("edge-1.test").unwrap();
        std::fs::copy(&identity.key, at("edge.key")).unwrap();
        std::fs::copy(&identity.certificate, at("edge.crt")).unwrap();
    };
    let token = Pepper::new(b"a pepper for tests").unwrap().ingest_token();
    let sink = |ca_file: &Path, is_known: bool| {
        let identity = CertificateFiles { certificate: at("edge.crt"), key: at("edge.key"), ocsp: None, order: None };
        let tls = ClientTls { ca_file: Some(ca_file.to_owned()), identity: is_known.then_some(identity) };
        HttpSink::new(&format!("https://{address}"), tls, &token).unwrap()
    };
    let entries = vec![UsageEntry::Request(UsageRecord { at: Micros(5), ..record(3) })];
    let batch = UsageBatch { stream: StreamId::new("edge-1", 7, 0).unwrap(), first_seq: 9, entries };
    place(&others);
    for (ca_file, is_known) in [(others.file(), true), (ours.file(), false), (ours.file(), true)] {
        let refused = sink(&ca_file, is_known).deliver(&batch).await;
        assert!(matches!(refused, Err(SinkError::Away(_))), "{refused:?}");
    }
    let sink = Arc::new(sink(&ours.file(), true));
    let stop = tokio::sync::watch::Sender::new(false);
    let following = tokio::spawn(Arc::clone(&sink).follow_files(stop.subscribe()));
    place(&ours);
    servers::eventually("the new certificate", async || sink.deliver(&batch).await.ok()).await;
    stop.send_replace(true);
    following.await.unwrap();
}
