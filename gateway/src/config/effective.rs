//! The configuration as it counts: with defaults, and with what the environment overrides.

use std::path::Path;

use common::config::{self, ConfigError, Document};
use serde_yaml::Value;

use super::{
    Overrides, ProcessSettings, Settings,
    file::{GatewayFile, KafkaFile, RedisFile},
};

/// Shown instead of a secret.
const HIDDEN: &str = "(hidden)";

/// Properties of librdkafka whose values are secrets have one of these in their names.
const SECRET_NAMES: [&str; 3] = ["password", "secret", "pem"];

/// Returns the configuration of a valid file as YAML: settings that are left out have their
/// defaults, passwords are hidden. Settings that follow from others, or that nothing is known of,
/// are left out.
pub fn effective(path: &Path, overrides: &Overrides) -> Result<String, ConfigError> {
    let (text, name) = (config::read(path)?, path.display().to_string());
    let settings = Settings::parse(&text, &name, overrides)?;
    let unusable = |reason: String| ConfigError::Invalid { file: name.clone(), line: 1, reason };
    let file: Option<GatewayFile> = Document::new(&text, &name).read();
    let mut file = file.ok_or_else(|| unusable("the file cannot be used".into()))?;
    file.override_by(overrides);
    file.fill_in(&settings.process);
    file.hide_secrets();
    let mut value = serde_yaml::to_value(&file).map_err(|error| unusable(error.to_string()))?;
    remove_nothings(&mut value);
    serde_yaml::to_string(&value).map_err(|error| unusable(error.to_string()))
}

impl GatewayFile {
    fn override_by(&mut self, overrides: &Overrides) {
        if let Some(store) = &overrides.store {
            self.store.clone_from(store);
        }
        if let Some(brokers) = &overrides.kafka {
            self.usage.sink = None;
            self.usage.kafka.get_or_insert_with(KafkaFile::default).brokers = Some(brokers.clone());
        }
        if let Some(url) = &overrides.redis {
            self.limits.redis.get_or_insert_with(RedisFile::default).url = Some(url.clone());
        }
    }

    fn fill_in(&mut self, process: &ProcessSettings) {
        self.name.get_or_insert_with(|| process.name.clone());
        self.threads.get_or_insert(process.threads);
        self.upgrade_socket.get_or_insert_with(|| process.upgrade_socket.clone());
        self.snapshot.get_or_insert_with(|| process.snapshot.clone());
    }

    fn hide_secrets(&mut self) {
        self.store = without_password(&self.store);
        if let Some(url) = self.limits.redis.as_mut().and_then(|redis| redis.url.as_mut()) {
            *url = url.split(',').map(without_password).collect::<Vec<_>>().join(",");
        }
        let properties = self.usage.kafka.iter_mut().flat_map(|kafka| &mut kafka.properties);
        for (_, value) in properties.filter(|(name, _)| SECRET_NAMES.iter().any(|secret| name.contains(secret))) {
            *value = common::kafka::Scalar::Text(HIDDEN.into());
        }
    }
}

/// A URL with its password hidden.
fn without_password(url: &str) -> String {
    let split = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let (user, host) = rest.rsplit_once('@')?;
        let (user, _password) = user.split_once(':')?;
        Some(format!("{scheme}://{user}:{HIDDEN}@{host}"))
    };
    split(url).unwrap_or_else(|| url.to_owned())
}

/// Removes settings without a value.
fn remove_nothings(value: &mut Value) {
    match value {
        Value::Mapping(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(remove_nothings);
        }
        Value::Sequence(items) => items.iter_mut().for_each(remove_nothings),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_file_is_valid_says_the_same_and_hides_passwords() {
        let directory = tempfile::tempdir().unwrap();
        let (path, again) = (directory.path().join("gateway.yaml"), directory.path().join("again.yaml"));
        let text = "store: postgres://ada:hunter2@db/tollgate\nlimits:\n  redis: { url: 'redis://:hunter2@r:6379' }\n\
                    usage: { kafka: { brokers: 'k:9092', properties: { sasl.password: hunter2, linger.ms: 5 } } }\n\
                    upstreams: { a: { servers: ['127.0.0.1:1', { address: 'b:2', weight: 3 }], balance: least_loaded } }\n\
                    routes: [{ name: a, path_prefix: /, upstream: a, limits: { per_second: 5 } }]\n";
        std::fs::write(&path, text).unwrap();
        let overrides = Overrides {
            redis: Some("rediss://u:hunter2@s:6380,rediss://u:hunter2@t:6380".into()),
            ..Overrides::default()
        };
        let told = effective(&path, &overrides).unwrap();
        assert!(!told.contains("hunter2") && !told.contains("null"), "{told}");
        for part in [
            "rediss://u:(hidden)@t:6380",
            "postgres://ada:(hidden)@db/tollgate",
            "connect_timeout_ms: ",
            "linger.ms: 5",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        std::fs::write(&again, &told).unwrap();
        assert_eq!(effective(&again, &Overrides::default()).unwrap(), told);
    }

    #[test]
    fn faulty_file_is_told_and_not_printed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.yaml");
        std::fs::write(&path, "listn: 127.0.0.1:1\n").unwrap();
        assert!(effective(&path, &Overrides::default()).unwrap_err().to_string().contains("did you mean `listen`"));
    }
}
