//! The same on a Redis Cluster: keys of one shard live on one node, shards on several.

use std::{cell::Cell, process::Command, time::Duration};

use gateway::limit::bank::BankAddress;
use servers::{Process, eventually, free_port};

use crate::fixture::{Gateway, Setup, burst_of};

const MASTERS: u16 = 3;
const SLOTS: u16 = 16_384;

/// Masters, with replicas if there are any, and where their files are.
struct Cluster {
    nodes: Vec<Node>,
    replicas: Vec<Node>,
    directory: tempfile::TempDir,
}

/// A Redis of the cluster; killed when dropped.
struct Node {
    port: u16,
    _process: Process,
}

impl Node {
    fn start(directory: &std::path::Path) -> Self {
        let (port, bus) = (free_port().unwrap(), free_port().unwrap());
        let mut command = Command::new("redis-server");
        command
            .current_dir(directory)
            .args(["--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes"])
            .args(["--port", &port.to_string(), "--cluster-port", &bus.to_string()])
            .args(["--cluster-config-file", &format!("nodes-{port}.conf")]);
        let mut process = Process::captured("redis", command).unwrap();
        process.start().unwrap();
        Self { port, _process: process }
    }

    fn tell(&self, command: &redis::Cmd) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        command.query(&mut client.get_connection_with_timeout(Duration::from_secs(2))?)
    }

    /// The id of this start of the server.
    fn run_id(&self) -> String {
        let info = self.text(redis::cmd("INFO").arg("server"));
        info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().to_owned()
    }

    /// The answer as a text; empty while the server does not answer.
    fn text(&self, command: &redis::Cmd) -> String {
        match self.tell(command) {
            Ok(redis::Value::BulkString(text)) => String::from_utf8(text).unwrap(),
            Ok(redis::Value::VerbatimString { text, .. }) => text,
            _ => String::new(),
        }
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
            eventually("a node answers", async || node.tell(&slots).ok()).await;
        }
        let cluster = Self { nodes, replicas: Vec::new(), directory };
        for node in &cluster.nodes[1..] {
            cluster.meet(node);
        }
        cluster.is_whole().await;
        cluster
    }

    /// Adds a replica of each master, and waits until it has all that its master has.
    async fn replicate(&mut self) {
        for master in 0..self.nodes.len() {
            let replica = Node::start(self.directory.path());
            eventually("a replica answers", async || replica.tell(&redis::cmd("PING")).ok()).await;
            self.meet(&replica);
            let id = self.nodes[master].text(redis::cmd("CLUSTER").arg("MYID"));
            let follow = redis::cmd("CLUSTER").arg("REPLICATE").arg(id).to_owned();
            eventually("the replica knows its master", async || replica.tell(&follow).ok()).await;
            let link = redis::cmd("INFO").arg("replication").to_owned();
            eventually("the replica has caught up", async || {
                replica.text(&link).contains("master_link_status:up").then_some(())
            })
            .await;
            self.replicas.push(replica);
        }
        self.is_whole().await;
    }

    fn meet(&self, node: &Node) {
        let nodes = node.text(redis::cmd("CLUSTER").arg("NODES"));
        let bus = nodes.split_once('@').unwrap().1.split([' ', ',']).next().unwrap();
        let mut meet = redis::cmd("CLUSTER");
        meet.arg("MEET").arg("127.0.0.1").arg(node.port).arg(bus);
        self.nodes[0].tell(&meet).unwrap();
    }

    async fn is_whole(&self) {
        let known = format!("cluster_known_nodes:{}", self.nodes.len() + self.replicas.len());
        for node in self.nodes.iter().chain(&self.replicas) {
            eventually("the cluster is whole", async || {
                let info = node.text(redis::cmd("CLUSTER").arg("INFO"));
                (info.contains("cluster_state:ok") && info.contains(&known)).then_some(())
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

/// Two gateways that have spent some of a burst, before a cluster whose masters have a replica
/// each.
struct Scene {
    cluster: Cluster,
    gateways: [Gateway; 2],
    admitted: u64,
}

impl Scene {
    const BURST: u64 = 200;

    async fn open() -> Self {
        let mut cluster = Cluster::start().await;
        cluster.replicate().await;
        let mut setup = Setup::fresh("redis://unused:1", burst_of(Self::BURST));
        setup.settings.address = BankAddress::parse(&cluster.urls(), false).unwrap();
        // A call that a busy machine holds up counts as cut off, and a gateway that is cut off
        // admits its part.
        setup.settings.timeout = Duration::from_secs(5);
        let gateways = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
        let mut admitted = 0;
        for gateway in &gateways {
            admitted += gateway.requests(40).await;
        }
        assert!(admitted > 0);
        Self { cluster, gateways, admitted }
    }

    /// A part of a record of the bank, read from the server that is its master.
    fn stored(&self, key: &str, part: &str) -> Option<String> {
        let script = format!("return tostring(({part})(cmsgpack.unpack(redis.call('GET', KEYS[1]))))");
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(key);
        let nodes = self.cluster.replicas.iter().chain(&self.cluster.nodes);
        nodes.map(|node| node.text(&command)).find(|text| !text.is_empty())
    }

    /// Everybody has given back what it had in hand: then all have seen what is left, or less.
    async fn nothing_is_in_hand(&self) {
        let holders =
            "function(limit) local count = 0; for _ in pairs(limit[4]) do count = count + 1 end; return count end";
        let key = self.gateways[0].day_key();
        eventually("nothing is in hand", async || (self.stored(&key, holders).as_deref() == Some("0")).then_some(()))
            .await;
    }

    /// Tokens that nobody holds.
    fn level(&self) -> f64 {
        self.stored(&self.gateways[0].day_key(), "function(limit) return limit[2] end").unwrap().parse().unwrap()
    }

    /// Every master hands over to its replica.
    async fn take_over(&self) {
        for replica in &self.cluster.replicas {
            replica.tell(redis::cmd("CLUSTER").arg("FAILOVER").arg("TAKEOVER")).unwrap();
        }
        for replica in &self.cluster.replicas {
            eventually("the replica is a master", async || {
                replica.text(redis::cmd("INFO").arg("replication")).contains("role:master").then_some(())
            })
            .await;
        }
    }

    /// Asks until the bank has noticed that another server answers, and shares the limit again.
    async fn is_shared_again(&mut self) {
        let clock = self.gateways[0].day_clock();
        let servers: Vec<_> = self.cluster.replicas.iter().map(Node::run_id).collect();
        for gateway in &self.gateways {
            let alone = Cell::new(0);
            eventually("the limit is shared again", async || {
                alone.set(alone.get() + gateway.requests(1).await);
                let server = self.stored(&clock, "function(clock) return clock[5] end");
                let is_noticed = server.is_some_and(|server| servers.contains(&server));
                (is_noticed && gateway.is_shared()).then_some(())
            })
            .await;
            self.admitted += alone.get();
        }
    }

    /// Uses up what is left.
    async fn use_up(&mut self) {
        for gateway in &self.gateways {
            self.admitted += gateway.requests(300).await;
        }
    }
}

#[tokio::test]
async fn a_replica_that_takes_over_gives_nothing_twice() {
    let mut scene = Scene::open().await;
    scene.nothing_is_in_hand().await;
    scene.take_over().await;
    scene.cluster.nodes.clear();
    scene.is_shared_again().await;
    scene.use_up().await;
    assert!(scene.admitted <= Scene::BURST, "{} of {}", scene.admitted, Scene::BURST);
}

/// While no server answers, each gateway admits its part of what was left when it last looked: what
/// others have drawn since is in it.
#[tokio::test]
async fn a_takeover_amid_requests_admits_at_most_the_parts_of_what_was_drawn_since() {
    let mut scene = Scene::open().await;
    let drawn = Scene::BURST as f64 - scene.level();
    scene.take_over().await;
    scene.cluster.nodes.clear();
    scene.is_shared_again().await;
    scene.use_up().await;
    let gateways = scene.gateways.len() as f64;
    let most = Scene::BURST as f64 + drawn / gateways + gateways;
    assert!(scene.admitted as f64 <= most, "{} of {most}, {drawn} were drawn", scene.admitted);
}

/// The masters of before send calls on to the replicas, and stay. Nobody loses a connection, and
/// the bank has to notice all the same: what the replicas have missed may not be granted again.
#[tokio::test]
async fn a_server_that_sends_calls_on_is_noticed() {
    let mut scene = Scene::open().await;
    scene.nothing_is_in_hand().await;
    scene.take_over().await;
    scene.is_shared_again().await;
    scene.use_up().await;
    assert!(scene.admitted <= Scene::BURST, "{} of {}", scene.admitted, Scene::BURST);
}
