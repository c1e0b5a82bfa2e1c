//! Fonts: Libertinus Serif and `DejaVu` Sans Mono are part of the program; all others come from
//! directories, such as those of the Debian packages fonts-noto-core, fonts-noto-cjk and
//! fonts-noto-color-emoji.
//!
//! The order of fonts follows from their paths, so that the same directories give the same choice.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use typst::{
    foundations::Bytes,
    text::{Font, FontBook, FontInfo},
    utils::LazyHash,
};

/// Deepest folder below a directory of fonts.
const DEPTH_MAX: usize = 8;

/// All fonts that there are. A font of a directory is read again when a document needs it.
pub struct Fonts {
    book: LazyHash<FontBook>,
    slots: Vec<Slot>,
}

struct Slot {
    place: Place,
    font: OnceLock<Option<Font>>,
}

enum Place {
    Embedded(&'static [u8], u32),
    File(PathBuf, u32),
}

/// A directory of fonts that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the directory of fonts {} cannot be read: {source}", path.display())]
pub struct FontError {
    path: PathBuf,
    source: io::Error,
}

impl Fonts {
    /// The fonts of the program and of these directories.
    pub fn load(directories: &[PathBuf]) -> Result<Self, FontError> {
        let mut fonts = Self { book: LazyHash::new(FontBook::new()), slots: Vec::new() };
        let mut book = FontBook::new();
        for data in typst_assets::fonts() {
            for (index, info) in FontInfo::iter(data).enumerate() {
                // Fonts of formulas are large, and no document of ours has one.
                if !info.family.as_str().starts_with("New Computer Modern") {
                    fonts.add(&mut book, info, Place::Embedded(data, number(index)));
                }
            }
        }
        for directory in directories {
            let mut files = Vec::new();
            collect(directory, DEPTH_MAX, &mut files)
                .map_err(|source| FontError { path: directory.clone(), source })?;
            files.sort();
            for file in files {
                // A font that vanished meanwhile is as good as none.
                let Ok(data) = fs::read(&file) else { continue };
                for (index, info) in FontInfo::iter(&data).enumerate() {
                    fonts.add(&mut book, info, Place::File(file.clone(), number(index)));
                }
            }
        }
        fonts.book = LazyHash::new(book);
        Ok(fonts)
    }

    fn add(&mut self, book: &mut FontBook, info: FontInfo, place: Place) {
        book.push(info);
        self.slots.push(Slot { place, font: OnceLock::new() });
    }

    /// The list of fonts.
    pub(crate) fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    /// A font by its place in the list.
    pub(crate) fn font(&self, index: usize) -> Option<Font> {
        let slot = self.slots.get(index)?;
        slot.font.get_or_init(|| slot.place.read()).clone()
    }
}

impl Place {
    fn read(&self) -> Option<Font> {
        match self {
            Self::Embedded(data, index) => Font::new(Bytes::new(*data), *index),
            Self::File(path, index) => Font::new(Bytes::new(fs::read(path).ok()?), *index),
        }
    }
}

/// A font's place in its file.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The font files below a directory.
fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_font = path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
            ["ttf", "otf", "ttc", "otc"].iter().any(|one| extension.eq_ignore_ascii_case(one))
        });
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, files)?;
        } else if is_font {
            files.push(path);
        }
    }
    Ok(())
}
