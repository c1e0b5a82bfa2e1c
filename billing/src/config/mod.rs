//! `config/billing.yaml`: what operators set, checked as it is read.
//!
//! The environment overrides the file, so that a password or a pepper never has to stand in one.

mod access;
mod changes;
mod documents;
mod ingest;
mod invoices;
mod mail;
mod pages;
mod payments;
mod webhooks;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

pub use access::AccessConfig;
pub use changes::ChangesConfig;
use common::{
    config::{self, ConfigError},
    key::{Pepper, PepperError},
    tls::{ServerTls, TlsFile},
};
pub use documents::DocumentsConfig;
pub use ingest::IngestConfig;
pub use invoices::InvoicesConfig;
pub use mail::{MailConfig, MailPasswordError, MailServer, MailTls};
pub use pages::PagesConfig;
pub use payments::{PaymentsConfig, PaymentsError};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Deserializer, de};
pub use webhooks::WebhooksConfig;

/// The settings file unless the command line names another.
pub const DEFAULT_FILE: &str = "config/billing.yaml";

/// Environment variable that overrides `store`.
const STORE_VARIABLE: &str = "TOLLGATE_STORE";

/// Environment variable that overrides `ingest.brokers` and `changes.brokers`.
const KAFKA_VARIABLE: &str = "TOLLGATE_KAFKA";

/// Environment variable that overrides `pepper_file` with the pepper itself.
const PEPPER_VARIABLE: &str = "TOLLGATE_PEPPER";

/// Environment variable that overrides `access.bootstrap_token_file` with the token itself.
const BOOTSTRAP_VARIABLE: &str = "TOLLGATE_BOOTSTRAP_TOKEN";

/// The settings of `billing`. Not printable: the store's URL and Kafka's properties may hold
/// passwords.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address that the business API listens on.
    #[serde(deserialize_with = "listen_address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// TLS on that address, if it is spoken.
    #[serde(deserialize_with = "tls")]
    #[schemars(with = "Option<TlsFile>")]
    pub tls: Option<ServerTls>,
    /// URL of the store.
    pub store: String,
    /// File that holds the pepper.
    pub pepper_file: Option<PathBuf>,
    /// Access to the business API.
    pub access: AccessConfig,
    /// Settings of `billing ingest`.
    pub ingest: IngestConfig,
    /// Settings of the publisher of changes in `billing serve`.
    pub changes: ChangesConfig,
    /// Settings of the job of `billing serve` that issues invoices.
    pub invoices: InvoicesConfig,
    /// Networks that webhooks may go to.
    pub webhooks: WebhooksConfig,
    /// The server that takes mail. Without it, nobody gets mail.
    pub mail: Option<MailConfig>,
    /// Accounts of issuers with payment providers.
    pub payments: PaymentsConfig,
    /// Settings of PDF documents.
    pub documents: DocumentsConfig,
    /// Console and portal, and the sessions of people who use them.
    pub pages: PagesConfig,
}

/// Settings from environment variables, which override the file.
#[derive(Clone, Default)]
pub struct Environment {
    /// URL of the store.
    pub store: Option<String>,
    /// The pepper itself.
    pub pepper: Option<String>,
    /// Kafka's brokers.
    pub kafka: Option<String>,
    /// The bootstrap token, which creates the first admin key.
    pub bootstrap_token: Option<String>,
    /// The password at the server that takes mail.
    pub smtp_password: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)),
            tls: None,
            store: "sqlite://data/tollgate.db".into(),
            pepper_file: None,
            access: AccessConfig::default(),
            ingest: IngestConfig::default(),
            changes: ChangesConfig::default(),
            invoices: InvoicesConfig::default(),
            webhooks: WebhooksConfig::default(),
            mail: None,
            payments: PaymentsConfig::default(),
            documents: DocumentsConfig::default(),
            pages: PagesConfig::default(),
        }
    }
}

impl Environment {
    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        Self {
            store: config::environment(STORE_VARIABLE),
            pepper: config::environment(PEPPER_VARIABLE),
            kafka: config::environment(KAFKA_VARIABLE),
            bootstrap_token: config::environment(BOOTSTRAP_VARIABLE),
            smtp_password: config::environment(mail::PASSWORD_VARIABLE),
        }
    }
}

