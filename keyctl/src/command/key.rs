//! `keyctl key`: API keys. A secret is generated here, hashed under the pepper, printed once and forgotten.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use common::{
    config,
    id::{KeyId, TenantId},
    key::{IpNet, Mode, Pepper, Secret},
    store::NewKey,
    time::Micros,
};

use super::Context;
use crate::{
    duration::Seconds,
    error::Failure,
    view::{CreatedKey, KeyView, RotatedKey},
};

const HELP: &str = "\
Examples:
  keyctl key create --tenant ten_01jd0000000000000000000001 --name production
  keyctl key rotate key_01jd0000000000000000000002 --grace 24h
  keyctl key revoke key_01jd0000000000000000000002";

const SECRET_NOTE: &str = "Keep the secret now: it is stored nowhere and will not be shown again.";

const PEPPER_HELP: &str = "File with the gateways' pepper [env: TOLLGATE_PEPPER, the pepper itself]";

const CREATE_HELP: &str = "\
Prints the secret, this once. The pepper must be the gateways' own: keys hashed under another are \
refused there.

Examples:
  keyctl key create --tenant ten_01jd0000000000000000000001 --name production
  keyctl key create --tenant ten_01jd0000000000000000000001 --name ci --test --expires-in 90d
  keyctl key create --tenant ten_01jd0000000000000000000001 --name ci --expires 2027-01-01T00:00Z
  keyctl key create --tenant ten_01jd0000000000000000000001 --name api --output json | jq -r .secret";

const LIST_HELP: &str = "\
Examples:
  keyctl key list
  keyctl key list --tenant ten_01jd0000000000000000000001
  keyctl key list --output json | jq -r '.[] | select(.status == \"active\") | .id'";

const SHOW_HELP: &str = "\
Examples:
  keyctl key show key_01jd0000000000000000000002";

const ROTATE_HELP: &str = "\
A new key takes over the old one's tenant, name, mode and expiry; its secret is printed, this once. \
The old key lives on through the grace, so that clients can change over. For a key that leaked, use \
--grace 0.

Examples:
  keyctl key rotate key_01jd0000000000000000000002
  keyctl key rotate key_01jd0000000000000000000002 --grace 24h
  keyctl key rotate key_01jd0000000000000000000002 --grace 0";

const REVOKE_HELP: &str = "\
Gateways refuse the key within a second, for good. Revoking twice changes nothing.

Examples:
  keyctl key revoke key_01jd0000000000000000000002";

/// The verbs of `keyctl key`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum KeyCommand {
    /// Create a key and print its secret
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// List keys, oldest first
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Show one key
    #[command(after_help = SHOW_HELP)]
    Show(KeyArgs),
    /// Replace a key by a new one
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
    /// Refuse a key for good
    #[command(after_help = REVOKE_HELP)]
    Revoke(KeyArgs),
}

/// The arguments of `keyctl key create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Tenant whose usage it will be
    #[arg(long)]
    tenant: TenantId,

    /// What people call it
    #[arg(long)]
    name: String,

    /// Create a test key, whose usage is metered and never billed
    #[arg(long)]
    test: bool,

    /// Instant from which on it is refused
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires: Option<Micros>,

    /// Span of time after which it is refused: seconds, or a number with s, m, h, d or w
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Seconds>,

    /// What it may be used for; several with commas between. Without it, every route
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,

    /// Where it may be used from: addresses with their prefix, several with commas between. Without it, anywhere
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    allowed_ips: Vec<IpNet>,

    #[command(flatten)]
    pepper: PepperArgs,
}

/// The arguments of `keyctl key list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this tenant's keys
    #[arg(long)]
    tenant: Option<TenantId>,
}

/// The key that a verb is about.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: KeyId,
}

/// The arguments of `keyctl key rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Id of the key to replace
    #[arg(value_name = "KEY")]
    id: KeyId,

    /// How long the old key lives on, 0 to 24h: seconds, or a number with s, m or h
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    grace: Seconds,

    #[command(flatten)]
    pepper: PepperArgs,
}

/// Where the pepper is.
#[derive(Debug, Args)]
pub(crate) struct PepperArgs {
    // Not clap's `env`: the variable holds the pepper itself, and help texts would print it.
    #[arg(long, value_name = "FILE", help = PEPPER_HELP)]
    pepper_file: Option<PathBuf>,
}

impl KeyCommand {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(arguments) => create(arguments, context).await,
            Self::List(ListArgs { tenant }) => list(tenant, context).await,
            Self::Show(KeyArgs { id }) => {
                let key = context.store.key(id).await?;
                context.output.show(&KeyView::new(key, context.now))
            }
            Self::Rotate(arguments) => rotate(arguments, context).await,
            Self::Revoke(KeyArgs { id }) => {
                let key = context.store.revoke_key(id, context.now).await?;
                context.output.show(&KeyView::new(key, context.now))
            }
        }
    }
}

impl PepperArgs {
    /// The pepper: from the file if one is named here, else from the environment.
    fn load(&self) -> Result<Pepper, Failure> {
        if let Some(file) = &self.pepper_file {
            return Ok(Pepper::load(None, Some(file))?);
        }
        let pepper = config::environment("TOLLGATE_PEPPER").ok_or(Failure::PepperMissing)?;
        Ok(Pepper::new(pepper.as_bytes())?)
    }
}

async fn create(arguments: CreateArgs, context: &Context) -> Result<(), Failure> {
    let pepper = arguments.pepper.load()?;
    let expires_in = arguments.expires_in.map(|span| context.now.plus_seconds(span.0.cast_signed()));
    let mode = if arguments.test { Mode::Test } else { Mode::Live };
    let secret = Secret::generate(mode);
    let new = NewKey {
        tenant: arguments.tenant,
        name: arguments.name,
        mode,
        hash: pepper.hash(&secret),
        pepper_id: pepper.id().to_owned(),
        hint: secret.hint().to_owned(),
        expires_at: arguments.expires.or(expires_in),
        scopes: arguments.scopes,
        allowed_ips: arguments.allowed_ips,
    };
    let key = context.store.create_key(&new, context.now).await?;
    context.output.show(&CreatedKey { key: KeyView::new(key, context.now), secret: &secret })?;
    context.output.note(SECRET_NOTE);
    Ok(())
}

async fn list(tenant: Option<TenantId>, context: &Context) -> Result<(), Failure> {
    if let Some(id) = tenant {
        // An unknown tenant is an error, not a tenant without keys.
        context.store.tenant(id).await?;
    }
    let keys = context.store.keys(tenant).await?;
    let views: Vec<_> = keys.into_iter().map(|key| KeyView::new(key, context.now)).collect();
    context.output.show(&views)
}

async fn rotate(arguments: RotateArgs, context: &Context) -> Result<(), Failure> {
    let pepper = arguments.pepper.load()?;
    // The secret's prefix says the mode, which the new key has from the old one.
    let mode = context.store.key(arguments.id).await?.mode;
    let secret = Secret::generate(mode);
    let grace = u32::try_from(arguments.grace.0).unwrap_or(u32::MAX);
    let rotation = context
        .store
        .rotate_key(arguments.id, pepper.hash(&secret), pepper.id(), secret.hint(), grace, context.now)
        .await?;
    let old = KeyView::new(rotation.old, context.now);
    let new = KeyView::new(rotation.new, context.now);
    context.output.show(&RotatedKey { old, new, secret: &secret })?;
    context.output.note(SECRET_NOTE);
    Ok(())
}
