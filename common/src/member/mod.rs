//! Members: people of a tenant who sign in to the portal by a link in a mail.
//!
//! Invariants: an address that is no member of anything causes nothing that its owner or anybody else
//! could notice; the secret of a link is made as its mail is sent, and is stored nowhere; whoever is
//! taken off the list, or gets another role, has no session from that instant on.

mod list;
mod sign_in;

pub use list::Member;
pub use sign_in::SIGN_IN_SECONDS;

/// Most members of a tenant.
pub const MEMBERS_MAX: usize = 100;