impl Config {
    /// Reads `file`; the environment's store and brokers take the place of the file's.
    pub fn load(file: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let mut config = Self::parse(&config::read(file)?, &file.display().to_string())?;
        if let Some(store) = &environment.store {
            config.store.clone_from(store);
        }
        if let Some(brokers) = &environment.kafka {
            config.ingest.brokers.clone_from(brokers);
            config.changes.brokers = Some(brokers.clone());
        }
        Ok(config)
    }

    /// The pepper, from the environment if it is there, else from `pepper_file`.
    pub fn pepper(&self, environment: &Environment) -> Result<Pepper, PepperError> {
        Pepper::load(environment.pepper.as_deref(), self.pepper_file.as_deref())
    }

    /// Parses settings; `file` names them in errors. Text without any setting stands for all
    /// defaults.
    fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let settings: Option<Self> = config::parse(text, file)?;
        Ok(settings.unwrap_or_default())
    }
}

/// Returns the JSON Schema of `billing.yaml`.
pub fn schema() -> schemars::Schema {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Config>();
    schema.insert("title".into(), "billing.yaml".into());
    schema
}

fn listen_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!("`{text}` is not an address to listen on: write IP and port, as in 127.0.0.1:8090"))
    })
}

/// TLS whose files were read and checked.
fn tls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServerTls>, D::Error> {
    let settings = TlsFile::deserialize(deserializer)?.settings();
    ServerTls::load(settings).map(Some).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        de::Error::custom(faults.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(text, "billing.yaml").err().unwrap().to_string()
    }

    #[test]
    fn shipped_file_states_the_embedded_defaults() {
        let shipped = Config::parse(include_str!("../../../config/billing.yaml"), "billing.yaml").unwrap();
        assert!(shipped == Config { pepper_file: Some("data/pepper".into()), ..Config::default() });
    }

    #[test]
    fn every_setting_is_optional() {
        for text in ["", "# nothing\n", "{}"] {
            assert!(Config::parse(text, "billing.yaml").unwrap() == Config::default(), "{text:?}");
        }
    }

    #[test]
    fn faults_name_file_line_and_reason() {
        let unknown = refusal("listen: 127.0.0.1:1\nstroe: sqlite://x\n");
        assert!(unknown.starts_with("billing.yaml:2:1: ") && unknown.contains("did you mean `store`?"), "{unknown}");
        let several = refusal("listen: here\ningest: { batch_entries: 0, batch_wait_ms: soon }\nacces: {}\n");
        for fault in ["1:9: `listen`: ", "2:26: `batch_entries` must be", "2:44: `batch_wait_ms`: ", "3:1: `acces` is"]
        {
            assert!(several.contains(&format!("billing.yaml:{fault}")), "{fault} in {several}");
        }
        let host = refusal("\nlisten: localhost:8090\n");
        assert!(host.starts_with("billing.yaml:2:9: ") && host.contains("as in 127.0.0.1:8090"), "{host}");
        let reserved = refusal("ingest:\n  properties:\n    group.id: x\n");
        assert!(reserved.contains("`group.id`") && reserved.contains("ingest.group"), "{reserved}");
        let malformed = refusal("store: [\n");
        assert!(malformed.starts_with("billing.yaml:"), "{malformed}");
        let missing = Config::load(Path::new("/nowhere/billing.yaml"), &Environment::default()).err().unwrap();
        assert!(missing.to_string().contains("/nowhere/billing.yaml"), "{missing}");
    }

    #[test]
    fn environment_overrides_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("billing.yaml");
        std::fs::write(&file, "store: sqlite://file.db\npepper_file: /nowhere/pepper\n").unwrap();
        let environment = Environment {
            store: Some("postgres://db/tollgate".into()),
            pepper: Some("0123456789abcdef".into()),
            kafka: Some("kafka-1:9092,kafka-2:9092".into()),
            bootstrap_token: Some("0123456789abcdef".into()),
            smtp_password: None,
        };
        let config = Config::load(&file, &environment).unwrap();
        assert_eq!(config.store, "postgres://db/tollgate");
        assert_eq!(config.ingest.brokers, "kafka-1:9092,kafka-2:9092");
        assert_eq!(config.changes.brokers.as_deref(), Some("kafka-1:9092,kafka-2:9092"));
        assert!(config.pepper(&environment).is_ok());
        assert!(config.pepper(&Environment::default()).is_err());
        assert!(config.access.bootstrap_token(&environment).unwrap().is_some());
        assert!(config.access.bootstrap_token(&Environment::default()).unwrap().is_none());
    }
}
