//! The same on a Redis Cluster: keys of one shard live on one node, shards on several.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use gateway::limit::bank::BankAddress;
use stack::free_port;

use crate::site::{Setup, burst_of, until_some};

const MASTERS: u16 = 3;
const SLOTS: u16 = 16_384;

/// Masters without replicas, and where their files are.
struct Cluster {
    nodes: Vec<Node>,
    _directory: tempfile::TempDir,
}

struct Node {
    process: Child,
    port: u16,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    fn start(directory: &std::path::Path) -> Self {
        let (port, bus) = (free_port().unwrap(), free_port().unwrap());
        let process = Command::new("redis-server")
            .current_dir(directory)
            .args(["--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes"])
            .args(["--port", &port.to_string(), "--cluster-port", &bus.to_string()])
            .args(["--cluster-config-file", &format!("nodes-{port}.conf")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, port }
    }

    fn tell(&self, command: &redis::Cmd) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        command.query(&mut client.get_connection_with_timeout(Duration::from_secs(2))?)
    }
}

impl Cluster {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let nodes: Vec<_> = (0..MASTERS).map(|_| Node::start(directory.path())).collect();
        for (index, node) in (0..).zip(&nodes) {
            let (from, to) = (SLOTS / MASTERS * index, SLOTS / MASTERS * (index + 1) - 1);
            let last = if index == MASTERS - 1 { SLOTS - 1 } else { to };
            let mut slots = redis::cmd("CLUSTER");
            slots.arg("ADDSLOTSRANGE").arg(from).arg(last);
            until_some("a node answers", async || node.tell(&slots).ok()).await;
        }
        let cluster = Self { nodes, _directory: directory };
        cluster.meet().await;
        cluster
    }

    async fn meet(&self) {
        let bus = |node: &Node| {
            let Ok(redis::Value::BulkString(nodes)) = node.tell(redis::cmd("CLUSTER").arg("NODES")) else { panic!() };
            let nodes = String::from_utf8(nodes).unwrap();
            nodes.split_once('@').unwrap().1.split([' ', ',']).next().unwrap().to_owned()
        };
        let first = &self.nodes[0];
        for node in &self.nodes[1..] {
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET").arg("127.0.0.1").arg(node.port).arg(bus(node));
            first.tell(&meet).unwrap();
        }
        for node in &self.nodes {
            until_some("the cluster is whole", async || {
                let info = node.tell(redis::cmd("CLUSTER").arg("INFO")).ok()?;
                let text = format!("{info:?}");
                let is_whole =
                    text.contains("cluster_state:ok") && text.contains(&format!("cluster_known_nodes:{MASTERS}"));
                is_whole.then_some(())
            })
            .await;
        }
    }

    fn urls(&self) -> String {
        let urls: Vec<_> = self.nodes.iter().map(|node| format!("redis://127.0.0.1:{}", node.port)).collect();
        urls.join(",")
    }
}

#[tokio::test]
async fn limits_are_shared_through_a_cluster() {
    const BURST: u64 = 200;
    let cluster = Cluster::start().await;
    let mut setup = Setup::fresh("redis://unused:1", burst_of(BURST));
    setup.settings.address = BankAddress::parse(&cluster.urls(), false).unwrap();
    let gateways = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
    let mut admitted = 0;
    for gateway in &gateways {
        let report = gateway.bank.report();
        assert!(report.shared, "{report:?}");
        admitted += gateway.requests(150).await;
    }
    assert!(admitted > BURST / 2 && admitted <= BURST, "{admitted}");
    // Every shard is where its slot is: none had to be asked for elsewhere.
    let shards: u64 = cluster
        .nodes
        .iter()
        .map(|node| match node.tell(&redis::cmd("DBSIZE")).unwrap() {
            redis::Value::Int(keys) => u64::try_from(keys).unwrap(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert!(shards > gateway::limit::bank::SHARDS as u64, "{shards} keys: a clock for each shard, and the limit");
}
