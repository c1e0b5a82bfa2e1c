//! `billing documents`: writes the PDFs of invoices into a folder.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use common::{
    branding::Branding,
    id::TenantId,
    invoice::{Invoice, InvoiceSpan},
    store::Store,
    time::{Micros, Window},
};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::{CommandError, log, output::Output, print, progress::ProgressReport, store::StoreArguments};
use crate::{
    config::{Config, Environment},
    document::{DocumentError, Documents, Paper, TypesetError},
    number::grouped,
};

const HELP: &str = "\
Each invoice becomes FOLDER/ISSUER/NUMBER.pdf, in the branding of its issuer. The same invoice
gives the same bytes; a file that is there is replaced as a whole. An invoice whose document
cannot be made is told, and all others are written.

Examples:
  billing documents invoices/2026-11 --from 2026-12-01T00:00:00Z
  billing documents archive --from 2026-01-01T00:00:00Z --until 2027-01-01T00:00:00Z --factur-x
  billing documents out --tenant ten_01jd0000000000000000000000 --language de --output json

Exit codes: 0 done, 1 failed, or a document could not be made (all others were), \
2 the command line is invalid";

/// Invoices that are read at a time.
const PAGE_ROWS: u32 = 200;

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DocumentsArguments {
    /// Folder to write to; it is made if it is not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Only invoices that were finalized at this instant or later
    #[arg(long, value_name = "INSTANT")]
    from: Option<Micros>,
    /// Only invoices that were finalized before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<Micros>,
    /// Only invoices of this issuer
    #[arg(long, value_name = "ID")]
    issuer: Option<TenantId>,
    /// Only invoices that this tenant owes
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Language, as in `de` [default: that of the branding]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Put the electronic invoice into each PDF (Factur-X, ZUGFeRD)
    #[arg(long)]
    factur_x: bool,
    /// Documents that are made at the same time [default: `documents.processes` of the settings]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: Option<u32>,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

/// The result.
#[derive(Default, Serialize)]
struct Written {
    /// Documents.
    documents: usize,
    /// Their size.
    bytes: usize,
    /// Invoices whose document could not be made.
    failed: Vec<Failed>,
}

/// An invoice whose document could not be made.
#[derive(Serialize)]
struct Failed {
    invoice: String,
    number: String,
    reason: String,
}

/// The reason why no further document is tried.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The program that typesets cannot be started.
    #[error("{0}; set `documents.program` in the settings")]
    Program(TypesetError),
}

pub(super) async fn execute(arguments: &DocumentsArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn,billing::command::progress=info");
    let (url, config) = arguments.store.resolve(environment)?;
    let mut settings = config.as_ref().map_or_else(|| Config::default().documents, |config| config.documents.clone());
    settings.processes = arguments.processes.unwrap_or(settings.processes);
    let store = Store::open(&url).await?;
    let documents = Documents::new(settings.typesetter(), settings.languages()?);
    let at_once = usize::try_from(settings.processes).unwrap_or(1);
    let written = write_all(&store, &documents, arguments, at_once).await;
    store.close().await;
    let written = written?;
    let mut stderr = std::io::stderr().lock();
    for Failed { number, invoice, reason } in &written.failed {
        // A closed stderr leaves nobody to tell; the result still counts.
        let _ = writeln!(stderr, "error: {number} ({invoice}) has no document: {reason}");
    }
    match arguments.output {
        Output::Json => print(&(serde_json::to_string_pretty(&written)? + "\n"))?,
        Output::Table => {
            let (count, folder) =
                (grouped(i128::try_from(written.documents).unwrap_or(i128::MAX)), arguments.folder.display());
            print(&format!("{count} documents in {folder}\n"))?;
        }
    }
    match written.failed.len() {
        0 => Ok(()),
        failed => Err(CommandError::Undocumented(failed)),
    }
}

