//! Tables as CSV (RFC 4180), as spreadsheets read it.

use std::io;

use super::{Rows, without_controls};

/// The rows of a table; those of one thing are names and values.
pub(super) fn text(rows: &Rows) -> Result<String, io::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = if rows.header.is_empty() { &["NAME".to_owned(), "VALUE".to_owned()][..] } else { &rows.header };
    for row in std::iter::once(header).chain(rows.lines.iter().map(Vec::as_slice)) {
        writer.write_record(row.iter().map(|cell| cell_text(cell)))?;
    }
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// A cell that no spreadsheet takes for a formula: names are somebody else's words.
fn cell_text(cell: &str) -> String {
    let cell = without_controls(cell);
    let is_number = cell.strip_prefix('-').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    let is_formula = cell.starts_with(['=', '+', '@', '-']) && !is_number && cell != "-";
    if is_formula { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = Rows {
            header: row(["NAME", "OPEN"]),
            lines: vec![row(["=HYPERLINK(\"x\")", "-5.00"]), row(["Acme, \"the\" best", "-"]), row(["@a", "-b\n"])],
            droppable: &[],
        };
        let expected =
            ["NAME,OPEN", "\"'=HYPERLINK(\"\"x\"\")\",-5.00", "\"Acme, \"\"the\"\" best\",-", "'@a,'-b\\u{a}", ""];
        assert_eq!(text(&rows).unwrap(), expected.join("\n"));
        assert!(text(&Rows::properties([("id", "7".to_owned())])).unwrap().starts_with("NAME,VALUE\nid,7"));
    }
}
