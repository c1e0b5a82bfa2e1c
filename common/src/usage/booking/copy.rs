//! Records in PostgreSQL's binary COPY format: no SQL to parse, no text to read numbers from, no
//! allocation per row.

use std::io::Write as _;

use super::rows::RecordRow;
use crate::key::Mode;

/// The columns, in the order in which rows are written.
pub(super) const STATEMENT: &str = "COPY usage_records (stream, seq, at, hour, tenant_id, key_id, route, meter, \
     units, status, mode, billable, since, paid) FROM STDIN WITH (FORMAT binary)";

/// Size of a piece handed to the server, which reads it while the next one is being written.
pub(super) const CHUNK_BYTES: usize = 128 * 1024;

const COLUMNS: i16 = 14;

/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Rows as the server takes them.
pub(super) struct CopyBuffer(Vec<u8>);

impl CopyBuffer {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES + 4 * 1024);
        bytes.extend_from_slice(HEADER);
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= CHUNK_BYTES
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn push(&mut self, row: &RecordRow<'_>) {
        let record = row.record;
        self.0.extend_from_slice(&COLUMNS.to_be_bytes());
        self.text(row.stream);
        self.number(row.seq);
        self.number(record.at.0);
        self.number(row.hour.0);
        self.shown(&record.tenant);
        self.shown(&record.key);
        self.text(&record.route);
        self.text(&record.meter);
        self.number(row.units);
        self.number(i64::from(record.status));
        self.text(match record.mode {
            Mode::Live => "live",
            Mode::Test => "test",
        });
        self.number(i64::from(row.paid.is_billable()));
        match row.since {
            Some(since) => self.number(since.0),
            None => self.null(),
        }
        self.text(row.paid.as_str());
    }

    /// Writes the end mark.
    pub(super) fn finish(&mut self) {
        self.0.extend_from_slice(&(-1_i16).to_be_bytes());
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&8_i32.to_be_bytes());
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        let at = self.begin();
        self.0.extend_from_slice(text.as_bytes());
        self.end(at);
    }

    fn shown(&mut self, value: &impl std::fmt::Display) {
        let at = self.begin();
        // Into memory: there is nothing that could fail.
        let _ = write!(self.0, "{value}");
        self.end(at);
    }

    /// Leaves room for a length.
    fn begin(&mut self) -> usize {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        at
    }

    /// Writes the length of what came since, at most some hundred bytes.
    fn end(&mut self, at: usize) {
        let length = u32::try_from(self.0.len() - at - 4).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_row_prefixes_values_with_length() {
        let mut buffer = CopyBuffer(Vec::new());
        buffer.text("ab");
        buffer.number(-2);
        buffer.shown(&7);
        buffer.null();
        buffer.finish();
        assert_eq!(
            buffer.bytes(),
            b"\0\0\0\x02ab\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe\0\0\0\x017\xff\xff\xff\xff\xff\xff"
        );
        assert_eq!(HEADER.len(), 11 + 4 + 4);
    }
}
