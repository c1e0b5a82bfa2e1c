//! Path templates of `OpenAPI` as paths of routes.

use crate::route::{Spellings, decode_path};

/// A template as a route has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RoutePath {
    /// The path, with parameters.
    pub(super) path: String,
    /// Conditions on the query, of a template that names some.
    pub(super) query: Vec<(String, String)>,
    /// Parts that are said in other words.
    pub(super) notes: Vec<String>,
}

/// The path of a template below a base, or why there is none.
pub(super) fn convert(base: &str, template: &str) -> Result<RoutePath, String> {
    let mut found = RoutePath::default();
    if !template.starts_with('/') {
        return Err("its path does not begin with a slash".into());
    }
    let (whole, fragment) = template.split_once('#').map_or((template, None), |(whole, after)| (whole, Some(after)));
    if fragment.is_some() {
        found.notes.push("what follows `#` reaches no server, and was left out".into());
    }
    let (path, query) = whole.split_once('?').map_or((whole, ""), |(path, query)| (path, query));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.is_empty() || value.starts_with('{') {
            continue;
        }
        found.query.push((name.to_owned(), value.to_owned()));
    }
    found.query.sort();
    found.query.dedup_by(|one, other| one.0 == other.0);
    let whole = format!("{base}{path}");
    let mut names: Vec<String> = Vec::new();
    let segments: Vec<&str> = whole.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        found.path.push('/');
        let is_last = index + 1 == segments.len();
        let converted = convert_segment(segment, is_last, &mut names, &mut found.notes)?;
        found.path.push_str(&converted);
    }
    let decoded = decode_path(&found.path).map_err(|error| error.to_string())?;
    decoded.check(Spellings::default()).map_err(|error| error.to_string())?;
    if decoded.as_bytes() != found.path.as_bytes() || !found.path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its path has letters that a route cannot have: white space, escapes, or others than ASCII".into());
    }
    Ok(found)
}

/// A segment of a route: a literal, or one parameter.
fn convert_segment(
    segment: &str,
    is_last: bool,
    names: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<String, String> {
    if !segment.contains(['{', '}']) {
        return Ok(segment.to_owned());
    }
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.filter(|inner| !inner.contains(['{', '}']));
    if inner.is_none() && segment.matches('{').count() != segment.matches('}').count() {
        return Err(format!("`{segment}` has a brace without its counterpart"));
    }
    // `{proxy+}` and `{path*}` stand for all that follows.
    let greedy = inner.and_then(|inner| inner.strip_suffix(['+', '*'])).filter(|_| is_last);
    let name = unique(&parameter_name(greedy.or(inner).unwrap_or(segment)), names);
    if inner.is_none() {
        notes.push(format!("`{segment}` is more than a parameter: the route takes any segment in its place"));
    }
    let dots = if greedy.is_some() { "..." } else { "" };
    Ok(format!("{{{name}{dots}}}"))
}

/// A name that a parameter of a route may have.
fn parameter_name(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let name: String = text.chars().map(plain).collect();
    let name = name.trim_matches(['_', '-']);
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name.to_owned() } else { format!("p_{name}") }
}

fn unique(name: &str, names: &mut Vec<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}{number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !names.contains(name));
    let free = free.unwrap_or_default();
    names.push(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_paths_with_parameters() {
        let cases = [
            ("", "/pets", "/pets", 0),
            ("/api/v3", "/pets/{petId}", "/api/v3/pets/{petId}", 0),
            ("", "/", "/", 0),
            ("/api", "/", "/api/", 0),
            ("", "/pets/", "/pets/", 0),
            ("", "/a/{user-id}/{user.name}", "/a/{user-id}/{user_name}", 0),
            ("", "/a/{id}/b/{id}", "/a/{id}/b/{id2}", 0),
            ("", "/a/{2fa}", "/a/{p_2fa}", 0),
            ("", "/files/{proxy+}", "/files/{proxy...}", 0),
            ("", "/files/{proxy+}/x", "/files/{proxy}/x", 0),
            ("", "/users/{id}:cancel", "/users/{id__cancel}", 1),
            ("", "/f/{name}.{ext}", "/f/{name___ext}", 1),
            ("", "/doc#section", "/doc", 1),
        ];
        for (base, template, path, notes) in cases {
            let found = convert(base, template).unwrap();
            assert_eq!((&*found.path, found.notes.len()), (path, notes), "{template}");
        }
        let action = convert("", "/?Action=List&Version={v}&b").unwrap();
        assert_eq!(action.path, "/");
        assert_eq!(action.query, [("Action".to_owned(), "List".to_owned()), ("b".to_owned(), String::new())]);
    }

    #[test]
    fn path_that_no_route_can_have_is_told() {
        for (template, reason) in [
            ("pets", "does not begin with a slash"),
            ("/a b", "letters that a route cannot have"),
            ("/caf%C3%A9", "letters that a route cannot have"),
            ("/caf\u{e9}", "letters that a route cannot have"),
            ("/a/../b", "must not have a `.`"),
            ("/a//b", "empty segment"),
            ("/a;b", "`;`"),
            ("/a/{id", "without its counterpart"),
        ] {
            let told = convert("", template).unwrap_err();
            assert!(told.contains(reason), "{template}: {told}");
        }
    }
}
