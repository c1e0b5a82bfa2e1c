//! The program `documents`: typesets the requests on its standard input, one after the other, until
//! the input ends. `billing` starts it.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use documents::{
    Fault, Fonts, Kind, Request, Typesetter,
    frame::{self, Frame},
};
use rustix::process::{Resource, Rlimit, setrlimit};

const USAGE: &str = "usage: documents [--memory-mib N] [FONT-DIRECTORY ...]";

/// Address space of the program unless stated, in MiB.
const MEMORY_MIB: u64 = 2_048;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "documents: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (memory_mib, directories) = arguments()?;
    let bytes = Some(memory_mib.saturating_mul(1 << 20));
    setrlimit(Resource::As, Rlimit { current: bytes, maximum: bytes })?;
    let typesetter = Typesetter::new(Fonts::load(&directories)?);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while let Some(frame) = Frame::read(&mut input)? {
        answer(&typesetter, &frame)?.write(&mut output)?;
    }
    Ok(())
}

fn arguments() -> Result<(u64, Vec<PathBuf>), &'static str> {
    let (mut memory, mut directories) = (MEMORY_MIB, Vec::new());
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--memory-mib" {
            let number = arguments.next().and_then(|number| number.to_str()?.parse().ok());
            memory = number.ok_or(USAGE)?;
        } else if argument.to_string_lossy().starts_with('-') {
            return Err(USAGE);
        } else {
            directories.push(argument.into());
        }
    }
    Ok((memory, directories))
}

/// The answer to a request: the PDF with its number of pages, or the fault.
fn answer(typesetter: &Typesetter, frame: &Frame) -> Result<Frame, serde_json::Error> {
    let request = Request::read(&frame.head, &frame.body);
    let request =
        request.map_err(|error| Fault { kind: Kind::Request, message: error.to_string(), line: None, column: None });
    let (answer, body) = match request.and_then(|request| typesetter.typeset(request)) {
        Ok(typeset) => (frame::Answer { pages: typeset.pages, fault: None }, typeset.pdf),
        Err(fault) => (frame::Answer { pages: 0, fault: Some(fault) }, Vec::new()),
    };
    Ok(Frame { head: serde_json::to_vec(&answer)?, body })
}
