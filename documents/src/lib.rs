//! Typesets documents: a template of typst and its data become the bytes of a PDF/A.
//!
//! Invariants: the same request and the same fonts give the same bytes. A template sees its data and
//! the files of its request, and nothing else: no disk, no network, no clock. A character that no
//! font has is an error, never an empty box.
//!
//! The crate knows nothing of invoices. The program `documents` answers requests on its standard
//! input, one after the other ([`frame`]), so that whoever starts it can bound its time and memory:
//! a template is a program that somebody else wrote.

mod error;
mod factur_x;
mod fonts;
pub mod frame;
mod request;
mod typeset;
mod world;

pub use error::{Fault, Kind};
pub use fonts::{FontError, Fonts};
pub use request::{Attachment, FileHead, Request, RequestError, RequestHead, Standard, Time};
pub use typeset::{Typeset, Typesetter};
