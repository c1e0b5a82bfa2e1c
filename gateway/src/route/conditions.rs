//! Conditions of a route on headers and query, beyond host, path and method.
//!
//! A header or a parameter of the query counts if it stands once: of several, two programs may
//! read different ones.

use std::cmp::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::pattern::decoded;

/// Conditions of a route on headers and query. All of them must be met.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Conditions {
    /// In the order of their names.
    headers: Vec<(HeaderName, Wanted)>,
    /// In the order of their names, which are decoded.
    query: Vec<(Box<str>, Wanted)>,
}

/// The value that a condition asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wanted {
    /// Exactly this one.
    Exact(Box<str>),
    /// One that begins so.
    Prefix(Box<str>),
    /// Any.
    Present,
}

/// The headers of a request, as far as they are known.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'a> {
    /// All of them.
    Known(&'a HeaderMap),
    /// Those of a request to come, which a preflight names without their values.
    Announced(Option<&'a HeaderValue>),
    /// Nothing: no condition on a header is met.
    Unknown,
}

impl Conditions {
    /// The conditions, whatever order they are given in.
    pub fn new(mut headers: Vec<(HeaderName, Wanted)>, mut query: Vec<(Box<str>, Wanted)>) -> Self {
        headers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        query.sort();
        Self { headers, query }
    }

    /// Returns true if there is none.
    pub const fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty()
    }

    /// Returns true if a request meets all of them.
    pub fn are_met(&self, headers: Headers<'_>, query: Option<&str>) -> bool {
        self.headers.iter().all(|(name, wanted)| meets_header(headers, name, wanted))
            && self.query.iter().all(|(name, wanted)| meets_query(query.unwrap_or_default(), name, wanted))
    }

    /// Compares how specific two sets of conditions are: `Less` goes first. More conditions go
    /// before fewer, then more on headers, then exact values before beginnings, longer beginnings
    /// before shorter, and both before mere presence; at last the names decide. Only equal
    /// conditions are equally specific.
    pub fn by_specificity(&self, other: &Self) -> Ordering {
        let count = |conditions: &Self| (conditions.headers.len() + conditions.query.len(), conditions.headers.len());
        let looseness = |conditions: &Self| -> Vec<usize> {
            let mut all: Vec<usize> = conditions.wanted().map(Wanted::looseness).collect();
            all.sort_unstable();
            all
        };
        let headers = |conditions: &Self| -> Vec<(String, Wanted)> {
            conditions.headers.iter().map(|(name, wanted)| (name.to_string(), wanted.clone())).collect()
        };
        (count(other).cmp(&count(self)))
            .then_with(|| looseness(self).cmp(&looseness(other)))
            .then_with(|| headers(self).cmp(&headers(other)))
            .then_with(|| self.query.cmp(&other.query))
    }

    /// Names of the headers that it looks at.
    pub(super) fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.headers.iter().map(|(_, wanted)| wanted).chain(self.query.iter().map(|(_, wanted)| wanted))
    }
}

impl Wanted {
    fn is_met(&self, value: impl Iterator<Item = u8>) -> bool {
        match self {
            Self::Exact(wanted) => value.eq(wanted.bytes()),
            Self::Prefix(wanted) => {
                let mut value = value;
                wanted.bytes().all(|byte| value.next() == Some(byte))
            }
            Self::Present => true,
        }
    }

    /// 0 for an exact value; then the shorter the beginning, the more.
    fn looseness(&self) -> usize {
        match self {
            Self::Exact(_) => 0,
            Self::Prefix(text) => usize::MAX - 1 - text.len(),
            Self::Present => usize::MAX,
        }
    }
}

/// Returns true if some server takes the name for `known`, though it is spelled otherwise: under CGI
/// and WSGI, `X_Version` and `X.Version` are `X-Version`.
pub(super) fn is_read_as(name: &HeaderName, known: &HeaderName) -> bool {
    let folded = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    name != known && name.as_str().bytes().map(folded).eq(known.as_str().bytes().map(folded))
}

fn meets_header(headers: Headers<'_>, name: &HeaderName, wanted: &Wanted) -> bool {
    match headers {
        Headers::Known(headers) => {
            let mut values = headers.get_all(name).iter();
            let (Some(value), None) = (values.next(), values.next()) else { return false };
            wanted.is_met(value.as_bytes().iter().copied())
        }
        Headers::Announced(list) => list.is_some_and(|list| {
            let names = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            names.into_iter().any(|listed| listed.eq_ignore_ascii_case(name.as_str().as_bytes()))
        }),
        Headers::Unknown => false,
    }
}

