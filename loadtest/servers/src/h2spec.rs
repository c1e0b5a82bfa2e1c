//! h2spec: a client that checks a server against the rules of HTTP/2, one by one.

use std::path::PathBuf;

use crate::{error::ServerError, go::GoProgram};

/// The program.
pub fn h2spec() -> Result<PathBuf, ServerError> {
    let program = GoProgram {
        module: "github.com/summerwind/h2spec",
        package: "github.com/summerwind/h2spec/cmd/h2spec",
        requirements: include_str!("../h2spec/go.mod"),
        sums: include_str!("../h2spec/go.sum"),
    };
    program.path()
}
