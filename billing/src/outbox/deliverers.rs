//! The deliverers that the settings ask for.

use std::sync::Arc;

use common::{key::Pepper, store::Store};

use super::{
    Deliverer,
    mail::{Links, MailDeliverer, MailSetupError},
    provider::ProviderDeliverer,
    webhook::WebhookDeliverer,
    worker::Deliverers,
};
use crate::{
    config::{Config, Environment, MailPasswordError},
    document::{Documents, LanguageError},
    payment::Providers,
};

/// The reason why messages cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum DelivererError {
    /// The client of webhooks cannot be made.
    #[error("webhooks: {0}")]
    Webhooks(#[from] reqwest::Error),
    /// Mail cannot be sent.
    #[error(transparent)]
    Mail(#[from] MailSetupError),
    /// The words of documents cannot be read.
    #[error(transparent)]
    Languages(#[from] LanguageError),
    /// The password for mail is missing.
    #[error(transparent)]
    Password(#[from] MailPasswordError),
}

/// One for each kind of message that is sent by these settings.
pub fn deliverers(
    store: &Store,
    pepper: &Pepper,
    providers: &Providers,
    config: &Config,
    environment: &Environment,
) -> Result<Deliverers, DelivererError> {
    let mut all: Vec<Box<dyn Deliverer>> =
        vec![Box::new(WebhookDeliverer::new(store.clone(), pepper.clone(), &config.webhooks)?)];
    if !providers.is_empty() {
        all.push(Box::new(ProviderDeliverer::new(store.clone(), providers.clone())));
    }
    if let Some(mail) = &config.mail {
        let credentials = mail.credentials(environment.smtp_password.as_deref())?;
        let documents = Documents::new(config.documents.typesetter(), config.documents.languages()?);
        let links = Links {
            pepper: pepper.clone(),
            public_url: config.pages.public_url.clone(),
            session_seconds: i64::from(config.pages.session_hours) * 3_600,
        };
        all.push(Box::new(MailDeliverer::new(store.clone(), mail, credentials, documents, links)?));
    }
    Ok(Arc::new(all))
}
