//! Answers and errors: as a table for people, as JSON for programs, as CSV for spreadsheets.
//!
//! Invariant: nothing printed here contains a control character, so that a name in the store or an
//! error of a driver can neither move the cursor nor forge a line.

mod fit;
mod spreadsheet;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, Table, presets};
use common::api::actor::CreatorDocument;
use serde::Serialize;
use serde_json::json;

use crate::{class::Class, error::Failure};

/// The form of an answer: aligned columns for people, JSON for programs, or CSV for spreadsheets.
// The variants bear no documentation: it would become help text and stretch every page of it to
// twice its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Csv,
}

/// Prints answers and errors in one form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

/// An answer with a table; its JSON is its [`Serialize`].
pub(crate) trait View: Serialize {
    /// The rows of its table.
    fn table(&self) -> Rows;
}

/// An item with one row in the table of a list.
pub(crate) trait ListRow: Serialize {
    /// Names of the columns.
    const COLUMNS: &'static [&'static str];

    /// Columns that a narrow terminal leaves out, the least important first.
    const DROPPABLE: &'static [&'static str] = &[];

    /// One text per column.
    fn cells(&self) -> Vec<String>;
}

/// The text of a table, before it is aligned.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    header: Vec<String>,
    lines: Vec<Vec<String>>,
    droppable: &'static [&'static str],
}

impl Output {
    /// Output in this form.
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints an answer.
    pub(crate) fn show(self, view: &impl View) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.show_table(view.table()),
            Format::Json => print(&json_without_controls(&serde_json::to_string_pretty(view)?)),
            Format::Csv => print(spreadsheet::text(&view.table())?.trim_end()),
        }
    }

    /// Returns true if answers are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    fn show_table(self, rows: Rows) -> Result<(), Failure> {
        // Only a terminal has a width.
        let Some(width) = Table::new().width() else {
            return print(&rows.align());
        };
        let (text, left_out) = rows.fit(width);
        print(&text)?;
        if !left_out.is_empty() {
            let columns = left_out.join(", ");
            self.note(&format!("(too narrow for {columns}: widen the terminal, or use --output json)"));
        }
        Ok(())
    }

    /// Prints a note for people beside the answer. Programs get the answer only.
    pub(crate) fn note(self, text: &str) {
        if self.format == Format::Table {
            let _ = writeln!(io::stderr().lock(), "{}", without_controls(text));
        }
    }

    /// Warns people and programs that the answer is incomplete.
    pub(crate) fn warn(self, text: &str) {
        let message = without_controls(text);
        let text = match self.format {
            Format::Table | Format::Csv => format!("warning: {message}"),
            Format::Json => json!({ "warning": { "message": message } }).to_string(),
        };
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Prints the reason of a failure. An error of printing is ignored.
    pub(crate) fn report(self, failure: &Failure) {
        if failure.class() == Class::Differences {
            return self.note(&failure.to_string());
        }
        let message = failure.to_string();
        // Faults of a plan file stand on lines of their own; any other failure is one line.
        let message = match failure {
            Failure::PlanFile(_) => message.lines().map(without_controls).collect::<Vec<_>>().join("\n"),
            _ => without_controls(&message),
        };
        let text = match self.format {
            Format::Table | Format::Csv => format!("error: {message}"),
            Format::Json => json!({ "error": { "code": failure.class().code(), "message": message } }).to_string(),
        };
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Prints text and a line break. A closed reader, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Write(error)),
        _ => Ok(()),
    }
}

// === impl Rows ===

