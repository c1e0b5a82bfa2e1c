//! The report for people.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use super::{Figures, Report, Row, UsageCheck, kind::Contest};

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, options) = (&self.machine, &self.options);
        writeln!(formatter, "{}, {} cores, Linux {}", machine.processor, machine.cores, machine.kernel)?;
        writeln!(
            formatter,
            "medians of {} rounds; {} connections, closed loop {} s (requests/s, CPU, closed p99), then open loop {} s \
             at {} requests/s (p50, p99)\n",
            options.rounds, options.connections, options.seconds, options.seconds, options.rate
        )?;
        writeln!(formatter, "{}\n", table(self))?;
        for row in &self.rows {
            writeln!(formatter, "{}: {}", row.name, row.switched_on)?;
        }
        writeln!(formatter)?;
        for note in &self.notes {
            writeln!(formatter, "note: {note}")?;
        }
        self.usage.fmt(formatter)
    }
}

impl fmt::Display for UsageCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.holds, self.unanswered, self.denied) {
            (true, 0, 0) => "equal for every key",
            (true, 0, _) => "equal in all, and within bounds for every key",
            (true, ..) => "within bounds for every key, but some requests were not answered",
            (false, ..) => "THEY DO NOT FIT",
        };
        let Self { received, denied, keys, recorded, .. } = self;
        write!(formatter, "usage: {received} answers received through the gateway under {keys} keys, ")?;
        if *denied > 0 {
            write!(formatter, "{denied} of them denials, ")?;
        }
        write!(formatter, "{recorded} recorded")?;
        if let Some(accepted) = self.accepted {
            write!(formatter, ", {accepted} accepted by the upstream")?;
        }
        writeln!(formatter, ": {verdict}")?;
        for differing in &self.differing {
            writeln!(formatter, "  {differing}")?;
        }
        Ok(())
    }
}

fn table(report: &Report) -> Table {
    let contest = Contest::of(&report.options);
    let peers = contest.peers().iter().map(|peer| peer.heading);
    let redis = (contest == Contest::Checks).then_some("Redis s per 100k");
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "requests/s", "CPU s per 100k"].into_iter().chain(redis).chain(peers).chain([
        "core busy",
        "closed p99 µs",
        "p50 µs",
        "p99 µs",
        "RSS MiB",
    ]));
    for row in &report.rows {
        table.add_row(cells(contest, row));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cells(contest: Contest, row: &Row) -> Vec<String> {
    let known = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.2}"));
    let Figures { requests_per_second, cpu_seconds_per_100k, core_busy, closed_p99_us, p50_us, p99_us, .. } =
        row.median;
    let mut cells =
        vec![row.name.to_owned(), format!("{requests_per_second:.0}"), format!("{cpu_seconds_per_100k:.2}")];
    if contest == Contest::Checks {
        cells.push(known(row.median.redis_cpu_seconds_per_100k));
    }
    cells.extend(contest.peers().iter().map(|peer| known(row.cpu_vs.get(peer.field).copied().flatten())));
    cells.push(format!("{:.0} %", core_busy * 100.0));
    cells.extend([closed_p99_us, p50_us, p99_us, row.median.resident_mib].map(|number| format!("{number:.0}")));
    cells
}
