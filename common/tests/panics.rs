//! The log line of a panic. A test program of its own: the hook belongs to the process.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    io,
    sync::{Arc, Mutex},
};

use common::telemetry::{Line, log_panics};
use serde_json::Value;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn panics_are_lines_without_paths_of_the_machine() {
    let written = Written::default();
    let sink = written.clone();
    tracing_subscriber::fmt().event_format(Line).with_writer(move || sink.clone()).init();
    log_panics();
    let own = || {
        let number = 7;
        assert_eq!(number, 8, "number {number}");
    };
    let of_a_library = || drop(http::HeaderMap::<u8>::with_capacity(usize::MAX));
    for panics in [&own as &(dyn Fn() + Sync), &of_a_library] {
        let ended = std::thread::scope(|scope| {
            std::thread::Builder::new().name("worker".into()).spawn_scoped(scope, panics).unwrap().join()
        });
        assert!(ended.is_err());
    }
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in &lines {
        let told = ["event", "level", "thread"].map(|field| line[field].as_str().unwrap());
        assert_eq!(told, ["panic", "ERROR", "worker"]);
    }
    assert!(lines[0]["message"].as_str().unwrap().contains("number 7"), "{text}");
    assert!(lines[0]["place"].as_str().unwrap().starts_with("common/tests/panics.rs:"), "{text}");
    let place = lines[1]["place"].as_str().unwrap();
    assert!(place.starts_with("http-") && place.contains("/src/"), "{place}");
    assert!(!text.contains("registry") && !text.contains(env!("CARGO_MANIFEST_DIR")), "{text}");
}
