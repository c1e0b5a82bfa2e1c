//! Panics as log lines: one each, without the paths of the machine that built the program.

use std::{any::Any, panic, thread};

/// Directories of sources of the registry and of the standard library on the machine that built the
/// program.
const ROOTS: [&str; 2] = ["/registry/src/", "/rustc/"];

/// From now on, a panic is an error in the log (`event: panic`) instead of lines on standard error.
pub fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", trimmed(place.file()), place.line()));
        let thread = thread::current();
        tracing::error!(
            event = "panic",
            message = message(info.payload()),
            place,
            thread = thread.name().unwrap_or_default()
        );
    }));
}

/// Returns the message of a panic.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value that is not a text")
}

/// The path of a source from its crate on.
fn trimmed(file: &str) -> &str {
    for root in ROOTS {
        if let Some((_, below)) = file.split_once(root) {
            // The name of the registry, or of the compiler's version.
            return below.split_once('/').map_or(below, |(_, path)| path);
        }
    }
    if !file.starts_with('/') {
        return file;
    }
    let crate_of = |(before, _): (&str, &str)| before.rfind('/').map_or(file, |slash| &file[slash + 1..]);
    file.rsplit_once("/src/").map_or_else(|| file.rsplit('/').next().unwrap_or(file), crate_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_path_begins_with_crate() {
        let cases = [
            ("gateway/src/proxy/hooks.rs", "gateway/src/proxy/hooks.rs"),
            (
                "/home/me/.cargo/registry/src/index.crates.io-1949cf8c/tokio-1.54.1/src/task.rs",
                "tokio-1.54.1/src/task.rs",
            ),
            ("/rustc/0123abcd/library/core/src/option.rs", "library/core/src/option.rs"),
            ("/srv/tollgate/gateway/src/main.rs", "gateway/src/main.rs"),
            ("/srv/build.rs", "build.rs"),
        ];
        for (file, expected) in cases {
            assert_eq!(trimmed(file), expected);
        }
    }

    #[test]
    fn both_kinds_of_panic_message_are_read() {
        assert_eq!(message(&"plain"), "plain");
        assert_eq!(message(&"made".to_owned()), "made");
        assert_eq!(message(&7_u8), "a value that is not a text");
    }
}
