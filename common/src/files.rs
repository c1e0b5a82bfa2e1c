//! Files that hold secrets, usage and the store.

use rustix::{fs::Mode, process::umask};

/// Makes every file that this process creates from now on readable and writable by its own user
/// alone: 0600 for files, 0700 for folders and sockets, whatever umask the process was started
/// with. Call it first thing in `main`.
///
/// Child processes inherit it.
pub fn keep_private() {
    umask(Mode::RWXG | Mode::RWXO);
}
