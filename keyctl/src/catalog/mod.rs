//! `keyctl export`, `diff` and `apply`: tenants, plans, subscriptions, admin keys and webhooks as a
//! file that people review.
//!
//! Invariants: a file with any fault changes nothing; applying what was exported changes nothing;
//! no file and no answer holds a secret.

mod change;
mod compare;
mod execute;
mod file;
mod find;
mod present;
mod secrets;
mod subscription;

use std::path::PathBuf;

use clap::Args;
use common::config::Document;

use self::{
    change::{Action, Change, Work},
    compare::Comparison,
    execute::Execution,
    file::{CatalogFile, Source},
    find::Found,
    present::Present,
    secrets::SecretsFile,
};
use crate::{context::Context, error::Failure, output::print, pepper::PepperArgs};

pub(crate) const EXPORT_HELP: &str = "\
Prints tenants with their plans (with quotas and limits), subscriptions, admin keys and webhooks as a catalog file. \
Secrets are not in it, nor what happens: usage, credit, invoices, API keys, scheduled changes of plan. YAML, or JSON \
with --output json; both can be applied.

Examples:
  keyctl export > catalog.yaml
  keyctl --api https://billing.example.com export > catalog.yaml";

pub(crate) const DIFF_HELP: &str = "\
Shows what `apply` would change: + create, ~ change, - remove. What is there and not in the file is left alone, and \
shown with --prune only.

Exit codes: 0 nothing would change, 2 something would, 1, 3 and 4 as for all commands.

Examples:
  keyctl diff -f catalog.yaml
  keyctl diff -f catalog.yaml --prune --output json";

pub(crate) const APPLY_HELP: &str = "\
Makes the changes that `diff` shows, in that order. The whole file is checked before anything is changed, and every \
fault is told with line and column. If a change fails, those after it are not tried; the answer says what became of \
each, and the same command goes on from there.

A tenant is the one with its `id`, or else the one of its name under its parent; if there is none, it is created. \
Subscriptions without `version` keep the version that they have. Admin keys and webhooks are known by their names; \
the secrets of new ones are written to --secrets-file, one JSON object a line, and nowhere else.

--prune removes what is there and not in the file: tenants below those of the file, subscriptions, webhooks, admin \
keys (never an owner's); plans are taken off offer. A terminal is asked first. A plan that drops limits needs --yes \
in a script, as with `plan apply`.

Exit codes: 0 done; with --dry-run those of `diff`.

Examples:
  keyctl apply -f catalog.yaml --dry-run
  keyctl apply -f catalog.yaml --secrets-file new-secrets.jsonl
  keyctl apply -f catalog.yaml --prune --yes";

/// A catalog file, and how far it counts.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Catalog file; - reads standard input
    #[arg(long, short)]
    file: PathBuf,

    /// Remove what is there and not in the file
    #[arg(long)]
    prune: bool,
}

/// The arguments of `keyctl apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    file: FileArgs,

    /// Show the changes, and make none
    #[arg(long)]
    dry_run: bool,

    /// New file for the secrets of admin keys and webhooks that are created
    #[arg(long, value_name = "FILE")]
    secrets_file: Option<PathBuf>,

    #[command(flatten)]
    pepper: PepperArgs,
}

/// A catalog file compared with what is there.
struct Compared {
    file: CatalogFile,
    found: Found,
    changes: Vec<Change>,
    dropped: Vec<String>,
}

/// Prints what is there as a catalog file.
pub(crate) async fn export(context: &Context) -> Result<(), Failure> {
    let present = Present::read(&*context.backend).await?;
    if context.output.is_json() {
        return print(&serde_json::to_string_pretty(&present.export())?);
    }
    let text = serde_yaml::to_string(&present.export()).map_err(|error| Failure::CatalogText(error.to_string()))?;
    print(&format!("# keyctl apply -f FILE; the form is that of config/catalog.schema.json\n{}", text.trim_end()))
}

