//! The access log: one line of JSON per request on standard output.
//!
//! A request appends its line to a buffer that hardly another thread uses, and goes on: nothing is
//! written on the request path, and nobody is woken but by the first line after the buffers were
//! empty. One thread writes what they hold, [`GATHER`] after that line.
//!
//! Invariant: a slow reader of standard output slows no request. Lines that find their buffer full
//! are dropped, and counted.

mod line;

use std::{
    io::Write,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, Thread},
    time::{Duration, Instant, SystemTime},
};

pub(crate) use line::Line;
use prometheus::IntCounter;

use crate::{lock::locked, metrics};

/// Time from the first line to the write of all that came meanwhile.
const GATHER: Duration = Duration::from_millis(20);

/// Longest wait for a reader of standard output when the process ends.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Buffers. A thread keeps to one of them.
const SHARDS: usize = 16;

/// Bytes of a full buffer.
const SHARD_MAX_BYTES: usize = 2 << 20;

/// Room that a buffer keeps between two writes.
const SHARD_KEPT_BYTES: usize = 1 << 20;

/// A handle with which requests leave their lines.
#[derive(Clone)]
pub(crate) struct AccessLog(Option<Arc<Shared>>);

/// Writes the last lines when it is dropped.
pub(crate) struct AccessLogGuard {
    shared: Arc<Shared>,
    written: mpsc::Receiver<()>,
}

struct Shared {
    shards: [Shard; SHARDS],
    writer: OnceLock<Thread>,
    /// A line has come since the last write.
    has_lines: AtomicBool,
    ends: AtomicBool,
    dropped: IntCounter,
}

/// One buffer, apart from the others in the caches of processors.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<Vec<u8>>);

impl AccessLog {
    /// A log whose lines go nowhere.
    #[cfg(test)]
    pub(crate) const fn nowhere() -> Self {
        Self(None)
    }

    /// Starts the thread that writes lines to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static) -> std::io::Result<(Self, AccessLogGuard)> {
        let dropped = metrics::counter(
            "tollgate_access_log_dropped_lines_total",
            "Access lines that were dropped as standard output was not read fast enough",
        );
        let shards = std::array::from_fn(|_| Shard::default());
        let [has_lines, ends] = [false; 2].map(AtomicBool::new);
        let shared = Arc::new(Shared { shards, writer: OnceLock::new(), has_lines, ends, dropped });
        let (tell, written) = mpsc::channel();
        let writing = Arc::clone(&shared);
        let writer = thread::Builder::new().name("access-log".into()).spawn(move || {
            writing.write_all(out);
            // Nobody may wait any more.
            let _ = tell.send(());
        })?;
        let _ = shared.writer.set(writer.thread().clone());
        Ok((Self(Some(Arc::clone(&shared))), AccessLogGuard { shared, written }))
    }

    /// Leaves a line.
    pub(crate) fn append(&self, line: &Line<'_>) {
        let Some(shared) = &self.0 else { return };
        let mut lines = locked(&shared.shards[shard_of_thread()].0);
        if lines.len() >= SHARD_MAX_BYTES {
            shared.dropped.inc();
            return;
        }
        let is_first = lines.is_empty();
        line.write(SystemTime::now(), &mut lines);
        drop(lines);
        if is_first {
            shared.has_lines.store(true, Ordering::Release);
            shared.wake();
        }
    }
}

/// The buffer of this thread.
fn shard_of_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    // While a thread ends, a request of it may still be dropped.
    SHARD.try_with(|shard| *shard).unwrap_or(0)
}

impl Shared {
    /// Writes lines until the end is told.
    fn write_all(&self, mut out: impl Write) {
        let mut spare = Vec::new();
        loop {
            let ends = self.ends.load(Ordering::Acquire);
            for shard in &self.shards {
                std::mem::swap(&mut *locked(&shard.0), &mut spare);
                if spare.is_empty() {
                    continue;
                }
                // Without a reader there is nobody to tell.
                let _ = out.write_all(&spare);
                spare.clear();
                spare.shrink_to(SHARD_KEPT_BYTES);
            }
            let _ = out.flush();
            if ends {
                return;
            }
            self.wait();
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Waits for the first line, and then for more.
    fn wait(&self) {
        // Whatever writes may have used up the wake-up.
        while !self.has_lines.swap(false, Ordering::AcqRel) && !self.ends.load(Ordering::Acquire) {
            thread::park();
        }
        let until = Instant::now() + GATHER;
        while !self.ends.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

impl Drop for AccessLogGuard {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        self.shared.wake();
        // Somebody may hold the pipe and not read it.
        let _ = self.written.recv_timeout(LAST_WRITE);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            locked(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A pipe that nobody reads until the gate opens.
    struct Stuck(mpsc::Receiver<()>, Written);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn line(request_id: &str) -> Line<'_> {
        Line { request_id, route: "r", ..Line::default() }
    }

    fn ids(written: &Written) -> Vec<String> {
        let text = String::from_utf8(locked(&written.0).clone()).unwrap();
        let id = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["request_id"].as_str().unwrap().to_owned()
        };
        text.lines().map(id).collect()
    }

    #[test]
    fn every_line_of_every_thread_is_written_whole_and_once() {
        let written = Written::default();
        let (log, guard) = AccessLog::start(written.clone()).unwrap();
        thread::scope(|scope| {
            for thread in 0..SHARDS + 4 {
                let log = &log;
                scope.spawn(move || (0..500).for_each(|number| log.append(&line(&format!("{thread}-{number}")))));
            }
        });
        drop(guard);
        let found = ids(&written);
        assert_eq!(found.len(), (SHARDS + 4) * 500);
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len());
    }

    #[test]
    fn lines_are_written_while_the_process_runs() {
        let written = Written::default();
        let (log, _guard) = AccessLog::start(written.clone()).unwrap();
        for number in 0..3 {
            log.append(&line(&number.to_string()));
            let deadline = Instant::now() + Duration::from_mins(1);
            while ids(&written).len() <= number {
                assert!(Instant::now() < deadline, "line {number} was not written");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_and_hold_up_nothing() {
        let (open, gate) = mpsc::channel();
        let written = Written::default();
        let (log, guard) = AccessLog::start(Stuck(gate, written.clone())).unwrap();
        let padding = "x".repeat(1_000);
        let sent = 4 * SHARD_MAX_BYTES / 1_000;
        (0..sent).for_each(|_| log.append(&line(&padding)));
        let dropped = usize::try_from(guard.shared.dropped.get()).unwrap();
        assert!(dropped > 0, "nothing was dropped");
        drop(open);
        drop(guard);
        assert_eq!(ids(&written).len() + dropped, sent);
    }
}
