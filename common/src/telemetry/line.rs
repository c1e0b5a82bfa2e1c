//! A log line: one JSON object, the event's fields at its top.
//!
//! Invariant: a line is short whatever its fields hold. Texts end after [`TEXT_MAX_BYTES`] bytes,
//! fractions after three digits, and nothing tells where a library was compiled: records of the
//! `log` crate carry the path of their source, which is left out.

use std::fmt::{self, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

/// Longest text of a field, in bytes; what is cut off is replaced by `…`.
const TEXT_MAX_BYTES: usize = 1_024;

/// Fields of records of the `log` crate, beside the message.
const LOG_FIELDS: &str = "log.";

/// The one of them that says who speaks.
const LOG_TARGET: &str = "log.target";

/// Writes events as lines of JSON.
#[derive(Debug, Clone, Copy)]
pub struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        writer.write_char('"')?;
        let metadata = event.metadata();
        write!(writer, ",\"level\":\"{}\"", metadata.level())?;
        let mut fields = Fields { writer: &mut writer, speaker: None, outcome: Ok(()) };
        event.record(&mut fields);
        let Fields { speaker, outcome, .. } = fields;
        outcome?;
        writer.write_str(",\"target\":")?;
        text(&mut writer, speaker.as_deref().unwrap_or_else(|| metadata.target()))?;
        writer.write_str("}\n")
    }
}

/// Writes the fields of one event.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    /// The target of a record of the `log` crate.
    speaker: Option<String>,
    outcome: fmt::Result,
}

impl Fields<'_, '_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_err() || field.name().starts_with(LOG_FIELDS) {
            return;
        }
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        self.outcome = write!(self.writer, ",\"{name}\":").and_then(|()| value(self.writer));
    }
}

impl Visit for Fields<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, |writer| number(writer, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == LOG_TARGET {
            self.speaker = Some(value.to_owned());
        }
        self.write(field, |writer| text(writer, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |writer| quoted(writer, |text| write!(text, "{value:?}")));
    }
}

/// A fraction with three digits at most. What is no number is null, as JSON has no word for it.
fn number(writer: &mut Writer<'_>, value: f64) -> fmt::Result {
    if !value.is_finite() {
        return writer.write_str("null");
    }
    let mut digits = String::new();
    write!(digits, "{value:.3}")?;
    let short = digits.trim_end_matches('0').trim_end_matches('.');
    writer.write_str(if short == "-0" { "0" } else { short })
}

fn text(writer: &mut Writer<'_>, value: &str) -> fmt::Result {
    quoted(writer, |text| text.write_str(value))
}

/// Writes the text that `fill` writes as a JSON string of bounded length.
fn quoted(writer: &mut Writer<'_>, fill: impl FnOnce(&mut Text<'_, '_>) -> fmt::Result) -> fmt::Result {
    writer.write_char('"')?;
    let mut text = Text { writer, left: TEXT_MAX_BYTES, is_cut: false };
    // Fails for want of room too, which is no failure of the line.
    let filled = fill(&mut text);
    let Text { writer, is_cut, .. } = text;
    if is_cut {
        writer.write_char('…')?;
    } else {
        filled?;
    }
    writer.write_char('"')
}

/// Takes a text as far as there is room, and escapes it.
struct Text<'a, 'w> {
    writer: &'a mut Writer<'w>,
    left: usize,
    is_cut: bool,
}

impl Write for Text<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(self.left);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.left -= end;
        let mut plain = 0;
        for (index, letter) in text[..end].char_indices() {
            if !(letter == '"' || letter == '\\' || letter.is_control()) {
                continue;
            }
            self.writer.write_str(&text[plain..index])?;
            match letter {
                '"' => self.writer.write_str("\\\"")?,
                '\\' => self.writer.write_str("\\\\")?,
                '\n' => self.writer.write_str("\\n")?,
                _ => write!(self.writer, "\\u{:04x}", u32::from(letter))?,
            }
            plain = index + letter.len_utf8();
        }
        self.writer.write_str(&text[plain..end])?;
        if end < text.len() {
            self.is_cut = true;
            self.left = 0;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn line(tell: impl FnOnce()) -> Value {
        let written = Written::default();
        let sink = written.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(Line).with_writer(move || sink.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), tell);
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn fields_are_top_level_and_typed() {
        let told = line(|| {
            tracing::warn!(target: "here", count = 7_u64, left = -7_i64, on = true, text = "a\"b\\c\nd\u{1}é", who = ?Some(1), "said");
        });
        assert_eq!(told["message"], "said");
        assert_eq!(told["level"], "WARN");
        assert_eq!(told["target"], "here");
        assert_eq!((&told["count"], &told["left"], &told["on"]), (&json!(7), &json!(-7), &json!(true)));
        assert_eq!(told["text"], "a\"b\\c\nd\u{1}é");
        assert_eq!(told["who"], "Some(1)");
        assert!(told["timestamp"].as_str().unwrap().ends_with('Z'), "{told}");
    }

    #[test]
    fn long_values_are_cut() {
        let long = "é".repeat(100_000);
        let told = line(|| {
            tracing::info!(ms = 1.234_567_89, whole = 3.0, small = 0.000_01, none = f64::NAN, text = long, debug = ?long);
        });
        assert_eq!((&told["ms"], &told["whole"], &told["small"]), (&json!(1.235), &json!(3), &json!(0)));
        assert_eq!(told["none"], Value::Null);
        for field in ["text", "debug"] {
            let text = told[field].as_str().unwrap();
            assert!(text.len() <= TEXT_MAX_BYTES + 3 && text.ends_with('…'), "{} bytes", text.len());
        }
    }

    #[test]
    fn source_paths_of_libraries_are_omitted() {
        let told = line(|| {
            // As `tracing-log` gives records of the `log` crate on.
            tracing::error!(
                log.target = "pingora_core::server",
                log.file = "/home/build/registry/src/x.rs",
                log.line = 7_u64,
                "broken"
            );
        });
        assert_eq!(told["target"], "pingora_core::server");
        assert!(!told.to_string().contains("registry") && told.get("log.line").is_none(), "{told}");
    }
}
