//! The modules of a crate: the files that `mod` lines name, from `lib.rs` or `main.rs` on.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, Meta};

use crate::imports;

/// A path of module names from the root of the crate.
pub(crate) type ModulePath = Vec<String>;

/// A file of a crate, and what it names.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) module: ModulePath,
    /// Paths of the same crate that the file names, from the root of the crate.
    pub(crate) named: Vec<ModulePath>,
}

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Parse { path: PathBuf, error: syn::Error },
    #[error("{}: no file for the module `{name}`", declared.display())]
    Missing { declared: PathBuf, name: String },
}

/// Reads the files of the crate whose source folder is given.
///
/// If there are both a library and a program, both are read; they share no modules.
pub(crate) fn read(source: &Path) -> Result<Vec<SourceFile>, Error> {
    let mut files = Vec::new();
    for root in ["lib.rs", "main.rs"] {
        let path = source.join(root);
        if path.is_file() {
            // A program is a crate of its own: the first name keeps its modules apart.
            read_file(&path, source, &[root.to_owned()], &mut files)?;
        }
    }
    Ok(files)
}

fn read_file(path: &Path, children: &Path, module: &[String], files: &mut Vec<SourceFile>) -> Result<(), Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::Read { path: path.to_owned(), error })?;
    let parsed = syn::parse_file(&text).map_err(|error| Error::Parse { path: path.to_owned(), error })?;
    files.push(SourceFile { path: path.to_owned(), named: imports::named(&parsed, module), module: module.to_vec() });
    for item in &parsed.items {
        let Item::Mod(declared) = item else { continue };
        if declared.content.is_some() || for_tests(&declared.attrs) {
            continue;
        }
        let name = declared.ident.to_string();
        let beside = children.join(format!("{name}.rs"));
        let below = children.join(&name);
        let inside = below.join("mod.rs");
        let file = [beside, inside].into_iter().find(|file| file.is_file());
        let file = file.ok_or_else(|| Error::Missing { declared: path.to_owned(), name: name.clone() })?;
        read_file(&file, &below, &[module, &[name]].concat(), files)?;
    }
    Ok(())
}

/// Returns true if an attribute leaves the item out of everything but tests and model checks.
pub(crate) fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            ["test", "loom", "all (test , loom)", "any (test , loom)"].contains(&condition.as_str())
        }
        _ => false,
    })
}
