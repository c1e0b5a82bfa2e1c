//! The sockets of a process that starts: bound by itself, or those of the running gateway.

use std::{net::SocketAddr, path::Path};

use super::{
    Start, StartError,
    sockets::{self, BindError},
    upgrade::{self, Claim, Sockets},
};
use crate::config::ProcessSettings;

/// The origin of the addresses.
pub(super) enum Origin {
    Bound(Sockets),
    Claimed(Claim),
}

impl Origin {
    pub(super) fn of(start: Start, process: &ProcessSettings, file: &Path) -> Result<Self, StartError> {
        match start {
            Start::Fresh => Ok(Self::Bound(Sockets {
                clients: sockets::keep_or_bind_all(&process.listen, file, Vec::new())?,
                operators: sockets::bind("admin", process.admin, file)?,
                upgrade: upgrade::bind(&process.upgrade_socket, file)?,
                decision: sockets::keep_or_bind_if("decision.listen", decision_http(process), file, None)?,
                decision_grpc: sockets::keep_or_bind_if("decision.grpc_listen", decision_grpc(process), file, None)?,
            })),
            Start::Upgrade => Ok(Self::Claimed(Claim::open(&process.upgrade_socket, file)?)),
        }
    }
}

/// The sockets of the running gateway, and new ones where the file names other addresses than it
/// did.
pub(super) fn inherit(inherited: Sockets, process: &ProcessSettings, file: &Path) -> Result<Sockets, BindError> {
    Ok(Sockets {
        clients: sockets::keep_or_bind_all(&process.listen, file, inherited.clients)?,
        operators: sockets::keep_or_bind("admin", process.admin, file, inherited.operators)?,
        upgrade: inherited.upgrade,
        decision: sockets::keep_or_bind_if("decision.listen", decision_http(process), file, inherited.decision)?,
        decision_grpc: sockets::keep_or_bind_if(
            "decision.grpc_listen",
            decision_grpc(process),
            file,
            inherited.decision_grpc,
        )?,
    })
}

fn decision_http(process: &ProcessSettings) -> Option<SocketAddr> {
    process.decision.as_ref().and_then(|decision| decision.listen)
}

fn decision_grpc(process: &ProcessSettings) -> Option<SocketAddr> {
    process.decision.as_ref().and_then(|decision| decision.grpc_listen)
}
