//! Names of request headers that are the gateway's own to write, and how to recognise them in every
//! spelling.
//!
//! Invariant: no header of the client reaches the upstream under a name that some server reads as
//! one of these. Under CGI and WSGI every byte of a name that is not a letter or digit becomes `_`:
//! `X-Tenant-Id`, `X_Tenant_Id` and `X.Tenant.Id` are all `HTTP_X_TENANT_ID` there. Names are
//! therefore compared with all such bytes taken as equal.

use http::HeaderName;

use crate::auth::CredentialPlaces;

/// Removed whoever sent them: credentials, who is calling, and what overrides the request that was
/// matched.
const RESERVED: [&str; 50] = [
    // Credentials, and who is calling.
    "authorization",
    "x-api-key",
    "x-tenant-id",
    "x-key-id",
    "x-plan",
    "x-request-id",
    // The client's address and connection in other words than `X-Forwarded-*`.
    "forwarded",
    "x-forwarded",
    "forwarded-for",
    "x-real-ip",
    "x-real-port",
    "x-client-ip",
    "x-client-port",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "cf-visitor",
    "fastly-client-ip",
    "fly-client-ip",
    "do-connecting-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-proxyuser-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-remote-user",
    "remote-addr",
    "remote-user",
    "wl-proxy-client-ip",
    "proxy-client-ip",
    "x-scheme",
    "x-url-scheme",
    "x-host",
    "x-http-host-override",
    "x-https",
    "front-end-https",
    "x-arr-ssl",
    // Another method or path than the one that was matched.
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-http-destinationurl",
    "x-envoy-original-path",
    "x-script-name",
    // `HTTP_PROXY`: where programs under CGI send their own requests through.
    "proxy",
];

/// The same for every name that begins so.
const RESERVED_FAMILIES: [&str; 5] = ["x-forwarded-", "x-original-", "x-rewrite-", "x-client-cert-", "x-ssl-client-"];

/// Written by the gateway or by HTTP itself under exactly this name; a second spelling must not
/// survive beside it.
const REWRITTEN: [&str; 7] = [
    "traceparent",
    "tracestate",
    "content-length",
    "transfer-encoding",
    "proxy-authorization",
    "proxy-connection",
    "keep-alive",
];

/// For each letter, a bit for each length of a reserved or rewritten name that begins with it. Most
/// headers of most requests are passed over by this alone.
const LENGTHS: [u64; 26] = {
    let mut lengths = [0; 26];
    let mut index = 0;
    while index < RESERVED.len() {
        lengths = with_length(lengths, RESERVED[index].as_bytes());
        index += 1;
    }
    index = 0;
    while index < REWRITTEN.len() {
        lengths = with_length(lengths, REWRITTEN[index].as_bytes());
        index += 1;
    }
    lengths
};

const fn with_length(mut lengths: [u64; 26], name: &[u8]) -> [u64; 26] {
    lengths[(name[0] - b'a') as usize] |= 1 << name.len();
    lengths
}

/// Returns true if a client's header of this name is removed. Names of parsed headers are in lower
/// case.
pub(super) fn is_removed(name: &str) -> bool {
    let Some(first) = name.bytes().next().filter(u8::is_ascii_lowercase) else {
        return false;
    };
    if first == b'x' && RESERVED_FAMILIES.iter().any(|family| begins_like(name, family)) {
        return true;
    }
    let has_length = name.len() < 64 && LENGTHS[usize::from(first - b'a')] & (1 << name.len()) != 0;
    has_length
        && (RESERVED.iter().any(|known| is_read_as(name, known))
            || REWRITTEN.iter().any(|known| name != *known && is_read_as(name, known)))
}

/// Returns true if a header of this name is the gateway's own to write.
pub(crate) fn is_reserved(name: &str) -> bool {
    is_removed(name) || REWRITTEN.contains(&name)
}

