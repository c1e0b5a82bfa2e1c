//! Settings of a tenant's mail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::mail::{Language, MailAddress, MailPurpose, MailSettings};

/// Recipients of a tenant's mail, and their language.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailSettings)]
pub struct MailSettingsDocument {
    /// `en` or `de`; that of the settings file if null or left out.
    #[serde(default)]
    pub language: Option<Language>,
    /// Addresses by purpose: `invoices`, `payments`, `usage`, `keys`, `webhooks`. An empty list: nobody. A
    /// purpose that is left out goes to `email` of the billing details.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Vec<String>>, example = json!({ "invoices": ["billing@example.com"] }))]
    pub recipients: BTreeMap<MailPurpose, Vec<MailAddress>>,
}

impl From<MailSettings> for MailSettingsDocument {
    fn from(MailSettings { language, recipients }: MailSettings) -> Self {
        Self { language, recipients }
    }
}

impl From<MailSettingsDocument> for MailSettings {
    fn from(MailSettingsDocument { language, recipients }: MailSettingsDocument) -> Self {
        Self { language, recipients }
    }
}
