//! The real binary between a real client and a real upstream, with a stand-in for billing.

mod answers;
mod changes;
mod forwarding;
mod lifecycle;
mod reload;
mod support;
mod usage;
