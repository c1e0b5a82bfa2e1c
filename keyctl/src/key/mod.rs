//! `keyctl key`: API keys. A secret is printed once and forgotten.

mod table;

use clap::{Args, Subcommand};
use common::{
    api::{
        key::{KeyUpdateBody, NewKeyBody},
        network::Network,
    },
    id::{KeyId, TenantId},
    key::{IpNet, KeyStatus, Mode, Secret, parse_network},
};

use crate::{
    backend::KeyQuery,
    context::Context,
    error::Failure,
    leaked,
    lifetime::{ExpiryArgs, GraceArgs},
    pepper::PepperArgs,
    words::one_of,
};

const HELP: &str = "\
Examples:
  keyctl key create --tenant ten_01jd0000000000000000000001 --name production
  keyctl key rotate key_01jd0000000000000000000002 --grace 24h
  keyctl key revoke key_01jd0000000000000000000002";

const CREATE_HELP: &str = "\
Prints the secret, this once. The pepper must be that of the gateways: they refuse a key hashed under \
another.

Examples:
  keyctl key create --tenant ten_01jd0000000000000000000001 --name production
  keyctl key create --tenant ten_01jd0000000000000000000001 --name ci --test --expires-in 90d
  keyctl key create --tenant ten_01jd0000000000000000000001 --name ci --expires 2027-01-01T00:00Z
  keyctl key create --tenant ten_01jd0000000000000000000001 --name shop --scopes search,orders
  keyctl key create --tenant ten_01jd0000000000000000000001 --name office --allowed-ips 203.0.113.7
  keyctl key create --tenant ten_01jd0000000000000000000001 --name api --output json | jq -r .secret";

const LIST_HELP: &str = "\
LAST USED is the minute in which a gateway last accepted the key; gateways report it once a minute.

Examples:
  keyctl key list
  keyctl key list --tenant ten_01jd0000000000000000000001
  keyctl key list --subtree-of ten_01jd0000000000000000000001 --status active
  keyctl key list --output json | jq -r '.[] | select(.last_used_at == null) | .id'";

const SHOW_HELP: &str = "\
Examples:
  keyctl key show key_01jd0000000000000000000002";

const FIND_HELP: &str = "\
For a secret that has leaked. It is read from standard input and printed nowhere, as a command line can be \
read by others on this machine. An admin key is found by `keyctl admin-key find`.

Examples:
  keyctl key find < leaked.txt
  keyctl key find --output json < leaked.txt | jq -r .id";

const UPDATE_HELP: &str = "\
An option that is left out changes nothing. Gateways follow the change within a second.

Examples:
  keyctl key update key_01jd0000000000000000000002 --name production
  keyctl key update key_01jd0000000000000000000002 --scopes search --allowed-ips 203.0.113.0/24
  keyctl key update key_01jd0000000000000000000002 --any-route --any-address";

const ROTATE_HELP: &str = "\
The new key has the tenant, name, mode and expiry of the old one; its secret is printed, this once. \
The old key is accepted until the grace has passed, so that clients can change over. For a key that \
leaked, use --grace 0.

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
    /// Show the key that has a secret, which is read from standard input
    #[command(after_help = FIND_HELP)]
    Find(PepperArgs),
    /// Change a key's name, scopes and addresses
    #[command(after_help = UPDATE_HELP)]
    Update(UpdateArgs),
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
    /// Tenant that its usage will belong to
    #[arg(long)]
    tenant: TenantId,

    /// Name for people
    #[arg(long)]
    name: String,

    /// Create a test key, whose usage is metered and never billed
    #[arg(long)]
    test: bool,

    #[command(flatten)]
    expiry: ExpiryArgs,

    /// Scopes, separated by commas. Without it, every route
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,

    /// Addresses that it may be used from, or ranges as in 203.0.113.0/24, separated by commas.
    /// Without it, any address
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = parse_network)]
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

    /// Only keys of this tenant and of every tenant below it
    #[arg(long, value_name = "TENANT", conflicts_with = "tenant")]
    subtree_of: Option<TenantId>,

    /// Only keys with this status
    #[arg(long, value_parser = one_of::<KeyStatus, _>(["active", "expired", "revoked"]))]
    status: Option<KeyStatus>,

    /// Only keys whose name contains this text, upper or lower case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
}

