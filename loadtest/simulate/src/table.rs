//! The comparison for people.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::matrix::{self, BANK, RIVALS, Row};

/// All that the simulation found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Seconds of load in each row.
    pub seconds: u64,
    /// True if the bank kept its promises in every row.
    pub ok: bool,
    /// Every load under every failure.
    pub rows: Vec<Row>,
    /// Cases in which the bank does worst.
    pub weak_spots: Vec<Row>,
}

/// Largest rounding error of a sum of fractions.
const ROUNDING: f64 = 1e-3;

impl Report {
    /// Runs everything, `seconds` of load in each row.
    pub fn new(seconds: u64) -> Result<Self, super::redis::ScriptError> {
        let (rows, weak_spots) = (matrix::compare(seconds)?, matrix::weak_spots(seconds)?);
        let ok = rows.iter().chain(&weak_spots).all(|row| row.above_promise < ROUNDING);
        Ok(Self { seconds, ok, rows, weak_spots })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "over: the most requests above burst + rate x W in any stretch of time W; use: requests admitted, as a \
             part of what one bucket for all would have admitted. {} s of load in each row.\n",
            self.seconds
        )?;
        writeln!(formatter, "1,000 requests/s, as many at once, at five times that load:")?;
        writeln!(formatter, "{}\n", table(&self.rows))?;
        writeln!(formatter, "few requests, and load within the limit:")?;
        writeln!(formatter, "{}\n", table(&self.weak_spots))?;
        if self.ok {
            writeln!(formatter, "The bank kept what it promises in every row.")
        } else {
            writeln!(formatter, "THE BANK BROKE ITS PROMISE:")?;
            let broken = self.rows.iter().chain(&self.weak_spots).filter(|row| row.above_promise >= ROUNDING);
            for row in broken {
                let Row { gateways, shape, trouble, above_promise, .. } = row;
                writeln!(formatter, "  N={gateways} {shape} {}: {above_promise:.1} above", trouble.name())?;
            }
            Ok(())
        }
    }
}

/// Columns of words.
const LOAD: usize = 1;
const FAILURE: usize = 3;

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let names = std::iter::once(BANK).chain(RIVALS.map(|(name, _)| name));
    let about = ["N", "load", "rate", "failure", "calls/s"].map(str::to_owned);
    table.set_header(about.into_iter().chain(names.map(|name| format!("{name}\nover, use"))));
    for row in rows {
        let about = [
            row.gateways.to_string(),
            format!("{} {}/s", row.shape, row.load),
            format!("{}/s", row.rate),
            row.trouble.name().to_owned(),
            format!("{:.0}", row.calls),
        ];
        let figures = row.figures.iter();
        let figures = figures.map(|figure| format!("{:.0}  {:.3}", figure.overshoot.ceil(), figure.used));
        table.add_row(about.into_iter().chain(figures));
    }
    for column in table.column_iter_mut() {
        if ![LOAD, FAILURE].contains(&column.index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
