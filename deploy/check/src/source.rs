//! Finds the registrations of metrics in Rust source files.
//!
//! A registration is a call whose first argument is the name, as in `counter("tollgate_..",
//! "help")` or `IntCounterVec::new(Opts::new("tollgate_..", "help"), &["label"])`. The type and the
//! labels come from the call, from the call around it, from the closure that it calls, or from the
//! call that is later given its variable.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use syn::{
    Expr, ExprArray, ExprCall, ExprMethodCall, Lit, Local, Pat,
    visit::{self, Visit},
};

use crate::metric::{Kind, Metric, Program};

/// The source code cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file that is not Rust.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        source: syn::Error,
    },
    /// A call with the name of a metric, whose type or meaning does not show.
    #[error(
        "{}: a call has the text `{name}` first, as registrations of metrics have, and its {missing} is not a literal \
         nearby: state it there, or, if this is no metric, give the call a constant",
        path.display()
    )]
    Unread {
        /// The file.
        path: PathBuf,
        /// The metric.
        name: String,
        /// The part that was not found.
        missing: &'static str,
    },
}

/// All metrics that the programs of a checkout register, by name.
pub fn metrics(root: &Path) -> Result<Vec<Metric>, SourceError> {
    let mut found = Vec::new();
    for (folder, shown_by) in
        [("common/src", Program::All), ("gateway/src", Program::Gateway), ("billing/src", Program::Billing)]
    {
        for path in files(&root.join(folder))? {
            let text = fs::read_to_string(&path).map_err(|source| SourceError::Io { path: path.clone(), source })?;
            found.extend(of_file(&path, &text, shown_by)?);
        }
    }
    found.sort();
    Ok(found)
}

/// Rust files below a folder, without those of tests.
fn files(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            found.push(path);
        }
    }
    Ok(found)
}

/// The metrics that one file registers.
fn of_file(path: &Path, text: &str, shown_by: Program) -> Result<Vec<Metric>, SourceError> {
    let file = syn::parse_file(text).map_err(|source| SourceError::Syntax { path: path.to_owned(), source })?;
    let mut reader = Reader::default();
    reader.visit_file(&file);
    let unread = |name: &str, missing| SourceError::Unread { path: path.to_owned(), name: name.to_owned(), missing };
    let metric = |seen: Seen| {
        let kind = seen.kind.ok_or_else(|| unread(&seen.name, "type"))?;
        let help = seen.help.ok_or_else(|| unread(&seen.name, "meaning"))?;
        Ok(Metric { name: seen.name, kind, labels: seen.labels.unwrap_or_default(), help, shown_by })
    };
    reader.seen.into_iter().map(metric).collect()
}

/// A registration, as far as it was read.
struct Seen {
    name: String,
    help: Option<String>,
    kind: Option<Kind>,
    labels: Option<Vec<String>>,
}

/// Facts that a closure or call states about the metrics that it makes.
#[derive(Debug, Clone, Default)]
struct Making {
    kind: Option<Kind>,
    labels: Option<Vec<String>>,
}

