//! The section `token_issuers`: issuers of tokens (JWT) that routes accept beside API keys.

use std::{collections::BTreeMap, sync::Arc};

use common::{
    config::quoted,
    id::KeyId,
    jwt::{CLOCK_SKEW_DEFAULT_SECONDS, CLOCK_SKEW_MAX_SECONDS, IssuerSettings, check_issuer_url},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, NAME_RULE, is_name};
use crate::auth::TokenIssuerSettings;

/// An issuer as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenIssuerFile {
    /// The issuer in its tokens, and the base URL of its discovery document.
    issuer: String,
    /// The audience that its tokens must name.
    audience: String,
    /// URL of its keys, if the discovery document is not to be asked.
    keys_url: Option<String>,
    /// Largest difference between the issuer's clock and ours.
    #[serde(default = "default_clock_skew_seconds")]
    clock_skew_seconds: u64,
    /// The claim that says which key a token stands for; dots lead inside.
    #[serde(default = "default_key_claim")]
    key_claim: String,
    /// Keys by the value of that claim; without it, the value is the id of the key.
    keys: Option<BTreeMap<String, String>>,
    /// The claim with the scopes of a token, if they count.
    scope_claim: Option<String>,
}

impl Check<'_> {
    pub(super) fn token_issuers(&self, files: &BTreeMap<String, TokenIssuerFile>) -> Vec<Arc<TokenIssuerSettings>> {
        files
            .iter()
            .map(|(name, file)| self.inside(name.as_str(), || Arc::new(self.token_issuer(name, file))))
            .collect()
    }

    fn token_issuer(&self, name: &str, file: &TokenIssuerFile) -> TokenIssuerSettings {
        if !is_name(name) {
            self.note(self.about("", NAME_RULE));
        }
        for (field, url) in [("issuer", Some(&file.issuer)), ("keys_url", file.keys_url.as_ref())] {
            if let Some(Err(reason)) = url.map(|url| check_issuer_url(url)) {
                self.note(self.about_value(field, "", reason));
            }
        }
        let texts = [
            ("audience", Some(&file.audience)),
            ("key_claim", Some(&file.key_claim)),
            ("scope_claim", file.scope_claim.as_ref()),
        ];
        for (field, _) in texts.iter().filter(|(_, text)| text.is_some_and(|text| text.trim().is_empty())) {
            self.note(self.about(field, format!("`{field}` is empty")));
        }
        let skew = self.noted(self.within("clock_skew_seconds", file.clock_skew_seconds, 0, CLOCK_SKEW_MAX_SECONDS));
        TokenIssuerSettings {
            name: name.into(),
            issuer: IssuerSettings {
                issuer: file.issuer.clone(),
                audience: file.audience.clone(),
                keys_url: file.keys_url.clone(),
                clock_skew_seconds: skew.unwrap_or(CLOCK_SKEW_DEFAULT_SECONDS),
            },
            key_claim: file.key_claim.as_str().into(),
            keys: file.keys.as_ref().map(|keys| self.inside("keys", || self.token_keys(keys))),
            scope_claim: file.scope_claim.as_deref().map(Into::into),
        }
    }

    fn token_keys(&self, keys: &BTreeMap<String, String>) -> BTreeMap<String, KeyId> {
        let key = |(value, id): (&String, &String)| match id.parse() {
            Ok(id) => Some((value.clone(), id)),
            Err(error) => {
                let reason = format!("the key of {}: {error}", quoted(value));
                self.note(self.about_value(value, id, reason));
                None
            }
        };
        keys.iter().filter_map(key).collect()
    }
}

const fn default_clock_skew_seconds() -> u64 {
    CLOCK_SKEW_DEFAULT_SECONDS
}

fn default_key_claim() -> String {
    "tollgate.key".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(issuer: &str) -> Result<Arc<TokenIssuerSettings>, String> {
        let text = format!(
            "token_issuers:\n  acme:\n    {}\nupstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
             routes: [{{ name: a, path_prefix: /, upstream: a }}]\n",
            issuer.replace('\n', "\n    ")
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| Arc::clone(&settings.token_issuers[0])).map_err(|error| error.to_string())
    }

    #[test]
    fn issuer_and_audience_suffice() {
        let settings = of("issuer: https://id.example/realms/a\naudience: api").unwrap();
        assert_eq!((&*settings.name, &*settings.key_claim), ("acme", "tollgate.key"));
        assert_eq!((settings.issuer.clock_skew_seconds, &settings.keys), (60, &None));
    }

    #[test]
    fn table_leads_from_values_of_a_claim_to_keys() {
        let id = KeyId::from_u128(7);
        let settings = of(&format!("issuer: https://a\naudience: api\nkey_claim: azp\nkeys: {{ app: {id} }}")).unwrap();
        assert_eq!(settings.keys.as_ref().unwrap()["app"], id);
    }

    #[test]
    fn faults_are_told_all_at_once_with_their_lines() {
        let told =
            of("issuer: http://id.example\naudience: ' '\nclock_skew_seconds: 601\nkeys: { app: sk_1 }\nscope: a");
        let told = told.unwrap_err();
        for (line, reason) in [
            (3, "has to be an https:// URL"),
            (4, "`audience` is empty"),
            (5, "must be between 0 and 600"),
            (6, "the key of `app`: `sk_1` is not a"),
            (7, "`scope`"),
        ] {
            let is_told =
                told.lines().any(|one| one.starts_with(&format!("gateway.yaml:{line}:")) && one.contains(reason));
            assert!(is_told, "{line} {reason}\n{told}");
        }
    }
}
