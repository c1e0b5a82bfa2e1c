//! The paths that a route serves: one path, possibly with parameters, or everything below one.
//!
//! | pattern | serves |
//! |---|---|
//! | `path: /v1/users` | this path only, with a slash at its end or without |
//! | `path: /v1/users/{id}` | one segment, not empty, in place of `{id}` |
//! | `path: /v1/files/{rest...}` | `/v1/files` and everything below |
//! | `path_prefix: /v1/files` | the same |

use std::fmt;

/// The paths that a route serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    below: Option<Below>,
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This text, decoded.
    Literal(Box<str>),
    /// Any text but the empty one, under this name.
    Parameter(Box<str>),
}

/// Everything below the segments.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Below {
    /// Name of the rest, if it has one.
    name: Option<Box<str>>,
}

/// The part of a pattern that decides which paths it serves: patterns of one shape serve the same
/// paths, whatever their parameters are called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    /// None stands for a parameter.
    segments: Box<[Option<Box<str>>]>,
    below: bool,
}

/// The reason for which a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A brace that does not begin and end a segment.
    #[error("a parameter is a whole segment, as in /users/{{id}}: `{0}` is not")]
    Brace(Box<str>),
    /// A name of other characters, or none.
    #[error("`{{{0}}}` is not a parameter: use letters, digits, - and _, with a letter first")]
    Name(Box<str>),
    /// Two parameters of one name.
    #[error("the parameter `{{{0}}}` stands twice")]
    Twice(Box<str>),
    /// `{rest...}` before the end.
    #[error("`{{{0}...}}` stands for all that follows: it must be the last segment")]
    NotLast(Box<str>),
}

impl PathPattern {
    /// This path and everything below it, `/` at its end or not.
    pub fn below(prefix: &str) -> Self {
        let trimmed = prefix.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(prefix);
        let segments = segments_of(prefix).map(|segment| Segment::Literal(segment.into())).collect();
        Self { text: trimmed.into(), segments, below: Some(Below { name: None }) }
    }

    /// The pattern of a text that begins with a slash, in which `{name}` is a parameter and
    /// `{name...}` the rest.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut segments = Vec::new();
        let mut below: Option<Below> = None;
        for segment in segments_of(text) {
            if let Some(name) = below.take().and_then(|below| below.name) {
                return Err(PatternError::NotLast(name));
            }
            let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
                if segment.contains(['{', '}']) {
                    return Err(PatternError::Brace(segment.into()));
                }
                segments.push(Segment::Literal(segment.into()));
                continue;
            };
            match name.strip_suffix("...") {
                Some(name) => below = Some(Below { name: Some(parameter_name(name)?) }),
                None => segments.push(Segment::Parameter(parameter_name(name)?)),
            }
        }
        let pattern = Self { text: text.into(), segments: segments.into(), below };
        let names: Vec<&str> = pattern.parameters().collect();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, name)) => Err(PatternError::Twice((*name).into())),
            None => Ok(pattern),
        }
    }

    /// The segments, without the rest.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns true if it serves everything below its segments.
    pub const fn is_below(&self) -> bool {
        self.below.is_some()
    }

    /// Names of its parameters, that of the rest included.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        let of_segments = self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) => Some(&**name),
        });
        of_segments.chain(self.below.iter().filter_map(|below| below.name.as_deref()))
    }

    /// The part that decides which paths it serves.
    pub fn shape(&self) -> Shape {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(text.clone()),
            Segment::Parameter(_) => None,
        });
        Shape { segments: segments.collect(), below: self.is_below() }
    }

    /// The value of a parameter in a path, as it was sent: its escapes are not decoded. Must be
    /// called with a path that matched. The rest comes without the slash before it; none if there
    /// is no rest.
    pub fn value<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let is_named = |segment: &Segment| matches!(segment, Segment::Parameter(known) if **known == *name);
        if let Some(index) = self.segments.iter().position(is_named) {
            return segments_of(path).nth(index);
        }
        let is_rest = self.below.as_ref().is_some_and(|below| below.name.as_deref() == Some(name));
        if is_rest {
            path.match_indices('/').nth(self.segments.len()).map(|(slash, _)| &path[slash + 1..])
        } else {
            None
        }
    }

    /// A path that matched, as it was sent, without its first segments: as many as the pattern has.
    ///
    /// Segments are counted, not bytes: the path may spell them with escapes, but an accepted path
    /// has the same slashes in both forms.
    pub fn strip<'p>(&self, path: &'p str) -> &'p str {
        path.match_indices('/').nth(self.segments.len()).map_or("/", |(slash, _)| &path[slash..])
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The segments of a path; none of `/`. A slash at the end makes no difference.
fn segments_of(path: &str) -> impl Iterator<Item = &str> {
    let below_root = path.strip_prefix('/').filter(|rest| !rest.is_empty());
    below_root.map(|rest| rest.strip_suffix('/').unwrap_or(rest).split('/')).into_iter().flatten()
}

