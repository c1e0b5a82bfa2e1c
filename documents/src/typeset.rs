//! From a request to the bytes of a PDF.

use typst::{
    WorldExt as _,
    diag::SourceDiagnostic,
    foundations::{Datetime, Smart},
};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

use crate::{
    Fault, Fonts, Kind, Request, Standard, factur_x,
    request::Time,
    world::{DocumentWorld, Shared},
};

/// Most pages of a document.
const PAGES_MAX: usize = 2_000;

/// Documents for which what typst remembers of one is kept.
const KEPT_DOCUMENTS: usize = 8;

/// Typesets documents, one after the other.
pub struct Typesetter {
    shared: Shared,
}

/// A typeset document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typeset {
    /// The bytes of the PDF.
    pub pdf: Vec<u8>,
    /// Number of its pages.
    pub pages: usize,
}

impl Typesetter {
    /// A typesetter with these fonts.
    pub fn new(fonts: Fonts) -> Self {
        Self { shared: Shared::new(fonts) }
    }

    /// Typesets a document.
    pub fn typeset(&self, request: Request) -> Result<Typeset, Fault> {
        let typeset = self.typeset_keeping(request);
        // Memory stays flat, and what documents have in common (template, fonts) stays known.
        comemo::evict(KEPT_DOCUMENTS);
        typeset
    }

    fn typeset_keeping(&self, request: Request) -> Result<Typeset, Fault> {
        let options = options(&request)?;
        let attachment = request.head.attachment.clone();
        let world = DocumentWorld::new(&self.shared, request)?;
        let document = typst::compile::<PagedDocument>(&world)
            .output
            .map_err(|errors| fault(&world, errors.first(), Kind::Template))?;
        let pages = document.pages().len();
        if pages > PAGES_MAX {
            return Err(Fault::new(Kind::Template, format!("the document has {pages} pages, more than {PAGES_MAX}")));
        }
        let pdf =
            typst_pdf::pdf(&document, &options).map_err(|errors| fault(&world, errors.first(), Kind::Standard))?;
        let pdf = match &attachment {
            Some(attachment) => factur_x::name_attachment(&pdf, attachment)
                .ok_or_else(|| Fault::new(Kind::Standard, "the metadata of the PDF cannot be added to"))?,
            None => pdf,
        };
        Ok(Typeset { pdf, pages })
    }
}

fn options(request: &Request) -> Result<PdfOptions, Fault> {
    let standard = match request.head.standard {
        Standard::A2u => PdfStandard::A_2u,
        Standard::A3u => PdfStandard::A_3u,
    };
    let standards =
        PdfStandards::new(&[standard]).map_err(|error| Fault::new(Kind::Standard, error.message().to_string()))?;
    Ok(PdfOptions {
        ident: Smart::Custom(request.head.identifier.clone()),
        creator: Smart::Custom(Some("Tollgate".into())),
        timestamp: Some(timestamp(request.head.time)?),
        standards,
        ..PdfOptions::default()
    })
}

/// A time as the metadata of a PDF has it.
fn timestamp((year, month, day, hour, minute, second): Time) -> Result<Timestamp, Fault> {
    let datetime = Datetime::from_ymd_hms(year, month, day, hour, minute, second);
    let fault = || Fault::new(Kind::Request, format!("{year}-{month}-{day} {hour}:{minute}:{second} is no time"));
    datetime.map(Timestamp::new_utc).ok_or_else(fault)
}

/// The first error of typst as a fault, with the kind that its words tell or else `kind`.
fn fault(world: &DocumentWorld<'_>, error: Option<&SourceDiagnostic>, kind: Kind) -> Fault {
    let Some(error) = error else {
        return Fault::new(kind, "typst gave no reason");
    };
    let text = error.message.to_string();
    let kind = match () {
        () if text.contains("could not be displayed") => Kind::Glyph,
        () if text.contains("decode image") || text.contains("unknown image format") => Kind::Image,
        () => kind,
    };
    let hints = error.hints.iter().map(|hint| hint.v.as_str());
    let message = [text.as_str()].into_iter().chain(hints).collect::<Vec<_>>().join("; ");
    let place = error.span.id().filter(|id| *id == world.template()).and_then(|_| world.range(error.span));
    let place = place.and_then(|range| world.line_and_column(range.start));
    let (line, column) = place.unzip();
    Fault { kind, message, line, column }
}
