//! Tables that fit the terminal: times are shortened, then less important columns are left out,
//! then long texts are wrapped. Output that does not go to a terminal keeps every column and every
//! digit.

use comfy_table::{ColumnConstraint, ContentArrangement, Table};

/// Blanks between two columns.
pub(super) const GAP: u16 = 2;

/// Least width of a wrapped column, in characters.
const WRAPPED_MIN: usize = 10;

/// Leaves columns out until lines fit into `width`; returns the indices of the columns that stay
/// and the names of those that do not. `droppable` names columns, the least important first.
pub(super) fn columns(
    header: &[String],
    widths: &[usize],
    droppable: &[&'static str],
    width: usize,
) -> (Vec<usize>, Vec<&'static str>) {
    let gap = usize::from(GAP);
    let fits = |kept: &[usize]| kept.iter().map(|column| widths[*column] + gap).sum::<usize>() <= width + gap;
    let mut kept: Vec<usize> = (0..widths.len()).collect();
    let mut left_out: Vec<(usize, &'static str)> = Vec::new();
    for name in droppable {
        if fits(&kept) {
            break;
        }
        if let Some(place) = kept.iter().position(|column| header.get(*column).is_some_and(|title| title == name)) {
            left_out.push((kept.remove(place), name));
        }
    }
    // A wide column that went last may leave room for narrow columns that went before.
    for (column, name) in left_out.clone().into_iter().rev() {
        let place = kept.partition_point(|other| *other < column);
        kept.insert(place, column);
        if fits(&kept) {
            left_out.retain(|(_, other)| *other != name);
        } else {
            kept.remove(place);
        }
    }
    (kept, left_out.into_iter().map(|(_, name)| name).collect())
}

/// Wraps a table that is still wider than `width`: columns whose texts have blanks, so that ids
/// stay whole, or all columns if that leaves too little room. Blanks after the last column do not
/// count.
pub(super) fn wrap(table: &mut Table, rows: &[Vec<String>], width: u16) {
    let widths: Vec<usize> = table.column_max_content_widths().into_iter().map(usize::from).collect();
    let has_blanks = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|text| text.contains(' ')));
    let (wrapped, whole): (Vec<_>, Vec<_>) = (0..widths.len()).partition(|column| has_blanks(*column));
    let needed = whole.iter().map(|column| widths[*column]).sum::<usize>() + usize::from(GAP) * widths.len();
    if needed + wrapped.len() * WRAPPED_MIN <= usize::from(width + GAP) {
        for column in whole {
            if let Some(column) = table.column_mut(column) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.saturating_add(GAP));
}

/// Shortens an instant to the minute: `2026-11-22T01:30:00Z` is `2026-11-22 01:30`. Other texts
/// stay.
pub(super) fn short_time(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let is_instant = bytes.len() > shape.len()
        && bytes.last() == Some(&b'Z')
        && shape.iter().zip(bytes).all(|(shape, byte)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => other == byte,
        });
    is_instant.then(|| format!("{} {}", &text[..10], &text[11..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_instants_are_shortened() {
        for (text, short) in [
            ("2026-11-22T01:30:00Z", Some("2026-11-22 01:30")),
            ("2026-11-22T01:30:59.123456Z", Some("2026-11-22 01:30")),
            ("2026-11-22T01:30:00", None),
            ("2026-11-22", None),
            ("key of 2026-11-22T01:30:00Z", None),
            ("", None),
        ] {
            assert_eq!(short_time(text).as_deref(), short, "{text}");
        }
    }

    #[test]
    fn columns_are_left_out_in_order_and_only_as_far_as_needed() {
        let header = ["ID", "NAME", "HINT", "CREATED"].map(ToOwned::to_owned);
        let fitted = |width| columns(&header, &[30, 10, 4, 16], &["HINT", "CREATED"], width);
        assert_eq!(fitted(66), (vec![0, 1, 2, 3], vec![]));
        assert_eq!(fitted(65), (vec![0, 1, 3], vec!["HINT"]));
        assert_eq!(fitted(59), (vec![0, 1, 2], vec!["CREATED"]), "what fits once a wide one is gone comes back");
        assert_eq!(fitted(47), (vec![0, 1], vec!["HINT", "CREATED"]));
        assert_eq!(fitted(10), (vec![0, 1], vec!["HINT", "CREATED"]), "what is left is wrapped");
    }
}