/// The same on a route that reads its credential from `places`: the headers of these are removed
/// instead of `Authorization` and `X-Api-Key`.
pub(super) fn is_removed_from(name: &str, places: &CredentialPlaces) -> bool {
    let is_ours = |header: &HeaderName| {
        name.len() == header.as_str().len() && name.bytes().map(folded).eq(header.as_str().bytes().map(folded))
    };
    if places.headers.iter().any(is_ours) {
        return true;
    }
    if is_read_as(name, "authorization") {
        return places.reads_authorization();
    }
    !is_read_as(name, "x-api-key") && is_removed(name)
}

/// Returns true if some server takes `name` for `known`, which is written with dashes.
fn is_read_as(name: &str, known: &str) -> bool {
    name.len() == known.len() && begins_like(name, known)
}

fn begins_like(name: &str, known: &str) -> bool {
    name.len() >= known.len() && name.bytes().map(folded).zip(known.bytes()).all(|(one, other)| one == other)
}

const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte } else { b'-' }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every byte that a header's name may hold and that is no letter or digit.
    const PUNCTUATION: &[u8] = b"!#$%&'*+-.^_`|~";

    #[test]
    fn reserved_name_in_every_punctuation_is_removed() {
        let families = [
            "x-forwarded-for",
            "x-forwarded-anything",
            "x-original-url",
            "x-rewrite-url",
            "x-client-cert-subject",
            "x-ssl-client-verify",
        ];
        for known in RESERVED.iter().chain(&families) {
            assert!(is_removed(known), "{known}");
            for other in PUNCTUATION {
                let spelled: Vec<u8> = known.bytes().map(|byte| if byte == b'-' { *other } else { byte }).collect();
                let spelled = String::from_utf8(spelled).unwrap();
                assert!(is_removed(&spelled), "{spelled}");
            }
        }
    }

    #[test]
    fn rewritten_name_is_removed_in_other_spellings_only() {
        for known in REWRITTEN {
            assert!(!is_removed(known), "{known}");
            if known.contains('-') {
                assert!(is_removed(&known.replace('-', "_")) && is_removed(&known.replace('-', ".")), "{known}");
            }
        }
    }

    #[test]
    fn other_names_are_kept() {
        for kept in
            ["x-tenant", "accept", "x-planet", "x_tenant_ids", "x-forwarde", "cookie", "host", "x-custom.header", "1"]
        {
            assert!(!is_removed(kept), "{kept}");
        }
    }

    #[test]
    fn route_with_places_of_its_own_removes_these_and_lets_the_clients_own_credentials_pass() {
        let own =
            CredentialPlaces { headers: [HeaderName::from_static("x-acme_key")].into(), ..CredentialPlaces::default() };
        for removed in ["x-acme-key", "x.acme_key", "x-tenant-id", "forwarded"] {
            assert!(is_removed_from(removed, &own), "{removed}");
        }
        for kept in ["authorization", "x-api-key", "x_api_key", "x-acme-keys", "accept"] {
            assert!(!is_removed_from(kept, &own), "{kept}");
        }
        let tokens = CredentialPlaces { tokens: Some("acme".into()), ..CredentialPlaces::default() };
        assert!(is_removed_from("authorization", &tokens) && !is_removed_from("x-api-key", &tokens));
    }

    #[test]
    fn names_are_as_headers_are_parsed() {
        for known in RESERVED.iter().chain(&REWRITTEN) {
            assert!(known.len() < 64, "{known}");
            assert_eq!(known.parse::<http::HeaderName>().unwrap().as_str(), *known);
        }
    }

    proptest! {
        #[test]
        fn mixed_punctuation_is_removed(
            known in prop::sample::select(RESERVED.to_vec()),
            marks in prop::collection::vec(prop::sample::select(PUNCTUATION.to_vec()), 8),
        ) {
            let mut marks = marks.into_iter().cycle();
            let spelled: Vec<u8> =
                known.bytes().map(|byte| if byte == b'-' { marks.next().unwrap() } else { byte }).collect();
            prop_assert!(is_removed(std::str::from_utf8(&spelled).unwrap()));
        }
    }
}
