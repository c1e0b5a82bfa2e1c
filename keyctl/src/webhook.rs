//! `keyctl webhook`: endpoints that hear of events. A secret is printed once.

use clap::{Args, Subcommand};
use common::{
    api::webhook::{
        EndpointDocument, EndpointReplayedDocument, EndpointSecretDocument, EndpointUpdateBody, NewEndpointBody,
    },
    event::EventType,
    id::{TenantId, WebhookEndpointId},
};

use crate::{
    context::Context,
    duration::Seconds,
    error::Failure,
    output::{ListRow, Rows, View, or_dash},
    pepper::PepperArgs,
};

const HELP: &str = "\
Events are posted to the URL of an endpoint, signed by the Standard Webhooks specification, again for three days until it
takes them, and those of one object in their order.

Examples:
  keyctl webhook create -t ten_01jd0000000000000000000001 --name CRM --url https://a.example/hooks
  keyctl webhook list --tenant ten_01jd0000000000000000000001";

const CREATE_HELP: &str = "\
Types of events are invoice.finalized, invoice.paid and so on: docs/webhooks.md has them all. Prints the secret, this
once. The pepper must be that of `billing serve`, which derives the secret from it.

Examples:
  keyctl webhook create -t ten_01jd0000000000000000000001 --name CRM --url https://a.example/hooks
  keyctl webhook create -t ten_01jd0000000000000000000001 --name CRM --url https://a.example --below";

const LIST_HELP: &str = "\
Examples:
  keyctl webhook list --tenant ten_01jd0000000000000000000001";

const SHOW_HELP: &str = "\
Examples:
  keyctl webhook show whk_01jd0000000000000000000003 -t ten_01jd0000000000000000000001";

const UPDATE_HELP: &str = "\
An option that is left out changes nothing. Nothing is sent to an endpoint that is disabled: messages to it are given
up, and can be replayed.

Examples:
  keyctl webhook update whk_01jd0000000000000000000003 -t ten_01jd0000000000000000000001 --enable";

const ROTATE_HELP: &str = "\
Prints the new secret, this once. Until the grace has passed, messages are signed under both.

Examples:
  keyctl webhook rotate whk_01jd0000000000000000000003 -t ten_01jd0000000000000000000001
  keyctl webhook rotate whk_01jd0000000000000000000003 -t ten_01jd0000000000000000000001 --grace 0";

const DELETE_HELP: &str = "\
What waits for it is given up.

Examples:
  keyctl webhook delete whk_01jd0000000000000000000003 -t ten_01jd0000000000000000000001";

const REPLAY_HELP: &str = "\
Messages of the last so many days are sent again, in their order and with the ids that they had: those that were given
up, and with --delivered all that have ended.

Examples:
  keyctl webhook replay whk_01jd0000000000000000000003 -t ten_01jd0000000000000000000001 --last 7d";

/// The verbs of `keyctl webhook`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum WebhookCommand {
    /// Make an endpoint and print its secret
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// List the endpoints of a tenant
    #[command(after_help = LIST_HELP)]
    List(TenantArgs),
    /// Show one endpoint
    #[command(after_help = SHOW_HELP)]
    Show(EndpointArgs),
    /// Change, disable or enable an endpoint
    #[command(after_help = UPDATE_HELP)]
    Update(UpdateArgs),
    /// Give an endpoint another secret
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
    /// Delete an endpoint
    #[command(after_help = DELETE_HELP)]
    Delete(EndpointArgs),
    /// Send messages to an endpoint again
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
}

/// A tenant.
#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    /// Tenant whose events the endpoint hears of
    #[arg(long, short)]
    tenant: TenantId,
}

/// An endpoint of a tenant.
#[derive(Debug, Args)]
pub(crate) struct EndpointArgs {
    /// Endpoint
    endpoint: WebhookEndpointId,

    #[command(flatten)]
    of: TenantArgs,
}

/// The arguments of `keyctl webhook create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    of: TenantArgs,

    /// Name for people
    #[arg(long)]
    name: String,

    /// URL that messages are posted to
    #[arg(long)]
    url: String,

    /// Types of events that it hears of, separated by commas. Without it, all
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<EventType>,

    /// Let it hear of events of tenants below, too
    #[arg(long)]
    below: bool,

    #[command(flatten)]
    pepper: PepperArgs,
}

