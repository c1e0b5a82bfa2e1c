//! `billing mail`: what templates of mail write.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use common::mail::{Language, MailKind};

use super::{CommandError, output::Output, print};
use crate::{
    config::{Config, DEFAULT_FILE, Environment},
    outbox::mail::{Letter, Templates, preview::preview},
};

const HELP: &str = "\
Templates are those of the program, and those of the folder that `mail.templates` names in their place. `check` reads all
of them and writes a sample by each; `preview` shows one. The kinds of mail are invoice, receipt, credit_note,
payment_failed, payment_to_confirm, reminder, usage_threshold, key_expiring and endpoint_disabled.

Examples:
  billing mail check --templates templates/mail
  billing mail preview invoice --language de
  billing mail preview usage_threshold --templates templates/mail --html

Exit codes: 0 done, 1 a template has a fault (file and line are on stderr), 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct MailArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read all templates, and write a sample by each
    Check {
        #[command(flatten)]
        folder: Folder,
    },
    /// Write a sample by a template
    #[command(after_help = HELP)]
    Preview {
        /// Kind of mail, as listed below
        kind: MailKind,
        /// Language: en or de
        #[arg(long, default_value = "en")]
        language: Language,
        /// Show the HTML instead of the text
        #[arg(long)]
        html: bool,
        /// Form of the result
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// Folder of templates; that of the settings if left out
    #[arg(long, value_name = "FOLDER")]
    templates: Option<PathBuf>,
    /// Settings that name the folder
    #[arg(long, value_name = "FILE", conflicts_with = "templates")]
    config: Option<PathBuf>,
}

pub(super) fn execute(arguments: &MailArguments, environment: &Environment) -> Result<(), CommandError> {
    match &arguments.action {
        Action::Check { folder } => {
            folder.load(environment)?;
            print("templates: ok\n")
        }
        Action::Preview { kind, language, html, output, folder } => {
            let letter = preview(&folder.load(environment)?, *kind, *language)?;
            match output {
                Output::Json => print(&(serde_json::to_string_pretty(&letter)? + "\n")),
                Output::Table => print(&shown(&letter, *html)),
            }
        }
    }
}

impl Folder {
    fn load(&self, environment: &Environment) -> Result<Templates, CommandError> {
        let stated = self.templates.clone();
        let folder = match (stated, &self.config) {
            (Some(folder), _) => Some(folder),
            (None, Some(file)) => Config::load(file, environment)?.mail.and_then(|mail| mail.templates),
            // Without settings, those of the program count.
            (None, None) if !Path::new(DEFAULT_FILE).exists() => None,
            (None, None) => Config::load(Path::new(DEFAULT_FILE), environment)?.mail.and_then(|mail| mail.templates),
        };
        Ok(Templates::load(folder.as_deref())?)
    }
}

fn shown(letter: &Letter, html: bool) -> String {
    if html { letter.html.clone() + "\n" } else { format!("Subject: {}\n\n{}\n", letter.subject, letter.text) }
}
