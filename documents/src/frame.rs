//! Frames: requests and answers as they pass through pipes. A frame is the length of a head and the
//! length of a body, each four bytes with the highest first, then the head in JSON, then the body.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::Fault;

/// Most bytes of a head or body.
pub const MAX_BYTES: u32 = 64 << 20;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// JSON.
    pub head: Vec<u8>,
    /// Bytes, as the head says.
    pub body: Vec<u8>,
}

/// The head of an answer. The body is the PDF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Pages of the PDF; 0 if there is none.
    pub pages: usize,
    /// The reason for which there is none.
    pub fault: Option<Fault>,
}

impl Frame {
    /// Reads a frame; none at the end of the input.
    pub fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let (mut head, mut body) = ([0; 4], [0; 4]);
        match input.read(&mut head[..1])? {
            0 => return Ok(None),
            _ => input.read_exact(&mut head[1..])?,
        }
        input.read_exact(&mut body)?;
        let head = part(input, u32::from_be_bytes(head))?;
        let body = part(input, u32::from_be_bytes(body))?;
        Ok(Some(Self { head, body }))
    }

    /// Writes the frame.
    pub fn write(&self, output: &mut impl Write) -> io::Result<()> {
        for part in [&self.head, &self.body] {
            let length = u32::try_from(part.len()).map_err(|_| io::Error::other("a frame is too large"))?;
            output.write_all(&length.to_be_bytes())?;
        }
        output.write_all(&self.head)?;
        output.write_all(&self.body)?;
        output.flush()
    }
}

fn part(input: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    if length > MAX_BYTES {
        return Err(io::Error::other(format!("a frame of {length} bytes is larger than {MAX_BYTES}")));
    }
    let mut bytes = Vec::new();
    input.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() == length as usize {
        return Ok(bytes);
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let frames = [
            Frame { head: b"{}".to_vec(), body: Vec::new() },
            Frame { head: b"{\"a\":1}".to_vec(), body: vec![0, 255, 7] },
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        assert_eq!(Frame::read(&mut input).unwrap().as_ref(), Some(&frames[0]));
        assert_eq!(Frame::read(&mut input).unwrap().as_ref(), Some(&frames[1]));
        assert_eq!(Frame::read(&mut input).unwrap(), None);
    }

    #[test]
    fn frame_that_is_cut_off_or_too_large_is_an_error() {
        assert!(Frame::read(&mut [0, 0, 0, 2, 0, 0, 0, 0, b'{'].as_slice()).is_err());
        assert!(Frame::read(&mut [0, 0].as_slice()).is_err());
        assert!(Frame::read(&mut [255, 0, 0, 2, 0, 0, 0, 0].as_slice()).is_err());
    }
}
