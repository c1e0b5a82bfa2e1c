//! A document and the files beside it that it refers to.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use serde_yaml::Value;

use super::ImportError;

/// Longest chain of references.
const REFERENCES_MAX: usize = 16;

/// A document.
pub(super) struct Document {
    pub(super) root: Rc<Value>,
    path: PathBuf,
    /// Other files that were read.
    others: RefCell<HashMap<PathBuf, Rc<Value>>>,
}

/// A value, and the file that it is in.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) value: Value,
    file: PathBuf,
}

impl Document {
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let root = read(path)?;
        let is_known = root.get("openapi").and_then(text_of).is_some_and(|version| version.starts_with("3."))
            || root.get("swagger").and_then(text_of).is_some_and(|version| version.starts_with('2'));
        if !is_known {
            return Err(ImportError::Foreign { file: path.display().to_string() });
        }
        Ok(Self { root: Rc::new(root), path: path.to_owned(), others: RefCell::default() })
    }

    pub(super) fn title(&self) -> Option<&str> {
        self.root.get("info")?.get("title")?.as_str()
    }

    /// The value under a key of the document.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.root.get(key).filter(|value| !value.is_null())
    }

    /// A value of the document itself.
    pub(super) fn own(&self, value: &Value) -> Found {
        Found { value: value.clone(), file: self.path.clone() }
    }

    /// The value that a value refers to, or the value itself. What stands beside `$ref` goes before
    /// what is referred to.
    pub(super) fn follow(&self, found: Found) -> Result<Found, String> {
        let mut found = found;
        let mut beside = serde_yaml::Mapping::new();
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = found.value.get("$ref").and_then(Value::as_str).map(str::to_owned) else {
                if let Value::Mapping(entries) = &mut found.value {
                    entries.extend(beside);
                }
                return Ok(found);
            };
            if let Value::Mapping(entries) = &found.value {
                let others = entries.iter().filter(|(key, _)| key.as_str() != Some("$ref"));
                for (key, value) in others {
                    beside.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            found = self.look_up(&found.file, &reference)?;
        }
        Err("its references lead in a circle".into())
    }

    fn look_up(&self, from: &Path, reference: &str) -> Result<Found, String> {
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        if file.contains("://") {
            return Err(format!("`{reference}` is not on this machine: download it and refer to the file"));
        }
        let path = if file.is_empty() { from.to_owned() } else { from.with_file_name("").join(file) };
        let root = self.file(&path).map_err(|error| error.to_string())?;
        let mut value = &*root;
        for step in pointer.split('/').skip(1) {
            let step = decoded(&step.replace("~1", "/").replace("~0", "~"));
            let item = || step.parse::<usize>().ok().and_then(|index| value.get(index));
            value = value.get(&step).or_else(item).ok_or_else(|| format!("`{reference}` leads nowhere"))?;
        }
        Ok(Found { value: value.clone(), file: path })
    }

    fn file(&self, path: &Path) -> Result<Rc<Value>, ImportError> {
        if path == self.path {
            return Ok(Rc::clone(&self.root));
        }
        if let Some(known) = self.others.borrow().get(path) {
            return Ok(Rc::clone(known));
        }
        let root = Rc::new(read(path)?);
        self.others.borrow_mut().insert(path.to_owned(), Rc::clone(&root));
        Ok(root)
    }
}

/// The text of a scalar, also of one that is a number.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A part of a pointer in a URL, whose escapes are decoded.
fn decoded(text: &str) -> String {
    let bytes: Vec<u8> = crate::pattern::decoded(&text.replace('+', "%2B")).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read(path: &Path) -> Result<Value, ImportError> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| ImportError::Unreadable { file: file.clone(), source })?;
    // JSON is YAML.
    serde_yaml::from_str(&text).map_err(|error| ImportError::Malformed { file, reason: error.to_string() })
}
