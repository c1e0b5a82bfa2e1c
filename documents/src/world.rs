//! The world of one document: its template, its data and its files, and nothing else.

use std::collections::BTreeMap;

use typst::{
    Library, LibraryExt as _, World,
    diag::{FileError, FileResult},
    foundations::{Bytes, Datetime, Duration},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};

use crate::{Fault, Fonts, Kind, Request};

/// Name of the template.
const TEMPLATE: &str = "template.typ";

/// Name of the data.
const DATA: &str = "data.json";

/// Parts that every document shares.
pub(crate) struct Shared {
    library: LazyHash<Library>,
    fonts: Fonts,
}

/// The world of one document.
pub(crate) struct DocumentWorld<'a> {
    shared: &'a Shared,
    template: Source,
    files: BTreeMap<String, Bytes>,
}

impl Shared {
    pub(crate) fn new(fonts: Fonts) -> Self {
        Self { library: LazyHash::new(Library::builder().build()), fonts }
    }
}

impl<'a> DocumentWorld<'a> {
    pub(crate) fn new(shared: &'a Shared, request: Request) -> Result<Self, Fault> {
        let fault = |error: &dyn std::fmt::Display| Fault::new(Kind::Request, error.to_string());
        let data = serde_json::to_vec(&request.head.data).map_err(|error| fault(&error))?;
        let mut files = BTreeMap::from([(DATA.to_owned(), Bytes::new(data))]);
        for (head, bytes) in request.head.files.into_iter().zip(request.files) {
            if files.insert(head.name.clone(), Bytes::new(bytes)).is_some() {
                return Err(fault(&format!("the file `{}` is there twice", head.name)));
            }
        }
        let path = VirtualPath::new(TEMPLATE).map_err(|error| fault(&format!("{error:?}")))?;
        let id = RootedPath::new(VirtualRoot::Project, path).intern();
        Ok(Self { shared, template: Source::new(id, request.head.template), files })
    }

    /// The line and column of a place in the template, from 1.
    pub(crate) fn line_and_column(&self, byte: usize) -> Option<(usize, usize)> {
        let (line, column) = self.template.lines().byte_to_line_column(byte)?;
        Some((line + 1, column + 1))
    }

    /// The file of the template.
    pub(crate) fn template(&self) -> FileId {
        self.template.id()
    }
}

impl World for DocumentWorld<'_> {
    fn library(&self) -> &LazyHash<Library> {
        &self.shared.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        self.shared.fonts.book()
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.template.id() {
            return Ok(self.template.clone());
        }
        Err(missing(id))
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let path = id.get();
        let name = path.vpath().get_without_slash();
        match path.root() {
            VirtualRoot::Project => self.files.get(name).cloned().ok_or_else(|| missing(id)),
            VirtualRoot::Package(_) => Err(missing(id)),
        }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.shared.fonts.font(index)
    }

    /// No document says when it was typeset.
    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn missing(id: FileId) -> FileError {
    FileError::NotFound(id.get().vpath().get_without_slash().into())
}
