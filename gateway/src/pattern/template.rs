//! Texts with parameters of a request in them: the path that a request is rewritten to, or the
//! address that a client is redirected to.

use std::fmt;

use super::PathPattern;

/// A text with parameters in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// A parameter of the route's path.
    Parameter(Box<str>),
    /// `{path}`: the whole path as it was sent.
    Path,
    /// `{query}`: the query as it was sent, with its `?`; nothing if there is none.
    Query,
    /// `{host}`: the host as it was sent, without its port.
    Host,
}

/// The request that a template is filled in from.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// The pattern that matched.
    pub pattern: &'a PathPattern,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent.
    pub query: Option<&'a str>,
    /// The host as sent, without its port.
    pub host: Option<&'a str>,
}

/// The reason for which a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its counterpart.
    #[error("a brace has no counterpart")]
    Brace,
    /// A parameter that the route does not have.
    #[error("there is no `{{{name}}}`: the parameters are {known}")]
    Unknown {
        /// The name in the template.
        name: Box<str>,
        /// The names that there are.
        known: Box<str>,
    },
}

impl Template {
    /// The template of a text that uses parameters of `pattern`. With `of_request`, it may also use
    /// `{path}`, `{query}` and `{host}`, unless a parameter has the name.
    pub fn parse(text: &str, pattern: &PathPattern, of_request: bool) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, after) = rest.split_once('{').map_or((rest, None), |(before, after)| (before, Some(after)));
            if before.contains('}') {
                return Err(TemplateError::Brace);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let Some(after) = after else { break };
            let (name, after) = after.split_once('}').ok_or(TemplateError::Brace)?;
            parts.push(Part::parse(name, pattern, of_request)?);
            rest = after;
        }
        Ok(Self { parts: parts.into() })
    }

    /// The text that stands before the first parameter.
    pub fn start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns true if it begins with the whole path of the request.
    pub fn begins_with_path(&self) -> bool {
        self.parts.first() == Some(&Part::Path)
    }

    /// Returns true if its host is that of the request: `https://{host}`, then a port, a path or
    /// nothing.
    pub fn has_host_of_request(&self) -> bool {
        let [Part::Text(scheme), Part::Host, rest @ ..] = &*self.parts else { return false };
        let ends = match rest.first() {
            None | Some(Part::Path | Part::Query) => true,
            Some(Part::Text(text)) => text.starts_with([':', '/', '?']),
            Some(Part::Parameter(_) | Part::Host) => false,
        };
        scheme.ends_with("://") && ends
    }

    /// Returns true if the request's whole path follows its first text.
    pub fn continues_with_path(&self) -> bool {
        matches!(&*self.parts, [Part::Text(_), Part::Path, ..])
    }

    /// The text for a request; none if it needs a host that the request does not name.
    pub fn fill(&self, filling: &Filling<'_>) -> Option<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Path => filled.push_str(filling.path),
                Part::Host => filled.push_str(filling.host?),
                Part::Query => {
                    if let Some(query) = filling.query {
                        filled.push('?');
                        filled.push_str(query);
                    }
                }
                Part::Parameter(name) => match filling.pattern.value(name, filling.path) {
                    Some(value) => filled.push_str(value),
                    // There is no rest: the slash before it goes, too.
                    None if filled.len() > 1 && filled.ends_with('/') => {
                        filled.pop();
                    }
                    None => {}
                },
            }
        }
        Some(filled)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => formatter.write_str(text),
            Part::Parameter(name) => write!(formatter, "{{{name}}}"),
            Part::Path => formatter.write_str("{path}"),
            Part::Query => formatter.write_str("{query}"),
            Part::Host => formatter.write_str("{host}"),
        })
    }
}

impl Part {
    fn parse(name: &str, pattern: &PathPattern, of_request: bool) -> Result<Self, TemplateError> {
        if pattern.parameters().any(|known| known == name) {
            return Ok(Self::Parameter(name.into()));
        }
        match name {
            "path" if of_request => return Ok(Self::Path),
            "query" if of_request => return Ok(Self::Query),
            "host" if of_request => return Ok(Self::Host),
            _ => {}
        }
        let of_request = if of_request { &["path", "query", "host"][..] } else { &[] };
        let known: Vec<String> =
            pattern.parameters().chain(of_request.iter().copied()).map(|known| format!("`{{{known}}}`")).collect();
        let known = if known.is_empty() { "none: `path` has to name them".to_owned() } else { known.join(", ") };
        Err(TemplateError::Unknown { name: name.into(), known: known.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, template: &str, target: &str) -> Option<String> {
        let pattern = PathPattern::parse(pattern).unwrap();
        let template = Template::parse(template, &pattern, true).unwrap();
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        template.fill(&Filling { pattern: &pattern, path, query, host: Some("a.test") })
    }

    #[test]
    fn parameters_are_filled_in_as_they_were_sent() {
        let cases = [
            ("/v1/{id}/x", "/v2/{id}", "/v1/a%20b/x", "/v2/a%20b"),
            ("/v1/{a}/{b}", "/{b}/{a}/", "/v1/1/2", "/2/1/"),
            ("/v1/{rest...}", "/v2/{rest}", "/v1/a/b/", "/v2/a/b/"),
            ("/v1/{rest...}", "/v2/{rest}", "/v1/", "/v2/"),
            ("/v1/{rest...}", "/v2/{rest}", "/v1", "/v2"),
            ("/v1/{rest...}", "/{rest}", "/v1", "/"),
            ("/{rest...}", "https://b.test{path}{query}", "/a?b=c", "https://b.test/a?b=c"),
            ("/{rest...}", "https://b.test{path}{query}", "/a", "https://b.test/a"),
            ("/{rest...}", "https://{host}/x", "/a", "https://a.test/x"),
            ("/old/{path...}", "/new/{path}", "/old/x", "/new/x"),
        ];
        for (pattern, template, target, expected) in cases {
            assert_eq!(filled(pattern, template, target).as_deref(), Some(expected), "{pattern} {template} {target}");
        }
        let pattern = PathPattern::below("/");
        let template = Template::parse("https://{host}", &pattern, true).unwrap();
        assert_eq!(template.fill(&Filling { pattern: &pattern, path: "/", query: None, host: None }), None);
    }

    #[test]
    fn unknown_parameters_and_single_braces_are_told() {
        let pattern = PathPattern::parse("/v1/{id}").unwrap();
        let told = |text: &str, of_request| Template::parse(text, &pattern, of_request).unwrap_err().to_string();
        assert_eq!(told("/{ids}", false), "there is no `{ids}`: the parameters are `{id}`");
        assert_eq!(told("/{p}", true), "there is no `{p}`: the parameters are `{id}`, `{path}`, `{query}`, `{host}`");
        let none = Template::parse("/{id}", &PathPattern::below("/v1"), false).unwrap_err().to_string();
        assert!(none.ends_with("are none: `path` has to name them"), "{none}");
        for wrong in ["/{id", "/id}", "/}{id}", "{"] {
            assert_eq!(Template::parse(wrong, &pattern, true), Err(TemplateError::Brace), "{wrong}");
        }
    }
}
