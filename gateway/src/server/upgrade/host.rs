//! The side of the running gateway: it offers its sockets to whoever may open the upgrade socket,
//! one at a time.

use std::{
    borrow::Cow,
    fs,
    io::{self, ErrorKind, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::BorrowedFd,
        unix::{
            fs::FileTypeExt as _,
            net::{UnixListener, UnixStream as BlockingStream},
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rustix::{
    fs::{Mode, fchmod},
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
        listen, sendmsg, socket_with,
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest},
    net::UnixStream,
    sync::watch,
    time::timeout,
};
use tracing::{error, info, warn};

use super::{
    ANSWER_DEADLINE, Fault, GREETING, LINE_MAX_BYTES, READY, REFUSED, SOCKETS, SOCKETS_MOST, Sockets, TAKE,
    UpgradeError, YOURS,
};
use crate::lock::locked;

/// Connections that may wait to be heard.
const BACKLOG: i32 = 8;

/// Offers the sockets of this process.
pub(in crate::server) struct Host {
    path: PathBuf,
    handover: Arc<Handover>,
}

/// The sockets' owner: this process, until another one has taken over.
pub(in crate::server) struct Handover {
    /// Until they are taken or this process ends by itself.
    sockets: Mutex<Option<Sockets>>,
    /// Held by the one conversation that may take them.
    claimed: tokio::sync::Mutex<()>,
    taken: watch::Sender<bool>,
}

/// Listens on the socket at `path`, which only this user may open. `file` is named in errors.
pub(in crate::server) fn bind(path: &Path, file: &Path) -> Result<UnixListener, UpgradeError> {
    let bound = match create(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            clear(path).and_then(|()| create(path).map_err(Fault::Bind))
        }
        other => other.map_err(Fault::Bind),
    };
    let file = file.display().to_string();
    bound.map_err(|fault| UpgradeError { socket: path.to_owned(), file, fault })
}

fn create(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // On Linux the file takes the socket's mode: at no moment may others open it.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Removes the socket of a gateway that is no more.
fn clear(path: &Path) -> Result<(), Fault> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return Err(Fault::NotASocket);
    }
    match BlockingStream::connect(path) {
        Ok(_) => Err(Fault::InUse),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(Fault::Bind),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Fault::NotAllowed),
        Err(error) => Err(Fault::Bind(error)),
    }
}

impl Host {
    /// Offers `sockets`, the last of which is at `path`.
    pub(in crate::server) fn new(sockets: &Sockets, path: PathBuf) -> io::Result<Self> {
        let handover = Handover {
            sockets: Mutex::new(Some(sockets.share()?)),
            claimed: tokio::sync::Mutex::default(),
            taken: watch::Sender::new(false),
        };
        Ok(Self { path, handover: Arc::new(handover) })
    }

    pub(in crate::server) const fn handover(&self) -> &Arc<Handover> {
        &self.handover
    }

    /// Listens until the sockets are taken.
    pub(in crate::server) async fn run(self, listener: UnixListener) {
        let accepted = async {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(Arc::clone(&self.handover).converse(stream));
            }
        };
        let outcome: io::Result<()> = tokio::select! {
            outcome = accepted => outcome,
            () = self.handover.taken() => Ok(()),
        };
        if let Err(reason) = outcome {
            error!(event = "takeover_unavailable", error = %reason, socket = %self.path.display());
        }
    }
}

impl Handover {
    /// Waits until another process serves on the sockets.
    pub(in crate::server) async fn taken(&self) {
        // Fails only if the sender is gone, and `self` holds it.
        let _ = self.taken.subscribe().wait_for(|taken| *taken).await;
    }

    /// Returns true if another process serves on the sockets.
    pub(in crate::server) fn is_taken(&self) -> bool {
        *self.taken.borrow()
    }

    /// Keeps the sockets from whoever asks from now on; a port is free once nobody holds it.
    pub(in crate::server) fn withdraw(&self) {
        locked(&self.sockets).take();
    }

    async fn converse(self: Arc<Self>, stream: UnixStream) {
        let mut conversation = BufReader::new(stream);
        match self.offer(&mut conversation).await {
            Ok(true) => {}
            // Whoever only looked whether somebody is there.
            Ok(false) => info!(event = "takeover_abandoned"),
            Err(reason) => {
                warn!(event = "takeover_failed", error = %reason, consequence = "this process stays in service");
            }
        }
    }

    /// Talks to one process; whether it came to ask for anything.
    async fn offer(&self, with: &mut BufReader<UnixStream>) -> io::Result<bool> {
        say(with, &format!("{GREETING}{}", std::process::id())).await?;
        // It boots now, which may take its time.
        if hear(with).await? != READY {
            return Ok(false);
        }
        let Ok(_claim) = self.claimed.try_lock() else {
            return say(with, &format!("{REFUSED}another process is just taking over")).await.map(|()| true);
        };
        let Some(sockets) = locked(&self.sockets).as_ref().map(Sockets::share).transpose()? else {
            return say(with, &format!("{REFUSED}it is about to end")).await.map(|()| true);
        };
        send(with.get_ref(), &sockets).await?;
        info!(event = "takeover_ready");
        let answer = timeout(ANSWER_DEADLINE, hear(with)).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        if answer != TAKE {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // Between the two nothing may fail: once it was said, they are gone.
        say(with, YOURS).await?;
        self.withdraw();
        self.taken.send_replace(true);
        Ok(true)
    }
}

async fn say(to: &mut BufReader<UnixStream>, line: &str) -> io::Result<()> {
    to.get_mut().write_all(format!("{line}\n").as_bytes()).await
}

/// The next line; empty at the end.
async fn hear(from: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = String::new();
    from.take(LINE_MAX_BYTES as u64).read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

async fn send(to: &UnixStream, sockets: &Sockets) -> io::Result<()> {
    let (names, passed): (Vec<Cow<'_, str>>, Vec<BorrowedFd<'_>>) = sockets.named().unzip();
    let line = format!("{SOCKETS}{}\n", names.join(" "));
    let sent = to.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&passed));
        Ok(sendmsg(to, &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::NOSIGNAL)?)
    });
    if sent.await? == line.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}
