//! Files of the repository, and tools that judge them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_yaml::Value;

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The text of a file of the repository.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file of the repository.
pub(crate) fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a tool in the repository. It has to be happy; returns what it printed.
pub(crate) fn pass(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run scripts/install.sh test", program.display()));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    said
}

/// Compares a file with what it should hold, or writes it where the environment says so.
pub(crate) fn keep(path: &str, made: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, made).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == made, "{path} is not what the code says: UPDATE=1 cargo test -p deploy");
}

/// The items of a YAML sequence.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

/// A text of a YAML mapping.
pub(crate) fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {value:?}"))
}

/// The folder of programs of a Python package that tests use, with exactly the versions of
/// `tools/<package>.txt`. It is fetched once and stays in the user's cache directory.
pub(crate) fn tool(package: &str) -> PathBuf {
    let script = text("loadtest/servers/fetch.sh") + &text("loadtest/servers/python/resolve.sh");
    let requirements = text(&format!("deploy/check/tools/{package}.txt"));
    let output = Command::new("sh").args(["-c", &script, "resolve", package, &requirements]).output().unwrap();
    assert!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}
