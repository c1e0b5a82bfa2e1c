//! Reading the YAML that people edit: one error form, `file:line: reason`, for everything that can be wrong with it.

use std::path::Path;

use serde::de::DeserializeOwned;

/// Why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read at all.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Malformed YAML, an unknown or missing field, a value of the wrong type.
    #[error("{file}:{line}: {reason}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
}

/// The text of a configuration file.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { file: path.display().to_string(), source })
}

/// Parses YAML into `T`; `file` names the text in errors.
pub fn parse_yaml<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let message = error.to_string();
        // The location stands in `line` already.
        let reason = message.split(" at line ").next().unwrap_or(&message);
        ConfigError::Invalid { file: file.to_owned(), line, reason: reason.to_owned() }
    })
}

/// The value of an environment variable that overrides a setting; an empty one counts as unset.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The line on which `field: value` stands for the `occurrence`-th time, counted from 1; the first line if nowhere.
///
/// YAML values carry no position once parsed; this finds the place again for checks that look at the whole.
pub fn line_of(text: &str, field: &str, value: &str, occurrence: usize) -> usize {
    let lines = text.lines().enumerate().filter(|(_, line)| states(line, field, value));
    lines.map(|(index, _)| index + 1).nth(occurrence.saturating_sub(1)).unwrap_or(1)
}

/// Whether `line` holds `field: value`, in block or flow style.
fn states(line: &str, field: &str, value: &str) -> bool {
    line.match_indices(field).any(|(start, _)| {
        let stands_alone = line[..start].chars().next_back().is_none_or(|before| " {,\t".contains(before));
        let Some(rest) = line[start + field.len()..].trim_start().strip_prefix(':') else { return false };
        let written = rest.split([',', '}']).next().unwrap_or_default();
        let written = written.split(" #").next().unwrap_or_default();
        stands_alone && written.trim().trim_matches(['"', '\'']) == value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_again_in_every_style() {
        let text = "routes:\n  - name: a # first\n  - { name: \"b-c\", x: 1 }\n  - name: 'a'\n";
        assert_eq!(line_of(text, "name", "a", 1), 2);
        assert_eq!(line_of(text, "name", "a", 2), 4);
        assert_eq!(line_of(text, "name", "b-c", 1), 3);
        assert_eq!(line_of(text, "name", "zzz", 1), 1);
    }

    #[test]
    fn malformed_yaml_names_file_and_line() {
        let error = parse_yaml::<serde_yaml::Value>("a: 1\nb: [\n", "x.yaml").unwrap_err().to_string();
        assert!(error.starts_with("x.yaml:"), "{error}");
    }
}
