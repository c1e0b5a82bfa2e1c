//! The program `documents`, as `billing` uses it: processes that typeset one document after the
//! other. A template is a program that an issuer wrote, so each process has a bound on its memory
//! and each document one on its time; a process that breaks one is killed, and the next document
//! gets another.

use std::{
    io,
    path::PathBuf,
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Semaphore,
};

use super::data::DocumentData;

/// Documents after which a process is replaced.
const DOCUMENTS_PER_PROCESS: u32 = 5_000;

/// Most bytes of an answer.
const ANSWER_MAX_BYTES: u32 = 64 << 20;

/// Settings by which documents are typeset.
#[derive(Debug, Clone)]
pub struct TypesetterSettings {
    /// The program `documents`.
    pub program: PathBuf,
    /// Directories of fonts.
    pub fonts: Vec<PathBuf>,
    /// Processes at most.
    pub processes: usize,
    /// Longest time for a document.
    pub time_limit: Duration,
    /// Most memory of a process, in MiB.
    pub memory_mib: u64,
}

/// A document to typeset.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Request<'a> {
    pub template: &'a str,
    pub data: &'a DocumentData,
    pub files: Vec<FileHead<'a>>,
    pub identifier: &'a str,
    pub time: (i16, i8, i8, i8, i8, i8),
    pub standard: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
}

/// A file of a document.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FileHead<'a> {
    pub name: &'a str,
    pub bytes: usize,
}

/// The electronic invoice in a document.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Attachment {
    pub file: &'static str,
    pub level: &'static str,
}

/// The reason for which a document was not typeset.
#[derive(Debug, thiserror::Error)]
pub enum TypesetError {
    /// The template, its data or an image is at fault.
    #[error("{}", .0.text())]
    Fault(Fault),
    /// It took too long.
    #[error("the document was not typeset within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The process ended, as one does that needs too much memory.
    #[error(
        "the document was given up: the program that typesets it ended, as it does when a template needs too much memory"
    )]
    Ended,
    /// The program cannot be started.
    #[error("the program {} cannot be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The request cannot be written.
    #[error("a document cannot be written as a request: {0}")]
    Request(String),
}

/// The fault of a document, as the program tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// The kind, as in `template`.
    pub kind: String,
    /// The reason, for people.
    pub message: String,
    /// Line of the template, from 1.
    pub line: Option<usize>,
    /// Column of that line, from 1.
    pub column: Option<usize>,
}

impl Fault {
    /// The fault in a sentence, with its place.
    pub fn text(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("template, line {line}, column {column}: {}", self.message),
            _ => self.message.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    fault: Option<Fault>,
}

/// Processes that typeset.
#[derive(Debug)]
pub struct Typesetter {
    settings: TypesetterSettings,
    idle: Mutex<Vec<Process>>,
    places: Semaphore,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    documents: u32,
}

impl Typesetter {
    /// A typesetter. Processes are started when documents come.
    pub fn new(settings: TypesetterSettings) -> Self {
        let places = Semaphore::new(settings.processes.max(1));
        Self { settings, idle: Mutex::new(Vec::new()), places }
    }

    /// Typesets a document: the bytes of its PDF.
    pub(super) async fn typeset(&self, request: &Request<'_>, files: &[&[u8]]) -> Result<Vec<u8>, TypesetError> {
        let frame = frame(request, files)?;
        // The semaphore is never closed.
        let _place = self.places.acquire().await.map_err(|_| TypesetError::Ended)?;
        let limit = self.settings.time_limit;
        let (mut process, was_idle) = self.process()?;
        match tokio::time::timeout(limit, process.ask(&frame)).await {
            Ok(Ok(answer)) => return self.taken(process, answer),
            Ok(Err(_)) if was_idle => {}
            Ok(Err(_)) => return Err(TypesetError::Ended),
            Err(_) => return Err(TypesetError::TimedOut(limit)),
        }
        // An idle process may have ended meanwhile, for reasons of its own: a new one tells.
        let mut process = self.start()?;
        match tokio::time::timeout(limit, process.ask(&frame)).await {
            Ok(Ok(answer)) => self.taken(process, answer),
            Ok(Err(_)) => Err(TypesetError::Ended),
            Err(_) => Err(TypesetError::TimedOut(limit)),
        }
    }

    /// A process that waits, or else a new one.
    fn process(&self) -> Result<(Process, bool), TypesetError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(process) => Ok((process, true)),
            None => Ok((self.start()?, false)),
        }
    }

    fn start(&self) -> Result<Process, TypesetError> {
        let TypesetterSettings { program, fonts, memory_mib, .. } = &self.settings;
        let fault = |source| TypesetError::Start { program: program.clone(), source };
        let mut child = Command::new(program)
            .args(["--memory-mib", &memory_mib.to_string()])
            .args(fonts)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(fault)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| fault(io::Error::other("it has no pipes")))?;
        Ok(Process { child, input, output, documents: 0 })
    }

    fn taken(&self, mut process: Process, (answer, pdf): (Answer, Vec<u8>)) -> Result<Vec<u8>, TypesetError> {
        process.documents += 1;
        let is_running = matches!(process.child.try_wait(), Ok(None));
        if is_running && process.documents < DOCUMENTS_PER_PROCESS {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
        }
        answer.fault.map_or(Ok(pdf), |fault| Err(TypesetError::Fault(fault)))
    }
}

impl Process {
    async fn ask(&mut self, frame: &[u8]) -> io::Result<(Answer, Vec<u8>)> {
        self.input.write_all(frame).await?;
        self.input.flush().await?;
        let (head, body) = (self.output.read_u32().await?, self.output.read_u32().await?);
        if head > ANSWER_MAX_BYTES || body > ANSWER_MAX_BYTES {
            return Err(io::Error::other("the answer is too large"));
        }
        let mut bytes = vec![0; head as usize];
        self.output.read_exact(&mut bytes).await?;
        let answer = serde_json::from_slice(&bytes)?;
        let mut pdf = vec![0; body as usize];
        self.output.read_exact(&mut pdf).await?;
        Ok((answer, pdf))
    }
}

/// A request as it passes through the pipe: the length of its head and of its files, each four bytes
/// with the highest first, then the head in JSON, then the files.
fn frame(request: &Request<'_>, files: &[&[u8]]) -> Result<Vec<u8>, TypesetError> {
    let fault = |error: &dyn std::fmt::Display| TypesetError::Request(error.to_string());
    let head = serde_json::to_vec(request).map_err(|error| fault(&error))?;
    let body: usize = files.iter().map(|file| file.len()).sum();
    let mut frame = Vec::with_capacity(8 + head.len() + body);
    for length in [head.len(), body] {
        frame.extend(u32::try_from(length).map_err(|error| fault(&error))?.to_be_bytes());
    }
    frame.extend(head);
    for file in files {
        frame.extend_from_slice(file);
    }
    Ok(frame)
}
