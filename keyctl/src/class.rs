//! Classes of failure, by which scripts tell one failure from another.

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The command failed; it may succeed later.
    Failed,
    /// The command line was not complete.
    Usage,
    /// The command names something that does not exist.
    NotFound,
    /// A rule refuses the command, and will refuse it again.
    Refused,
    /// Nothing went wrong: `diff` found differences.
    Differences,
}

impl Class {
    /// The process's exit code.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage | Self::Differences => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
        }
    }

    /// The code of the class in JSON.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Differences => "differences",
        }
    }
}
