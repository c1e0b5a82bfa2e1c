//! The account at the authority, made once and kept in the storage.

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};

use super::{AuthoritySettings, ExternalAccount, OrderError, Storage, client::AuthorityClient};

/// An account as it is stored.
#[derive(Deserialize, Serialize)]
struct Stored {
    /// Contacts that the authority knows.
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// The stored account; none if there is none yet.
pub(super) async fn find(authority: &AuthoritySettings, storage: &Storage) -> Result<Option<Account>, OrderError> {
    Ok(restore(authority, storage).await?.map(|(account, _)| account))
}

/// The stored account with the contacts of the settings, or a new one. The storage is locked.
pub(super) async fn open(authority: &AuthoritySettings, storage: &Storage) -> Result<Account, OrderError> {
    let contact: Vec<&str> = authority.contact.iter().map(String::as_str).collect();
    if let Some((account, known)) = restore(authority, storage).await? {
        if known != authority.contact {
            account.update_contacts(&contact).await?;
            // The credentials are not readable any more once they are an account.
            if let Some(Stored { credentials, .. }) = stored(storage)? {
                store(authority, storage, credentials)?;
            }
        }
        return Ok(account);
    }
    let binding = authority.external_account.as_ref().map(read_binding).transpose()?;
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_http(Box::new(AuthorityClient::new(authority)?));
    let (account, credentials) = builder.create(&new, authority.directory.clone(), binding.as_ref()).await?;
    store(authority, storage, credentials)?;
    Ok(account)
}

async fn restore(
    authority: &AuthoritySettings,
    storage: &Storage,
) -> Result<Option<(Account, Vec<String>)>, OrderError> {
    let Some(Stored { contact, credentials }) = stored(storage)? else { return Ok(None) };
    let builder = Account::builder_with_http(Box::new(AuthorityClient::new(authority)?));
    Ok(Some((builder.from_credentials(credentials).await?, contact)))
}

fn stored(storage: &Storage) -> Result<Option<Stored>, OrderError> {
    let Some(bytes) = storage.account()? else { return Ok(None) };
    let unusable = |error: serde_json::Error| OrderError::File(format!("the stored account cannot be read: {error}"));
    serde_json::from_slice(&bytes).map(Some).map_err(unusable)
}

fn store(authority: &AuthoritySettings, storage: &Storage, credentials: AccountCredentials) -> Result<(), OrderError> {
    let stored = Stored { contact: authority.contact.clone(), credentials };
    let bytes = serde_json::to_vec(&stored).map_err(|error| OrderError::File(error.to_string()))?;
    Ok(storage.store_account(&bytes)?)
}

fn read_binding(external: &ExternalAccount) -> Result<ExternalAccountKey, OrderError> {
    let key = external.read_key().map_err(OrderError::File)?;
    Ok(ExternalAccountKey::new(external.key_id.clone(), &key))
}
