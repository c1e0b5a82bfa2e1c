//! The address of a server as it is written: `host:port`, a URL without a path, or the name of a
//! service.

use std::{fmt, net::IpAddr};

/// Longest host name, in bytes.
const HOST_MAX_BYTES: usize = 253;

/// Longest part of a host name between two dots, in bytes.
const LABEL_MAX_BYTES: usize = 63;

/// Address of a server as the file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// Its address, or the name that is looked up.
    pub host: Host,
    /// The port; 0 if the records of a service say it.
    pub port: u16,
    /// True if the gateway speaks TLS with it.
    pub tls: bool,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IP address.
    Address(IpAddr),
    /// A name, in lower case and without a dot at its end.
    Name(String),
    /// The name of a service, as in `_http._tcp.example.com`: its SRV records say its servers.
    Service(String),
}

impl ServerAddress {
    /// Reads `_service._protocol.domain`, with `http://` or `https://` before it or not, or says
    /// what is wrong with it.
    pub fn parse_service(text: &str) -> Result<Self, String> {
        let (tls, service) = match text.split_once("://") {
            None => (false, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => return Err(format!("`{text}`: unknown scheme `{scheme}`: use http or https")),
        };
        let mut labels = service.split('.');
        let is_service = labels.next().is_some_and(|label| label.len() > 1 && label.starts_with('_'))
            && labels.next().is_some_and(|label| label.len() > 1 && label.starts_with('_'));
        let name = name(service).filter(|_| is_service && labels.next().is_some_and(|label| !label.is_empty()));
        let name = name.ok_or_else(|| {
            format!("`{text}` is not a service: write it as in _http._tcp.example.com or https://_api._tcp.example.com")
        })?;
        Ok(Self { host: Host::Service(name), port: 0, tls })
    }

    /// The server that a record of the service names.
    pub(crate) fn of_target(&self, target: &str, port: u16) -> Self {
        Self { host: Host::Name(target.to_owned()), port, tls: self.tls }
    }

    /// Reads `host:port` or `http(s)://host[:port]`, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, authority, default_port) = match text.split_once("://") {
            None => (false, text, None),
            Some(("http", rest)) => (false, rest, Some(80)),
            Some(("https", rest)) => (true, rest, Some(443)),
            Some((scheme, _)) => return Err(format!("`{text}`: unknown scheme `{scheme}`: use http or https")),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = host_and_port(authority, default_port).ok_or_else(|| {
            format!("`{text}` is not a server: write host:port or http(s)://host[:port], without a path")
        })?;
        Ok(Self { host, port, tls })
    }

    /// The value of the header `Host` that names this server: brackets around IPv6, no default
    /// port.
    pub fn authority(&self) -> String {
        let default_port = if self.tls { 443 } else { 80 };
        let host = match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            host => host.to_string(),
        };
        if self.port == default_port { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]:{}", self.port),
            Host::Service(name) => formatter.write_str(name),
            host => write!(formatter, "{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Name(name) | Self::Service(name) => formatter.write_str(name),
        }
    }
}

fn host_and_port(authority: &str, default_port: Option<u16>) -> Option<(Host, u16)> {
    let has_port = authority.rfind(':') > authority.rfind(']');
    let (host, port) = match authority.rsplit_once(':').filter(|_| has_port) {
        Some((host, port)) => (host, port_number(port)?),
        None => (authority, default_port?),
    };
    let host = match host.strip_prefix('[') {
        Some(rest) => Host::Address(IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?)),
        None => match host.parse() {
            Ok(address) => Host::Address(IpAddr::V4(address)),
            Err(_) => Host::Name(name(host)?),
        },
    };
    Some((host, port))
}

fn port_number(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

/// A host name. One that ends in a number is a mistyped IPv4 address: some resolvers take `10.1`
/// for 10.0.0.1.
fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_MAX_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next()?;
    let is_name = text.len() <= HOST_MAX_BYTES
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_is_a_name_with_a_protocol() {
        let plain = ServerAddress::parse_service("_http._tcp.Search.Internal.").unwrap();
        assert_eq!(
            plain,
            ServerAddress { host: Host::Service("_http._tcp.search.internal".into()), port: 0, tls: false }
        );
        assert_eq!(plain.to_string(), "_http._tcp.search.internal");
        assert!(ServerAddress::parse_service("https://_api._tcp.a").unwrap().tls);
        let wrong =
            ["", "search.internal", "_http.internal", "_http._tcp", "_http._tcp.", "_._tcp.a", "_http._tcp.a:80"];
        for text in wrong {
            assert!(ServerAddress::parse_service(text).unwrap_err().contains("is not a service"), "{text}");
        }
        assert!(ServerAddress::parse_service("ftp://_a._tcp.b").unwrap_err().contains("unknown scheme"));
        let target = plain.of_target("a.internal", 8080);
        assert_eq!((target.authority().as_str(), target.tls), ("a.internal:8080", false));
    }

    #[test]
    fn server_address_is_an_authority_or_a_url() {
        let cases = [
            ("127.0.0.1:9000", "127.0.0.1", 9000, false, "127.0.0.1:9000"),
            ("http://127.0.0.1/", "127.0.0.1", 80, false, "127.0.0.1"),
            ("http://a.example:8080", "a.example", 8080, false, "a.example:8080"),
            ("https://A.Example.", "a.example", 443, true, "a.example"),
            ("https://127.0.0.1:8443", "127.0.0.1", 8443, true, "127.0.0.1:8443"),
            ("https://a:80", "a", 80, true, "a:80"),
            ("[::1]:9000", "::1", 9000, false, "[::1]:9000"),
            ("http://[2001:DB8::1]", "2001:db8::1", 80, false, "[2001:db8::1]"),
            ("https://[::1]:443/", "::1", 443, true, "[::1]"),
            ("my_service:80", "my_service", 80, false, "my_service"),
            ("4a:80", "4a", 80, false, "4a"),
        ];
        for (text, host, port, tls, authority) in cases {
            let address = ServerAddress::parse(text).unwrap();
            assert_eq!((address.host.to_string().as_str(), address.port, address.tls), (host, port, tls), "{text}");
            assert_eq!(address.authority(), authority, "{text}");
        }
    }

    #[test]
    fn server_address_that_is_none_is_refused_with_the_way_to_write_it() {
        let long = format!("{}:80", ["a"; 130].join("."));
        let wrong = [
            "",
            "127.0.0.1",
            "a:b",
            "a:+80",
            ":80",
            "127.0.0.1:0",
            "127.0.0.1:70000",
            "http://a/b:1",
            "http://user@a:1",
            "::1:9000",
            "[::1:9000",
            "[::1]9000",
            "[a]:80",
            "[127.0.0.1]:80",
            "256.0.0.1:80",
            "10.1:80",
            "1:80",
            "a..b:80",
            ".a:80",
            "-a:80",
            "a b:80",
            "é.example:80",
            &long,
        ];
        for text in wrong {
            assert!(ServerAddress::parse(text).unwrap_err().contains("write host:port"), "{text}");
        }
        assert!(ServerAddress::parse("ftp://a:1").unwrap_err().contains("use http or https"));
    }
}
