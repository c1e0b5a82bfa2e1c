//! The supervisor of child processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use nix::sys::signal::Signal;
use servers::{Process, ServerError, eventually};

/// A shell that runs `script`.
fn shell(script: &str) -> Process {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    let mut process = Process::captured("script", command).unwrap();
    process.start().unwrap();
    process
}

#[tokio::test]
async fn process_that_ends_instead_of_serving_is_reported_with_its_log() {
    let mut process = shell("echo no such table >&2; exit 3");
    let error = process.wait_ready(async || Err("connection refused".into())).await.unwrap_err().to_string();
    assert!(error.contains("script ended by itself (exit status: 3)") && error.contains("no such table"), "{error}");
}

#[tokio::test]
async fn stop_reaches_a_paused_process_and_lets_it_finish() {
    let mut process = shell("trap 'echo finished; exit 0' TERM; echo started; while :; do sleep 0.01; done");
    eventually("started", async || process.stdout().text().contains("started")).await;
    process.pause().unwrap();
    assert!(process.stop().await.unwrap().success());
    assert_eq!(process.stdout().lines(), ["started", "finished"]);
    assert!(matches!(process.signal(Signal::SIGTERM), Err(ServerError::NotRunning(_))));

    process.start().unwrap();
    eventually("started again", async || process.stdout().lines().len() == 3).await;
    assert!(!process.kill().unwrap().success());
    assert!(!process.ended().unwrap().unwrap().success());
}

#[tokio::test]
async fn dropped_process_is_killed_with_its_children() {
    let process = shell("sleep 600 & echo $!; wait");
    eventually("child started", async || process.stdout().lines().len() == 1).await;
    let child = process.stdout().lines()[0].clone();
    let pids = [process.pid().unwrap().to_string(), child];
    drop(process);
    let is_asleep = |pid: &String| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
    eventually("both have ended", async || !pids.iter().any(is_asleep)).await;
}

#[tokio::test]
async fn log_gives_complete_lines_only() {
    let process = shell("echo one; printf two; sleep 600");
    eventually("output", async || process.stdout().text() == "one\ntwo").await;
    assert_eq!(process.stdout().lines(), ["one"]);
    assert_eq!(process.log().text(), "");
}
