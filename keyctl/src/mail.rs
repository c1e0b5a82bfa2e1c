//! `keyctl mail`: who of a tenant gets which mail, and in which language.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use common::{
    api::mail::MailSettingsDocument,
    id::TenantId,
    mail::{Language, MailAddress, MailPurpose},
};

use crate::{
    context::Context,
    error::Failure,
    output::{Rows, View},
};

const HELP: &str = "\
Examples:
  keyctl mail show --tenant ten_01jd0000000000000000000001
  keyctl mail set --tenant ten_01jd0000000000000000000001 --to invoices=billing@example.com";

const SHOW_HELP: &str = "\
Examples:
  keyctl mail show --tenant ten_01jd0000000000000000000001";

const SET_HELP: &str = "\
Replaces all settings. The purposes are invoices, payments, usage, keys and webhooks; one without --to and --none goes to
the address of the billing details.

Examples:
  keyctl mail set --tenant ten_01jd0000000000000000000001 --language de
  keyctl mail set --tenant ten_01jd0000000000000000000001 --to invoices=billing@example.com
  keyctl mail set --tenant ten_01jd0000000000000000000001 --to keys=a@example.com --none usage";

/// The verbs of `keyctl mail`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum MailCommand {
    /// Show the settings of a tenant's mail
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Replace the settings of a tenant's mail
    #[command(after_help = SET_HELP)]
    Set(SetArgs),
}

/// The arguments of `keyctl mail show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Tenant whose mail it is
    #[arg(long)]
    tenant: TenantId,
}

/// The arguments of `keyctl mail set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Tenant whose mail it is
    #[arg(long)]
    tenant: TenantId,

    /// Language: en or de; that of the settings file if left out
    #[arg(long)]
    language: Option<Language>,

    /// Address for a purpose, as in invoices=billing@example.com; may be given several times
    #[arg(long, value_name = "PURPOSE=ADDRESS", value_parser = recipient)]
    to: Vec<(MailPurpose, MailAddress)>,

    /// Purpose for which nobody gets mail; may be given several times
    #[arg(long, value_name = "PURPOSE")]
    none: Vec<MailPurpose>,
}

fn recipient(text: &str) -> Result<(MailPurpose, MailAddress), String> {
    let (purpose, address) = text.split_once('=').ok_or("write it as in invoices=billing@example.com")?;
    let purpose = purpose.parse().map_err(|error: common::word::UnknownWord| error.to_string())?;
    Ok((purpose, address.parse().map_err(|error: common::mail::MailAddressError| error.to_string())?))
}

impl SetArgs {
    fn document(self) -> MailSettingsDocument {
        let mut recipients: BTreeMap<MailPurpose, Vec<MailAddress>> = BTreeMap::new();
        for (purpose, address) in self.to {
            recipients.entry(purpose).or_default().push(address);
        }
        for purpose in self.none {
            recipients.entry(purpose).or_default();
        }
        MailSettingsDocument { language: self.language, recipients }
    }
}

impl MailCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (backend, output) = (&context.backend, context.output);
        match self {
            Self::Show(ShowArgs { tenant }) => output.show(&backend.mail_settings(tenant).await?),
            Self::Set(arguments) => {
                let tenant = arguments.tenant;
                output.show(&backend.set_mail_settings(tenant, arguments.document()).await?)
            }
        }
    }
}

impl View for MailSettingsDocument {
    fn table(&self) -> Rows {
        let language = self.language.map_or("-", Language::as_str).to_owned();
        let mut rows = Rows::properties([("language", language)]);
        for purpose in MailPurpose::ALL {
            let addresses = self.recipients.get(purpose);
            let shown = addresses.map_or_else(
                || "the address of the billing details".to_owned(),
                |addresses| {
                    let texts: Vec<&str> = addresses.iter().map(MailAddress::as_str).collect();
                    if texts.is_empty() { "nobody".to_owned() } else { texts.join(" ") }
                },
            );
            rows = rows.with(purpose.as_str(), shown);
        }
        rows
    }
}
