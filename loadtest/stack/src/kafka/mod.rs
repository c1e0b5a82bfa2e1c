//! Apache Kafka: one broker that is its own controller (`KRaft`).
//!
//! Its jars come from Maven the first time and stay in the user's cache directory; see `kafka/resolve.sh`. On two busy
//! cores it starts in about 4 s, comes back from a crash in about 5 s, and takes about 220 MB.

mod jars;
mod protocol;
mod settings;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;

use crate::{
    StackError,
    directory::Directory,
    port::{free_port, on_free_port},
    process::{Server, wait_until},
    program,
};

/// Any 16 bytes in base64.
const CLUSTER: &str = "dG9sbGdhdGUtdGVzdHMtMQ";

const SETTINGS_FILE: &str = "server.properties";

/// How to run the broker.
#[derive(Debug, Clone, Copy)]
pub struct KafkaOptions {
    /// Whether topics come to be when a client first names them.
    pub auto_create: bool,
    /// How many partitions such topics have.
    pub partitions: u32,
    /// Most memory for Java objects, in MiB; the process takes some 100 MiB more.
    pub heap_mib: u32,
    /// About how many bytes a partition keeps before its oldest records are deleted, within seconds, in segments of at
    /// least 1 MiB. Without it nothing is deleted.
    pub retained_bytes: Option<u64>,
}

/// An Apache Kafka broker on 127.0.0.1; it and its data are gone when this is dropped or the program ends.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    java: PathBuf,
    class_path: String,
    port: u16,
    options: KafkaOptions,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { auto_create: false, partitions: 1, heap_mib: 256, retained_bytes: None }
    }
}

impl Kafka {
    /// Starts a broker without topics.
    pub fn start() -> Result<Self, StackError> {
        Self::start_with(KafkaOptions::default())
    }

    /// Starts a broker without topics.
    pub fn start_with(options: KafkaOptions) -> Result<Self, StackError> {
        let (java, class_path) = (jars::java()?, jars::class_path()?);
        let directory = Directory::create("kafka", &[])?;
        let mut kafka = Self { server: Server::new("kafka", directory), java, class_path, port: 0, options };
        on_free_port(|port| {
            kafka.port = port;
            kafka.configure()?;
            kafka.launch()
        })?;
        Ok(kafka)
    }

    /// The address that clients start from, `host:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where its data and log are.
    pub fn directory(&self) -> &Path {
        self.server.directory().path()
    }

    /// Whether it answers, and every partition it has can be written and read.
    pub fn is_ready(&self) -> bool {
        is_ready(self.port)
    }

    /// Makes a new topic and waits until it can be written and read.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<(), StackError> {
        let what = format!("creating the Kafka topic {name}");
        protocol::create_topic(self.port, name, partitions)
            .map_err(StackError::io(format!("ask Kafka for a topic {name}")))?
            .map_err(|refusal| StackError::Failed {
                what: what.clone(),
                status: format!("Kafka's error {}", refusal.code),
                output: refusal.message,
            })?;
        let is_led = || {
            let metadata = protocol::metadata(self.port);
            metadata.is_ok_and(|metadata| metadata.topics.get(name).is_some_and(|topic| topic.is_led))
        };
        wait_until(is_led, &what)
    }

    /// The topics, Kafka's own too, and how many partitions each has.
    pub fn topics(&self) -> Result<BTreeMap<String, usize>, StackError> {
        let metadata = protocol::metadata(self.port).map_err(StackError::io("ask Kafka for its topics"))?;
        Ok(metadata.topics.into_iter().map(|(name, topic)| (name, topic.partitions)).collect())
    }

    /// Kills the broker at once, as a crash would.
    pub fn kill(&mut self) -> Result<(), StackError> {
        self.server.kill()
    }

    /// Halts it: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), StackError> {
        self.server.pause()
    }

    /// Lets it go on after [`Kafka::pause`].
    pub fn resume(&self) -> Result<(), StackError> {
        self.server.resume()
    }

    /// Stops it in an orderly way.
    pub fn stop(&mut self) -> Result<(), StackError> {
        self.server.stop(Signal::SIGTERM)
    }

    /// Starts it again on the same port and data, stopping it first if it runs.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop()?;
        self.launch()
    }

    /// Writes the settings and the files that a data directory starts with.
    fn configure(&self) -> Result<(), StackError> {
        let text = settings::server_properties(&self.options, self.port, free_port()?);
        fs::write(self.directory().join(SETTINGS_FILE), text).map_err(StackError::io("write Kafka's settings"))?;
        let mut format = self.java(64);
        format.args(["kafka.tools.StorageTool", "format", "--ignore-formatted"]);
        format.args(["--cluster-id", CLUSTER, "--config", SETTINGS_FILE]);
        program::run("formatting Kafka's data directory", format).map(drop)
    }

    fn launch(&mut self) -> Result<(), StackError> {
        let mut command = self.java(self.options.heap_mib);
        command.args(["kafka.Kafka", SETTINGS_FILE]);
        let port = self.port;
        self.server.start(command, || is_ready(port))
    }

    fn java(&self, heap_mib: u32) -> Command {
        let mut java = self.server.directory().command(&self.java);
        java.args(["-cp", &self.class_path]).arg(format!("-Xmx{heap_mib}m"));
        // The quick compiler only: what the better one gains, a broker of minutes never earns back.
        java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]);
        // What Java would leave behind in the system's temporary directory.
        java.arg("-XX:-UsePerfData").arg(format!("-Djava.io.tmpdir={}", self.directory().display()));
        // Only warnings: an error is to be found at the end of the log.
        let logger = "-Dorg.slf4j.simpleLogger";
        java.arg(format!("{logger}.defaultLogLevel=warn")).arg(format!("{logger}.showDateTime=true"));
        java.arg(format!("{logger}.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS"));
        java
    }
}

fn is_ready(port: u16) -> bool {
    protocol::metadata(port)
        .is_ok_and(|metadata| metadata.brokers > 0 && metadata.topics.values().all(|topic| topic.is_led))
}
