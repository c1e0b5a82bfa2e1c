//! A server, whichever program it runs: start, kill, pause, resume, stop, restart.

use std::{fmt::Debug, path::Path, process::Command};

use nix::sys::signal::Signal;

use crate::{directory::Directory, error::ServerError, port::free_port, process::Process};

/// Number of ports that are tried when another program takes the port first.
const START_ATTEMPTS: usize = 3;

/// The program that makes a server what it is. The programs are those of this crate.
pub trait Program: Debug + Send + 'static {
    /// The server's name in errors.
    const NAME: &'static str;

    /// The signal that asks it to end in an orderly way.
    const STOP: Signal = Signal::SIGTERM;

    /// Writes the files that the program reads at its start. Called once for each port that is
    /// tried.
    fn prepare(&mut self, _directory: &Directory, _port: u16) -> Result<(), ServerError> {
        Ok(())
    }

    /// The command that serves on a port of 127.0.0.1.
    fn command(&self, directory: &Directory, port: u16) -> Command;

    /// Returns true if it answers.
    fn is_ready(&self, port: u16) -> bool;
}

/// A server on 127.0.0.1; it and its data are gone when this is dropped or the program that started
/// it ends.
#[derive(Debug)]
pub struct Server<P> {
    pub(crate) program: P,
    port: u16,
    process: Process,
    // Last, so that the guard finds the process to kill.
    directory: Directory,
}

impl<P: Program> Server<P> {
    /// Starts `program` on a free port, or on another one if a different program took that first.
    pub(crate) fn on_free_port(mut program: P, directory: Directory) -> Result<Self, ServerError> {
        let mut attempt = 1;
        let (port, process) = loop {
            match launch(&mut program, &directory) {
                Err(ServerError::Ended { log, .. })
                    if attempt < START_ATTEMPTS && log.to_lowercase().contains("address already in use") =>
                {
                    attempt += 1;
                }
                done => break done?,
            }
        };
        Ok(Self { program, port, process, directory })
    }

    /// The port that it listens on; the same after a restart.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Result<u32, ServerError> {
        self.process.pid()
    }

    /// The directory of its data and its log.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns true if it answers.
    pub fn is_ready(&self) -> bool {
        self.program.is_ready(self.port)
    }

    /// Kills the server and all its children at once, as a crash would.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        match self.process.kill() {
            Ok(_) | Err(ServerError::NotRunning(_)) => self.directory.forget_process(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Halts it: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.process.pause()
    }

    /// Lets it go on after [`Server::pause`].
    pub fn resume(&self) -> Result<(), ServerError> {
        self.process.resume()
    }

    /// Stops it in an orderly way; open connections are closed.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.process.stop_blocking(P::STOP)?;
        self.directory.forget_process();
        Ok(())
    }

    /// Starts it again on the same port and in the same directory, stopping it first if it runs.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        serve(&self.program, self.port, &mut self.process, &self.directory)
    }
}

impl<P> Drop for Server<P> {
    fn drop(&mut self) {
        // A process that cannot be killed here is left to the guard.
        if self.process.kill().is_ok() {
            self.directory.forget_process();
        }
    }
}

/// Starts the program on a free port and waits until it answers.
fn launch<P: Program>(program: &mut P, directory: &Directory) -> Result<(u16, Process), ServerError> {
    let port = free_port()?;
    program.prepare(directory, port)?;
    let log = directory.path().join("server.log");
    let mut process = Process::new(P::NAME, program.command(directory, port), log);
    serve(program, port, &mut process, directory)?;
    Ok((port, process))
}

fn serve<P: Program>(program: &P, port: u16, process: &mut Process, directory: &Directory) -> Result<(), ServerError> {
    process.start()?;
    directory.note_process(process.pid()?)?;
    process.wait_ready_blocking(|| program.is_ready(port)).inspect_err(|error| {
        if matches!(error, ServerError::Ended { .. }) {
            directory.forget_process();
        }
    })
}
