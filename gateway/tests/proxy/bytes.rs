//! Answers with bytes that are not UTF-8: they arrive as they were sent, and are billed.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    DEADLINE, Fixture,
    process::{Gateway, command},
    raw::RawUpstream,
};

/// Answers, and what of each has to arrive.
const ANSWERS: [(&[u8], &[u8]); 6] = [
    (
        b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"r\xe9sum\xe9.pdf\"\r\nContent-Length: 2\r\n\r\nok",
        b"filename=\"r\xe9sum\xe9.pdf\"",
    ),
    (b"HTTP/1.1 200 D'accord, tr\xe8s bien\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 "),
    (b"HTTP/1.1 404 Non trouv\xe9\r\nX-Raison: p\xe9rim\xe9\r\nContent-Length: 2\r\n\r\nok", b"p\xe9rim\xe9"),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Note\r\n\r\n2\r\nok\r\n0\r\nX-Note: \xe9\xff\r\n\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
    ),
    (b"HTTP/1.1 103 Early\r\nLink: </\xe9.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"</\xe9.css>"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x80", b"\xff\xfe\x00\x80"),
];

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_utf_8_pass_and_are_billed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let routes = format!(
        "
upstreams: {{ raw: {{ servers: ['{}'] }} }}
routes:
  - {{ name: raw, path_prefix: /, upstream: raw }}
  - {{ name: counted, path_prefix: /counted, upstream: raw, units: {{ header: X-Usage-Units, default: 3 }} }}
",
        upstream.address
    );
    fixture.configure(&routes);
    // Whatever is asked for: no log line may look at bytes in a way that panics.
    let mut command = command(&fixture.config_file());
    command.env("RUST_LOG", "trace");
    let gateway = Gateway::spawn(command).await;
    gateway.wait_until_ready().await;
    let ask = async |path: &str, answer: &[u8]| {
        let mut client = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let key = customer.secret.expose();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut server, _) = upstream.request().await;
        server.send(answer).await;
        let mut received = Vec::new();
        tokio::time::timeout(DEADLINE, client.read_to_end(&mut received)).await.unwrap().unwrap();
        received
    };
    for (answer, expected) in ANSWERS {
        let received = ask("/", answer).await;
        let arrived = received.windows(expected.len()).any(|window| window == expected);
        assert!(arrived, "{}\n->\n{}", answer.escape_ascii(), received.escape_ascii());
    }
    for units in [b"\xb2".as_slice(), b"7\xe9", b"\xff\xff"] {
        let answer = [b"HTTP/1.1 200 OK\r\nX-Usage-Units: ", units, b"\r\nContent-Length: 2\r\n\r\nok"].concat();
        let received = ask("/counted", &answer).await;
        assert!(received.starts_with(b"HTTP/1.1 200 ") && received.ends_with(b"ok"), "{}", received.escape_ascii());
    }
    let records = fixture.billing.wait_for(customer.tenant, ANSWERS.len() + 3).await;
    assert_eq!(records.len(), ANSWERS.len() + 3);
    assert!(records.iter().all(|record| record.billable), "{records:?}");
    let defaults = records.iter().filter(|record| &*record.route == "counted" && record.units == 3);
    assert_eq!(defaults.count(), 3, "{records:?}");
    assert!(!gateway.output().contains("panicked"), "{}", gateway.output());
}
