//! Addresses as text, which each request writes several times. IPv4 is written by hand: the
//! formatting of the standard library takes several times as long.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

/// Room for any address: IPv6 with brackets, scope and port may be longer, and is still written.
const ROOM: usize = 48;

/// The text of an address.
pub(crate) type AddressText = SmallVec<[u8; ROOM]>;

/// Writes an IP address, as `Display` does.
pub(crate) fn of_ip(address: IpAddr) -> AddressText {
    let IpAddr::V4(v4) = address else {
        return AddressText::from_slice(address.to_string().as_bytes());
    };
    let mut text = AddressText::new();
    for (place, part) in v4.octets().into_iter().enumerate() {
        if place > 0 {
            text.push(b'.');
        }
        number(part.into(), &mut text);
    }
    text
}

/// Writes an IP address with its port, as `Display` does.
pub(crate) fn of_socket(address: SocketAddr) -> AddressText {
    let SocketAddr::V4(v4) = address else {
        return AddressText::from_slice(address.to_string().as_bytes());
    };
    let mut text = of_ip(IpAddr::V4(*v4.ip()));
    text.push(b':');
    number(v4.port(), &mut text);
    text
}

fn number(number: u16, text: &mut AddressText) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_standard_library() {
        for text in [
            "0.0.0.0:0",
            "127.0.0.1:8080",
            "255.255.255.255:65535",
            "10.200.3.40:7",
            "[::1]:80",
            "[2001:db8::7%3]:65535",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(of_socket(address).as_slice(), address.to_string().as_bytes());
            assert_eq!(of_ip(address.ip()).as_slice(), address.ip().to_string().as_bytes());
        }
    }
}
