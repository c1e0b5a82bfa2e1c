//! File access without privileges, for tests that run as root and check what others may access.

use nix::unistd::{Uid, setfsuid};

/// The account that owns nothing.
const NOBODY: u32 = 65_534;

/// While it lives, this thread and all threads that it starts access files as an account that owns
/// nothing.
#[derive(Debug)]
pub struct Unprivileged {
    before: Uid,
}

impl Unprivileged {
    /// Gives up privileges over files. Without privileges, nothing changes.
    pub fn enter() -> Self {
        Self { before: setfsuid(Uid::from_raw(NOBODY)) }
    }
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        setfsuid(self.before);
    }
}
