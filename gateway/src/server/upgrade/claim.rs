//! The side of the new process. It is blocking: until it serves, it has nothing else to do.

use std::{
    io::{self, ErrorKind, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::{
    ANSWER_DEADLINE, Fault, GREETING, LINE_MAX_BYTES, READY, REFUSED, SOCKETS, SOCKETS_MOST, Sockets, TAKE,
    UpgradeError, YOURS,
};

/// The claim on a running gateway's sockets.
#[derive(Debug)]
pub(in crate::server) struct Claim {
    stream: UnixStream,
    socket: PathBuf,
    file: String,
    process: String,
}

impl Claim {
    /// Finds the running gateway. `file` is named in errors.
    pub(in crate::server) fn open(socket: &Path, file: &Path) -> Result<Self, UpgradeError> {
        let file = file.display().to_string();
        let failed = |fault| UpgradeError { socket: socket.to_owned(), file: file.clone(), fault };
        let stream = UnixStream::connect(socket).map_err(|error| {
            failed(match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => Fault::Nobody,
                ErrorKind::PermissionDenied => Fault::NotAllowed,
                _ => Fault::BrokenOff(error),
            })
        })?;
        let prepared = stream.set_read_timeout(Some(ANSWER_DEADLINE));
        prepared
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_DEADLINE)))
            .map_err(Fault::BrokenOff)
            .map_err(failed)?;
        let mut claim = Self { stream, socket: socket.to_owned(), file, process: String::new() };
        match claim.hear() {
            Ok(greeting) if greeting.starts_with(GREETING) => claim.process = greeting[GREETING.len()..].into(),
            Ok(_) => return Err(claim.failed(Fault::Version)),
            Err(fault) => return Err(claim.failed(fault)),
        }
        Ok(claim)
    }

    /// The process id of the running gateway, as it says.
    pub(in crate::server) fn process(&self) -> &str {
        &self.process
    }

    /// Asks for the sockets. The running gateway goes on accepting.
    pub(in crate::server) fn sockets(&mut self) -> Result<Sockets, UpgradeError> {
        self.say(READY).and_then(|()| self.receive_sockets()).map_err(|fault| self.failed(fault))
    }

    /// Takes over: from here on, the running gateway drains.
    pub(in crate::server) fn take(mut self) -> Result<(), UpgradeError> {
        let answer = self.say(TAKE).and_then(|()| self.hear()).map_err(|fault| self.failed(fault))?;
        if answer == YOURS { Ok(()) } else { Err(self.failed(Fault::Version)) }
    }

    fn failed(&self, fault: Fault) -> UpgradeError {
        UpgradeError { socket: self.socket.clone(), file: self.file.clone(), fault }
    }

    fn say(&mut self, line: &str) -> Result<(), Fault> {
        self.stream.write_all(format!("{line}\n").as_bytes()).map_err(Fault::BrokenOff)
    }

    /// The next line. Lines are few and short: one byte at a time keeps what follows for whoever
    /// reads next.
    fn hear(&mut self) -> Result<String, Fault> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).map_err(Fault::BrokenOff)?;
            line.extend_from_slice(&byte);
            if line.len() > LINE_MAX_BYTES {
                return Err(Fault::Version);
            }
        }
        understand(&line)
    }

    fn receive_sockets(&self) -> Result<Sockets, Fault> {
        let mut line = [0; LINE_MAX_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut line)];
        let received = recvmsg(&self.stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
            .map_err(|error| Fault::BrokenOff(error.into()))?;
        let mut sockets = Vec::<OwnedFd>::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                sockets.extend(passed);
            }
        }
        if received.bytes == 0 {
            return Err(Fault::BrokenOff(io::ErrorKind::UnexpectedEof.into()));
        }
        let said = understand(&line[..received.bytes])?;
        let names: Vec<&str> = said.strip_prefix(SOCKETS).ok_or(Fault::Version)?.split(' ').collect();
        if names.len() != sockets.len() {
            return Err(Fault::Version);
        }
        Sockets::from_named(names.into_iter().zip(sockets)).ok_or(Fault::Version)
    }
}

/// A line without its end, unless it is a refusal.
fn understand(line: &[u8]) -> Result<String, Fault> {
    let text = str::from_utf8(line).ok().and_then(|text| text.strip_suffix('\n')).ok_or(Fault::Version)?;
    match text.strip_prefix(REFUSED) {
        Some(reason) => Err(Fault::Refused(reason.to_owned())),
        None => Ok(text.to_owned()),
    }
}
