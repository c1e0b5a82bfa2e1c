//! Address of a store: its URL, read strictly, and shown without the password.

use std::path::{Path, PathBuf};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
    unistd::{AccessFlags, faccessat},
};

use super::{connect::Engine, error::StoreError};

/// A store's URL, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) engine: Engine,
    /// The URL as people may see it.
    pub(super) shown: String,
    /// The file, of SQLite.
    path: PathBuf,
    url: String,
}

impl Address {
    /// Reads `sqlite://path`, `postgres://..` or `postgresql://..`.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let refuse = || StoreError::Url { url: redacted(url) };
        match url.split_once("://") {
            // The path is taken as it stands: a parameter that SQLite's own URLs allow would become
            // part of its name.
            Some(("sqlite", path)) if !path.is_empty() && !path.contains(['?', '\0']) && path != ":memory:" => {
                Ok(Self { engine: Engine::Sqlite, shown: url.into(), path: path.into(), url: url.into() })
            }
            Some(("postgres" | "postgresql", server)) if !server.is_empty() => {
                refuse_unknown_parameters(url)?;
                Ok(Self { engine: Engine::Postgres, shown: redacted(url), path: PathBuf::new(), url: url.into() })
            }
            _ => Err(refuse()),
        }
    }

    /// The URL for the driver. With `create`, a missing SQLite file is made, with its directory.
    pub(super) fn driver_url(&self, create: bool) -> Result<String, StoreError> {
        match self.engine {
            Engine::Postgres => Ok(self.url.clone()),
            Engine::Sqlite => {
                let path = self.checked_file(create)?;
                let mode = if create { "rwc" } else { "rw" };
                Ok(format!("sqlite://{}?mode={mode}", percent_encoded(&path)))
            }
        }
    }

    /// The URL for the driver, whether or not there is anything behind it.
    pub(super) fn unchecked_driver_url(&self) -> String {
        match self.engine {
            Engine::Postgres => self.url.clone(),
            Engine::Sqlite => {
                let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
                format!("sqlite://{}?mode=rw", percent_encoded(&path.to_string_lossy()))
            }
        }
    }

    /// Returns true if it is an SQLite file that does not exist.
    pub(super) fn is_missing_file(&self) -> bool {
        self.engine == Engine::Sqlite && matches!(self.path.try_exists(), Ok(false))
    }

    /// The driver cannot open it.
    pub(super) fn unavailable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unavailable { url: self.shown.clone(), reason: reason.into() }
    }

    /// The absolute path of the SQLite file, once it is plain that the driver can open it for
    /// writing: what the driver itself says is no more than that it could not.
    fn checked_file(&self, create: bool) -> Result<String, StoreError> {
        let directory = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if create {
            std::fs::create_dir_all(directory)
                .map_err(|error| self.unavailable(format!("directory {}: {error}", directory.display())))?;
        }
        let directory = directory
            .canonicalize()
            .map_err(|error| self.unavailable(format!("directory {}: {error}", directory.display())))?;
        let name = self.path.file_name().ok_or_else(|| self.unavailable("it does not name a file"))?;
        let path = directory.join(name);
        // Asked, not tried: to close a file would drop the locks that other stores of this process
        // hold on it.
        match faccessat(AT_FDCWD, &path, AccessFlags::W_OK, AtFlags::AT_EACCESS) {
            Ok(()) => {}
            Err(Errno::ENOENT) if create => {}
            Err(error) => return Err(self.refused_file(error)),
        }
        if path.is_dir() {
            return Err(self.unavailable("it is a directory"));
        }
        path.into_os_string().into_string().map_err(|_| self.unavailable("its path is not UTF-8"))
    }

    fn refused_file(&self, error: Errno) -> StoreError {
        match error {
            Errno::ENOENT => {
                self.unavailable("the file does not exist: run `billing migrate` to create it, or correct the path")
            }
            Errno::EACCES | Errno::EPERM | Errno::EROFS => {
                StoreError::ReadOnly(format!("{} may not be written: {}", self.path.display(), error.desc()))
            }
            other => self.unavailable(other.desc()),
        }
    }
}

/// Parameters that the driver of PostgreSQL knows. It passes over others and logs them with their
/// values, which may be a password behind a mistyped name.
const POSTGRES_PARAMETERS: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "options[..]",
];

