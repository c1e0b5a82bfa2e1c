//! A file that is being checked: the section at hand, the faults noted so far, and the checks that
//! every section needs.

use std::{
    cell::RefCell,
    fmt::Display,
    net::{Ipv4Addr, SocketAddr},
};

use common::config::{ConfigError, Fault, Place, Step, Tree, quoted};

/// Longest name of a route or an upstream.
const NAME_MAX_BYTES: usize = 64;

/// Most worker threads.
pub(super) const THREADS_MAX: usize = 1_024;

/// Longest time-out, in milliseconds.
pub(super) const TIMEOUT_MAX_MS: u64 = 3_600_000;

/// The file being checked. Faults are noted, and checking goes on, so that all of them are told.
pub(super) struct Check<'a> {
    tree: &'a Tree,
    /// The way to the section that is being checked.
    section: RefCell<Vec<Step>>,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
}

impl<'a> Check<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, section: RefCell::default(), faults: RefCell::default(), warnings: RefCell::default() }
    }

    /// Everything that was noted.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

impl Check<'_> {
    /// The address, or any other once the fault is noted.
    #[expect(clippy::unnecessary_wraps, reason = "checks are written alike, whether they go on after a fault or not")]
    pub(super) fn address(&self, field: &str, value: &str) -> Result<SocketAddr, ConfigError> {
        Ok(value.parse().unwrap_or_else(|_| {
            self.note(self.at(field, value, "is not an address: write IP and port, as in 127.0.0.1:8080"));
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        }))
    }

    /// The value; the fault is noted if it is too small or too large.
    #[expect(clippy::unnecessary_wraps, reason = "checks are written alike, whether they go on after a fault or not")]
    pub(super) fn within<T: PartialOrd + Display + Copy>(
        &self,
        field: &str,
        value: T,
        least: T,
        most: T,
    ) -> Result<T, ConfigError> {
        if !(least..=most).contains(&value) {
            let reason = format!("`{field}` is {value}; it must be between {least} and {most}");
            self.note(self.about_value(field, &value.to_string(), reason));
        }
        Ok(value)
    }

    /// A fault in `field: value` of this section.
    pub(super) fn at(&self, field: &str, value: &str, reason: &str) -> ConfigError {
        self.about_value(field, value, format!("`{field}`: {} {reason}", quoted(value)))
    }

    /// A fault of this section's setting `field`, or of the section itself if it has none of this
    /// name.
    pub(super) fn about(&self, field: &str, reason: impl Into<String>) -> ConfigError {
        self.about_value(field, "", reason)
    }

    /// A fault of this section's setting `field`, in the `value` that it has or that is in its
    /// list.
    pub(super) fn about_value(&self, field: &str, value: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Fault(self.tree.place(&self.section.borrow(), field, Some(value)).fault(reason))
    }

    /// A fault that is not in the file.
    pub(super) fn outside(reason: impl Into<String>) -> ConfigError {
        ConfigError::Fault(Place::OUTSIDE.fault(reason))
    }

    /// Checks something in the section under a key, or in an item of a list.
    pub(super) fn inside<T>(&self, step: impl Into<Step>, check: impl FnOnce() -> T) -> T {
        self.section.borrow_mut().push(step.into());
        let checked = check();
        self.section.borrow_mut().pop();
        checked
    }

    /// The file as it was read.
    pub(super) const fn tree(&self) -> &Tree {
        self.tree
    }

    /// Returns true if this section has a setting of this name.
    pub(super) fn has(&self, setting: &str) -> bool {
        self.tree.keys(&self.section.borrow()).contains(&setting)
    }

    /// Returns true if something in this section could not be read, which is told already.
    pub(super) fn is_unusable(&self) -> bool {
        self.tree.has_removed(&self.section.borrow())
    }

    /// Notes a fault.
    pub(super) fn note(&self, error: ConfigError) {
        let fault = match error {
            ConfigError::Fault(fault) => fault,
            other => Place::START.fault(other.to_string()),
        };
        self.faults.borrow_mut().push(fault);
    }

    /// Notes something that keeps nobody from using the file, and deserves a look.
    pub(super) fn warn(&self, error: ConfigError) {
        if let ConfigError::Fault(fault) = error {
            self.warnings.borrow_mut().push(fault);
        }
    }

    /// Every warning so far.
    pub(super) fn warnings(&self) -> Vec<Fault> {
        self.warnings.borrow().clone()
    }

    /// The value, or none once the fault is noted.
    pub(super) fn noted<T>(&self, checked: Result<T, ConfigError>) -> Option<T> {
        checked.map_err(|error| self.note(error)).ok()
    }
}

pub(super) const NAME_RULE: &str = "use 1 to 64 characters of A-Z, a-z, 0-9, - _ and . for names";

pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
}
