//! nginx as a reverse proxy, set up for speed: the measure that everybody knows.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::CompareError;
use crate::processes::{Launch, Process, ProcessError, wait_ready};

/// Features that the row has switched on and off.
pub(super) const SWITCHED_ON: &str = "reverse proxy with 1 worker and upstream keepalive (1024), response buffering \
    as by default; access log off; no keys, limits or metering";

/// Debian's directory for nginx, which is not always on the path.
const DEBIAN_PATH: &str = "/usr/sbin";

/// Starts nginx from `listen` to `upstream`, held to `core`, and waits until it forwards.
pub(super) async fn start(
    directory: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    core: String,
) -> Result<Process, CompareError> {
    let mut process = launch(directory, &format!("listen {listen};"), upstream, core)?;
    wait_ready(&mut process, listen, "/").await?;
    Ok(process)
}

/// Starts nginx to `upstream`, held to `core`. `listen`: the directives by which it listens.
pub(super) fn launch(
    directory: &Path,
    listen: &str,
    upstream: SocketAddr,
    core: String,
) -> Result<Process, CompareError> {
    let hint = ", or leave it out with --without-nginx";
    let program =
        find_program("nginx").ok_or(CompareError::ProgramMissing { program: "nginx", package: "nginx-light", hint })?;
    let directory = directory.join("nginx");
    let file = directory.join("nginx.conf");
    let failed = |source| ProcessError::File { file: file.display().to_string(), source };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    std::fs::write(&file, config(&directory, listen, upstream)).map_err(failed)?;
    let launch = Launch {
        name: "nginx".into(),
        program,
        arguments: vec![
            "-p".into(),
            directory.clone().into(),
            "-e".into(),
            directory.join("error.log").into(),
            "-c".into(),
            file.into(),
        ],
        directory,
        cores: Some(core),
        yields: false,
    };
    Ok(launch.start()?)
}

/// The program `name` on the path, or where Debian puts servers.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path).chain([PathBuf::from(DEBIAN_PATH)]);
    directories.find_map(|directory| Some(directory.join(name)).filter(|program| program.is_file()))
}

/// One process that is master and worker at once, so that its CPU and memory are nginx's.
fn config(directory: &Path, listen: &str, upstream: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream demo {{
        server {upstream};
        keepalive 1024;
        keepalive_timeout 300s;
        keepalive_requests 1000000000;
    }}
    server {{
        {listen}
        location / {{
            proxy_pass http://demo;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}
