//! The URLs that messages may go to: checked as an endpoint is made, and before each try.

use common::webhook::EndpointUrl;
use reqwest::Url;

use super::{NetworkError, Networks};
use crate::config::WebhooksConfig;

/// The URLs that messages may go to, by the settings.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    networks: Networks,
    plain: bool,
}

/// The reason why nothing is sent to a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// It is none.
    #[error("`{0}` is no URL that can be sent to")]
    Url(String),
    /// It is spoken without TLS.
    #[error("{0} is spoken without TLS: use https, or set `webhooks.allow_http`")]
    Plain(String),
    /// Its address is not everybody's.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl Reach {
    /// Those of the settings.
    pub fn of(config: &WebhooksConfig) -> Self {
        Self { networks: Networks::with(&config.allow_networks), plain: config.allow_http }
    }

    pub(super) fn networks(&self) -> Networks {
        self.networks.clone()
    }

    /// The URL, if messages may go there. The addresses of a name are checked as it is resolved.
    pub fn check(&self, url: &str) -> Result<Url, ReachError> {
        let wrong = || ReachError::Url(url.to_owned());
        let checked: EndpointUrl = url.parse().map_err(|_| wrong())?;
        if checked.is_plain() && !self.plain {
            return Err(ReachError::Plain(url.to_owned()));
        }
        // What is contacted is what this parser reads, so addresses are taken from it.
        let parsed: Url = url.parse().map_err(|_| wrong())?;
        let host = parsed.host_str().ok_or_else(wrong)?;
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            self.networks.check(address)?;
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_a_closed_address_is_refused_however_it_is_written() {
        let reach = Reach::default();
        for closed in [
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://127.1:8443/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest",
        ] {
            assert!(matches!(reach.check(closed), Err(ReachError::Network(_))), "{closed}: {:?}", reach.check(closed));
        }
        assert!(matches!(reach.check("http://example.com/"), Err(ReachError::Plain(_))));
        assert!(reach.check("https://example.com/hooks").is_ok());
        let inside = WebhooksConfig { allow_http: true, allow_networks: vec!["127.0.0.0/8".parse().unwrap()] };
        assert!(Reach::of(&inside).check("http://127.0.0.1:9000/").is_ok());
        assert!(Reach::of(&inside).check("http://10.0.0.1/").is_err());
    }
}
