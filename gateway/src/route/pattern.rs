//! Small patterns in routes: hosts and billable statuses.

use std::fmt;

/// A host that a route serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host, in lower case.
    Exact(String),
    /// Every host below this domain: `*.example.com`.
    Below(String),
}

/// Statuses of the upstream that are billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billable(Vec<StatusPattern>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusPattern {
    /// `4xx`.
    Class(u16),
    /// `404`.
    Exact(u16),
}

impl HostPattern {
    /// The pattern, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let (domain, below) = lower.strip_prefix("*.").map_or((lower.as_str(), false), |domain| (domain, true));
        let label_is_sound = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let is_address = !below && domain.parse::<std::net::IpAddr>().is_ok();
        if domain.len() > 253 || !(is_address || domain.split('.').all(label_is_sound)) {
            return Err(format!(
                "`{text}` is not a host: write api.example.com, or *.example.com for all below; no port, no path"
            ));
        }
        Ok(if below { Self::Below(domain.into()) } else { Self::Exact(domain.into()) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => formatter.write_str(host),
            Self::Below(domain) => write!(formatter, "*.{domain}"),
        }
    }
}

impl Billable {
    /// The rule from its patterns, or what is wrong with one of them.
    pub fn parse<T: AsRef<str>>(patterns: &[T]) -> Result<Self, String> {
        patterns.iter().map(|pattern| StatusPattern::parse(pattern.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// This status only.
    pub(crate) fn only(status: u16) -> Self {
        Self(vec![StatusPattern::Exact(status)])
    }

    /// Returns true if an answer with this status is billed.
    pub fn covers(&self, status: u16) -> bool {
        self.0.iter().any(|pattern| match pattern {
            StatusPattern::Class(class) => status / 100 == *class,
            StatusPattern::Exact(exact) => status == *exact,
        })
    }
}

impl Default for Billable {
    /// Success, the client's own mistakes, and a switched protocol: all that the upstream did at
    /// the client's will.
    fn default() -> Self {
        Self(vec![StatusPattern::Class(2), StatusPattern::Class(4), StatusPattern::Exact(101)])
    }
}

impl StatusPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a status: write a class, as in 2xx, or a status, as in 404");
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class)).ok_or_else(refuse)?;
            return Ok(Self::Class(class));
        }
        let exact = text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(refuse)?;
        Ok(Self::Exact(exact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_everything_below_one() {
        assert_eq!(HostPattern::parse("API.Example.com"), Ok(HostPattern::Exact("api.example.com".into())));
        assert_eq!(HostPattern::parse("*.example.com"), Ok(HostPattern::Below("example.com".into())));
        for wrong in ["", "*", "*.", "a..b", "https://a", "a:80", "a/b", "*.*.a", "exa mple", &"a".repeat(300)] {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn billable_statuses_are_classes_and_single_ones() {
        let rule = Billable::default();
        let billed: Vec<u16> = (100..600).filter(|status| rule.covers(*status)).collect();
        let expected: Vec<u16> = std::iter::once(101).chain(200..300).chain(400..500).collect();
        assert_eq!(billed, expected);
        assert!(!Billable::parse(&["200"]).unwrap().covers(201));
        for wrong in ["", "xx", "6xx", "0xx", "99", "600", "2x", "-2xx"] {
            assert!(Billable::parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
