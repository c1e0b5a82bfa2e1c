//! The report for people.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use super::{Figures, Report, UsageCheck};

const HEADER: [&str; 9] =
    ["", "requests/s", "CPU s per 100k", "CPU vs nginx", "CPU vs Pingora", "core busy", "p50 µs", "p99 µs", "RSS MiB"];

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, options) = (&self.machine, &self.options);
        writeln!(formatter, "{}, {} cores, Linux {}", machine.processor, machine.cores, machine.kernel)?;
        writeln!(
            formatter,
            "medians of {} rounds; {} connections, closed loop {} s (requests/s, CPU), then open loop {} s at {} \
             requests/s (latency)\n",
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
        let verdict = match (self.holds, self.unanswered) {
            (true, 0) => "equal for every key",
            (true, _) => "within bounds for every key, but some requests were not answered",
            (false, _) => "THEY DO NOT FIT",
        };
        writeln!(
            formatter,
            "usage: {} answers received through the gateway under {} keys, {} recorded, {} accepted by the upstream: \
             {verdict}",
            self.received, self.keys, self.recorded, self.accepted
        )?;
        for differing in &self.differing {
            writeln!(formatter, "  {differing}")?;
        }
        Ok(())
    }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(HEADER);
    for row in &report.rows {
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let Figures { requests_per_second, cpu_seconds_per_100k, core_busy, p50_us, p99_us, resident_mib } = row.median;
        table.add_row([
            row.name.to_owned(),
            format!("{requests_per_second:.0}"),
            format!("{cpu_seconds_per_100k:.2}"),
            ratio(row.cpu_vs_nginx),
            ratio(row.cpu_vs_pingora),
            format!("{:.0} %", core_busy * 100.0),
            format!("{p50_us:.0}"),
            format!("{p99_us:.0}"),
            format!("{resident_mib:.0}"),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
