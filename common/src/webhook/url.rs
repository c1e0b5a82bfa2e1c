//! URLs of endpoints: checked as they are saved. Which networks may be sent to is decided when a
//! message is sent, by the addresses that the name has then.

use std::str::FromStr;

use http::Uri;

/// Longest URL.
const LENGTH_MAX: usize = 2_048;

/// A URL that messages can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(String);

/// The reason why a text is no URL of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("url: {0}")]
pub struct UrlError(&'static str);

impl EndpointUrl {
    /// The URL itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if it is spoken without TLS.
    pub fn is_plain(&self) -> bool {
        self.0.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"))
    }
}

impl FromStr for EndpointUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > LENGTH_MAX {
            return Err(UrlError("it has more than 2048 characters"));
        }
        if text.contains('#') {
            return Err(UrlError("leave out the part from # on: it is never sent"));
        }
        let uri: Uri = text.parse().map_err(|_| UrlError("write it as in https://example.com/hooks"))?;
        let authority = uri.authority().ok_or(UrlError("write it as in https://example.com/hooks"))?;
        if !matches!(uri.scheme_str(), Some("https" | "http")) {
            return Err(UrlError("it begins with https://"));
        }
        if authority.as_str().contains('@') {
            return Err(UrlError("leave out user and password: messages are signed"));
        }
        if authority.host().is_empty() || authority.port().is_none() && authority.as_str().ends_with(':') {
            return Err(UrlError("it names no host"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_that_can_be_sent_to_are_accepted() {
        for good in ["https://example.com", "https://example.com:8443/hooks?x=1", "http://[2001:db8::1]/a"] {
            assert_eq!(good.parse::<EndpointUrl>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "example.com/hooks",
            "/hooks",
            "ftp://example.com/",
            "https://user:word@example.com/",
            "https://example.com/#part",
            "https:///hooks",
            "https://exa mple.com/",
            "https://example.com:/",
        ] {
            assert!(bad.parse::<EndpointUrl>().is_err(), "{bad}");
        }
        let long = format!("https://example.com/{}", "a".repeat(LENGTH_MAX));
        assert!(long.parse::<EndpointUrl>().is_err());
        assert!("HTTP://example.com/".parse::<EndpointUrl>().unwrap().is_plain());
        assert!(!"https://example.com/".parse::<EndpointUrl>().unwrap().is_plain());
    }
}
