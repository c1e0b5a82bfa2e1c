//! The section `mail`: the server that `billing serve` hands mail to.

use std::path::{Path, PathBuf};

use common::mail::Language;
use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// Environment variable that overrides `mail.password_file` with the password itself.
pub(super) const PASSWORD_VARIABLE: &str = "TOLLGATE_SMTP_PASSWORD";

/// The `mail` section. Without it, nobody gets mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The server that takes mail (SMTP): `host:port`, as in `smtp.example.com:587`.
    #[serde(deserialize_with = "server")]
    #[schemars(with = "String")]
    pub server: MailServer,
    /// TLS: `starttls` begins it on a plain connection, `implicit` speaks it from the first byte, `none`
    /// sends mail and password readable for all on the way.
    #[serde(default)]
    pub tls: MailTls,
    /// User at the server.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// PEM file with authorities that vouch for the server, beside those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The sender, as in `Example Billing <billing@example.com>`.
    #[serde(deserialize_with = "mailbox")]
    #[schemars(with = "String")]
    pub from: Mailbox,
    /// The address that answers go to.
    #[serde(default, deserialize_with = "mailbox_or_none")]
    #[schemars(with = "Option<String>")]
    pub reply_to: Option<Mailbox>,
    /// Language of tenants that have not chosen one.
    #[serde(default = "english")]
    #[schemars(with = "String")]
    pub language: Language,
    /// Folder with templates that take the place of those of the program: `en/invoice.txt`,
    /// `en/invoice.html` and so on.
    #[serde(default)]
    pub templates: Option<PathBuf>,
    /// URL or address at which people say that they want no more notices (`List-Unsubscribe`), as in
    /// `mailto:billing@example.com`. Invoices and what follows from them go out all the same.
    #[serde(default, deserialize_with = "unsubscribe")]
    pub unsubscribe: Option<String>,
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// TLS on the way to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Begun on a plain connection. A server that does not offer it gets nothing.
    #[default]
    Starttls,
    /// From the first byte on.
    Implicit,
    /// None.
    None,
}

/// The reason why there is no usable password.
#[derive(Debug, thiserror::Error)]
pub enum MailPasswordError {
    /// A user without a password.
    #[error("`mail.username` is set, and no password: set `mail.password_file` or TOLLGATE_SMTP_PASSWORD")]
    Missing,
    /// The file cannot be read.
    #[error("cannot read the password for mail from {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
}

impl MailConfig {
    /// User and password at the server, if there is a user. The environment goes before the file.
    pub fn credentials(&self, environment: Option<&str>) -> Result<Option<(String, String)>, MailPasswordError> {
        let Some(user) = &self.username else { return Ok(None) };
        let password = match (environment, &self.password_file) {
            (Some(password), _) => password.to_owned(),
            (None, Some(file)) => read(file)?,
            (None, None) => return Err(MailPasswordError::Missing),
        };
        Ok(Some((user.clone(), password)))
    }
}

fn read(file: &Path) -> Result<String, MailPasswordError> {
    let unreadable = |source| MailPasswordError::Unreadable { path: file.display().to_string(), source };
    Ok(std::fs::read_to_string(file).map_err(unreadable)?.trim_end_matches(['\r', '\n']).to_owned())
}

const fn english() -> Language {
    Language::En
}

fn server<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MailServer, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match port.parse() {
        Ok(port) if !host.is_empty() && !host.contains(char::is_whitespace) && !host.contains('/') => {
            Ok(MailServer { host: host.to_owned(), port })
        }
        _ => Err(de::Error::custom(format!("`{text}` is no server: write it as in smtp.example.com:587"))),
    }
}

fn mailbox<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mailbox, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| {
        de::Error::custom(format!("`{text}` is no sender ({error}): write it as in Billing <billing@example.com>"))
    })
}

fn mailbox_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mailbox>, D::Error> {
    mailbox(deserializer).map(Some)
}

fn unsubscribe<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let begins = ["https://", "mailto:"].iter().any(|scheme| text.starts_with(scheme));
    if begins && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>') {
        return Ok(Some(text));
    }
    Err(de::Error::custom(format!("`{text}` is neither https:// nor mailto:, as in mailto:billing@example.com")))
}

#[cfg(test)]
mod tests {
    use common::config;

    use super::*;

    fn parse(text: &str) -> Result<MailConfig, String> {
        config::parse(text, "billing.yaml").map_err(|error| error.to_string())
    }

    #[test]
    fn server_and_sender_are_enough() {
        let least = parse("server: mail.example.com:587\nfrom: Billing <billing@example.com>\n").unwrap();
        assert_eq!((least.server.host.as_str(), least.server.port), ("mail.example.com", 587));
        assert_eq!((least.tls, least.language), (MailTls::Starttls, Language::En));
        assert!(least.credentials(None).unwrap().is_none());
        assert_eq!(parse("server: '[::1]:25'\nfrom: a@example.com\n").unwrap().server.host, "::1");
    }

    #[test]
    fn faults_name_the_setting() {
        for (text, said) in [
            ("server: mail.example.com\nfrom: a@example.com\n", "1:9: `server`"),
            ("server: https://mail:25\nfrom: a@example.com\n", "1:9: `server`"),
            ("server: mail:25\nfrom: nobody\n", "2:7: `from`"),
            ("server: mail:25\nfrom: a@example.com\ntls: perhaps\n", "3:6: `tls`"),
            ("server: mail:25\nfrom: a@example.com\nlanguage: fr\n", "3:11: `language`"),
            ("server: mail:25\nfrom: a@example.com\nunsubscribe: here\n", "3:14: `unsubscribe`"),
            ("from: a@example.com\n", "server"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{said} in {error}");
        }
    }

    #[test]
    fn password_comes_from_the_environment_or_a_file() {
        let user = parse("server: mail:25\nfrom: a@example.com\nusername: me\n").unwrap();
        assert!(matches!(user.credentials(None), Err(MailPasswordError::Missing)));
        assert_eq!(user.credentials(Some("word")).unwrap(), Some(("me".into(), "word".into())));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "from file\n").unwrap();
        let with_file = MailConfig { password_file: Some(file), ..user.clone() };
        assert_eq!(with_file.credentials(None).unwrap(), Some(("me".into(), "from file".into())));
        let missing = MailConfig { password_file: Some("/nowhere/password".into()), ..user };
        assert!(missing.credentials(None).unwrap_err().to_string().contains("/nowhere/password"));
    }
}
