//! Streams and connections keep their states (RFC 9113, sections 5.1, 6 and 7), as h2spec checks
//! them, and beside the cases that it does not have.

use std::process::Command;

use servers::Authority;

use crate::{
    suite::Suite,
    support::{
        Fixture,
        http2::{
            DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
            fields,
        },
        process::Gateway,
    },
};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;

/// The library names the general reason for a frame that is too short.
const TOO_SHORT: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];

#[tokio::test(flavor = "multi_thread")]
async fn frame_that_no_state_allows_ends_the_connection_with_its_reason() {
    let get = |stream| Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, fields("GET", "/", &[]));
    let cases: Vec<(&str, Vec<Frame>, &[u32])> = vec![
        ("data of an idle stream", vec![Frame::new(DATA, END_STREAM, 1, *b"x")], &[PROTOCOL_ERROR]),
        ("reset of an idle stream", vec![Frame::new(RST_STREAM, 0, 1, 8_u32.to_be_bytes())], &[PROTOCOL_ERROR]),
        ("window of an idle stream", vec![Frame::new(WINDOW_UPDATE, 0, 1, 1_u32.to_be_bytes())], &[PROTOCOL_ERROR]),
        ("stream of a server", vec![get(2)], &[PROTOCOL_ERROR]),
        ("lower stream", vec![get(5), get(3)], &[PROTOCOL_ERROR, STREAM_CLOSED]),
        ("header of no stream", vec![get(0)], &[PROTOCOL_ERROR]),
        ("window of nothing", vec![Frame::new(WINDOW_UPDATE, 0, 0, 0_u32.to_be_bytes())], &[PROTOCOL_ERROR]),
        (
            "window beyond the largest",
            vec![Frame::new(WINDOW_UPDATE, 0, 0, 0x7FFF_FFFF_u32.to_be_bytes())],
            &[FLOW_CONTROL_ERROR],
        ),
        ("short ping", vec![Frame::new(PING, 0, 0, [0; 4])], TOO_SHORT),
        ("ping of a stream", vec![Frame::new(PING, 0, 1, [0; 8])], &[PROTOCOL_ERROR]),
        ("settings that end in the middle", vec![Frame::new(SETTINGS, 0, 0, [0; 5])], TOO_SHORT),
        ("acknowledged settings with some", vec![Frame::new(SETTINGS, 1, 0, [0, 3, 0, 0, 0, 1])], TOO_SHORT),
    ];
    let suite = Suite::start_with("http2: { without_tls: true }").await;
    suite.upstream.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    for (name, frames, reasons) in cases {
        let mut client = Frames::connect(suite.gateway.address).await;
        client.send(&frames).await;
        let reason = client.next_of(GOAWAY).await.reason();
        assert!(reasons.contains(&reason), "{name}: {reason}");
        while client.next().await.is_some() {}
    }
}

/// The sums of h2spec, and what it says of the checks that failed. Not `--strict`: those are
/// recommendations.
fn h2spec(address: std::net::SocketAddr, more: &[&str]) -> (String, String) {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = Command::new(servers::h2spec().unwrap());
    let output = command.args(["-h", &host, "-p", &port, "-o", "10"]).args(more).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let sums = told.lines().find(|line| line.contains(" tests, ")).unwrap_or_default();
    (sums.to_owned(), told.split("Failures:").nth(1).unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_keep_the_rules_that_h2spec_checks() {
    let fixture = Fixture::new().await;
    let directory = fixture.config_file().parent().unwrap().to_owned();
    let identity = Authority::create(&directory, "ours").unwrap().sign("127.0.0.1").unwrap();
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    let listeners = format!(
        "listeners:
  - {{ address: '127.0.0.1:0', http2: true }}
  - address: '127.0.0.1:0'
    http2: true
    tls: {{ certificates: [{{ certificate_file: '{certificate}', key_file: '{key}' }}] }}
"
    );
    let routes = "
upstreams: { demo: { servers: ['DEMO'] } }
routes: [{ name: open, path_prefix: /, upstream: demo, public: true }]
";
    fixture.configure_listeners(&listeners, routes);
    let gateway = Gateway::start(&fixture.config_file()).await;
    gateway.wait_until_ready().await;
    let address = gateway.further[0];
    let (sums, failed) = h2spec(address, &["-t", "-k"]);
    assert!(sums.starts_with("146 tests, 146 passed") || sums.starts_with("145 tests, 145 passed"), "{sums}\n{failed}");
    let (sums, failed) = h2spec(gateway.address, &[]);
    assert!(sums.starts_with("145 tests, 144 passed"), "{sums}\n{failed}");
    // A client with another preface speaks HTTP/1.1 here, and is answered in it before the end.
    assert!(failed.contains("Sends invalid connection preface"), "{failed}");
}