impl FileArgs {
    /// Shows the changes that applying the file would make.
    pub(crate) async fn diff(self, context: &Context) -> Result<(), Failure> {
        let Compared { changes, .. } = self.compare(context).await?;
        context.output.show(&changes)?;
        if changes.is_empty() { Ok(()) } else { Err(Failure::Differences(changes.len())) }
    }

    async fn compare(&self, context: &Context) -> Result<Compared, Failure> {
        let source = Source::read(&self.file)?;
        let mut document = Document::new(&source.text, &source.name);
        let file: Option<CatalogFile> = document.read();
        let Some(file) = file.filter(|_| !document.is_faulty()) else {
            document.refuse(Vec::new())?;
            return Err(Failure::CatalogText(format!("{} is empty", source.name)));
        };
        let refuse = |document: Document<'_>, faults: Vec<file::EntryFault>| {
            let faults = faults.into_iter().map(|fault| fault.placed(document.tree())).collect();
            document.refuse(faults)
        };
        let faults = file.faults();
        if !faults.is_empty() {
            refuse(document, faults)?;
            return Err(Failure::CatalogText(format!("{} is not valid", source.name)));
        }
        let present = Present::read(&*context.backend).await?;
        let found = match Found::new(&file, &present) {
            Ok(found) => found,
            Err(faults) => {
                refuse(document, faults)?;
                return Err(Failure::CatalogText(format!("{} is not valid", source.name)));
            }
        };
        let mut comparison = Comparison {
            file: &file,
            present: &present,
            found: &found,
            prune: self.prune,
            changes: Vec::new(),
            faults: Vec::new(),
            dropped: Vec::new(),
        };
        comparison.run()?;
        let Comparison { changes, faults, dropped, .. } = comparison;
        refuse(document, faults)?;
        Ok(Compared { file, found, changes, dropped })
    }
}

impl ApplyArgs {
    /// Applies the file, or shows the changes.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.dry_run {
            return self.file.diff(context).await;
        }
        let compared = self.file.compare(context).await?;
        if compared.changes.is_empty() {
            return context.output.show(&compared.changes);
        }
        let secrets = self.secrets(&compared.changes)?;
        confirm(context, &compared).await?;
        let Compared { file, found, changes, .. } = compared;
        let execution = Execution::new(context, &self.pepper, &file, found.ids, secrets);
        let (changes, failure) = execution.run(changes).await;
        context.output.show(&changes)?;
        failure.map_or(Ok(()), Err)
    }

    /// The file for new secrets, if any are made: it is there before the first of them.
    fn secrets(&self, changes: &[Change]) -> Result<Option<SecretsFile>, Failure> {
        let makes = |change: &&Change| matches!(change.work, Work::CreateAdminKey(_) | Work::CreateWebhook(_));
        let Some(first) = changes.iter().find(makes) else { return Ok(None) };
        let Some(path) = &self.secrets_file else {
            return Err(Failure::SecretsFileMissing(format!("{} `{}` of {}", first.kind, first.name, first.tenant)));
        };
        SecretsFile::create(path).map(Some)
    }
}

/// Asks a person before something is taken away; a script has to say that limits may be dropped.
async fn confirm(context: &Context, compared: &Compared) -> Result<(), Failure> {
    let removed = compared.changes.iter().filter(|change| change.action == Action::Delete).count();
    let dropped = compared.dropped.join(", ");
    if !dropped.is_empty() && context.asking == crate::terminal::Asking::Nobody {
        return Err(Failure::LimitsDropped(dropped));
    }
    if removed == 0 && dropped.is_empty() {
        return Ok(());
    }
    if context.asking.is_person() {
        context.output.show(&compared.changes)?;
    }
    let limits = if dropped.is_empty() { String::new() } else { format!(" and drop limits ({dropped})") };
    context.confirm(async || Ok(format!("Remove {removed} things{limits}?"))).await
}
