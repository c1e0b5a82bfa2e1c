//! The settings of an issuer: its tokens are trusted if they say so.

use reqwest::Url;

/// Clock skew that is allowed unless the settings say otherwise.
pub const CLOCK_SKEW_DEFAULT_SECONDS: u64 = 60;

/// Largest clock skew that may be set.
pub const CLOCK_SKEW_MAX_SECONDS: u64 = 600;

/// An issuer of tokens, and what its tokens must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The issuer in its tokens, and the base URL of its discovery document.
    pub issuer: String,
    /// The audience that its tokens must name.
    pub audience: String,
    /// The URL of its keys, if the discovery document is not to be asked.
    pub keys_url: Option<String>,
    /// Largest difference between the issuer's clock and ours.
    pub clock_skew_seconds: u64,
}

/// Refuses a URL of an issuer that others could answer for: all but `https://`, and `http://` on
/// this machine.
pub fn check_issuer_url(text: &str) -> Result<(), String> {
    let url: Url = text.parse().map_err(|error| format!("`{text}` is not an issuer's URL: {error}"))?;
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match url.scheme() {
        "https" => Ok(()),
        // An issuer for tests.
        "http" if is_local => Ok(()),
        _ => Err(format!("`{text}` is not an issuer: it has to be an https:// URL")),
    }
}
