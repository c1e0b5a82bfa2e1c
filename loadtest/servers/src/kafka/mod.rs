//! Apache Kafka: one broker that is its own controller (`KRaft`).
//!
//! Its jars come from Maven the first time and stay in the user's cache directory; see
//! `kafka/resolve.sh`. On two busy cores it starts in about 4 s, comes back from a crash in about 5
//! s, and takes about 220 MB.

mod jars;
mod protocol;
mod secured;
mod settings;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use secured::SecuredListener;

use crate::{
    directory::Directory,
    error::ServerError,
    port::free_port,
    program,
    server::{Program, Server},
    wait::block_until,
};

/// The cluster's id: any 16 bytes in base64.
const CLUSTER: &str = "dG9sbGdhdGUtdGVzdHMtMQ";

const SETTINGS_FILE: &str = "server.properties";

/// Most memory for Java objects, in MiB; the process takes some 100 MiB more.
const BROKER_HEAP_MIB: u32 = 256;
const TOOL_HEAP_MIB: u32 = 64;

/// Options of the broker.
#[derive(Debug, Clone, Copy, Default)]
pub struct KafkaOptions {
    /// True if clients need TLS and a password (`SASL_SSL`); see [`Kafka::client_properties`].
    pub secured: bool,
}

/// An Apache Kafka broker.
pub type Kafka = Server<KafkaProgram>;

/// Kafka's programs, and how they are run.
#[derive(Debug)]
pub struct KafkaProgram {
    java: PathBuf,
    class_path: String,
    options: KafkaOptions,
    /// The listener of clients, if it is not the port that this crate itself uses.
    secured: Option<SecuredListener>,
}

impl Program for KafkaProgram {
    const NAME: &'static str = "kafka";

    fn prepare(&mut self, directory: &Directory, port: u16) -> Result<(), ServerError> {
        if self.options.secured {
            self.secured = Some(SecuredListener::create(directory.path())?);
        }
        let text = settings::server_properties(port, free_port()?, self.secured.as_ref());
        fs::write(directory.path().join(SETTINGS_FILE), text).map_err(ServerError::io("write Kafka's settings"))?;
        let mut format = self.java(directory, TOOL_HEAP_MIB);
        format.args(["kafka.tools.StorageTool", "format", "--ignore-formatted"]);
        format.args(["--cluster-id", CLUSTER, "--config", SETTINGS_FILE]);
        if self.options.secured {
            format.args(["--add-scram", &SecuredListener::account()]);
        }
        program::run("formatting Kafka's data directory", format).map(drop)
    }

    fn command(&self, directory: &Directory, _port: u16) -> Command {
        let mut command = self.java(directory, BROKER_HEAP_MIB);
        command.args(["kafka.Kafka", SETTINGS_FILE]);
        command
    }

    /// Returns true if it answers, and every partition it has can be written and read.
    fn is_ready(&self, port: u16) -> bool {
        protocol::metadata(port)
            .is_ok_and(|metadata| metadata.brokers > 0 && metadata.topics.values().all(|topic| topic.is_led))
    }
}

impl Kafka {
    /// Starts a broker without topics and without passwords.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(KafkaOptions::default())
    }

    /// Starts a broker without topics.
    pub fn start_with(options: KafkaOptions) -> Result<Self, ServerError> {
        let (java, class_path) = (jars::java()?, jars::class_path()?);
        let program = KafkaProgram { java, class_path, options, secured: None };
        Self::on_free_port(program, Directory::create("kafka", &[])?)
    }

    /// The address that clients start from, `host:port`.
    pub fn bootstrap(&self) -> String {
        let port = self.program.secured.as_ref().map_or(self.port(), SecuredListener::port);
        format!("127.0.0.1:{port}")
    }

    /// Properties that a client needs, by librdkafka's names; empty without TLS and password.
    pub fn client_properties(&self) -> BTreeMap<String, String> {
        self.program.secured.as_ref().map(SecuredListener::client_properties).unwrap_or_default()
    }

    /// Makes a new topic and waits until it can be written and read.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<(), ServerError> {
        let what = format!("creating the Kafka topic {name}");
        protocol::create_topic(self.port(), name, partitions)
            .map_err(ServerError::io(format!("ask Kafka for a topic {name}")))?
            .map_err(|refusal| ServerError::Failed {
                what: what.clone(),
                status: format!("Kafka's error {}", refusal.code),
                output: refusal.message,
            })?;
        let is_led = || {
            let metadata = protocol::metadata(self.port());
            metadata.is_ok_and(|metadata| metadata.topics.get(name).is_some_and(|topic| topic.is_led))
        };
        block_until(&what, is_led)
    }

    /// The topics, Kafka's own too, and how many partitions each has.
    pub fn topics(&self) -> Result<BTreeMap<String, usize>, ServerError> {
        let metadata = protocol::metadata(self.port()).map_err(ServerError::io("ask Kafka for its topics"))?;
        Ok(metadata.topics.into_iter().map(|(name, topic)| (name, topic.partitions)).collect())
    }
}

impl KafkaProgram {
    fn java(&self, directory: &Directory, heap_mib: u32) -> Command {
        let mut java = directory.command(&self.java);
        java.args(["-cp", &self.class_path]).arg(format!("-Xmx{heap_mib}m"));
        // The quick compiler only: what the better one gains, a broker of minutes never earns back.
        java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]);
        // What Java would leave behind in the system's temporary directory.
        java.arg("-XX:-UsePerfData").arg(format!("-Djava.io.tmpdir={}", directory.path().display()));
        // Only warnings: an error is to be found at the end of the log.
        let logger = "-Dorg.slf4j.simpleLogger";
        java.arg(format!("{logger}.defaultLogLevel=warn")).arg(format!("{logger}.showDateTime=true"));
        java.arg(format!("{logger}.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS"));
        java
    }
}
