//! The mail that the SMTP server has taken.

use std::collections::HashSet;

use serde_json::Value;
use servers::Smtp;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) id: String,
}

/// Reads the mail as it comes.
pub(crate) struct Mailbox {
    server: Smtp,
    read: usize,
    pub(crate) mail: Vec<Mail>,
    ids: HashSet<String>,
    /// Mail that came again, under the same `Message-ID`.
    pub(crate) again: Vec<Mail>,
}

impl Mailbox {
    pub(crate) fn of(server: Smtp) -> Self {
        Self { server, read: 0, mail: Vec::new(), ids: HashSet::new(), again: Vec::new() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Takes in what has come since the last look.
    pub(crate) fn look(&mut self) {
        let text = self.server.taken().unwrap();
        for line in text[self.read..].lines() {
            let mail = mail(&serde_json::from_str(line).unwrap());
            if self.ids.insert(mail.id.clone()) {
                self.mail.push(mail);
            } else {
                self.again.push(mail);
            }
        }
        self.read = text.len();
    }
}

fn mail(line: &Value) -> Mail {
    let raw = line["raw"].as_str().unwrap();
    let header = |name: &str| {
        let found = raw.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no {name} in\n{raw}")).to_owned()
    };
    let to = line["to"][0].as_str().unwrap().to_owned();
    Mail { to, subject: header("Subject"), id: header("Message-ID") }
}
