//! The PROXY protocol, versions 1 and 2: a proxy that passes bytes on names the client that it
//! passes them on for, before anything else.
//!
//! Invariant: the header is read from trusted proxies only, and from them it is required. What it
//! says is the address of the connection from then on.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use bytes::Buf as _;

use super::socket::Socket;

/// Begin of a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Begin of a header of version 1.
const WORD: &[u8] = b"PROXY ";

/// Longest header of version 1, with its line end.
const LINE_MAX_BYTES: usize = 107;

/// Longest part behind the first 16 bytes of a header of version 2. Addresses take 216 at most; the
/// rest is for extensions, which are passed over.
const REST_MAX_BYTES: usize = 4_096;

/// A header that was read: its length, and the client if it names one.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    length: usize,
    client: Option<SocketAddr>,
}

/// Not a header, for this reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Malformed(&'static str);

/// Takes the header off a connection, which is that of the client from then on. Gives the client,
/// if the header names one: a proxy may also speak for itself.
pub(crate) async fn read(socket: &mut Socket) -> io::Result<Option<SocketAddr>> {
    loop {
        let Some(bytes) = socket.read_ahead().await? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let parsed = parse(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(Header { length, client }) = parsed {
            bytes.advance(length);
            if let Some(client) = client {
                socket.set_client(client);
            }
            return Ok(client);
        }
    }
}

/// The header at the begin of `bytes`; none if more of it has to come.
fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begins = |begin: &[u8]| bytes.iter().zip(begin).all(|(one, other)| one == other);
    if begins(SIGNATURE) {
        return if bytes.len() < 16 { Ok(None) } else { parse_binary(bytes) };
    }
    if begins(WORD) {
        return parse_line(bytes);
    }
    Err(Malformed("the connection does not begin with a PROXY header"))
}

fn parse_line(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let within = &bytes[..bytes.len().min(LINE_MAX_BYTES)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_MAX_BYTES { Ok(None) } else { Err(Malformed("the PROXY line is too long")) };
    };
    let line = std::str::from_utf8(&bytes[WORD.len()..end]).map_err(|_| Malformed("the PROXY line is not ASCII"))?;
    let length = end + 2;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Some(Header { length, client: None }));
    }
    let client = read_addresses(line).ok_or(Malformed("the PROXY line has no proper addresses"))?;
    Ok(Some(Header { length, client: Some(client) }))
}

/// The client in `TCP4 <client> <server> <client's port> <server's port>`.
fn read_addresses(line: &str) -> Option<SocketAddr> {
    let [family, client, server, client_port, server_port] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let (client, server): (IpAddr, IpAddr) = (client.parse().ok()?, server.parse().ok()?);
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (client_port, _) = (port(client_port)?, port(server_port)?);
    let fits = match family {
        "TCP4" => client.is_ipv4() && server.is_ipv4(),
        "TCP6" => client.is_ipv6() && server.is_ipv6(),
        _ => false,
    };
    fits.then(|| SocketAddr::new(client.to_canonical(), client_port))
}

/// A header of version 2, whose first 16 bytes have come.
fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if rest > REST_MAX_BYTES {
        return Err(Malformed("the PROXY header is too long"));
    }
    let length = 16 + rest;
    let Some(addresses) = bytes.get(16..length) else { return Ok(None) };
    let client = match (bytes[12], bytes[13]) {
        // TCP over IPv4: both addresses, then both ports.
        (0x21, 0x11) => {
            let client = addresses.first_chunk::<4>().map(|address| IpAddr::from(*address));
            Some(with_port(client, addresses, 8)?)
        }
        (0x21, 0x21) => {
            let client = addresses.first_chunk::<16>().map(|address| Ipv6Addr::from(*address).to_canonical());
            Some(with_port(client, addresses, 32)?)
        }
        // LOCAL: the proxy speaks for itself, as in a health check. Or addresses of another kind,
        // which are of no use here.
        (0x20 | 0x21, _) => None,
        _ => return Err(Malformed("the PROXY header is of an unknown version or command")),
    };
    Ok(Some(Header { length, client }))
}

fn with_port(client: Option<IpAddr>, addresses: &[u8], at: usize) -> Result<SocketAddr, Malformed> {
    let ports = addresses.get(at..).and_then(<[u8]>::first_chunk::<4>);
    let found =
        client.zip(ports).map(|(client, ports)| SocketAddr::new(client, u16::from_be_bytes([ports[0], ports[1]])));
    found.ok_or(Malformed("the PROXY header is too short for its addresses"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length[..], rest].concat()
    }

    #[test]
    fn line_names_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.7 10.0.0.1 65535 443\r\n", Some(client("203.0.113.7:65535"))),
            ("PROXY TCP6 2001:db8::7 ::1 4000 443\r\n", Some(client("[2001:db8::7]:4000"))),
            ("PROXY TCP6 ::ffff:203.0.113.7 ::1 1 443\r\n", Some(client("203.0.113.7:1"))),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        ] {
            let header = parse(format!("{line}GET /").as_bytes()).unwrap().unwrap();
            assert_eq!(header, Header { length: line.len(), client: expected }, "{line}");
            for end in 0..line.len() {
                assert_eq!(parse(&line.as_bytes()[..end]), Ok(None), "{line} up to {end}");
            }
        }
    }

    #[test]
    fn binary_header_names_the_client() {
        let four = [203, 0, 113, 7, 10, 0, 0, 1, 0x0f, 0xa0, 1, 187];
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        six[32..].copy_from_slice(&[0x0f, 0xa0, 1, 187]);
        let extended = [&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        for (bytes, expected) in [
            (binary(0x21, 0x11, &four), Some(client("203.0.113.7:4000"))),
            (binary(0x21, 0x11, &extended), Some(client("203.0.113.7:4000"))),
            (binary(0x21, 0x21, &six), Some(client("[2001:db8::7]:4000"))),
            (binary(0x20, 0, &[]), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ] {
            let header = parse(&[&bytes[..], b"\x16\x03"].concat()).unwrap().unwrap();
            assert_eq!(header, Header { length: bytes.len(), client: expected });
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(None), "up to {end}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(LINE_MAX_BYTES));
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXX",
            b"\x16\x03\x01",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 +1 443\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 443\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 1\r\n",
            b"PROXY TCP4  203.0.113.7 10.0.0.1 1 2\r\n",
            b"PROXY UDP4 203.0.113.7 10.0.0.1 1 2\r\n",
            b"PROXY UNKNOWNS\r\n",
            long.as_bytes(),
            &binary(0x31, 0x11, &[0; 12]),
            &binary(0x22, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; 11]),
            &binary(0x21, 0x21, &[0; 35]),
            &binary(0x21, 0x21, &[0; REST_MAX_BYTES + 1]),
        ] {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), version in 0..3) {
            let begin: &[u8] = match version { 0 => SIGNATURE, 1 => WORD, _ => b"" };
            let whole = [begin, &bytes].concat();
            if let Ok(Some(header)) = parse(&whole) {
                prop_assert!(header.length <= whole.len());
            }
        }
    }
}