/// Writes the documents of all invoices that are asked for.
async fn write_all(
    store: &Store,
    documents: &Documents,
    arguments: &DocumentsArguments,
    at_once: usize,
) -> Result<Written, CommandError> {
    let span = InvoiceSpan {
        issuer: arguments.issuer,
        tenant: arguments.tenant,
        subtree: false,
        window: Window {
            start: arguments.from.unwrap_or(Micros(i64::MIN)),
            end: arguments.until.unwrap_or(Micros(i64::MAX)),
        },
        by_period: false,
    };
    let report = ProgressReport::new();
    let of = usize::try_from(store.count_invoices_in(&span).await?).unwrap_or_default();
    let mut written = Written::default();
    let mut brandings: HashMap<TenantId, Arc<Branding>> = HashMap::new();
    let mut after = 0;
    loop {
        let (invoices, next) = store.invoices_in(&span, after, PAGE_ROWS).await?;
        for invoice in &invoices {
            if let Entry::Vacant(unknown) = brandings.entry(invoice.issuer) {
                unknown.insert(Arc::new(store.branding(invoice.issuer).await?));
                make_folder(&folder_of(&arguments.folder, invoice.issuer))?;
            }
        }
        let of_issuer = |invoice: &Invoice| brandings.get(&invoice.issuer).map(Arc::clone).unwrap_or_default();
        let mut made = stream::iter(&invoices)
            .map(|invoice| write_one(documents, invoice, of_issuer(invoice), arguments))
            .buffered(at_once);
        while let Some(one) = made.next().await {
            match one? {
                Ok(bytes) => {
                    written.documents += 1;
                    written.bytes += bytes;
                }
                Err(failed) => written.failed.push(failed),
            }
            report.tell_stage("typesetting", written.documents + written.failed.len(), of);
        }
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    report.finish();
    Ok(written)
}

/// Writes one document: its size, or why there is none.
async fn write_one(
    documents: &Documents,
    invoice: &Invoice,
    branding: Arc<Branding>,
    arguments: &DocumentsArguments,
) -> Result<Result<usize, Failed>, DocumentsError> {
    let (paper, language) = (Paper::Invoice(invoice), arguments.language.as_deref());
    let made = if arguments.factur_x {
        documents.factur_x(paper, &branding, language).await
    } else {
        documents.pdf(paper, &branding, language).await
    };
    match made {
        Ok(pdf) => {
            let folder = folder_of(&arguments.folder, invoice.issuer);
            replace(&folder.join(file_name(&invoice.number)), &pdf).map(|()| Ok(pdf.len()))
        }
        Err(DocumentError::Typeset(error @ TypesetError::Start { .. })) => Err(DocumentsError::Program(error)),
        Err(error) => {
            let (number, reason) = (invoice.number.clone(), error.to_string());
            Ok(Err(Failed { invoice: invoice.id.to_string(), number, reason }))
        }
    }
}

fn folder_of(folder: &Path, issuer: TenantId) -> PathBuf {
    folder.join(issuer.to_string())
}

/// The name of an invoice's file. Numbers begin with a series, which has letters, digits and `-`.
fn file_name(number: &str) -> String {
    let safe = number.chars().map(|one| if one.is_ascii_alphanumeric() || one == '-' { one } else { '_' });
    safe.chain(".pdf".chars()).collect()
}

fn make_folder(path: &Path) -> Result<(), DocumentsError> {
    std::fs::create_dir_all(path).map_err(|source| DocumentsError::Write { path: path.to_owned(), source })
}

/// Replaces a file as a whole: a reader sees the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), DocumentsError> {
    let part = path.with_extension("pdf.part");
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| DocumentsError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_with_a_separator_of_paths_stays_in_its_folder() {
        assert_eq!(file_name("INV-000042"), "INV-000042.pdf");
        assert_eq!(file_name("../../etc/passwd"), "______etc_passwd.pdf");
    }

    #[test]
    fn file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("INV-000001.pdf");
        replace(&file, b"old").unwrap();
        replace(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
