//! Where a server is: `host:port` or a URL, looked up once when the file is read.

use std::net::{SocketAddr, ToSocketAddrs as _};

use super::Server;

/// Every address of the server that `text` names, or what is wrong with it.
pub(super) fn resolve(text: &str) -> Result<Vec<Server>, String> {
    let (tls, authority) = match text.split_once("://") {
        None => (false, text),
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme, _)) => return Err(format!("`{text}`: unknown scheme `{scheme}`: use http or https")),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = host_and_port(authority, text.contains("://").then_some(if tls { 443 } else { 80 }))
        .ok_or_else(|| format!("`{text}` is not a server: write host:port or http(s)://host[:port], without a path"))?;
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("`{text}` does not resolve: {error}; check the name or use an IP address"))?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(format!("`{text}` does not resolve to any address"));
    }
    Ok(addresses.into_iter().map(|address| Server { address, host: host.to_owned(), tls }).collect())
}

fn host_and_port(authority: &str, default_port: Option<u16>) -> Option<(&str, u16)> {
    let has_port = authority.rfind(':') > authority.rfind(']');
    let (host, port) = match authority.rsplit_once(':').filter(|_| has_port) {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, default_port?),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    let sound = !host.is_empty()
        && host.len() <= 253
        && (bracketed.is_some() || !host.contains(':'))
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    (sound && port != 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Server {
        resolve(text).unwrap().remove(0)
    }

    #[test]
    fn a_server_is_an_authority_or_a_url() {
        assert_eq!(
            one("127.0.0.1:9000"),
            Server { address: "127.0.0.1:9000".parse().unwrap(), host: "127.0.0.1".into(), tls: false }
        );
        assert_eq!(one("http://127.0.0.1/").address.port(), 80);
        assert!(one("https://127.0.0.1").tls);
        assert_eq!(one("https://127.0.0.1:8443").address.port(), 8443);
        assert_eq!(one("[::1]:9000").address, "[::1]:9000".parse().unwrap());
    }

    #[test]
    fn anything_else_is_refused_with_the_way_to_write_it() {
        for wrong in ["", "127.0.0.1", "a:b", ":80", "127.0.0.1:0", "127.0.0.1:70000", "http://a/b:1", "::1:9000"] {
            assert!(resolve(wrong).unwrap_err().contains("write host:port"), "{wrong}");
        }
        assert!(resolve("ftp://a:1").unwrap_err().contains("use http or https"));
        assert!(resolve("does-not-exist.invalid:80").unwrap_err().contains("does not resolve"));
    }
}
