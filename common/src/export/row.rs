//! Rows of tables by RFC 4180.

/// A row that is being put together.
#[derive(Debug, Default)]
pub(super) struct Row {
    bytes: Vec<u8>,
    has_cells: bool,
}

impl Row {
    /// The row of names.
    pub(super) fn header(names: &[&str]) -> Vec<u8> {
        names.iter().fold(Self::default(), |row, name| row.exact(name)).end()
    }

    /// With somebody's words. A spreadsheet would take those that begin with certain characters for a
    /// formula, so they get an apostrophe before them.
    pub(super) fn text(self, text: &str) -> Self {
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if is_formula { self.exact(&format!("'{text}")) } else { self.exact(text) }
    }

    /// With words, if there are some.
    pub(super) fn optional(self, text: Option<&str>) -> Self {
        self.text(text.unwrap_or_default())
    }

    /// With a number, an id or another word of our own.
    pub(super) fn exact(mut self, text: &str) -> Self {
        if self.has_cells {
            self.bytes.push(b',');
        }
        self.has_cells = true;
        if text.contains([',', '"', '\r', '\n']) {
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            self.bytes.push(b'"');
        } else {
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self
    }

    /// With anything that has a text of our own.
    pub(super) fn value(self, value: impl std::fmt::Display) -> Self {
        self.exact(&value.to_string())
    }

    /// With nothing, so many times.
    pub(super) fn empty(self, cells: usize) -> Self {
        (0..cells).fold(self, |row, _| row.exact(""))
    }

    /// The bytes of the row, with its end.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_never_formulas() {
        let row = Row::default().text("=1+1").text("a \"b\", c").text("two\nlines").exact("-5.00").text("-x").empty(2);
        assert_eq!(String::from_utf8(row.end()).unwrap(), "'=1+1,\"a \"\"b\"\", c\",\"two\nlines\",-5.00,'-x,,\r\n");
        let dangerous = ["@sum", "+1", "\tx", "\rx"].map(|text| Row::default().text(text).end());
        assert!(dangerous.iter().all(|row| row.starts_with(b"'") || row.starts_with(b"\"'")));
        assert_eq!(Row::header(&["a", "b"]), b"a,b\r\n");
    }
}
