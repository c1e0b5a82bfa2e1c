//! Checks of the section `usage`: one sink, and what the journal may take.

use std::path::{Path, PathBuf};

use common::{
    config::ConfigError,
    kafka::is_topic,
    tls::{CertificateFiles, ClientTls},
    usage::BATCH_MAX_ENTRIES,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    HttpSinkSettings, Overrides, SinkSettings, UsageSettings,
    check::Check,
    file::{KafkaFile, NewTopicFile, UsageFile},
};
use crate::meter::{KafkaSettings, NewTopic};

/// Address of `billing` unless the file names another.
const DEFAULT_SINK: &str = "http://127.0.0.1:8090";

/// Most partitions of a topic that is made here.
const PARTITIONS_MAX: u16 = 4_096;

/// The section `usage.sink_tls` as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "settings of files are named so everywhere")]
pub(super) struct SinkTlsFile {
    /// Authorities that vouch for `billing`; those of the system unless set.
    ca_file: Option<PathBuf>,
    /// Certificate that is shown to `billing`.
    client_certificate_file: Option<PathBuf>,
    /// Its key.
    client_key_file: Option<PathBuf>,
}

impl Check<'_> {
    pub(super) fn usage(&self, usage: UsageFile, overrides: &Overrides) -> Result<UsageSettings, ConfigError> {
        if usage.journal == Path::new("") {
            self.note(self.at("journal", "", "is empty: name a directory, as in data/journal"));
        }
        let budget_mib = self.within("journal_budget_mib", usage.journal_budget_mib, 1, 1_048_576)?;
        Ok(UsageSettings {
            sink: self.sink(usage.sink, usage.sink_tls, usage.kafka, overrides)?,
            journal: usage.journal,
            journal_budget_bytes: budget_mib * 1024 * 1024,
            when_full: usage.when_full,
            batch_entries: self.within("batch_entries", usage.batch_entries, 1, BATCH_MAX_ENTRIES)?,
        })
    }

    fn sink(
        &self,
        http: Option<String>,
        tls: Option<SinkTlsFile>,
        kafka: Option<KafkaFile>,
        overrides: &Overrides,
    ) -> Result<SinkSettings, ConfigError> {
        let http = http.map(|url| self.sink_url(&url)).transpose()?;
        if http.is_some() && kafka.is_some() {
            let reason = "`usage` has both `sink` and `kafka`: usage goes to one of them, remove the other";
            return Err(self.about("kafka", reason));
        }
        if tls.is_some() && !http.as_ref().is_some_and(|url| url.starts_with("https://")) {
            self.note(self.about("sink_tls", "`sink_tls` needs a `sink` that begins with https://"));
        }
        let tls = tls.map(|tls| self.inside("sink_tls", || self.sink_tls(tls))).transpose()?.unwrap_or_default();
        match (kafka, overrides.kafka.clone()) {
            (None, None) => {
                let url = http.unwrap_or_else(|| DEFAULT_SINK.into());
                Ok(SinkSettings::Http(HttpSinkSettings { url, tls }))
            }
            (kafka, brokers) => self.kafka(kafka.unwrap_or_default(), brokers).map(SinkSettings::Kafka),
        }
    }

    fn sink_tls(&self, file: SinkTlsFile) -> Result<ClientTls, ConfigError> {
        let identity = match (file.client_certificate_file, file.client_key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key, ocsp: None, order: None }),
            (Some(_), None) => {
                return Err(self.about("client_certificate_file", "`client_certificate_file` needs `client_key_file`"));
            }
            (None, Some(_)) => {
                return Err(self.about("client_key_file", "`client_key_file` needs `client_certificate_file`"));
            }
        };
        let tls = ClientTls { ca_file: file.ca_file, identity };
        match tls.load() {
            Ok(_) => Ok(tls),
            Err(fault) => {
                let setting = match fault.setting {
                    "ca_file" => "ca_file".to_owned(),
                    other => format!("client_{other}"),
                };
                Err(self.at(&setting, &fault.value, &fault.reason))
            }
        }
    }

    fn sink_url(&self, url: &str) -> Result<String, ConfigError> {
        let is_url = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
        });
        if is_url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        Err(self.at("sink", url, "is not a URL: write it as in http://127.0.0.1:8090"))
    }

    fn kafka(&self, file: KafkaFile, overriding: Option<String>) -> Result<KafkaSettings, ConfigError> {
        let brokers = match (overriding, file.brokers) {
            (Some(brokers), _) => {
                let fault =
                    |reason| Self::outside(format!("environment variable TOLLGATE_KAFKA: `{brokers}` {reason}"));
                are_brokers(&brokers).map_err(fault)?;
                brokers
            }
            (None, Some(brokers)) => {
                let fault = |reason| self.about("brokers", format!("`brokers`: `{brokers}` {reason}"));
                are_brokers(&brokers).map_err(fault)?;
                brokers
            }
            (None, None) => {
                return Err(self.about("kafka", "`kafka` has no `brokers`: write them as in 127.0.0.1:9092"));
            }
        };
        if !is_topic(&file.topic) {
            let reason = "is not the name of a topic: use 1 to 249 characters of A-Z, a-z, 0-9, - _ and .";
            self.note(self.at("topic", &file.topic, reason));
        }
        let settings = KafkaSettings {
            brokers,
            create_topic: file.create_topic.map(|new| self.new_topic(&new)).transpose()?,
            topic: file.topic,
            properties: file.properties.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
        };
        match settings.client() {
            Ok(_) => Ok(settings),
            Err(error) => Err(self.about(&error.name, error.to_string())),
        }
    }

    fn new_topic(&self, file: &NewTopicFile) -> Result<NewTopic, ConfigError> {
        Ok(NewTopic {
            partitions: self.within("partitions", file.partitions, 1, PARTITIONS_MAX)?,
            replication: self.within("replication", file.replication, 1, 99)?,
        })
    }
}

/// Refuses a text that librdkafka would not read as brokers: it passes over what it does not
/// understand.
fn are_brokers(text: &str) -> Result<(), &'static str> {
    let is_broker = |broker: &str| {
        let authority = broker.trim().rsplit_once("://").map_or(broker.trim(), |(_, authority)| authority);
        let (host, port) = authority.rsplit_once(':')?;
        let sound =
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte));
        (sound && port.parse::<u16>().is_ok_and(|port| port != 0)).then_some(())
    };
    let all = text.split(',').all(|broker| is_broker(broker).is_some());
    if all { Ok(()) } else { Err("is not a list of brokers: write host:port, with commas between several") }
}