#[derive(Default)]
struct Reader {
    seen: Vec<Seen>,
    /// Texts in variables.
    texts: HashMap<String, String>,
    /// Closures in variables.
    closures: HashMap<String, Making>,
    /// Registrations in variables, by their place in `seen`.
    variables: HashMap<String, usize>,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        let before = self.seen.len();
        if let (Pat::Ident(variable), Some(init)) = (&local.pat, &local.init) {
            let variable = variable.ident.to_string();
            if let Some(text) = text_of(&init.expr) {
                self.texts.insert(variable.clone(), text);
            }
            if let Expr::Closure(closure) = &*init.expr {
                self.closures.insert(variable.clone(), making_of(&closure.body));
            }
            visit::visit_local(self, local);
            if self.seen.len() == before + 1 {
                self.variables.insert(variable, before);
            }
            return;
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let before = self.seen.len();
        if let Some(name) = call.args.first().and_then(text_of).filter(|name| name.starts_with("tollgate_"))
            && call.args.len() >= 2
        {
            self.begin(name, call);
        }
        visit::visit_expr_call(self, call);
        let given = match call.args.first() {
            Some(Expr::Path(path)) => {
                path.path.get_ident().and_then(|name| self.variables.get(&name.to_string())).copied()
            }
            _ => None,
        };
        // The registrations inside of this call, and the one whose variable it is given.
        for place in (before..self.seen.len()).chain(given) {
            let seen = &mut self.seen[place];
            seen.kind = seen.kind.or_else(|| kind_of(&callee(call)));
            if seen.labels.is_none() {
                seen.labels = call.args.iter().skip(1).find_map(labels_of);
            }
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        visit::visit_expr_method_call(self, call);
        if call.method == "const_label"
            && let (Some(label), Some(seen)) = (call.args.first().and_then(text_of), self.seen.last_mut())
        {
            seen.labels.get_or_insert_default().push(label);
        }
    }
}

impl Reader {
    fn begin(&mut self, name: String, call: &ExprCall) {
        let help = match &call.args[1] {
            Expr::Path(path) => path.path.get_ident().and_then(|name| self.texts.get(&name.to_string()).cloned()),
            other => text_of(other),
        };
        let callee = callee(call);
        let making = self.closures.get(&callee).cloned().unwrap_or_default();
        let labels = call.args.iter().skip(2).find_map(labels_of).or(making.labels);
        self.seen.push(Seen { name, help, kind: making.kind.or_else(|| kind_of(&callee)), labels });
    }
}

/// The name of the function that is called, as in `IntCounterVec::new`.
fn callee(call: &ExprCall) -> String {
    match &*call.func {
        Expr::Path(path) => {
            path.path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::")
        }
        _ => String::new(),
    }
}

fn kind_of(callee: &str) -> Option<Kind> {
    let callee = callee.to_ascii_lowercase();
    [("histogram", Kind::Histogram), ("counter", Kind::Counter), ("gauge", Kind::Gauge)]
        .into_iter()
        .find_map(|(word, kind)| callee.contains(word).then_some(kind))
}

fn text_of(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// The texts of an array of texts, or of a reference to one.
fn labels_of(expression: &Expr) -> Option<Vec<String>> {
    match expression {
        Expr::Reference(reference) => labels_of(&reference.expr),
        Expr::Array(ExprArray { elems, .. }) => elems.iter().map(text_of).collect(),
        _ => None,
    }
}

/// Facts that the body of a closure states about the metrics that it makes.
fn making_of(body: &Expr) -> Making {
    struct Inside(Making);
    impl<'ast> Visit<'ast> for Inside {
        fn visit_expr_call(&mut self, call: &'ast ExprCall) {
            self.0.kind = self.0.kind.or_else(|| kind_of(&callee(call)));
            if self.0.labels.is_none() {
                self.0.labels = call.args.iter().skip(1).find_map(labels_of);
            }
            visit::visit_expr_call(self, call);
        }
    }
    let mut inside = Inside(Making::default());
    inside.visit_expr(body);
    inside.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<(String, Kind, Vec<String>)> {
        let text = format!("fn registers() {{ {body} }}");
        let found = of_file(Path::new("a.rs"), &text, Program::All).unwrap();
        found.into_iter().map(|metric| (metric.name, metric.kind, metric.labels)).collect()
    }

    #[test]
    fn registrations_of_every_form_are_read() {
        let labels = || vec!["kind".to_owned()];
        for (body, kind, labels) in [
            (r#"counter("tollgate_a", "A");"#, Kind::Counter, vec![]),
            (r#"metrics::gauges("tollgate_a", "A", &["kind"]);"#, Kind::Gauge, labels()),
            (r#"IntCounterVec::new(Opts::new("tollgate_a", "A"), &["kind"])?;"#, Kind::Counter, labels()),
            (
                r#"let help = "A"; let o = Opts::new("tollgate_a", help); IntGaugeVec::new(o, &["kind"])?;"#,
                Kind::Gauge,
                labels(),
            ),
            (
                r#"let g = |n, h| IntGaugeVec::new(Opts::new(n, h), &["kind"]); g("tollgate_a", "A")?;"#,
                Kind::Gauge,
                labels(),
            ),
            (r#"Histogram::with_opts(HistogramOpts::new("tollgate_a", "A"))?;"#, Kind::Histogram, vec![]),
            (
                r#"let o = Opts::new("tollgate_a", "A").const_label("kind", "x"); IntGauge::with_opts(o)?;"#,
                Kind::Gauge,
                labels(),
            ),
        ] {
            assert_eq!(read(body), [("tollgate_a".to_owned(), kind, labels)], "{body}");
        }
    }

    #[test]
    fn registration_that_cannot_be_read_is_an_error() {
        let text = r#"fn registers() { counter("tollgate_a", &make_up_a_help()); }"#;
        let error = of_file(Path::new("a.rs"), text, Program::All).unwrap_err();
        assert!(error.to_string().contains("tollgate_a"), "{error}");
    }
}
