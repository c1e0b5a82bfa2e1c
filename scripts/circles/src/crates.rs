//! The crates of the workspace.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::modules::Error;

/// Returns the source folder of every crate below the root, relative to the root.
///
/// A crate is a folder with a `Cargo.toml` and a `src/lib.rs` or `src/main.rs`. Build output and
/// hidden folders are left out.
pub(crate) fn find(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut crates = Vec::new();
    collect(root, Path::new(""), &mut crates).map_err(|error| Error::Read { path: root.to_owned(), error })?;
    crates.sort();
    Ok(crates)
}

fn collect(root: &Path, below: &Path, crates: &mut Vec<PathBuf>) -> io::Result<()> {
    let folder = root.join(below);
    let source = below.join("src");
    if folder.join("Cargo.toml").is_file()
        && (root.join(&source).join("lib.rs").is_file() || root.join(&source).join("main.rs").is_file())
    {
        crates.push(source);
    }
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.to_str().is_none_or(|name| name.starts_with('.'));
        if entry.file_type()?.is_dir() && !hidden && name != "target" && name != "src" {
            collect(root, &below.join(name), crates)?;
        }
    }
    Ok(())
}
