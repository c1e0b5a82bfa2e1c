//! The places in which a request carries its credential, where a route names its own.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};

use super::{AuthError, bearer, only};

/// The places that a route reads credentials from. Headers of other names are the client's own and
/// pass to the upstream, `Authorization` and `X-Api-Key` included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialPlaces {
    /// Headers that carry an API key: `Authorization` as `Bearer`, all others bare.
    pub headers: Box<[HeaderName]>,
    /// The query parameter that carries an API key.
    pub query: Option<Box<str>>,
    /// Name of the issuer whose tokens are accepted as `Authorization: Bearer`.
    pub tokens: Option<Arc<str>>,
}

/// A credential as it stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// An API key, if it has the form of one.
    Key(&'a [u8]),
    /// A token of the route's issuer, if it has the form of one.
    Token(&'a str),
}

impl CredentialPlaces {
    /// Returns the one credential of a request; `query` is its query string.
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Presented<'a>, AuthError> {
        let mut found = None;
        let mut add = |presented| match found.replace(presented) {
            None => Ok(()),
            Some(_) => Err(AuthError::Ambiguous),
        };
        if self.reads_authorization()
            && let Some(value) = only(headers, &AUTHORIZATION)?
        {
            add(self.authorization(value)?)?;
        }
        for name in self.headers.iter().filter(|name| **name != AUTHORIZATION) {
            if let Some(value) = only(headers, name)? {
                add(Presented::Key(value.trim_ascii()))?;
            }
        }
        if let (Some(parameter), Some(query)) = (&self.query, query) {
            for (_, value) in parameters(query).filter(|(name, _)| *name == **parameter) {
                add(Presented::Key(value.as_bytes()))?;
            }
        }
        found.ok_or(AuthError::MissingHere)
    }

    fn authorization<'a>(&self, value: &'a [u8]) -> Result<Presented<'a>, AuthError> {
        let text = bearer(value).ok_or(AuthError::Scheme)?;
        let takes_keys = self.headers.contains(&AUTHORIZATION);
        let is_token = self.tokens.is_some() && (!takes_keys || text.split(|byte| *byte == b'.').count() == 3);
        if !is_token {
            return Ok(Presented::Key(text));
        }
        // Bytes that are not ASCII are no token, and are told so.
        Ok(Presented::Token(std::str::from_utf8(text).unwrap_or_default()))
    }

    /// Says where a credential belongs, for clients that sent none.
    pub(crate) fn expected(&self) -> String {
        let header = |name: &HeaderName| {
            if *name == AUTHORIZATION { "`Authorization: Bearer <key>`".into() } else { format!("`{name}: <key>`") }
        };
        let keys = self.headers.iter().map(header).chain(self.query.iter().map(|name| format!("`?{name}=<key>`")));
        let tokens = self.tokens.iter().map(|_| "`Authorization: Bearer <token>`".to_owned());
        format!("no credential: send one as {}", keys.chain(tokens).collect::<Vec<_>>().join(" or "))
    }

    /// Returns true if `Authorization` is read here, and does not pass.
    pub(crate) fn reads_authorization(&self) -> bool {
        self.tokens.is_some() || self.headers.contains(&AUTHORIZATION)
    }

    /// Returns `query` without the credential; none if nothing is left.
    pub(crate) fn without_credential<'a>(&self, query: &'a str) -> Option<Cow<'a, str>> {
        let Some(parameter) = &self.query else { return Some(Cow::Borrowed(query)) };
        if !parameters(query).any(|(name, _)| name == **parameter) {
            return Some(Cow::Borrowed(query));
        }
        let kept: Vec<&str> = query.split('&').filter(|piece| decoded_name(piece) != **parameter).collect();
        (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
    }
}

/// The parameters of a query: name without its escapes, value as it stands.
fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    query.split('&').map(|piece| (decoded_name(piece), piece.split_once('=').map_or("", |(_, value)| value)))
}

/// The name of a parameter as servers read it, without escapes.
fn decoded_name(piece: &str) -> Cow<'_, str> {
    let name = piece.split_once('=').map_or(piece, |(name, _)| name);
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name);
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| behind.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = behind;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(headers: &[&'static str], query: Option<&str>, tokens: bool) -> CredentialPlaces {
        CredentialPlaces {
            headers: headers.iter().map(|name| HeaderName::from_static(name)).collect(),
            query: query.map(Into::into),
            tokens: tokens.then(|| "acme".into()),
        }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn credential_is_read_from_the_named_header_only() {
        let own = places(&["x-acme-key"], None, false);
        let sent = headers(&[("authorization", "Basic Zm9v"), ("x-api-key", "b"), ("x-acme-key", " k ")]);
        assert_eq!(own.read(&sent, None), Ok(Presented::Key(b"k")));
        assert_eq!(own.read(&headers(&[("x-api-key", "b")]), None), Err(AuthError::MissingHere));
        let twice = headers(&[("x-acme-key", "a"), ("x-acme-key", "b")]);
        assert_eq!(own.read(&twice, None), Err(AuthError::Ambiguous));
    }

    #[test]
    fn tokens_and_keys_in_authorization_are_told_apart_by_their_form() {
        let both = places(&["authorization"], None, true);
        for (value, expected) in [
            ("Bearer sk_live_a", Ok(Presented::Key(b"sk_live_a"))),
            ("Bearer a.b.c", Ok(Presented::Token("a.b.c"))),
            ("Basic a.b.c", Err(AuthError::Scheme)),
        ] {
            assert_eq!(both.read(&headers(&[("authorization", value)]), None), expected);
        }
        let tokens = places(&["x-api-key"], None, true);
        let sent = headers(&[("authorization", "Bearer sk_live_a")]);
        assert_eq!(tokens.read(&sent, None), Ok(Presented::Token("sk_live_a")));
        let two = headers(&[("authorization", "Bearer a.b.c"), ("x-api-key", "k")]);
        assert_eq!(tokens.read(&two, None), Err(AuthError::Ambiguous));
    }

    #[test]
    fn key_in_the_query_is_read_in_every_spelling_of_its_name_and_removed() {
        let places = places(&[], Some("api_key"), false);
        let none = HeaderMap::new();
        let of = |query| places.read(&none, Some(query));
        assert_eq!(of("a=1&api_key=k"), Ok(Presented::Key(b"k")));
        assert_eq!(of("api%5Fkey=k"), Ok(Presented::Key(b"k")));
        assert_eq!(of("api_key=k&api%5fkey=l"), Err(AuthError::Ambiguous));
        assert_eq!(of("a=api_key"), Err(AuthError::MissingHere));
        let without = |query| places.without_credential(query).map(Cow::into_owned);
        assert_eq!(without("a=1&api%5fkey=k&b=%20"), Some("a=1&b=%20".into()));
        assert_eq!(without("api_key=k"), None);
        assert_eq!(without("a=%zz&&b"), Some("a=%zz&&b".into()));
    }
}
