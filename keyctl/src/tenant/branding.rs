//! `keyctl tenant branding`: the looks of the documents that a tenant issues.

use std::path::PathBuf;

use clap::Args;
use common::{
    branding::{Branding, Image},
    config::{self, ConfigError, Document, Place},
    id::TenantId,
};
use serde::Serialize;

use crate::{
    context::Context,
    error::Failure,
    output::{Rows, View, or_dash},
};

pub(super) const HELP: &str = "\
With --set, the branding of a YAML file replaces the one that there is: colour, language, paper, contact, bank, \
payment_terms and footer; --logo and --template add files to it. A logo or template is tried on a sample first, \
which `billing serve` does, so these two take --api.

Examples:
  keyctl tenant branding ten_01jd0000000000000000000001
  keyctl tenant branding ten_01jd0000000000000000000001 --set looks.yaml --logo logo.svg";

/// The arguments of `keyctl tenant branding`.
#[derive(Debug, Args)]
pub(crate) struct BrandingArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    id: TenantId,

    /// YAML file with the new branding
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,

    /// PNG, JPEG or SVG file with the logo
    #[arg(long, value_name = "FILE", requires = "set")]
    logo: Option<PathBuf>,

    /// typst file with the template of all documents
    #[arg(long, value_name = "FILE", requires = "set")]
    template: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct BrandingView(Branding);

impl BrandingArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(path) = &self.set {
            let text = config::read(path)?;
            let file = path.display().to_string();
            let mut document = Document::new(&text, &file);
            let read: Option<Branding> = document.read();
            document.refuse(Vec::new())?;
            let mut branding = read.ok_or_else(|| ConfigError::Fault(Place::START.fault("there is no branding")))?;
            if let Some(logo) = &self.logo {
                branding.logo = Some(Image::new(std::fs::read(logo)?)?);
            }
            if let Some(template) = &self.template {
                branding.template = Some(config::read(template)?);
            }
            context.backend.set_branding(self.id, &branding).await?;
        }
        context.output.show(&BrandingView(context.backend.branding(self.id).await?))
    }
}

impl View for BrandingView {
    fn table(&self) -> Rows {
        let Branding { colour, language, contact, bank, payment_terms, footer, logo, template, .. } = &self.0;
        let contact = contact.as_ref().map(|contact| {
            let parts = [&contact.name, &contact.phone, &contact.email];
            parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")
        });
        let logo = logo.as_ref().map(|logo| format!("{}, {} bytes", logo.extension(), logo.bytes().len()));
        let template = template.as_ref().map(|template| format!("{} bytes", template.len()));
        Rows::properties([
            ("colour", or_dash(colour.as_ref())),
            ("language", or_dash(language.as_ref())),
            ("contact", or_dash(contact)),
            ("account", or_dash(bank.as_ref().map(|bank| &bank.iban))),
            ("payment terms", or_dash(payment_terms.as_ref())),
            ("footer", or_dash(Some(footer.join(" | ")).filter(|footer| !footer.is_empty()))),
            ("logo", or_dash(logo)),
            ("template", or_dash(template)),
        ])
    }
}
