//! A server and a client of gRPC, of its own library for Python.
//!
//! `grpc/grpc_peer.py` says what server and client do.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{error::ServerError, process::Process, program, python, wait::eventually};

const REQUIREMENTS: &str = include_str!("../grpc/requirements.txt");
const SCRIPT: &str = include_str!("../grpc/grpc_peer.py");

/// A server; killed when dropped.
pub struct GrpcServer {
    /// Its address.
    pub address: SocketAddr,
    process: Process,
}

/// A client that calls without a pause worth the name, each kind of call with a key of its own.
pub struct GrpcLoad(Process);

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

    /// Calls that its methods have begun so far, by key id.
    pub fn accepted(&self) -> Result<BTreeMap<String, u64>, ServerError> {
        let told = grpc_call(&GrpcCall {
            address: self.address,
            method: "Accepted",
            kind: "unary",
            timeout: 30.0,
            metadata: &json!({}),
            messages: &[""],
        })?;
        Ok(told["messages"][0].as_str().and_then(|counts| serde_json::from_str(counts).ok()).unwrap_or_default())
    }
}

impl GrpcLoad {
    /// Starts a client that sends unary calls with the first key, and calls for streams of answers
    /// with the second. Each key has the name under which its calls are counted.
    pub fn start(address: SocketAddr, [unary, stream]: [(&str, &str); 2]) -> Result<Self, ServerError> {
        let mut command = Command::new(interpreter()?);
        command.args(["-c", SCRIPT, "load", &address.to_string()]).args([unary.0, unary.1, stream.0, stream.1]);
        let mut process = Process::captured("grpc-load", command)?;
        process.start()?;
        Ok(Self(process))
    }

    /// Ends the client once its open calls have ended. Returns `answered`, `failed` and `reasons`
    /// by name.
    pub async fn end(mut self) -> Result<Value, ServerError> {
        self.0.stop().await?;
        let said = self.0.stdout().lines();
        Ok(said.last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null))
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
