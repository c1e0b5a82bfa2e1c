//! A server and a client of gRPC, of its own library for Python.
//!
//! `grpc/grpc_peer.py` says what server and client do.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{error::ServerError, process::Process, program, python, wait::eventually};

const REQUIREMENTS: &str = include_str!("../grpc/requirements.txt");
const SCRIPT: &str = include_str!("../grpc/grpc_peer.py");

/// A server; killed when dropped.
pub struct GrpcServer {
    /// Its address.
    pub address: SocketAddr,
    process: Process,
}

/// A call.
pub struct GrpcCall<'a> {
    /// The server.
    pub address: SocketAddr,
    /// Name of the method.
    pub method: &'a str,
    /// `unary`, `stream` (of answers) or `duplex`.
    pub kind: &'a str,
    /// Seconds until the client gives up; 0 for never.
    pub timeout: f64,
    /// A JSON object.
    pub metadata: &'a Value,
    /// The messages.
    pub messages: &'a [&'a str],
}

impl GrpcServer {
    /// Starts a server, and waits until it serves.
    pub async fn start() -> Result<Self, ServerError> {
        let mut command = Command::new(interpreter()?);
        command.args(["-c", SCRIPT, "serve"]);
        let mut process = Process::captured("grpc", command)?;
        process.start()?;
        let port = eventually("port of the gRPC server", async || {
            process.stdout().lines().iter().find_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok())
        })
        .await;
        Ok(Self { address: ([127, 0, 0, 1], port).into(), process })
    }

    /// The lines that its methods have printed.
    pub fn said(&self) -> Vec<String> {
        self.process.stdout().lines()
    }
}

/// Makes a call and waits for its end: `code`, `details`, `messages`, `header` and `trailer`.
pub fn grpc_call(call: &GrpcCall<'_>) -> Result<Value, ServerError> {
    let mut command = Command::new(interpreter()?);
    command
        .args(["-c", SCRIPT, "call", &call.address.to_string(), call.method, &call.timeout.to_string(), call.kind])
        .arg(call.metadata.to_string())
        .args(call.messages)
        .stdin(Stdio::null());
    let told = program::run("calling by gRPC", command)?;
    Ok(serde_json::from_str(&told).unwrap_or(Value::Null))
}

/// The interpreter that has the library.
fn interpreter() -> Result<PathBuf, ServerError> {
    Ok(python::programs("grpcio", REQUIREMENTS)?.join("python"))
}
