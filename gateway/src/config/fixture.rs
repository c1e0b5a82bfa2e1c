//! Configuration files of tests: the sections that a test is about, and an upstream and a route that
//! make a whole file of them.

use super::{Overrides, Settings};

const REST: &str = "upstreams:\n  demo: { servers: [127.0.0.1:9000] }\n\
                    routes:\n  - { name: all, path_prefix: /, upstream: demo }\n";

/// Reads a file that begins with these sections.
pub(super) fn parse(sections: &str) -> Result<Settings, String> {
    let text = format!("{sections}{REST}");
    Settings::parse(&text, "gateway.yaml", &Overrides::default()).map_err(|error| error.to_string())
}

/// Reads a file that is refused. Returns its faults.
pub(super) fn told(sections: &str) -> String {
    parse(sections).unwrap_err()
}
