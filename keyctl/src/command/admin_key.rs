//! `keyctl admin-key`: the keys by which machines use the admin API. A secret is printed once and forgotten.

use clap::{Args, Subcommand};
use common::{
    admin::{AdminKeyFilter, AdminScope, AdminSecret, Role},
    id::{AdminKeyId, TenantId},
};

use super::{Context, ExpiryArgs, GraceArgs};
use crate::{backend::AdminKeyRequest, error::Failure, found, pepper::PepperArgs, words::one_of};

const HELP: &str = "\
Examples:
  keyctl admin-key create --tenant ten_01jd0000000000000000000000 --name deployment --role admin
  keyctl admin-key revoke adk_01jd0000000000000000000002";

const CREATE_HELP: &str = "\
Prints the secret, this once. The role is held at the tenant and reaches everybody below it: owner may do \
everything, admin changes tenants, keys and plans, billing changes subscriptions and credit, viewer looks. \
The pepper must be that of billing.

Scopes narrow the role to read or write of tenants, plans, subscriptions, keys, credit, usage, audit and \
admin_keys, as in --scopes keys:write,usage:read.

Examples:
  keyctl admin-key create --tenant ten_01jd0000000000000000000000 --name ops --role owner
  keyctl admin-key create --tenant ten_01jd0000000000000000000001 --name ci --role viewer";

const LIST_HELP: &str = "\
Examples:
  keyctl admin-key list
  keyctl admin-key list --subtree-of ten_01jd0000000000000000000001";

const ROTATE_HELP: &str = "\
A new key takes over the old one's tenant, name, role, scopes and expiry; its secret is printed, this once. \
The old key lives on through the grace and then ends by itself: to revoke it instead also revokes what was made with it.

Examples:
  keyctl admin-key rotate adk_01jd0000000000000000000002
  keyctl admin-key rotate adk_01jd0000000000000000000002 --grace 24h";

const REVOKE_HELP: &str = "\
The API refuses the key from now on, for good. Revoking twice changes nothing.

Examples:
  keyctl admin-key revoke adk_01jd0000000000000000000002";

const FIND_HELP: &str = "\
For a secret that has leaked. It is read from standard input and printed nowhere, as a command line can be \
read by others on this machine.

Examples:
  keyctl admin-key find < leaked.txt";

/// The verbs of `keyctl admin-key`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum AdminKeyCommand {
    /// Create an admin key and print its secret
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// List admin keys, oldest first
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Show the admin key that has a secret, which is read from standard input
    #[command(after_help = FIND_HELP)]
    Find(PepperArgs),
    /// Replace an admin key by a new one
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
    /// Refuse an admin key for good
    #[command(after_help = REVOKE_HELP)]
    Revoke(RevokeArgs),
}

/// The arguments of `keyctl admin-key create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Tenant at which its role is held
    #[arg(long)]
    tenant: TenantId,

    /// What people call it
    #[arg(long)]
    name: String,

    /// What it may do there and below
    #[arg(long, value_parser = one_of::<Role, _>(["owner", "admin", "billing", "viewer"]))]
    role: Role,

    /// What of the role it is narrowed to, as in keys:write; several with commas between. Without it, all of the role
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<AdminScope>,

    #[command(flatten)]
    expiry: ExpiryArgs,

    #[command(flatten)]
    pepper: PepperArgs,
}

/// The arguments of `keyctl admin-key list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those of this tenant and of everybody below it
    #[arg(long, value_name = "TENANT")]
    subtree_of: Option<TenantId>,

    /// Only those whose name contains this text, in letters of either case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
}

/// The arguments of `keyctl admin-key rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Id of the admin key to replace
    #[arg(value_name = "ADMIN_KEY")]
    id: AdminKeyId,

    #[command(flatten)]
    grace: GraceArgs,
}

/// The arguments of `keyctl admin-key revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Id of the admin key
    #[arg(value_name = "ADMIN_KEY")]
    id: AdminKeyId,
}

impl AdminKeyCommand {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(arguments) => create(arguments, context).await,
            Self::List(ListArgs { subtree_of, name }) => {
                context.output.show(&context.backend.admin_keys(&AdminKeyFilter { subtree_of, name }).await?)
            }
            Self::Find(pepper) => {
                let secret = found::secret("an admin key", AdminSecret::parse)?;
                context.output.show(&context.backend.find_admin_key(&secret, &pepper).await?)
            }
            Self::Rotate(RotateArgs { id, grace }) => {
                if grace.seconds() == 0 {
                    let question = async || Ok(format!("Replace admin key {id}? The API refuses it at once."));
                    context.confirm(question).await?;
                }
                let rotated = context.backend.rotate_admin_key(id, grace.seconds(), &grace.pepper).await?;
                context.show_secret(&rotated)
            }
            Self::Revoke(RevokeArgs { id }) => {
                context.confirm(async || Ok(format!("Revoke admin key {id}? The API refuses it, for good."))).await?;
                context.output.show(&context.backend.revoke_admin_key(id).await?)
            }
        }
    }
}

async fn create(arguments: CreateArgs, context: &Context) -> Result<(), Failure> {
    let CreateArgs { tenant, name, role, scopes, expiry, pepper } = arguments;
    let new = AdminKeyRequest { tenant, name, role, scopes, expires_at: expiry.at(context.now) };
    let created = context.backend.create_admin_key(&new, &pepper).await?;
    context.show_secret(&created)
}