/// The arguments of `keyctl webhook update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    which: EndpointArgs,

    /// Name for people
    #[arg(long)]
    name: Option<String>,

    /// URL that messages are posted to
    #[arg(long)]
    url: Option<String>,

    /// Types of events that it hears of, separated by commas
    #[arg(long, value_name = "TYPE", value_delimiter = ',', conflicts_with = "all_types")]
    types: Vec<EventType>,

    /// Let it hear of all types of events
    #[arg(long)]
    all_types: bool,

    /// Let it hear of events of tenants below, too, or not
    #[arg(long, value_name = "BOOL")]
    below: Option<bool>,

    /// Send to it again
    #[arg(long, conflicts_with = "disable")]
    enable: bool,

    /// Send nothing to it
    #[arg(long)]
    disable: bool,
}

/// The arguments of `keyctl webhook rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    which: EndpointArgs,

    /// Time for which the secret before signs, too; at most 7d
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    grace: Seconds,

    #[command(flatten)]
    pepper: PepperArgs,
}

/// The arguments of `keyctl webhook replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    which: EndpointArgs,

    /// Time back to which messages were written, as in 7d
    #[arg(long, value_name = "SPAN")]
    last: Seconds,

    /// Send those again, too, that were delivered
    #[arg(long)]
    delivered: bool,
}

impl UpdateArgs {
    fn body(self) -> EndpointUpdateBody {
        let types = (self.all_types || !self.types.is_empty()).then_some(self.types);
        let enabled = (self.enable || self.disable).then_some(self.enable);
        EndpointUpdateBody { name: self.name, url: self.url, types, below: self.below, enabled }
    }
}

impl WebhookCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (backend, output) = (&context.backend, context.output);
        match self {
            Self::Create(CreateArgs { of, name, url, types, below, pepper }) => {
                let new = NewEndpointBody { name, url, types, below };
                output.show(&backend.create_endpoint(of.tenant, new, &pepper).await?)
            }
            Self::List(TenantArgs { tenant }) => output.show(&backend.endpoints(tenant).await?),
            Self::Show(EndpointArgs { endpoint, of }) => output.show(&backend.endpoint(of.tenant, endpoint).await?),
            Self::Update(arguments) => {
                let (tenant, endpoint) = (arguments.which.of.tenant, arguments.which.endpoint);
                output.show(&backend.update_endpoint(tenant, endpoint, arguments.body()).await?)
            }
            Self::Rotate(RotateArgs { which, grace, pepper }) => {
                let grace = u32::try_from(grace.0).unwrap_or(u32::MAX);
                output.show(&backend.rotate_endpoint(which.of.tenant, which.endpoint, grace, &pepper).await?)
            }
            Self::Delete(EndpointArgs { endpoint, of }) => {
                context.confirm(async || Ok(format!("Delete the webhook endpoint {endpoint}?"))).await?;
                backend.delete_endpoint(of.tenant, endpoint).await?;
                output.show(&backend.endpoints(of.tenant).await?)
            }
            Self::Replay(ReplayArgs { which, last, delivered }) => {
                let since = context.now.plus_seconds(-i64::try_from(last.0).unwrap_or(i64::MAX));
                output.show(&backend.replay_endpoint(which.of.tenant, which.endpoint, since, delivered).await?)
            }
        }
    }
}

/// The types in words.
fn types(endpoint: &EndpointDocument) -> String {
    let words: Vec<&str> = endpoint.types.iter().map(|kind| kind.as_str()).collect();
    if words.is_empty() { "all".to_owned() } else { words.join(" ") }
}

fn status(endpoint: &EndpointDocument) -> &'static str {
    match (endpoint.enabled, &endpoint.failing_since) {
        (false, _) => "disabled",
        (true, Some(_)) => "failing",
        (true, None) => "enabled",
    }
}

impl View for EndpointDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("tenant", self.tenant.to_string()),
            ("name", self.name.clone()),
            ("url", self.url.clone()),
            ("types", types(self)),
            ("below", self.below.to_string()),
            ("status", status(self).to_owned()),
            ("failing since", or_dash(self.failing_since.as_ref())),
            ("disabled", or_dash(self.disabled_at.as_ref())),
            ("reason", or_dash(self.disabled_reason.as_ref())),
            ("previous secret", or_dash(self.previous_secret_until.as_ref())),
            ("created", self.created_at.to_string()),
        ])
    }
}

impl View for EndpointSecretDocument {
    fn table(&self) -> Rows {
        self.endpoint.table().with("secret", or_dash(self.secret.as_ref()))
    }
}

impl View for EndpointReplayedDocument {
    fn table(&self) -> Rows {
        Rows::properties([("messages", self.messages.to_string())])
    }
}

impl ListRow for EndpointDocument {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "URL", "TYPES", "BELOW", "STATUS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.url.clone(),
            types(self),
            self.below.to_string(),
            status(self).to_owned(),
        ]
    }
}
