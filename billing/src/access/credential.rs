//! The credential in the header `Authorization` or in the cookie of a session, and the reason if it is
//! refused.

use axum::http::{HeaderMap, Method, header};
use common::{admin::AdminSecret, api::problem::ProblemCode, store::StoreError};

use super::cookie::{SessionCookie, SessionRules};
use crate::problem::Problem;

/// Longest credential that is accepted: a token with many claims has some kilobytes.
const LONGEST: usize = 16 * 1024;

const EXPECTED: &str = "exactly one Authorization header is needed: Bearer and an admin key or a token of the identity \
                        provider";

/// A credential, told by its form.
pub(super) enum Bearer<'a> {
    /// An admin key: `adm_..`.
    AdminKey(AdminSecret),
    /// Three parts with dots between: a JSON web token.
    Token(&'a str),
    /// Any other text, which can only be the bootstrap token.
    Other(&'a str),
    /// The cookie of a session, sent by a page of this program.
    Session(SessionCookie),
}

/// Refusal of a credential.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) problem: Problem,
    /// True if the credential may have been a guess, which counts against its address.
    pub(super) is_guess: bool,
}

impl<'a> Bearer<'a> {
    /// Reads the credential of a request.
    pub(super) fn of(method: &Method, headers: &'a HeaderMap, rules: SessionRules) -> Result<Self, Refused> {
        if !headers.contains_key(header::AUTHORIZATION)
            && let Some(cookie) = SessionCookie::of(method, headers, rules)?
        {
            return Ok(Self::Session(cookie));
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refused::known(EXPECTED));
        };
        let credential = value.to_str().ok().and_then(|value| value.split_once(' '));
        let Some(text) = credential
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, text)| text.trim())
            .filter(|text| !text.is_empty())
        else {
            return Err(Refused::known(EXPECTED));
        };
        if text.len() > LONGEST {
            return Err(Refused::unknown("the credential is too long"));
        }
        if text.starts_with("adm_") {
            let parsed = AdminSecret::parse(text.as_bytes());
            return parsed.map(Self::AdminKey).map_err(|error| Refused::unknown(&error.to_string()));
        }
        let is_token = text.bytes().filter(|byte| *byte == b'.').count() == 2;
        Ok(if is_token { Self::Token(text) } else { Self::Other(text) })
    }
}

impl Refused {
    /// The credential was never valid: it may be a guess.
    pub(super) fn unknown(detail: &str) -> Self {
        Self { problem: Problem::new(ProblemCode::Unauthorized, detail), is_guess: true }
    }

    /// The credential is missing, or was valid once: it is no guess.
    pub(super) fn known(detail: &str) -> Self {
        Self { problem: Problem::new(ProblemCode::Unauthorized, detail), is_guess: false }
    }

    /// The credential cannot be checked now.
    pub(super) fn undecided(problem: Problem) -> Self {
        Self { problem, is_guess: false }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::undecided(error.into())
    }
}
