//! Templates of mail: those of the program, and those of a folder that take their place.
//!
//! Invariant: templates count as a whole, once each of them has written its sample. A folder with a
//! fault is told with file and line, and the templates before it serve on.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use common::mail::{Language, MailBody, MailKind};
use minijinja::{Environment, Error, UndefinedBehavior, Value, context, value::Serde};

use super::{
    Letter, MailIssuer,
    format::add_filters,
    sample::{sample, sample_issuer},
};

/// Largest file of a template, in bytes.
const FILE_MAX_BYTES: u64 = 256 * 1024;

/// The template that others extend.
const LAYOUT: &str = "layout.html";

macro_rules! shipped {
    ($($language:literal, $kind:literal;)*) => {
        [$(
            (concat!($language, "/", $kind, ".txt"), include_str!(concat!("templates/", $language, "/", $kind, ".txt"))),
            (concat!($language, "/", $kind, ".html"), include_str!(concat!("templates/", $language, "/", $kind, ".html"))),
        )*]
    };
}

/// Templates of the program, by name.
const SHIPPED: [(&str, &str); 40] = shipped! {
    "en", "invoice";
    "en", "receipt";
    "en", "credit_note";
    "en", "payment_failed";
    "en", "payment_to_confirm";
    "en", "reminder";
    "en", "usage_threshold";
    "en", "key_expiring";
    "en", "endpoint_disabled";
    "en", "sign_in";
    "de", "invoice";
    "de", "receipt";
    "de", "credit_note";
    "de", "payment_failed";
    "de", "payment_to_confirm";
    "de", "reminder";
    "de", "usage_threshold";
    "de", "key_expiring";
    "de", "endpoint_disabled";
    "de", "sign_in";
};

const SHIPPED_LAYOUTS: [(&str, &str); 2] = [
    ("en/layout.html", include_str!("templates/en/layout.html")),
    ("de/layout.html", include_str!("templates/de/layout.html")),
];

/// The reason why templates are not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A template has a fault.
    #[error("{file}:{line}: {reason}")]
    Fault {
        /// The file, or the name of a template of the program.
        file: String,
        /// The line, from 1 on.
        line: usize,
        /// Reason.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// The file or folder.
        file: String,
        /// Reason.
        reason: String,
    },
}

/// Templates of all kinds of mail in all languages.
pub struct Templates {
    languages: BTreeMap<Language, Environment<'static>>,
    /// The folder of the templates.
    files: BTreeMap<String, PathBuf>,
}

/// Templates of a folder, read again when a file changes.
pub struct TemplateFolder {
    folder: Option<PathBuf>,
    state: Mutex<FolderState>,
}

struct FolderState {
    seen: Vec<Seen>,
    current: Arc<Templates>,
}

/// A file as it was read: its path, its size and the time of its latest change.
type Seen = (PathBuf, u64, Option<SystemTime>);

impl Templates {
    /// Those of the program, and those of `folder` in their place.
    pub fn load(folder: Option<&Path>) -> Result<Self, TemplateError> {
        let mut sources: BTreeMap<String, String> = SHIPPED
            .iter()
            .chain(&SHIPPED_LAYOUTS)
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let mut files = BTreeMap::new();
        for (name, file) in folder.map(stated).transpose()?.unwrap_or_default() {
            sources.insert(name.clone(), read(&file)?);
            files.insert(name, file);
        }
        let mut templates = Self { languages: BTreeMap::new(), files };
        for language in Language::ALL {
            let environment = templates.environment(*language, &sources)?;
            templates.languages.insert(*language, environment);
        }
        for language in Language::ALL {
            for kind in MailKind::ALL {
                templates.letter(&sample(*kind, *language), &sample_issuer(), *language)?;
            }
        }
        Ok(templates)
    }

