//! Validators of electronic invoices: the rules of EN 16931 and of Peppol (as phive has them), and
//! Mustang, which judges Factur-X and, with veraPDF, whether a PDF keeps to PDF/A.
//!
//! Their jars come from Maven the first time and stay in the user's cache directory; see
//! `judge/resolve.sh`. One call judges many files, as it takes some seconds to begin.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{directory::Directory, error::ServerError, program};

const RESOLVE: &str = concat!(include_str!("../fetch.sh"), include_str!("../judge/resolve.sh"));
const POM: &str = include_str!("../judge/pom.xml");
const PROGRAM: &str = include_str!("../judge/Judge.java");

/// Most memory for Java objects.
const HEAP: &str = "-Xmx768m";

/// Returns the faults of all files, each with its file and rule; none if all are right. The end of a
/// name says the form: `.ubl.xml`, `.cii.xml` or `.pdf`.
pub fn faults(files: &[PathBuf]) -> Result<Vec<String>, ServerError> {
    let mut resolve = Command::new("sh");
    resolve.args(["-c", RESOLVE, "resolve", POM]).stdin(Stdio::null());
    let jars = program::run("finding the validators of invoices", resolve)?;
    let directory = Directory::create("invoice-judge", &[])?;
    let source = directory.path().join("Judge.java");
    std::fs::write(&source, PROGRAM).map_err(ServerError::io("write the judge"))?;
    let mut judge = directory.command(&program::find("java", "openjdk-17-jdk-headless")?);
    judge.args([HEAP, "-cp", &format!("{}/*", jars.trim_end())]).arg(source).args(files).stdin(Stdio::null());
    let said = program::run("judging invoices", judge)?;
    let end = format!("judged {}", files.len());
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    let has_ended = lines.contains(&end);
    lines.retain(|line| files.iter().any(|file| line.starts_with(&format!("{}: ", file.display()))));
    if has_ended {
        return Ok(lines);
    }
    Err(ServerError::Failed { what: "judging invoices".into(), status: "no verdict".into(), output: said })
}
