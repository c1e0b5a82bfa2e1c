//! `make lint` runs this program. It fails if files of different folders import each other in a
//! circle, and prints each circle with its imports.
//!
//! Invariant: code that only tests compile does not count, and neither do `mod` lines.

mod crates;
mod graph;
mod imports;
mod modules;

use std::{env, path::PathBuf, process::ExitCode};

use graph::Graph;

#[allow(clippy::print_stdout, reason = "the program reports to its terminal")]
fn main() -> ExitCode {
    let root = env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let crates = match crates::find(&root) {
        Ok(crates) => crates,
        Err(error) => {
            println!("circles: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut found = 0;
    for name in crates {
        match modules::read(&root.join(&name)) {
            Ok(files) => {
                for circle in Graph::new(&files).circles() {
                    found += 1;
                    println!("circle {found}, in {}:", name.display());
                    for (from, to) in circle.arrows {
                        println!("  {} imports {}", from.display(), to.display());
                    }
                }
            }
            Err(error) => {
                println!("circles: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{found} circles between files of different folders");
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
