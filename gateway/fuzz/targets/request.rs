//! Reading a request: never a panic, and the same outcome in whatever pieces its bytes arrive.

#![no_main]

use fuzz::pieces;
use gateway::{
    config::SizeLimits,
    listen::{
        body::{BodyReader, Framing},
        head::{Head, HeadReader},
    },
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

const SIZES: SizeLimits =
    SizeLimits { header_bytes: 2_000, header_value_bytes: 500, path_bytes: 200, body_bytes: None };

#[derive(Debug, Arbitrary)]
struct Input {
    /// True if the bytes are only those of a body in chunks.
    is_body: bool,
    bytes: Vec<u8>,
    cuts: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let (bytes, cuts) = (&input.bytes, &input.cuts);
    if input.is_body {
        assert_eq!(body(bytes, &[], Framing::Chunked), body(bytes, cuts, Framing::Chunked));
        return;
    }
    let (whole, in_pieces) = (head(bytes, &[]), head(bytes, cuts));
    assert_eq!(whole, in_pieces);
    if let Ok(Some(head)) = whole {
        let (before, behind) = bytes.split_at(head.skipped + head.length);
        assert!(before.ends_with(b"\r\n\r\n"));
        assert_eq!(body(behind, &[], head.framing), body(behind, cuts, head.framing));
    }
});

fn head(bytes: &[u8], cuts: &[u8]) -> Result<Option<Head>, ()> {
    let mut reader = HeadReader::default();
    for end in pieces(bytes.len(), cuts) {
        if let Some(head) = reader.read(&bytes[..end], &SIZES).map_err(|_| ())? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// Returns the number of bytes that belong to the body, and true if it is over.
fn body(bytes: &[u8], cuts: &[u8], framing: Framing) -> Result<(usize, bool), ()> {
    let mut reader = BodyReader::new(framing);
    let mut taken = 0;
    for end in pieces(bytes.len(), cuts) {
        if !reader.is_done() {
            taken += reader.advance(&bytes[taken..end]).map_err(|_| ())?;
        }
    }
    assert!(taken <= bytes.len());
    Ok((taken, reader.is_done()))
}
