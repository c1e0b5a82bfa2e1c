//! Follows the body of a request byte by byte to its end.

mod chunks;
#[cfg(test)]
mod tests;

use chunks::Chunks;

use crate::answer::Problem;

/// The framing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// Follows a body to its end.
#[derive(Debug)]
pub enum BodyReader {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks are still to come.
    Chunked(Box<Chunks>),
    /// It is over.
    Done,
}

impl BodyReader {
    /// A reader of a body that begins.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Done,
            Framing::Length(bytes) => Self::Length(bytes),
            Framing::Chunked => Self::Chunked(Box::default()),
        }
    }

    /// Returns true if no byte of the body is to come any more.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Most bytes that may be read before [`Self::advance`] is asked: whatever is known to be of
    /// this body.
    pub fn readable(&self) -> usize {
        match self {
            Self::Length(bytes) => usize::try_from(*bytes).unwrap_or(usize::MAX),
            Self::Chunked(_) => usize::MAX,
            Self::Done => 0,
        }
    }

    /// Returns the number of the bytes that belong to the body; an error if no body may have them.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, Problem> {
        match self {
            Self::Done => Ok(0),
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(taken)
            }
            Self::Chunked(chunks) => {
                let taken = chunks.advance(bytes)?;
                if chunks.is_done() {
                    *self = Self::Done;
                }
                Ok(taken)
            }
        }
    }
}
