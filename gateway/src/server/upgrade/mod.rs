//! Handing the listening sockets from a running gateway to the process that replaces it.
//!
//! | new process (`claim`) | | running gateway (`host`) |
//! |---|---|---|
//! | connects to the upgrade socket | -> | |
//! | | <- | `tollgate 2 <process id>` |
//! | boots; once it could serve: `ready` | -> | |
//! | | <- | `sockets listen listen.2 .. admin upgrade ..`, with the sockets themselves in this order |
//! | `take` | -> | |
//! | serves | <- | `yours`; stops accepting and drains |
//!
//! The sockets are shared, never closed and bound anew: a client that connects at any moment is
//! accepted by one of the two. Until `yours`, whatever happens to the new process leaves the
//! running one as it was.

mod claim;
mod host;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    net::TcpListener,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::PathBuf,
    time::Duration,
};

pub(super) use claim::Claim;
pub(super) use host::{Handover, Host, bind};

use crate::config::LISTENERS_MAX;

/// First words of the running gateway; the number counts changes of the conversation.
const GREETING: &str = "tollgate 2 ";

const READY: &str = "ready";
const SOCKETS: &str = "sockets ";
const REFUSED: &str = "refused ";
const TAKE: &str = "take";
const YOURS: &str = "yours";

/// Most sockets that are handed over: those of clients, and the others of [`Sockets`].
const SOCKETS_MOST: usize = LISTENERS_MAX + 4;

/// Longest time for either side to answer a question that needs no work.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Longest line, in bytes: one that names all sockets.
const LINE_MAX_BYTES: usize = 1_024;

/// The name of the first socket of clients. Others have a number behind it, from 2.
const LISTEN: &str = "listen";

/// The sockets of a gateway.
#[derive(Debug)]
pub(super) struct Sockets {
    /// At least one.
    pub(super) clients: Vec<TcpListener>,
    pub(super) operators: TcpListener,
    /// The next process asks here.
    pub(super) upgrade: UnixListener,
    /// Sockets of the decision API: HTTP and gRPC.
    pub(super) decision: Option<TcpListener>,
    pub(super) decision_grpc: Option<TcpListener>,
}

impl Sockets {
    /// The same sockets once more.
    fn share(&self) -> io::Result<Self> {
        Ok(Self {
            clients: self.clients.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?,
            operators: self.operators.try_clone()?,
            upgrade: self.upgrade.try_clone()?,
            decision: self.decision.as_ref().map(TcpListener::try_clone).transpose()?,
            decision_grpc: self.decision_grpc.as_ref().map(TcpListener::try_clone).transpose()?,
        })
    }

    /// Each socket with the setting that it comes from.
    fn named(&self) -> impl Iterator<Item = (Cow<'static, str>, BorrowedFd<'_>)> {
        let Self { clients, operators, upgrade, decision, decision_grpc } = self;
        let clients = clients.iter().enumerate().map(|(index, socket)| (client_name(index), socket.as_fd()));
        let always = [("admin", operators.as_fd()), ("upgrade", upgrade.as_fd())];
        let decision = decision.iter().map(|socket| ("decision.listen", socket.as_fd()));
        let decision_grpc = decision_grpc.iter().map(|socket| ("decision.grpc_listen", socket.as_fd()));
        let others = always.into_iter().chain(decision).chain(decision_grpc);
        clients.chain(others.map(|(name, socket)| (name.into(), socket)))
    }

    /// The sockets that were handed over under these names; none if a name is not known or one is
    /// missing.
    fn from_named<'a>(sockets: impl Iterator<Item = (&'a str, OwnedFd)>) -> Option<Self> {
        let mut sockets: BTreeMap<&str, OwnedFd> = sockets.collect();
        let mut clients: Vec<TcpListener> = Vec::new();
        while let Some(socket) = sockets.remove(&*client_name(clients.len())) {
            clients.push(socket.into());
        }
        if clients.is_empty() {
            return None;
        }
        let found = Self {
            clients,
            operators: sockets.remove("admin")?.into(),
            upgrade: sockets.remove("upgrade")?.into(),
            decision: sockets.remove("decision.listen").map(TcpListener::from),
            decision_grpc: sockets.remove("decision.grpc_listen").map(TcpListener::from),
        };
        sockets.is_empty().then_some(found)
    }
}

fn client_name(index: usize) -> Cow<'static, str> {
    match index {
        0 => LISTEN.into(),
        _ => format!("{LISTEN}.{}", index + 1).into(),
    }
}

/// The reason for which a running gateway could not be taken over, or this one cannot be. The one
/// that ran runs on.
#[derive(Debug, thiserror::Error)]
#[error("{} (setting `upgrade_socket` in {file}): {fault}", socket.display())]
pub struct UpgradeError {
    socket: PathBuf,
    file: String,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no gateway to take over from; start without --upgrade")]
    Nobody,
    #[error("permission denied; only the user that the running gateway belongs to may take over")]
    NotAllowed,
    #[error("another gateway uses this socket; to replace it use --upgrade, to run beside it set another path")]
    InUse,
    #[error("is a file, but not a socket; remove it or set another path")]
    NotASocket,
    #[error("cannot be listened on: {0}")]
    Bind(io::Error),
    #[error("the running gateway uses another version of the hand-over: restart it instead")]
    Version,
    #[error("the running gateway refused the hand-over: {0}")]
    Refused(String),
    #[error("the running gateway ended the hand-over: {0}; it was not replaced")]
    BrokenOff(io::Error),
}
