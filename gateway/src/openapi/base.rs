//! The server of a document, and the path that its operations are below.

use http::Uri;
use serde_yaml::Value;

use super::document::{Document, text_of};
use crate::config::ServerAddress;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its address as upstreams name it, if it has one.
    pub(super) address: Option<String>,
    /// The path that all operations are below; empty for `/`.
    pub(super) base: String,
}

/// The first server of a document.
pub(super) fn server(document: &Document, notes: &mut Vec<String>) -> Server {
    if document.get("swagger").is_some() {
        let base = document.get("basePath").and_then(Value::as_str).unwrap_or_default();
        let schemes = document.get("schemes").and_then(Value::as_sequence);
        let is_plain = schemes.is_some_and(|schemes| schemes.iter().all(|scheme| scheme.as_str() != Some("https")));
        let scheme = if is_plain { "http" } else { "https" };
        let address = document.get("host").and_then(Value::as_str).map(|host| format!("{scheme}://{host}"));
        return Server { address: address.and_then(usable), base: trimmed(base) };
    }
    match document.get("servers").and_then(|servers| first(servers, "", notes)) {
        Some(server) => server,
        None => Server { address: None, base: String::new() },
    }
}

/// The first of a list of servers; notes say which others there are. `place` is what they are for.
pub(super) fn first(servers: &Value, place: &str, notes: &mut Vec<String>) -> Option<Server> {
    let servers = servers.as_sequence()?;
    let server = servers.first().and_then(read)?;
    let others = servers.iter().skip(1).filter_map(read).filter(|other| other.base != server.base);
    for other in others {
        let base = |base: &str| if base.is_empty() { "/".to_owned() } else { base.to_owned() };
        notes.push(format!(
            "{place}servers: paths are below {}, as for the first server; those below {} are left out",
            base(&server.base),
            base(&other.base)
        ));
    }
    Some(server)
}

fn read(server: &Value) -> Option<Server> {
    let mut url = server.get("url")?.as_str()?.to_owned();
    if let Some(variables) = server.get("variables").and_then(Value::as_mapping) {
        for (name, variable) in variables {
            if let (Some(name), Some(default)) = (name.as_str(), variable.get("default").and_then(text_of)) {
                url = url.replace(&format!("{{{name}}}"), &default);
            }
        }
    }
    let (address, path) = match url.find("://") {
        None => (None, url.as_str()),
        Some(scheme) => {
            let slash = url[scheme + 3..].find('/').map_or(url.len(), |slash| scheme + 3 + slash);
            (Some(url[..slash].to_owned()), &url[slash..])
        }
    };
    Some(Server { address: address.and_then(usable), base: trimmed(path) })
}

/// The address, if an upstream can have it.
fn usable(address: String) -> Option<String> {
    address.parse::<Uri>().ok()?;
    ServerAddress::parse(&address).ok().map(|_| address)
}

/// A base path with a slash before it and none after it.
fn trimmed(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}
