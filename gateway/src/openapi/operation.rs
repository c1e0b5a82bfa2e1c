//! The operations of a document as routes.

use std::collections::{HashMap, HashSet};

use serde_yaml::{Mapping, Value};

use super::{
    base::{self, Server},
    document::Document,
    template, yaml,
};
use crate::route::{PathPattern, Shape};

/// Methods that operations may have, and routes too.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Keys of a path that are no operations.
const NO_OPERATIONS: [&str; 5] = ["$ref", "summary", "description", "servers", "parameters"];

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImportedRoute {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) method: String,
    pub(super) scope: Option<String>,
    /// True if the operation needs no credential, and others do.
    pub(super) public: bool,
}

/// Names and requests that routes have taken.
#[derive(Default)]
struct Taken {
    names: HashSet<String>,
    /// The name of the route that has taken each request.
    requests: HashMap<Request, String>,
}

/// Paths, query and method.
type Request = (Shape, Vec<(String, String)>, String);

/// The routes, in the order of the document.
pub(super) fn routes(document: &Document, server: &Server, notes: &mut Vec<String>) -> Vec<ImportedRoute> {
    let mut routes = Vec::new();
    let mut taken = Taken::default();
    let paths = document.get("paths").and_then(Value::as_mapping);
    for (template, item) in paths.into_iter().flatten() {
        let Some(template) = template.as_str().filter(|template| !template.starts_with("x-")) else { continue };
        let item = match document.follow(document.own(item)) {
            Ok(item) => item.value,
            Err(reason) => {
                notes.push(format!("{template}: left out: {reason}"));
                continue;
            }
        };
        let Some(entries) = item.as_mapping() else { continue };
        for (method, operation) in entries {
            let Some(method) = method.as_str() else { continue };
            if METHODS.contains(&method) {
                let place = Place { document, template, item: &item, method };
                routes.extend(place.route(operation, server, &mut taken, notes));
            } else if !NO_OPERATIONS.contains(&method) && !method.starts_with("x-") {
                notes.push(format!("{template}: left out: `{method}` is not a method that can be routed"));
            }
        }
    }
    if document.get("webhooks").is_some() {
        notes.push("webhooks: left out: they are requests to others".into());
    }
    routes
}

/// The place of an operation.
struct Place<'a> {
    document: &'a Document,
    template: &'a str,
    item: &'a Value,
    method: &'a str,
}

impl Place<'_> {
    fn note(&self, notes: &mut Vec<String>, text: &str) {
        notes.push(format!("{} {}: {text}", self.method.to_uppercase(), self.template));
    }

    fn route(
        &self,
        operation: &Value,
        server: &Server,
        taken: &mut Taken,
        notes: &mut Vec<String>,
    ) -> Option<ImportedRoute> {
        let own = operation.get("servers").or_else(|| self.item.get("servers"));
        let place = format!("{} {}: ", self.method.to_uppercase(), self.template);
        let own = own.and_then(|servers| base::first(servers, &place, notes));
        if own.as_ref().is_some_and(|own| own.address.is_some() && own.address != server.address) {
            self.note(notes, "has a server of its own: the route goes to the same upstream as the others");
        }
        let base = own.as_ref().map_or(&*server.base, |own| &*own.base);
        let found = match template::convert(base, self.template) {
            Ok(found) => found,
            Err(reason) => {
                self.note(notes, &format!("left out: {reason}"));
                return None;
            }
        };
        let method = self.method.to_uppercase();
        let pattern = match PathPattern::parse(&found.path) {
            Ok(pattern) => pattern,
            Err(error) => {
                self.note(notes, &format!("left out: {error}"));
                return None;
            }
        };
        let request = (pattern.shape(), found.query.clone(), method.clone());
        if let Some(same) = taken.requests.get(&request) {
            self.note(notes, &format!("left out: a route cannot tell it from `{same}`"));
            return None;
        }
        for note in &found.notes {
            self.note(notes, note);
        }
        let name = self.name(operation, &found.path, taken, notes);
        taken.requests.insert(request, name.clone());
        let (scope, public) = self.security(operation, notes);
        Some(ImportedRoute { name, path: found.path, query: found.query, method, scope, public })
    }

    /// The operation's id, or method and path; with a number if another route has it.
    fn name(&self, operation: &Value, path: &str, taken: &mut Taken, notes: &mut Vec<String>) -> String {
        let id = operation.get("operationId").and_then(Value::as_str);
        let text = id.map_or_else(|| format!("{}{path}", self.method), str::to_owned);
        let name = yaml::name(&text, self.method);
        let numbered = (2..).map(|number| {
            let number = format!("-{number}");
            format!("{}{number}", &name[..name.len().min(yaml::NAME_MAX_BYTES - number.len())])
        });
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.names.contains(name));
        let free = free.unwrap_or_default();
        if free != name && id.is_some() {
            self.note(notes, &format!("another route is called `{name}`: this one is `{free}`"));
        }
        taken.names.insert(free.clone());
        free
    }

    /// The scope that the operation asks for, and whether it needs no credential.
    fn security(&self, operation: &Value, notes: &mut Vec<String>) -> (Option<String>, bool) {
        let global = self.document.get("security").and_then(Value::as_sequence);
        let own = operation.get("security").and_then(Value::as_sequence);
        let requirements = own.or(global).map_or(&[][..], Vec::as_slice);
        let is_open = own.is_some() && requirements.iter().all(|one| one.as_mapping().is_none_or(Mapping::is_empty));
        if is_open {
            return (None, global.is_some_and(|global| !global.is_empty()));
        }
        let scopes_of = |requirement: &Value| -> Vec<String> {
            let lists = requirement.as_mapping().into_iter().flat_map(|schemes| schemes.values());
            let all = lists.filter_map(Value::as_sequence).flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        if requirements.iter().any(|requirement| requirement.as_mapping().is_some_and(Mapping::is_empty)) {
            self.note(notes, "its credential is optional: the route asks for a key all the same");
            return (None, false);
        }
        let alternatives: Vec<Vec<String>> = requirements.iter().map(scopes_of).collect();
        let Some(scopes) = alternatives.first().filter(|scopes| !scopes.is_empty()) else { return (None, false) };
        if alternatives.iter().any(|other| other != scopes) {
            self.note(notes, "accepts one of several requirements: the route asks for the first");
        }
        if scopes.len() > 1 {
            let all = scopes.join("`, `");
            self.note(notes, &format!("asks for the scopes `{all}`: a route asks for one, and this one for the first"));
        }
        let scope = yaml::slug(&scopes[0]);
        if scope != scopes[0] {
            self.note(notes, &format!("the scope `{}` is called `{scope}`, as scopes of keys are written", scopes[0]));
        }
        (Some(scope), false)
    }
}
