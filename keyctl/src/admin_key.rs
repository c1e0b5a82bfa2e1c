//! `keyctl admin-key`: the keys by which machines use the admin API. A secret is printed once and
//! forgotten.

use clap::{Args, Subcommand};
use common::{
    admin::{AdminKeyFilter, AdminScope, AdminSecret, Role},
    api::admin_key::{AdminKeyDocument, NewAdminKeyBody},
    id::{AdminKeyId, TenantId},
};

use crate::{
    backend::{Created, Rotated},
    context::Context,
    error::Failure,
    leaked,
    lifetime::{ExpiryArgs, GraceArgs},
    output::{ListRow, Rows, View, creator, or_dash, or_else_all},
    pepper::PepperArgs,
    words::one_of,
};

const HELP: &str = "\
Examples:
  keyctl admin-key create --tenant ten_01jd0000000000000000000000 --name deployment --role admin
  keyctl admin-key revoke adk_01jd0000000000000000000002";

const CREATE_HELP: &str = "\
Prints the secret, this once. The role holds at the tenant and at every tenant below it: owner may do \
everything, admin changes tenants, keys and plans, billing changes subscriptions, credit and invoices, viewer reads. \
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
The new key has the tenant, name, role, scopes and expiry of the old one; its secret is printed, this once. \
The old key is accepted until the grace has passed and then expires. Revoking it instead also revokes the keys that were \
made with it.

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

    /// Name for people
    #[arg(long)]
    name: String,

    /// Role at the tenant and below
    #[arg(long, value_parser = one_of::<Role, _>(["owner", "admin", "billing", "viewer"]))]
    role: Role,

    /// Scopes that narrow the role, as in keys:write, separated by commas. Without it, all of the
    /// role
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
    /// Only admin keys of this tenant and of every tenant below it
    #[arg(long, value_name = "TENANT")]
    subtree_of: Option<TenantId>,

    /// Only admin keys whose name contains this text, upper or lower case
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
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(arguments) => create(arguments, context).await,
            Self::List(ListArgs { subtree_of, name }) => {
                context.output.show(&context.backend.admin_keys(&AdminKeyFilter { subtree_of, name }).await?)
            }
            Self::Find(pepper) => {
                let secret = leaked::secret("an admin key", AdminSecret::parse)?;
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
    let expires_at = expiry.at(context.now).map(Into::into);
    let new = NewAdminKeyBody { tenant, name, role, scopes, expires_at };
    let created = context.backend.create_admin_key(new, &pepper).await?;
    context.show_secret(&created)
}

fn scopes(key: &AdminKeyDocument) -> String {
    or_else_all(&key.scopes, "all of the role")
}

impl View for AdminKeyDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("tenant", self.tenant.to_string()),
            ("role", self.role.to_string()),
            ("scopes", scopes(self)),
            ("status", self.status.to_string()),
            ("ends with", self.hint.clone()),
            ("created", self.created_at.to_string()),
            ("expires", or_dash(self.expires_at)),
            ("revoked", or_dash(self.revoked_at)),
            ("last used", or_dash(self.last_used_at)),
            ("made by", or_dash(self.created_by.as_ref().map(creator))),
        ])
    }
}

impl ListRow for AdminKeyDocument {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "TENANT", "ROLE", "SCOPES", "STATUS", "ENDS WITH", "CREATED", "EXPIRES", "LAST USED"];
    const DROPPABLE: &'static [&'static str] = &["ENDS WITH", "CREATED", "SCOPES", "EXPIRES", "LAST USED", "TENANT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.tenant.to_string(),
            self.role.to_string(),
            scopes(self),
            self.status.to_string(),
            self.hint.clone(),
            self.created_at.to_string(),
            or_dash(self.expires_at),
            or_dash(self.last_used_at),
        ]
    }
}

impl View for Created<AdminKeyDocument> {
    fn table(&self) -> Rows {
        self.key.table().with("secret", self.secret.clone())
    }
}

impl View for Rotated<AdminKeyDocument> {
    fn table(&self) -> Rows {
        let rows = self.new.table().with("old ends", or_dash(self.old.expires_at));
        rows.with("secret", self.secret.clone())
    }
}
