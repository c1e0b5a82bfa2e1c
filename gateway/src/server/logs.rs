//! Operational logs: lines of JSON to standard error. `RUST_LOG` sets their level.

use common::telemetry::{Line, log_panics};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterFn, LevelFilter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// The finest level of libraries that log through the crate `log`, whatever `RUST_LOG` asks. The
/// arguments of Pingora's finer lines cost time on each request, and some panic on bytes that are
/// not UTF-8.
const LIBRARIES_MOST: log::LevelFilter = log::LevelFilter::Info;

/// Starts logging.
pub(super) fn start() {
    let operational = tracing_subscriber::fmt::layer()
        .event_format(Line)
        .with_writer(std::io::stderr)
        .with_filter(FilterFn::new(|metadata| is_told(metadata.target(), *metadata.level())))
        .with_filter(EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy());
    // Fails only if the process logs already, as when several gateways run inside one test.
    let _ = tracing_subscriber::registry().with(operational).try_init();
    log::set_max_level(log::max_level().min(LIBRARIES_MOST));
    log_panics();
}

/// Parts of Pingora that print errors only where none is for an operator to see to: a client that
/// broke off, which its access line tells if a request had come, and a pooled connection that
/// another task still held, so that a new one was opened. Clients could fill the log with the
/// former. The proxy logs failed requests itself.
const NO_ERRORS: [&str; 4] =
    ["pingora_proxy", "pingora_proxy::proxy_h1", "pingora_proxy::proxy_h2", "pingora_core::connectors"];

/// Target of sqlx's lines about each connection that it finds broken; one line about the outage is
/// enough.
const POOL_OF_STORE: &str = "sqlx_core::pool";

/// Target of the warnings among them, about a connection that is handed back broken.
const CONNECTION_OF_STORE: &str = "sqlx_core::pool::connection";

/// Targets of the DNS client. It reads the system's files anew for each look-up and complains of the
/// same line of `/etc/hosts` each time; what a look-up comes to is told by the gateway.
const DNS_CLIENT: &str = "hickory";

/// Pingora tells errors only. Its warnings repeat in the words of its own source what the gateway
/// tells in plain ones (a server that does not answer) or are about single clients; below them, it
/// prints whole request headers, credentials and all, whatever `RUST_LOG` asks.
fn is_told(target: &str, level: Level) -> bool {
    if target.starts_with(POOL_OF_STORE) {
        let most = if target == CONNECTION_OF_STORE { Level::ERROR } else { Level::WARN };
        return level <= most;
    }
    if target.starts_with(DNS_CLIENT) {
        return false;
    }
    !target.starts_with("pingora") || level == Level::ERROR && !NO_ERRORS.contains(&target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_tell_only_what_an_operator_can_see_to() {
        assert!(is_told("gateway::proxy", Level::TRACE));
        assert!(is_told("pingora_core::services::listening", Level::ERROR));
        assert!(!is_told("pingora_load_balancing", Level::WARN));
        assert!(!is_told("pingora_core::connectors", Level::WARN));
        assert!(!is_told("pingora_core::services::listening", Level::INFO));
        assert!(!is_told("pingora_core::connectors", Level::ERROR));
        assert!(!is_told("hickory_resolver::hosts", Level::WARN));
        assert!(!is_told("sqlx_core::pool::inner", Level::INFO) && is_told("sqlx_core::pool::inner", Level::WARN));
        assert!(!is_told("sqlx_core::pool::connection", Level::WARN));
    }
}
