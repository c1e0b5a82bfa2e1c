//! The servers to compare with, set up for speed: TLS and HTTP/2 to clients, plain HTTP/1.1 on
//! kept connections to the upstream, one thread, no access log.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use servers::Identity;

use super::client::TlsClient;
use crate::{
    compare::{
        CompareError,
        fixture::Fixture,
        nginx::{self, find_program},
    },
    processes::{self, Launch, Process, ProcessError},
};

/// The address of a server, its certificate, and what it shares with the others.
pub(super) struct Place<'a> {
    pub(super) fixture: &'a Fixture,
    pub(super) address: SocketAddr,
    pub(super) identity: &'a Identity,
    /// File with the certificate that clients trust.
    pub(super) authority: &'a Path,
}

impl Place<'_> {
    /// Writes a file beside those of the other servers.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, CompareError> {
        let file = self.fixture.directory().join(name);
        let failed = |source| ProcessError::File { file: file.display().to_string(), source };
        std::fs::write(&file, text).map_err(failed)?;
        Ok(file)
    }

    /// Starts a program on the contestants' core.
    async fn start(&self, name: &str, program: PathBuf, arguments: Vec<OsString>) -> Result<Process, CompareError> {
        let process = Launch {
            name: name.into(),
            program,
            arguments,
            directory: self.fixture.directory().to_owned(),
            cores: Some(self.fixture.cores.contestant()),
            yields: false,
        };
        self.wait_ready(process.start()?).await
    }

    /// Waits until hands can be shaken.
    async fn wait_ready(&self, mut process: Process) -> Result<Process, CompareError> {
        let client = TlsClient::new(self.address, self.authority, b"h2", false)?;
        let probe = async || client.connect().await.map(drop).map_err(|error| format!("{}: {error}", self.address));
        process.wait_ready(probe).await?;
        Ok(process)
    }
}

fn read(file: &Path) -> Result<String, CompareError> {
    let failed = |source| ProcessError::File { file: file.display().to_string(), source };
    Ok(std::fs::read_to_string(file).map_err(failed)?)
}

pub(super) async fn pingora(place: &Place<'_>) -> Result<Process, CompareError> {
    let Identity { certificate, key } = place.identity;
    let arguments = vec![
        "--listen".into(),
        place.address.to_string().into(),
        "--upstream".into(),
        place.fixture.upstream_address.to_string().into(),
        "--certificate".into(),
        certificate.into(),
        "--key".into(),
        key.into(),
    ];
    place.start("passthrough", processes::binary("passthrough")?, arguments).await
}

pub(super) async fn nginx(place: &Place<'_>) -> Result<Process, CompareError> {
    let Identity { certificate, key } = place.identity;
    let (address, certificate, key) = (place.address, certificate.display(), key.display());
    let listen = format!(
        "listen {address} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    );
    let fixture = place.fixture;
    let process = nginx::launch(fixture.directory(), &listen, fixture.upstream_address, fixture.cores.contestant())?;
    place.wait_ready(process).await
}

pub(super) async fn haproxy(place: &Place<'_>) -> Result<Process, CompareError> {
    let program = find_program("haproxy").ok_or(CompareError::ProgramMissing {
        program: "haproxy",
        package: "haproxy",
        hint: "",
    })?;
    let Identity { certificate, key } = place.identity;
    let both = place.write("haproxy.pem", &(read(certificate)? + &read(key)?))?;
    let (address, upstream, both) = (place.address, place.fixture.upstream_address, both.display());
    let config = format!(
        "global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    http-reuse always
frontend edge
    bind {address} ssl crt {both} alpn h2,http/1.1 ssl-min-ver TLSv1.3
    default_backend demo
backend demo
    server demo {upstream} pool-max-conn 1024
"
    );
    let file = place.write("haproxy.cfg", &config)?;
    // One process, in the foreground.
    place.start("haproxy", program, vec!["-db".into(), "-f".into(), file.into()]).await
}

pub(super) async fn envoy(place: &Place<'_>) -> Result<Process, CompareError> {
    let file = place.write("envoy.json", &envoy_config(place).to_string())?;
    let arguments = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"];
    let arguments = arguments.into_iter().map(OsString::from).chain([file.into()]).collect();
    place.start("envoy", servers::envoy()?, arguments).await
}

fn envoy_config(place: &Place<'_>) -> Value {
    let socket = |address: SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let Identity { certificate, key } = place.identity;
    let tls = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
            "tls_certificates": [
                { "certificate_chain": { "filename": certificate }, "private_key": { "filename": key } },
            ],
        },
    });
    let router = json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "demo" } }],
        }]},
        "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": router }],
    });
    json!({ "static_resources": {
        "listeners": [{
            "name": "edge",
            "address": socket(place.address),
            "filter_chains": [{
                "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": tls },
                "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }],
            }],
        }],
        "clusters": [{
            "name": "demo",
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": { "cluster_name": "demo", "endpoints": [{
                "lb_endpoints": [{ "endpoint": { "address": socket(place.fixture.upstream_address) } }],
            }]},
        }],
    }})
}
