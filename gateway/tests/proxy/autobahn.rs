//! The Autobahn test suite through the gateway: a WebSocket behaves as it does without a gateway in
//! between, whether what passes on it is counted or not.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::Command, time::Duration};

use serde::Deserialize;
use servers::{POLL_INTERVAL, Process, free_port, within, wstest};
use tokio::net::TcpStream;

use crate::support::{Fixture, eventually};

/// Longest run of all cases for all ways on a busy machine.
const SUITE_DEADLINE: Duration = Duration::from_mins(30);

/// Cases for every kind of frame: text, binary, ping, reserved bits and opcodes, fragments, closes.
const SUBSET: [&str; 7] = ["1.1.*", "1.2.*", "2.*", "3.*", "4.*", "5.*", "7.*"];

/// The routes, each of which is one way to the server.
const WAYS: [&str; 3] = ["plain", "messages", "bytes"];

/// The outcome of one case.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    behavior: String,
    behavior_close: String,
    remote_close_code: Option<u16>,
}

impl Outcome {
    /// Returns true if the suite judges both alike. Where its verdict is no more than information,
    /// the close code is that of whichever side was faster.
    fn is_like(&self, other: &Self) -> bool {
        self == other || (self.behavior == "INFORMATIONAL" && self.judgement() == other.judgement())
    }

    fn judgement(&self) -> (&str, &str) {
        (&self.behavior, &self.behavior_close)
    }
}

fn routes_to(server: SocketAddr) -> String {
    let head =
        format!("upstreams: {{ echo: {{ servers: ['{server}'], health: {{ interval_seconds: 3600 }} }} }}\nroutes:\n");
    let units = ["", ", upgrade_units: { messages: both }", ", upgrade_units: { bytes: both, per: 1000 }"];
    // The server insists on its own name in `Host`.
    let to_server =
        "upstream: echo, upgrade: [websocket], rewrite: { host: upstream }, credentials: { query: api_key }";
    let routes = WAYS
        .iter()
        .zip(units)
        .map(|(way, units)| format!("  - {{ name: {way}, path_prefix: /{way}, {to_server}{units} }}\n"));
    routes.fold(head, |all, route| all + &route)
}

async fn echo_server(program: &Path) -> (Process, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let mut command = Command::new(program);
    command.args(["-m", "testeeserver", "-w", &format!("ws://{address}")]);
    let mut process = Process::captured("wstest", command).unwrap();
    process.start().unwrap();
    eventually("the echo server", async || TcpStream::connect(address).await.ok()).await;
    (process, address)
}

/// Runs the cases by every way. Returns their outcomes, by way and case.
async fn outcomes(cases: &[&str]) -> BTreeMap<String, BTreeMap<String, Outcome>> {
    let program = tokio::task::spawn_blocking(wstest).await.unwrap().unwrap();
    let (_server, address) = echo_server(&program).await;
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&routes_to(address)).await;
    let directory = fixture.path("autobahn");
    std::fs::create_dir(&directory).unwrap();
    let key = customer.secret.expose();
    let way = |agent: &str, url: String| serde_json::json!({ "agent": agent, "url": url });
    let through = WAYS.map(|name| way(name, format!("ws://{}/{name}?api_key={key}", gateway.address)));
    let mut servers = vec![way("bare", format!("ws://{address}/"))];
    servers.extend(through);
    let plan = serde_json::json!({
        "outdir": directory.join("reports"), "servers": servers,
        "cases": cases, "exclude-cases": [], "exclude-agent-cases": {},
    });
    let file = directory.join("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    let mut command = Command::new(&program);
    command.args(["-m", "fuzzingclient", "-s"]).arg(&file);
    let mut client = Process::captured("wstest", command).unwrap();
    client.start().unwrap();
    let ended =
        within(SUITE_DEADLINE, POLL_INTERVAL, async || client.ended().unwrap()).await.expect("the end of the suite");
    assert!(ended.success(), "{}", client.log().text());
    let index = std::fs::read(directory.join("reports/index.json")).unwrap();
    serde_json::from_slice(&index).unwrap()
}

/// Checks that the gateway changes the outcome of no case.
async fn passes_as_if_there_were_no_gateway(cases: &[&str], least: usize) {
    let outcomes = outcomes(cases).await;
    let bare = &outcomes["bare"];
    assert!(bare.len() >= least, "{} cases", bare.len());
    for way in WAYS {
        let through = &outcomes[way];
        assert_eq!(through.len(), bare.len(), "{way}");
        let differs =
            |(case, outcome): &(&String, &Outcome)| through.get(*case).is_none_or(|other| !outcome.is_like(other));
        let different: Vec<_> =
            bare.iter().filter(differs).map(|(case, outcome)| (case, outcome, &through[case])).collect();
        assert!(different.is_empty(), "{way}: {} of {} cases: {different:?}", different.len(), bare.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the suite runs on Python 2.7, which few machines have: make autobahn"]
async fn frames_behave_as_without_a_gateway() {
    passes_as_if_there_were_no_gateway(&SUBSET, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs on Python 2.7, for minutes: every case, with large messages and compression"]
async fn whole_suite_behaves_as_without_a_gateway() {
    passes_as_if_there_were_no_gateway(&["*"], 400).await;
}
