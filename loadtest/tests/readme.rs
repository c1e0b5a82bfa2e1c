//! The README's first hour, run as it stands: from an empty directory to a billed request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, process::Command, time::Duration};

use loadtest::processes;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use servers::{POLL_INTERVAL, Process, within};

const README: &str = include_str!("../../README.md");

/// Far more than it takes; only a hang reaches it.
const DEADLINE: Duration = Duration::from_mins(3);

/// Ports that the block and the shipped settings name.
const PORTS: [&str; 6] = ["8080", "8081", "8090", "8091", "9000", "9901"];

/// The block that starts with the pepper, which is the one that a reader copies.
fn first_hour() -> &'static str {
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.into_iter().find(|block| block.contains("data/pepper")).unwrap()
}

/// `text` with each shipped port replaced, so that it runs beside whatever else uses them.
fn with_ports(text: &str, ports: &[(&str, String)]) -> String {
    ports.iter().fold(text.to_owned(), |text, (shipped, free)| {
        text.replace(&format!(":{shipped}"), &format!(":{free}")).replace(&format!(" {shipped} "), &format!(" {free} "))
    })
}

fn lay_out(directory: &Path, ports: &[(&str, String)]) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::create_dir(directory.join("config")).unwrap();
    for name in ["gateway.yaml", "billing.yaml", "plans.yaml"] {
        let shipped = std::fs::read_to_string(repository.join("config").join(name)).unwrap();
        std::fs::write(directory.join("config").join(name), with_ports(&shipped, ports)).unwrap();
    }
    std::fs::create_dir(directory.join("docs")).unwrap();
    std::fs::copy(repository.join("docs/limits.md"), directory.join("docs/limits.md")).unwrap();
}

#[tokio::test]
async fn block_of_the_readme_leads_from_nothing_to_a_billed_request() {
    let directory = tempfile::tempdir().unwrap();
    let free = PORTS.map(|port| (port, processes::free_address().unwrap().port().to_string()));
    lay_out(directory.path(), &free);
    let binaries = processes::binary("gateway").unwrap().parent().unwrap().display().to_string();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap_or_default());
    let script = format!("set -euo pipefail\n{}\nexit 0\n", with_ports(first_hour(), &free));
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .current_dir(directory.path())
        .env("PATH", path)
        .env_remove("TOLLGATE_PEPPER")
        .env_remove("TOLLGATE_STORE");
    let mut shell = Process::new("bash", command, directory.path().join("output"));
    shell.start().unwrap();
    let group = Pid::from_raw(i32::try_from(shell.pid().unwrap()).unwrap());
    let status = within(DEADLINE, POLL_INTERVAL, async || shell.ended().unwrap()).await;
    // The servers that the block leaves running are in the shell's group.
    let _ = killpg(group, Signal::SIGKILL);
    let output = shell.log().text();
    assert!(status.is_some_and(|status| status.success()), "{output}");
    for expected in ["HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized", "My company", "Growth", "tenant.create"] {
        assert!(output.contains(expected), "no `{expected}` in\n{output}");
    }
}
