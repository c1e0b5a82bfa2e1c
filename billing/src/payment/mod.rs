//! Payments by a provider: what is open of invoices is charged to the method that a tenant has saved
//! there.
//!
//! An attempt is a row before the provider hears of it ([`common::payment::PaymentAttempt`]). Its intent
//! is made first and confirmed then: an intent that was confirmed is never charged again, so that every
//! step may be repeated, whatever became of the answer to it. What the provider says when it is asked
//! counts; its events only say when to ask.

mod collect;
mod events;
mod provider;
mod providers;
mod refund;
pub mod stripe;

pub use collect::{advance, collect, follow_due};
pub use events::{EventError, handle, handle_open};
pub use provider::{Answer, Intent, PaymentProvider, ProviderError, Refund, SetupPage};
pub use providers::Providers;
pub use refund::{advance_refund, follow_due_refunds};
