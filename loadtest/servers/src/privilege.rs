//! Tests often run as root, who may write anything; this is how they see what others see.

use nix::unistd::{Uid, setfsuid};

/// The account that owns nothing.
const NOBODY: u32 = 65_534;

/// While it lives, this thread and those that it starts touch files as an account that owns nothing.
#[derive(Debug)]
pub struct Unprivileged {
    before: Uid,
}

impl Unprivileged {
    /// Gives up privileges over files; nothing changes for who has none.
    pub fn enter() -> Self {
        Self { before: setfsuid(Uid::from_raw(NOBODY)) }
    }
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        setfsuid(self.before);
    }
}