fn refuse_unknown_parameters(url: &str) -> Result<(), StoreError> {
    let query = url.split_once('?').map_or("", |(_, query)| query).split('#').next().unwrap_or_default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, is_stated) = parameter.split_once('=').map_or((parameter, false), |(name, _)| (name, true));
        let is_known =
            POSTGRES_PARAMETERS.contains(&name) || name.starts_with("options[") || name.starts_with("options%5B");
        if is_known && is_stated {
            continue;
        }
        // A password with `?` in it looks like a parameter: what is no name is not shown.
        let is_name = is_stated
            && name.len() <= 40
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte));
        let what = if is_name { format!("`{name}`") } else { "one that is not shown here".to_owned() };
        let reason = format!("there is no parameter {what}; there are {}", POSTGRES_PARAMETERS.join(", "));
        return Err(StoreError::Unavailable { url: redacted(url), reason });
    }
    Ok(())
}

/// The driver reads the path out of a URL, where `?`, `#`, `%` and blanks would mean something
/// else.
fn percent_encoded(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::with_capacity(path.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// The URL without what may be a password: behind the user's name, in the parameters, or where the
/// port should be.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let separator = if scheme.is_empty() { "" } else { "://" };
    // A password may itself hold `/`, `?` or `@` that should have been encoded: the last `@` ends
    // it.
    let (user, server) = rest.rsplit_once('@').map_or((None, rest), |(user, server)| (Some(user), server));
    let server = server.split(['?', '#']).next().unwrap_or_default();
    let (host, database) = server.split_once('/').map_or((server, None), |(host, path)| (host, Some(path)));
    let host = match host.rsplit_once(':') {
        Some((name, port)) if !name.starts_with('[') && !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{name}:***")
        }
        _ => host.to_owned(),
    };
    let user = user.map_or(String::new(), |user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:***@"),
        None => format!("{user}@"),
    });
    let database = database.map_or(String::new(), |name| format!("/{name}"));
    format!("{scheme}{separator}{user}{host}{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_in_any_spelling_hides_password() {
        for url in [
            "postgres://ann:s3cret@db:5432/tollgate",
            "postgres://ann:s3cret/with@slash@db/tollgate",
            "postgres://ann:s3cret?with=question@db/tollgate",
            "postgres://db/tollgate?user=ann&password=s3cret",
            "postgres://ann:s3cret",
            "mysql://ann:s3cret@db/tollgate",
            "ann:s3cret@db/tollgate",
        ] {
            assert!(!redacted(url).contains("s3cret"), "{url} shows as {}", redacted(url));
        }
        assert_eq!(redacted("postgres://ann:s3cret@db:5432/tollgate"), "postgres://ann:***@db:5432/tollgate");
        assert_eq!(redacted("postgres://ann@[::1]:5432/tollgate"), "postgres://ann@[::1]:5432/tollgate");
    }

    #[test]
    fn url_of_another_scheme_is_refused() {
        for url in ["", "tollgate.db", "sqlite://", "sqlite://:memory:", "sqlite://a.db?mode=ro", "mysql://db/x"] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains("is not a store: use sqlite://"), "{url}: {error}");
        }
        assert_eq!(Address::parse("sqlite://data/a.db").unwrap().engine, Engine::Sqlite);
        assert_eq!(Address::parse("postgresql://db/x").unwrap().engine, Engine::Postgres);
    }

    #[test]
    fn unknown_parameter_is_refused_without_its_value() {
        for (url, named) in [
            ("postgres://ann@db/x?passwrod=s3cret", "`passwrod`"),
            ("postgres://ann@db/x?sslmode=require&pasword=s3cret", "`pasword`"),
            ("postgres://ann:p?s3cret@db/x", "not shown"),
            ("postgres://ann@db/x?s3cret", "not shown"),
            ("postgres://ann@db/x?s3cret=1", "not shown"),
        ] {
            let refused = Address::parse(url).unwrap_err().to_string();
            assert!(refused.contains(named) && refused.contains("sslmode"), "{url}: {refused}");
            assert!(!refused.contains("s3cret"), "{url}: {refused}");
        }
        for url in
            ["postgres://db/x?sslmode=require&user=ann&password=s3cret", "postgres://db/x?options[search_path]=a"]
        {
            assert!(Address::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn path_reaches_driver_unchanged() {
        assert_eq!(percent_encoded("/tmp/my data/50%#1.db"), "/tmp/my%20data/50%25%231.db");
    }
}