/// The arguments of `keyctl key update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: KeyId,

    #[command(flatten)]
    changes: ChangeArgs,
}

/// The changes of a key, at least one.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct ChangeArgs {
    /// Name for people
    #[arg(long)]
    name: Option<String>,

    /// Scopes, separated by commas
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scopes: Option<Vec<String>>,

    /// Let it be used for every route
    #[arg(long, conflicts_with = "scopes")]
    any_route: bool,

    /// Addresses that it may be used from, or ranges as in 203.0.113.0/24, separated by commas
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = parse_network)]
    allowed_ips: Option<Vec<IpNet>>,

    /// Let it be used from any address
    #[arg(long, conflicts_with = "allowed_ips")]
    any_address: bool,
}

/// Names one key.
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

    #[command(flatten)]
    grace: GraceArgs,
}

impl KeyCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let backend = &context.backend;
        match self {
            Self::Create(arguments) => create(arguments, context).await,
            Self::List(ListArgs { tenant, subtree_of, status, name }) => {
                context.output.show(&backend.keys(&KeyQuery { tenant, subtree_of, status, name }).await?)
            }
            Self::Find(pepper) => {
                let secret = leaked::secret("an API key", Secret::parse)?;
                context.output.show(&backend.find_key(&secret, &pepper).await?)
            }
            Self::Show(KeyArgs { id }) => context.output.show(&backend.key(id).await?),
            Self::Update(UpdateArgs { id, changes }) => {
                context.output.show(&backend.update_key(id, changes.into_body()).await?)
            }
            Self::Rotate(arguments) => rotate(arguments, context).await,
            Self::Revoke(KeyArgs { id }) => {
                confirm(context, "Revoke", id).await?;
                context.output.show(&backend.revoke_key(id).await?)
            }
        }
    }
}

impl ChangeArgs {
    fn into_body(self) -> KeyUpdateBody {
        KeyUpdateBody {
            name: self.name,
            scopes: self.scopes.or_else(|| self.any_route.then(Vec::new)),
            allowed_ips: self.allowed_ips.map(Network::of_ranges).or_else(|| self.any_address.then(Vec::new)),
        }
    }
}

/// Asks for confirmation before a key is refused for good.
async fn confirm(context: &Context, what: &str, id: KeyId) -> Result<(), Failure> {
    let question = async || {
        let name = context.backend.key(id).await?.key.name;
        Ok(format!("{what} key {name} ({id})? Gateways refuse it within a second, for good."))
    };
    context.confirm(question).await
}

/// Warns if requests with a key of this tenant are refused because no plan applies. A credential
/// that may not read plans gets no warning.
async fn warn_without_plan(context: &Context, tenant: TenantId) {
    if context.backend.limits(tenant).await.is_ok_and(|limits| limits.terms.is_none()) {
        context.output.note(&format!(
            "warning: tenant {tenant} has no plan, nor has any above it: nothing is served with this key until \
             `keyctl plan assign PLAN --tenant {tenant}`"
        ));
    }
}

async fn create(arguments: CreateArgs, context: &Context) -> Result<(), Failure> {
    let tenant = arguments.tenant;
    let new = NewKeyBody {
        tenant,
        name: arguments.name,
        mode: Some(if arguments.test { Mode::Test } else { Mode::Live }),
        expires_at: arguments.expiry.at(context.now).map(Into::into),
        scopes: arguments.scopes,
        allowed_ips: Network::of_ranges(arguments.allowed_ips),
    };
    let created = context.backend.create_key(new, &arguments.pepper).await?;
    context.show_secret(&created)?;
    warn_without_plan(context, tenant).await;
    Ok(())
}

async fn rotate(arguments: RotateArgs, context: &Context) -> Result<(), Failure> {
    let RotateArgs { id, grace } = arguments;
    if grace.seconds() == 0 {
        confirm(context, "Replace", id).await?;
    }
    context.show_secret(&context.backend.rotate_key(id, grace.seconds(), &grace.pepper).await?)
}
