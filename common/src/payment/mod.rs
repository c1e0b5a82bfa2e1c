//! Payments of invoices, and refunds of payments.
//!
//! Invariants: a payment or refund never changes; it is written in one transaction with its posting
//! in the [`crate::ledger`] and with what is open of the invoice. A method and reference of an issuer
//! count once. Nobody pays more than is open, and no more goes back than credit notes have taken
//! back of what was paid, unless a bank has taken it back ([`Dispute`]).

mod account;
mod attempt;
mod dispute;
mod event;
mod figures;
mod payout;
pub(crate) mod record;
mod refund;
mod request;
mod unpaid;

pub use account::{PaymentAccount, SavedMethod};
pub use attempt::{AttemptFailure, AttemptStatus, IntentState, PaymentAttempt};
pub use dispute::{Dispute, DisputeFault, DisputeFilter, DisputeMovement, DisputeStatus, ToldDispute};
pub use event::{NewProviderEvent, ProviderEvent};
pub use figures::MoneyFigures;
pub use payout::{Payout, PayoutFilter, PayoutItem, PayoutItemKind, PayoutStatus, ToldPayout, ToldPayoutItem};
pub use record::{NewPayment, Payment};
pub use refund::{RefundAttempt, RefundState};
pub use request::ProviderRequest;
pub use unpaid::{DunningStep, TakenStep, UnpaidInvoice};