    fn environment(
        &self,
        language: Language,
        sources: &BTreeMap<String, String>,
    ) -> Result<Environment<'static>, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        add_filters(&mut environment, language);
        for (name, text) in sources {
            let Some(short) = name.strip_prefix(language.as_str()).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let added = environment.add_template_owned(short.to_owned(), text.clone());
            added.map_err(|error| self.fault(language, short, &error))?;
        }
        Ok(environment)
    }

    /// Writes a letter in the name of an issuer.
    pub fn letter(&self, body: &MailBody, issuer: &MailIssuer, language: Language) -> Result<Letter, TemplateError> {
        let name = format!("{}.txt", body.mail);
        let text = self.render(&name, (body, issuer), language)?;
        let subject_missing = || TemplateError::Fault {
            file: self.place(language, &name),
            line: 1,
            reason: "the first line is `Subject: ` and the subject".into(),
        };
        let (first, rest) = text.split_once('\n').ok_or_else(subject_missing)?;
        let subject = first.trim().strip_prefix("Subject:").map(str::trim).filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(subject_missing)?.to_owned();
        let html = self.render(&format!("{}.html", body.mail), (body, issuer), language)?;
        Ok(Letter { subject, text: rest.trim_start().to_owned(), html })
    }

    fn render(
        &self,
        name: &str,
        (body, issuer): (&MailBody, &MailIssuer),
        language: Language,
    ) -> Result<String, TemplateError> {
        let missing =
            || TemplateError::Unreadable { file: self.place(language, name), reason: "it is not there".into() };
        let environment = self.languages.get(&language).ok_or_else(missing)?;
        let template = environment.get_template(name).map_err(|error| self.fault(language, name, &error))?;
        let values = context! {
            tenant => body.tenant_name.as_str(),
            issuer => Value::from(Serde(issuer)),
            zone => body.zone.as_str(),
            at => body.at.to_string(),
            data => Value::from(Serde(&body.data)),
        };
        template.render(values).map_err(|error| self.fault(language, name, &error))
    }

    /// The error with file and line. It may be of another template than the one that was asked for.
    fn fault(&self, language: Language, name: &str, error: &Error) -> TemplateError {
        let mut reason = error.kind().to_string();
        if let Some(detail) = error.detail() {
            let _ = write!(reason, ": {detail}");
        }
        let file = self.place(language, error.name().unwrap_or(name));
        TemplateError::Fault { file, line: error.line().unwrap_or(1), reason }
    }

    fn place(&self, language: Language, name: &str) -> String {
        let name = format!("{language}/{name}");
        self.files.get(&name).map_or(name, |file| file.display().to_string())
    }
}

impl TemplateFolder {
    /// Templates of a folder, or those of the program only.
    pub fn open(folder: Option<PathBuf>) -> Result<Self, TemplateError> {
        let seen = seen(folder.as_deref());
        let current = Arc::new(Templates::load(folder.as_deref())?);
        Ok(Self { folder, state: Mutex::new(FolderState { seen, current }) })
    }

    /// The templates that count now. Files that have changed are read again; if they have a fault, it is
    /// told once, and the templates before them count.
    pub fn current(&self) -> Arc<Templates> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = &self.folder else { return Arc::clone(&state.current) };
        let now = seen(Some(folder));
        if now != state.seen {
            match Templates::load(Some(folder)) {
                Ok(templates) => {
                    state.current = Arc::new(templates);
                    tracing::info!(event = "mail_templates_loaded", folder = %folder.display());
                }
                Err(error) => tracing::error!(event = "mail_templates_refused", %error),
            }
            state.seen = now;
        }
        Arc::clone(&state.current)
    }
}

/// Templates of a folder, by name.
fn stated(folder: &Path) -> Result<BTreeMap<String, PathBuf>, TemplateError> {
    if !folder.is_dir() {
        let (file, reason) = (folder.display().to_string(), "it is no folder".to_owned());
        return Err(TemplateError::Unreadable { file, reason });
    }
    Ok(names().into_iter().map(|name| (name.clone(), folder.join(name))).filter(|(_, file)| file.exists()).collect())
}

/// Names of all templates.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    for language in Language::ALL {
        names.push(format!("{language}/{LAYOUT}"));
        for kind in MailKind::ALL {
            names.extend([format!("{language}/{kind}.txt"), format!("{language}/{kind}.html")]);
        }
    }
    names
}

fn seen(folder: Option<&Path>) -> Vec<Seen> {
    let Some(folder) = folder else { return Vec::new() };
    let files = names().into_iter().map(|name| folder.join(name));
    let look = |file: PathBuf| {
        let metadata = std::fs::metadata(&file).ok()?;
        Some((file, metadata.len(), metadata.modified().ok()))
    };
    files.filter_map(look).collect()
}

