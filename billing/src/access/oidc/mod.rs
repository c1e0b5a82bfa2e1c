//! Tokens of people from an OIDC provider: a role at a tenant; and their sign-in to pages.

mod claims;
mod settings;
mod sign_in;

pub use common::jwt::IssuerSetupError;
use common::{
    api::problem::ProblemCode,
    jwt::{TokenError, TokenIssuer},
};
pub use settings::OidcConfig;
pub use sign_in::BegunSignIn;

use super::{credential::Refused, principal::Principal};
use crate::problem::Problem;

/// The OIDC provider whose tokens are accepted.
#[derive(Clone)]
pub struct IdentityProvider {
    settings: OidcConfig,
    issuer: TokenIssuer,
}

impl IdentityProvider {
    /// A provider whose keys are not fetched yet. A rustls provider must be installed.
    pub fn new(settings: OidcConfig) -> Result<Self, IssuerSetupError> {
        Ok(Self { issuer: TokenIssuer::new(settings.issuer())?, settings })
    }

    /// Fetches the keys ahead of the first token; a failure is logged.
    pub async fn learn(&self) {
        self.issuer.learn().await;
    }

    /// Returns the principal of a token.
    pub(super) async fn principal(&self, token: &str) -> Result<Principal, Refused> {
        claims::principal(&self.settings, &self.issuer.claims(token).await?)
    }
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Foreign(detail) => Self::unknown(&detail),
            TokenError::Invalid(detail) => Self::known(&detail),
            TokenError::KeysUnavailable(detail) => {
                Self::undecided(Problem::new(ProblemCode::IdentityProviderUnavailable, detail))
            }
        }
    }
}
