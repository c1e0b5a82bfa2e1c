//! One order, from the names to the certificate.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use common::tls::{CertificateFiles, ServerCertificate};
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy,
};

use super::{AuthoritySettings, Challenge, OrderError, Storage, account, challenge, storage};

/// The problem of an account that the authority does not know.
const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Waiting for the authority to look at a challenge, or to sign.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_mins(2));

/// Orders a certificate for the names and stores it. The storage is locked. `replaces`: the
/// certificate in force, if the authority is known to have signed it.
pub(super) async fn order(
    authority: &AuthoritySettings,
    storage: &Storage,
    hosts: &[String],
    replaces: Option<CertificateIdentifier<'static>>,
) -> Result<ServerCertificate, OrderError> {
    storage.clear_challenges()?;
    let account = account::open(authority, storage).await?;
    let mut order = match begin(&account, authority, hosts, replaces).await {
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNKNOWN_ACCOUNT) => {
            storage.forget_account()?;
            let account = account::open(authority, storage).await?;
            begin(&account, authority, hosts, None).await
        }
        begun => begun,
    }?;
    let issued = complete(&mut order, authority, storage).await;
    storage.clear_challenges()?;
    let (chain, key) = issued?;
    store(&storage.certificate_file(hosts), hosts, &format!("{}\n{key}", chain.trim_end()))
}

async fn begin(
    account: &Account,
    authority: &AuthoritySettings,
    hosts: &[String],
    replaces: Option<CertificateIdentifier<'static>>,
) -> Result<Order, Error> {
    let identifiers: Vec<Identifier> = hosts.iter().map(|host| Identifier::Dns(host.clone())).collect();
    let new = || {
        let new = NewOrder::new(&identifiers);
        authority.profile.as_deref().into_iter().fold(new, NewOrder::profile)
    };
    if let Some(replaces) = replaces {
        // That an order replaces another certificate is a courtesy: it must not be in the way.
        if let Ok(order) = account.new_order(&new().replaces(replaces)).await {
            return Ok(order);
        }
    }
    account.new_order(&new()).await
}

/// Proves the names, and returns the chain and the key of the certificate in PEM.
async fn complete(
    order: &mut Order,
    authority: &AuthoritySettings,
    storage: &Storage,
) -> Result<(String, String), OrderError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        prove(authorization?, authority.challenge, storage).await?;
    }
    let status = match order.poll_ready(&PATIENCE).await {
        Ok(status) => status,
        Err(error) => return Err(failure(order).await.unwrap_or_else(|| error.into())),
    };
    if status != OrderStatus::Ready {
        let other = || OrderError::Refused(format!("the order is {status:?}"));
        return Err(failure(order).await.unwrap_or_else(other));
    }
    let key = order.finalize().await?;
    Ok((order.poll_certificate(&PATIENCE).await?, key))
}

/// Offers the proof that a name is ours, and asks the authority to look at it.
async fn prove(
    mut authorization: AuthorizationHandle<'_>,
    challenge: Challenge,
    storage: &Storage,
) -> Result<(), OrderError> {
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(());
    }
    let host = authorization.identifier().to_string();
    let kind = match challenge {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    };
    let missing = || OrderError::NoChallenge { host: host.clone(), challenge: challenge.as_str() };
    let mut handle = authorization.challenge(kind).ok_or_else(missing)?;
    let proof = handle.key_authorization();
    let answer = (handle.token.as_str(), proof.as_str(), proof.digest());
    challenge::offer(storage, challenge, &host, (answer.0, answer.1, answer.2.as_ref()))?;
    Ok(handle.set_ready().await?)
}

/// The reason why an authorization of the order failed, as the authority gives it.
async fn failure(order: &mut Order) -> Option<OrderError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = problem {
            return Some(OrderError::Refused(format!("{}: {problem}", state.identifier())));
        }
    }
    None
}

/// Puts a certificate with its key into its place, once both are checked as a listener does.
fn store(file: &Path, hosts: &[String], pem: &str) -> Result<ServerCertificate, OrderError> {
    let draft: PathBuf = storage::draft_of(file);
    storage::replace(&draft, pem.as_bytes())?;
    let checked = load(&draft).and_then(|certificate| {
        let missing = hosts.iter().find(|host| !certificate.names.contains(host));
        missing.map_or(Ok(certificate), |host| Err(OrderError::Certificate(format!("it is not for {host}"))))
    });
    if checked.is_ok() {
        fs::rename(&draft, file)?;
    } else {
        storage::remove(&draft)?;
    }
    checked
}

/// Reads a certificate that lies in one file with its key.
pub(super) fn load(file: &Path) -> Result<ServerCertificate, OrderError> {
    let files = CertificateFiles { certificate: file.into(), key: file.into(), ocsp: None, order: None };
    ServerCertificate::load(&files).map_err(|fault| OrderError::Certificate(fault.to_string()))
}
