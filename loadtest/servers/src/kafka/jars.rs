//! Kafka's jars, which come from Maven once and stay in the user's cache directory.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::ServerError, program};

const RESOLVE: &str = concat!(include_str!("../../fetch.sh"), include_str!("../../kafka/resolve.sh"));
const PROJECT: &str = include_str!("../../kafka/pom.xml");

/// The class path of the broker and its tools, fetching the jars if they are not there yet.
pub(super) fn class_path() -> Result<String, ServerError> {
    let mut resolve = Command::new("sh");
    resolve.args(["-c", RESOLVE, "resolve", PROJECT]).stdin(Stdio::null());
    let directory = program::run("finding the jars of Apache Kafka", resolve)?;
    Ok(format!("{}/*", directory.trim_end()))
}

/// Java, where `JAVA_HOME` says or on PATH.
pub(super) fn java() -> Result<PathBuf, ServerError> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    match home.filter(|java| java.is_file()) {
        Some(java) => Ok(java),
        None => program::find("java", "openjdk-17-jre-headless"),
    }
}
