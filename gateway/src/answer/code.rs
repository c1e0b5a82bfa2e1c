//! The table of problem codes: what a client can be told, with its status. Codes never change
//! meaning.

use common::jwt::TokenError;
use http::StatusCode;

use crate::{
    auth::{AuthError, TokenRefusal},
    limit::DenialReason,
    route::RouteError,
};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        /// The kind of a problem, as clients, logs and refusal counts name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it: `rate_limited`. The problem's `type` is `urn:tollgate:problem:` and
            /// this word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }

            /// A short text that is the same each time.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

codes! {
    /// The request cannot be read one way only.
    InvalidRequest = "invalid_request", BAD_REQUEST, "The request is malformed";
    /// No credential.
    MissingCredential = "missing_credential", UNAUTHORIZED, "An API key is needed";
    /// More than one credential.
    AmbiguousCredential = "ambiguous_credential", UNAUTHORIZED, "More than one credential was sent";
    /// `Authorization` of another scheme.
    UnsupportedScheme = "unsupported_scheme", UNAUTHORIZED, "The authorization scheme is not supported";
    /// Not a key by its form.
    MalformedKey = "malformed_key", UNAUTHORIZED, "The API key is malformed";
    /// Well-formed, but nobody's.
    UnknownKey = "unknown_key", UNAUTHORIZED, "The API key is not known";
    /// Revoked.
    RevokedKey = "revoked_key", UNAUTHORIZED, "The API key was revoked";
    /// Expired.
    ExpiredKey = "expired_key", UNAUTHORIZED, "The API key has expired";
    /// A token that does not count here or now.
    InvalidToken = "invalid_token", UNAUTHORIZED, "The token is not accepted";
    /// The credit is spent.
    CreditSpent = "credit_spent", PAYMENT_REQUIRED, "The prepaid credit is spent";
    /// An invoice of the tenant or of one above it is not paid.
    InvoiceUnpaid = "invoice_unpaid", PAYMENT_REQUIRED, "An invoice is not paid";
    /// The tenant or one above it is suspended.
    TenantSuspended = "tenant_suspended", FORBIDDEN, "The account is suspended";
    /// No subscription is in force.
    NoPlan = "no_plan", FORBIDDEN, "The account has no plan";
    /// The route asks for a scope that the key does not have.
    ScopeMissing = "scope_missing", FORBIDDEN, "The API key lacks a scope";
    /// The claims of a token name no key.
    TokenWithoutKey = "token_without_key", FORBIDDEN, "The token belongs to no account here";
    /// The key or the route may not be used from there.
    AddressNotAllowed = "address_not_allowed", FORBIDDEN, "Requests from this address are not allowed";
    /// The route does not let the connection be upgraded.
    UpgradeNotAllowed = "upgrade_not_allowed", FORBIDDEN, "The connection cannot be upgraded here";
    /// No route for host and path.
    RouteNotFound = "route_not_found", NOT_FOUND, "No route serves this request";
    /// No such reservation, or not any more.
    ReservationNotFound = "reservation_not_found", NOT_FOUND, "There is no such reservation";
    /// The path is served for other methods.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    /// The client took too long to send its request.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request took too long to arrive";
    /// A reservation is settled once.
    ReservationSettled = "reservation_settled", CONFLICT, "The reservation was settled before";
    /// The body is larger than allowed.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The request body is too large";
    /// The path is longer than allowed.
    PathTooLong = "path_too_long", URI_TOO_LONG, "The path is too long";
    /// `Expect` asks for something that the gateway does not know.
    ExpectationFailed = "expectation_failed", EXPECTATION_FAILED, "The expectation cannot be met";
    /// The headers are larger than allowed.
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request headers are too large";
    /// Too fast.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    /// Too many keys from one address that are none.
    TooManyFailures = "too_many_failures", TOO_MANY_REQUESTS, "Too many failed credentials";
    /// Too many at once.
    ConcurrencyLimited = "concurrency_limited", TOO_MANY_REQUESTS, "Too many requests at once";
    /// The month's quota is spent.
    QuotaExceeded = "quota_exceeded", TOO_MANY_REQUESTS, "The quota is spent";
    /// A budget in money is spent.
    BudgetSpent = "budget_spent", TOO_MANY_REQUESTS, "A budget is spent";
    /// The keys of a token's issuer are not known.
    TokenIssuerUnavailable = "token_issuer_unavailable", SERVICE_UNAVAILABLE, "The token cannot be checked now";
    /// As many connections are open as may be.
    TooManyConnections = "too_many_connections", SERVICE_UNAVAILABLE, "Too many connections";
    /// Quota cannot be drawn now.
    QuotaUnavailable = "quota_unavailable", SERVICE_UNAVAILABLE, "The quota cannot be checked now";
    /// As many reservations are open as may be.
    ReservationsExhausted = "reservations_exhausted", SERVICE_UNAVAILABLE, "Too many reservations are open";
    /// Usage cannot be recorded now.
    UsageUnavailable = "usage_unavailable", SERVICE_UNAVAILABLE, "Usage cannot be recorded now";
    /// No server of the upstream is healthy, or none accepts connections.
    UpstreamUnavailable = "upstream_unavailable", BAD_GATEWAY, "The upstream is not available";
    /// The upstream broke off or sent something that is not HTTP.
    UpstreamFailed = "upstream_failed", BAD_GATEWAY, "The upstream did not answer properly";
    /// A panic while the request was served.
    GatewayFailed = "gateway_failed", BAD_GATEWAY, "The gateway failed while it served the request";
    /// The upstream took too long.
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT, "The upstream did not answer in time";
    /// The request is of another version of HTTP.
    VersionNotSupported = "version_not_supported", HTTP_VERSION_NOT_SUPPORTED, "This version of HTTP is not supported";
    /// A fault of the gateway.
    Internal = "internal_error", INTERNAL_SERVER_ERROR, "The gateway has a fault";
}