fn read(file: &Path) -> Result<String, TemplateError> {
    let unreadable = |reason: String| TemplateError::Unreadable { file: file.display().to_string(), reason };
    let length = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?.len();
    if length > FILE_MAX_BYTES {
        return Err(unreadable(format!("it has {length} bytes; at most {FILE_MAX_BYTES} are read")));
    }
    std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        folder
    }

    fn invoice(language: Language) -> Letter {
        Templates::load(None).unwrap().letter(&sample(MailKind::Invoice, language), &sample_issuer(), language).unwrap()
    }

    #[test]
    fn shipped_templates_write_every_kind_in_every_language() {
        let english = invoice(Language::En);
        assert_eq!(english.subject, "Invoice INV-000042 from Example API");
        assert!(english.text.contains("1,234.50 EUR") && english.text.contains("14 December 2026"), "{}", english.text);
        let german = invoice(Language::De);
        assert_eq!(german.subject, "Rechnung INV-000042 von Example API");
        assert!(german.text.contains("1.234,50 EUR") && german.html.contains("14. Dezember 2026"), "{}", german.text);
        assert_eq!(SHIPPED.len(), 2 * MailKind::ALL.len() * Language::ALL.len());
        assert_eq!(names().len(), SHIPPED.len() + SHIPPED_LAYOUTS.len());
    }

    #[test]
    fn names_of_tenants_are_text_in_html() {
        let mut body = sample(MailKind::UsageThreshold, Language::En);
        body.tenant_name = "<script>alert(1)</script>".into();
        let letter = Templates::load(None).unwrap().letter(&body, &sample_issuer(), Language::En).unwrap();
        assert!(letter.html.contains("&lt;script&gt;") && !letter.html.contains("<script>"), "{}", letter.html);
        assert!(letter.text.contains("<script>"));
    }

    #[test]
    fn folder_replaces_single_templates() {
        let folder =
            folder(&[("de/invoice.txt", "Subject: Ihre {{ data.number }}\n\nBitte {{ data.open | amount }}.\n")]);
        let templates = Templates::load(Some(folder.path())).unwrap();
        let letter =
            templates.letter(&sample(MailKind::Invoice, Language::De), &sample_issuer(), Language::De).unwrap();
        assert_eq!((letter.subject.as_str(), letter.text.as_str()), ("Ihre INV-000042", "Bitte 1.234,50."));
        let english =
            templates.letter(&sample(MailKind::Invoice, Language::En), &sample_issuer(), Language::En).unwrap();
        assert_eq!(english, invoice(Language::En));
    }

    #[test]
    fn faults_name_file_and_line() {
        for (text, line, said) in [
            ("Subject: a\n\n{{ data.number }\n", 3, "syntax error"),
            ("Subject: a\n\n\n{{ data.nonesuch }}\n", 4, "undefined"),
            ("Subject: a\n{% if data %}\n", 0, "end of input"),
            ("Subject: a\n{{ data.total | nonesuch }}\n", 2, "nonesuch"),
            ("Hello\n", 1, "Subject: "),
            ("", 1, "Subject: "),
        ] {
            let folder = folder(&[("en/receipt.txt", text)]);
            let error = Templates::load(Some(folder.path())).err().unwrap();
            let TemplateError::Fault { file, line: found, reason } = &error else { panic!("{error}") };
            assert!(file.ends_with("/en/receipt.txt"), "{error}");
            assert!(line == 0 || *found == line, "{error}");
            assert!(reason.contains(said), "{error}");
        }
        let nowhere = Templates::load(Some(Path::new("/nowhere"))).err().unwrap();
        assert_eq!(nowhere.to_string(), "cannot read /nowhere: it is no folder");
    }

    #[test]
    fn faulty_change_leaves_the_templates_before_it_in_force() {
        let folder = folder(&[("en/invoice.txt", "Subject: one\n\na\n")]);
        let file = folder.path().join("en/invoice.txt");
        let templates = TemplateFolder::open(Some(folder.path().to_owned())).unwrap();
        let subject = || {
            templates
                .current()
                .letter(&sample(MailKind::Invoice, Language::En), &sample_issuer(), Language::En)
                .unwrap()
                .subject
        };
        assert_eq!(subject(), "one");
        std::fs::write(&file, "Subject: {{ broken\n").unwrap();
        assert_eq!(subject(), "one");
        std::fs::write(&file, "Subject: another one\n\na\n").unwrap();
        assert_eq!(subject(), "another one");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(subject(), "Invoice INV-000042 from Example API");
    }
}
