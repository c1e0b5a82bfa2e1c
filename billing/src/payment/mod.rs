//! Payments by a provider: what is open of invoices is charged to the method that a tenant has saved
//! there.
//!
//! An attempt is a row before the provider hears of it ([`common::payment::PaymentAttempt`]). Its intent
//! is made first and confirmed then: an intent that was confirmed is never charged again, so that every
//! step may be repeated, whatever became of the answer to it. What the provider says when it is asked
//! counts; its events only say when to ask.

mod collect;
mod dispute;
mod events;
mod look;
mod page;
mod payout;
mod provider;
mod providers;
mod refund;
pub mod stripe;

pub use collect::{advance, collect, follow_due};
pub use dispute::follow_due_disputes;
pub use events::{EventError, handle, handle_open};
pub use look::look_for_missed;
pub use page::{PageError, open_page};
pub use payout::follow_due_payouts;
pub use provider::{
    About, Answer, Intent, PageState, PaymentPage, PaymentProvider, ProviderError, Refund, Saved, SetupPage,
    SignatureError,
};
pub use providers::{Provider, Providers};
pub use refund::{advance_refund, follow_due_refunds};
