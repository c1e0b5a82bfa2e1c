//! The configuration that is printed.

use std::fmt::Write as _;

use super::operation::ImportedRoute;

/// Longest name of a route or an upstream.
pub(super) const NAME_MAX_BYTES: usize = 64;

/// Longest scope.
const SCOPE_MAX_BYTES: usize = 64;

/// A name for a route or an upstream: what may not stand in one becomes a dash.
pub(super) fn name(text: &str, otherwise: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let name = collapsed(text.chars().map(plain), NAME_MAX_BYTES);
    if name.is_empty() { otherwise.to_owned() } else { name }
}

/// A scope as keys have them: `read:pets` is `read-pets`.
pub(super) fn slug(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    let slug = collapsed(text.to_ascii_lowercase().chars().map(plain), SCOPE_MAX_BYTES);
    if slug.is_empty() { "scope".to_owned() } else { slug }
}

/// Letters with one dash in place of several, and none at either end.
fn collapsed(letters: impl Iterator<Item = char>, most: usize) -> String {
    let mut text = String::new();
    for letter in letters {
        if !(letter == '-' && (text.is_empty() || text.ends_with('-'))) {
            text.push(letter);
        }
    }
    text.truncate(most);
    text.trim_end_matches('-').to_owned()
}

/// A configuration with one upstream and these routes.
pub(super) fn print(file: &str, upstream: &str, address: Option<&str>, routes: &[ImportedRoute]) -> String {
    let file: String = file.chars().filter(|letter| !letter.is_control()).collect();
    let mut yaml = format!("# Made of {file} by `gateway routes import`.\n\nupstreams:\n  {}:\n", quoted(upstream));
    let note = if address.is_some() { "" } else { "  # the document names no server: put yours here" };
    let _ = writeln!(yaml, "    servers: [{}]{note}\n\nroutes:", quoted(address.unwrap_or("127.0.0.1:9000")));
    for route in routes {
        // Writing into a string does not fail.
        let _ = writeln!(yaml, "  - name: {}", quoted(&route.name));
        let _ = writeln!(yaml, "    path: {}", quoted(&route.path));
        if !route.query.is_empty() {
            let pairs: Vec<String> =
                route.query.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
            let _ = writeln!(yaml, "    query: {{ {} }}", pairs.join(", "));
        }
        let _ = writeln!(yaml, "    methods: [{}]", route.method);
        let _ = writeln!(yaml, "    upstream: {}", quoted(upstream));
        if let Some(scope) = &route.scope {
            let _ = writeln!(yaml, "    scope: {}", quoted(scope));
        }
        if route.public {
            let _ = writeln!(yaml, "    public: true");
        }
    }
    yaml
}

/// A text as YAML: plain where it can only be a text, else quoted as in JSON.
fn quoted(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&&*text.to_ascii_lowercase());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
