//! Progress of a run, for whoever watches it.

/// Progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Slices of the usage of a period that are read.
    Read {
        /// Those that are read.
        done: usize,
        /// All of them.
        of: usize,
    },
    /// Tenants whose invoices are issued, or need none.
    Issued {
        /// Those that are done.
        done: usize,
        /// All of them.
        of: usize,
    },
}

/// Is told of progress.
pub type Watch<'a> = &'a (dyn Fn(Progress) + Sync);