fn parameter_name(name: &str) -> Result<Box<str>, PatternError> {
    let is_sound = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_sound { Ok(name.into()) } else { Err(PatternError::Name(name.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn patterns_have_segments_parameters_and_a_rest() {
        let pattern = parse("/v1/users/{id}/files/{rest...}");
        assert_eq!(pattern.parameters().collect::<Vec<_>>(), ["id", "rest"]);
        assert!(pattern.is_below() && pattern.segments().len() == 4);
        assert!(parse("/").segments().is_empty() && !parse("/").is_below());
        assert_eq!(parse("/{a-b_2}").to_string(), "/{a-b_2}");
        assert_eq!(PathPattern::below("/v1/").to_string(), "/v1");
        assert!(PathPattern::below("/").segments().is_empty());
    }

    #[test]
    fn shape_does_not_depend_on_names() {
        assert_eq!(parse("/a/{x}").shape(), parse("/a/{y}").shape());
        assert_eq!(parse("/a/{rest...}").shape(), PathPattern::below("/a/").shape());
        assert_ne!(parse("/a/{x}").shape(), parse("/a/x").shape());
        assert_ne!(parse("/a").shape(), PathPattern::below("/a").shape());
        assert_eq!(parse("/a").shape(), parse("/a/").shape());
    }

    #[test]
    fn text_that_is_no_pattern_is_told() {
        let wrong = [
            ("/a/{id}.json", "whole segment"),
            ("/a/x{id}", "whole segment"),
            ("/a/{}", "is not a parameter"),
            ("/a/{1}", "is not a parameter"),
            ("/a/{a b}", "is not a parameter"),
            ("/a/{...}", "is not a parameter"),
            ("/{id}/{id}", "stands twice"),
            ("/{id}/{id...}", "stands twice"),
            ("/{rest...}/a", "last segment"),
            ("/{a...}/{b...}", "last segment"),
        ];
        for (text, reason) in wrong {
            let told = PathPattern::parse(text).unwrap_err().to_string();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }

    #[test]
    fn values_are_those_of_the_path_as_it_was_sent() {
        let pattern = parse("/users/{id}/{rest...}");
        assert_eq!(pattern.value("id", "/users/a%20b/c/d/"), Some("a%20b"));
        assert_eq!(pattern.value("rest", "/users/a/c/d/"), Some("c/d/"));
        assert_eq!(pattern.value("rest", "/users/a/"), Some(""));
        assert_eq!(pattern.value("rest", "/users/a"), None);
        assert_eq!(pattern.value("other", "/users/a"), None);
    }

    #[test]
    fn prefix_is_stripped_by_segments() {
        let v1 = PathPattern::below("/v1");
        for (path, stripped) in
            [("/v1/search/x", "/search/x"), ("/v%31/search", "/search"), ("/v1", "/"), ("/v1/", "/")]
        {
            assert_eq!(v1.strip(path), stripped);
        }
        assert_eq!(PathPattern::below("/").strip("/v1/x"), "/v1/x");
    }
}
