//! The embedded form at work, for people and for scripts: `make run`.
//!
//! The demo starts the real `billing` and `gateway` on SQLite with a demo upstream, sets up a root,
//! a reseller and two customers with the real `keyctl`, sends a little traffic and shows the bill.
//! It holds the bill against what its own client counted; it never looks inside the servers.

mod display;
mod pages;
mod run;
mod tenants;
mod traffic;

pub use pages::{Pages, PagesError};
pub use run::{DemoError, Options, run};
pub use tenants::{Customer, Tenants};
pub use traffic::{Counted, Traffic};