impl From<&AuthError> for Code {
    fn from(error: &AuthError) -> Self {
        match error {
            AuthError::Missing | AuthError::MissingHere => Self::MissingCredential,
            AuthError::Ambiguous => Self::AmbiguousCredential,
            AuthError::Scheme => Self::UnsupportedScheme,
            AuthError::Malformed(_) => Self::MalformedKey,
            AuthError::Unknown => Self::UnknownKey,
            AuthError::Revoked => Self::RevokedKey,
            AuthError::Expired => Self::ExpiredKey,
            AuthError::Suspended => Self::TenantSuspended,
            AuthError::Unpaid(_) => Self::InvoiceUnpaid,
            AuthError::BudgetSpent { .. } => Self::BudgetSpent,
            AuthError::NoPlan => Self::NoPlan,
        }
    }
}

impl From<&TokenRefusal> for Code {
    fn from(refusal: &TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Token(TokenError::Foreign(_) | TokenError::Invalid(_)) => Self::InvalidToken,
            TokenRefusal::Token(TokenError::KeysUnavailable(_)) => Self::TokenIssuerUnavailable,
            TokenRefusal::NoKey { .. } => Self::TokenWithoutKey,
        }
    }
}

impl From<&RouteError> for Code {
    fn from(error: &RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::RouteNotFound,
            RouteError::MethodNotAllowed { .. } => Self::MethodNotAllowed,
            RouteError::Path(_) | RouteError::Header { .. } => Self::InvalidRequest,
        }
    }
}

impl From<DenialReason> for Code {
    fn from(reason: DenialReason) -> Self {
        match reason {
            DenialReason::RateLimited => Self::RateLimited,
            DenialReason::ConcurrencyLimited => Self::ConcurrencyLimited,
            DenialReason::QuotaExceeded => Self::QuotaExceeded,
            DenialReason::CreditSpent => Self::CreditSpent,
            DenialReason::QuotaUnavailable => Self::QuotaUnavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_lists_every_code_with_its_status() {
        let documentation = include_str!("../../../docs/gateway.md");
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.as_str(), code.status().as_u16());
            assert!(documentation.contains(&row), "docs/gateway.md has no row {row}");
        }
        let rows = documentation.lines().filter(|line| line.starts_with("| `") && line.contains("` | "));
        let listed =
            rows.filter(|row| row.split('|').nth(2).is_some_and(|status| status.trim().parse::<u16>().is_ok()));
        assert_eq!(listed.count(), Code::ALL.len(), "docs/gateway.md lists a code that does not exist");
    }
}