fn meets_query(query: &str, name: &str, wanted: &Wanted) -> bool {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(key).eq(name.bytes()).then_some(value)
    });
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    wanted.is_met(decoded(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, wanted: Wanted) -> Conditions {
        Conditions::new(vec![(HeaderName::from_static(name), wanted)], vec![])
    }

    fn query(name: &str, wanted: Wanted) -> Conditions {
        Conditions::new(vec![], vec![(name.into(), wanted)])
    }

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn header_counts_if_it_stands_once_and_has_the_value() {
        let cases = [
            (Wanted::Exact("2".into()), &[("x-version", "2")][..], true),
            (Wanted::Exact("2".into()), &[("x-version", "20")], false),
            (Wanted::Exact("2".into()), &[], false),
            (Wanted::Exact("2".into()), &[("x-version", "2"), ("x-version", "2")], false),
            (Wanted::Prefix("2.".into()), &[("x-version", "2.1")], true),
            (Wanted::Prefix("2.".into()), &[("x-version", "2")], false),
            (Wanted::Present, &[("x-version", "")], true),
            (Wanted::Present, &[("x-other", "")], false),
        ];
        for (wanted, sent, met) in cases {
            let sent = headers(sent);
            let conditions = header("x-version", wanted);
            assert_eq!(conditions.are_met(Headers::Known(&sent), None), met, "{conditions:?} {sent:?}");
        }
        let wanted = header("x-version", Wanted::Exact("2".into()));
        assert!(!wanted.are_met(Headers::Unknown, None));
        let announced = HeaderValue::from_static("authorization, X-Version");
        assert!(wanted.are_met(Headers::Announced(Some(&announced)), None));
        assert!(!wanted.are_met(Headers::Announced(None), None));
    }

    #[test]
    fn name_in_another_punctuation_is_read_as_the_same() {
        let name = |text: &str| text.parse::<HeaderName>().unwrap();
        for other in ["x_version", "X.Version", "x-version_"] {
            assert_eq!(is_read_as(&name(other), &name("x-version")), !other.ends_with('_'), "{other}");
        }
        assert!(!is_read_as(&name("X-Version"), &name("x-version")) && is_read_as(&name("a-b"), &name("a_b")));
    }

    #[test]
    fn query_counts_if_the_parameter_stands_once_and_has_the_value() {
        let cases = [
            (Wanted::Exact("1".into()), "beta=1", true),
            (Wanted::Exact("1".into()), "a=b&beta=1&c", true),
            (Wanted::Exact("1".into()), "b%65ta=%31", true),
            (Wanted::Exact("a b".into()), "beta=a+b", true),
            (Wanted::Exact("a%".into()), "beta=a%", true),
            (Wanted::Exact("1".into()), "beta=1&beta=1", false),
            (Wanted::Exact("1".into()), "beta=11", false),
            (Wanted::Exact("1".into()), "xbeta=1", false),
            (Wanted::Exact("1".into()), "", false),
            (Wanted::Prefix("1".into()), "beta=11", true),
            (Wanted::Present, "beta", true),
            (Wanted::Present, "beta=", true),
            (Wanted::Present, "gamma", false),
        ];
        for (wanted, sent, met) in cases {
            let conditions = query("beta", wanted);
            assert_eq!(conditions.are_met(Headers::Unknown, Some(sent)), met, "{conditions:?} {sent}");
        }
        assert!(!query("beta", Wanted::Present).are_met(Headers::Unknown, None));
    }

    #[test]
    fn more_and_stricter_conditions_go_first_whatever_their_order() {
        let exact = |text: &str| Wanted::Exact(text.into());
        let name = HeaderName::from_static;
        let in_order = [
            Conditions::new(vec![(name("a"), exact("1")), (name("b"), exact("1"))], vec![]),
            Conditions::new(vec![(name("a"), exact("1"))], vec![("b".into(), exact("1"))]),
            Conditions::new(vec![], vec![("b".into(), exact("1")), ("a".into(), exact("1"))]),
            header("a", exact("1")),
            header("a", exact("2")),
            header("b", exact("1")),
            header("a", Wanted::Prefix("12".into())),
            header("a", Wanted::Prefix("1".into())),
            header("a", Wanted::Present),
            query("a", exact("1")),
            query("a", Wanted::Present),
            Conditions::default(),
        ];
        for (one, first) in in_order.iter().enumerate() {
            for (other, second) in in_order.iter().enumerate() {
                assert_eq!(first.by_specificity(second), one.cmp(&other), "{first:?} {second:?}");
            }
        }
        let turned = Conditions::new(vec![(name("b"), exact("1")), (name("a"), exact("1"))], vec![]);
        assert_eq!(turned, in_order[0]);
    }
}