impl Rows {
    /// Rows of name and value.
    pub(crate) fn properties<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let rows = pairs.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        Self { lines: rows, ..Self::default() }
    }

    /// Adds one property.
    pub(crate) fn push(&mut self, name: &str, value: String) {
        self.lines.push(vec![name.to_owned(), value]);
    }

    /// The same rows with one more property.
    pub(crate) fn with(mut self, name: &str, value: String) -> Self {
        self.push(name, value);
        self
    }

    fn align(&self) -> String {
        self.to_table().trim_fmt()
    }

    /// The text for a terminal of this width, and the columns that were left out.
    fn fit(mut self, width: u16) -> (String, Vec<&'static str>) {
        for cell in self.lines.iter_mut().flatten() {
            if let Some(short) = fit::short_time(cell) {
                *cell = short;
            }
        }
        let padded = self.to_table().column_max_content_widths();
        let widths: Vec<usize> = padded.into_iter().map(usize::from).collect();
        let (kept, left_out) = fit::columns(&self.header, &widths, self.droppable, usize::from(width));
        let pick = |row: &Vec<String>| kept.iter().filter_map(|column| row.get(*column).cloned()).collect::<Vec<_>>();
        let fitted = Self { header: pick(&self.header), lines: self.lines.iter().map(pick).collect(), droppable: &[] };
        let mut table = fitted.to_table();
        fit::wrap(&mut table, &fitted.lines, width);
        (table.trim_fmt(), left_out)
    }

    fn to_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if !self.header.is_empty() {
            table.set_header(self.header.iter().enumerate().map(|(index, name)| self.cell(index, name)));
        }
        for row in &self.lines {
            table.add_row(row.iter().enumerate().map(|(index, text)| self.cell(index, text)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, fit::GAP));
        }
        table
    }

    fn cell(&self, column: usize, text: &str) -> Cell {
        let cell = Cell::new(without_controls(text));
        if self.is_numeric(column) { cell.set_alignment(CellAlignment::Right) } else { cell }
    }

    /// Only lists align columns of numbers to the right.
    fn is_numeric(&self, column: usize) -> bool {
        let is_number = |row: &Vec<String>| row[column].bytes().all(|byte| byte.is_ascii_digit());
        !self.header.is_empty() && !self.lines.is_empty() && self.lines.iter().all(is_number)
    }
}

impl<T: ListRow> View for Vec<T> {
    fn table(&self) -> Rows {
        Rows {
            header: T::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
            lines: self.iter().map(ListRow::cells).collect(),
            droppable: T::DROPPABLE,
        }
    }
}

/// The value, or a dash if it is missing.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The restrictions of a key separated by commas, or `all` if there are none.
pub(crate) fn or_else_all(restrictions: &[impl ToString], all: &str) -> String {
    if restrictions.is_empty() {
        return all.to_owned();
    }
    restrictions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The creator of a key, as far as the caller may know it.
pub(crate) fn creator(CreatorDocument { kind, name, tenant }: &CreatorDocument) -> String {
    let Some(name) = name else {
        return format!("{kind} above");
    };
    tenant.map_or_else(|| format!("{kind} {name}"), |tenant| format!("{kind} {name} at {tenant}"))
}

/// Control characters, and those that turn the direction of the text around them.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

pub(crate) fn without_controls(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, character| {
        if is_unsafe(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
        safe
    })
}

/// JSON escapes only the first 32 control characters by itself. All others stand inside of strings,
/// so that the escape of JSON fits; the line breaks between values stay.
fn json_without_controls(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut safe, character| {
        if is_unsafe(character) && character != '\n' {
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\n\u{9b}1m\u{7f}\u{202e}b";

    #[derive(Serialize)]
    struct Item {
        name: String,
        count: u64,
    }

    impl ListRow for Item {
        const COLUMNS: &'static [&'static str] = &["NAME", "COUNT"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.clone(), self.count.to_string()]
        }
    }

    #[test]
    fn control_characters_are_escaped_in_tables_and_json() {
        let items = vec![Item { name: HOSTILE.into(), count: 1 }];
        let table = items.table().align();
        assert_eq!(table.lines().count(), 2, "{table:?}");
        assert!(table.lines().all(|line| !line.contains(is_unsafe)), "{table:?}");
        let json = json_without_controls(&serde_json::to_string_pretty(&items).unwrap());
        assert!(json.lines().all(|line| !line.contains(is_unsafe)), "{json:?}");
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed[0]["name"], HOSTILE);
    }

    #[test]
    fn number_columns_align_right_and_lines_end_without_blanks() {
        let items = vec![Item { name: "long name".into(), count: 1 }, Item { name: "x".into(), count: 12_345 }];
        assert_eq!(items.table().align(), "NAME       COUNT\nlong name      1\nx          12345");
    }
}
