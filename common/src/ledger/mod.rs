//! The ledger: who owes what, and why, in double entry.
//!
//! Invariants: the entries of a posting sum to zero; a posting never changes, and is corrected by
//! another one; it is written in the transaction of its cause, once for each idempotency key; a
//! balance is the sum of entries and is kept nowhere else.
//!
//! A posting belongs to an issuer, whose books it is in, and to the tenant with whom the issuer does
//! business. An amount above zero is a debit, one below zero a credit: a receivable of 10 is +10,
//! the revenue that it stands for -10.

mod balance;
mod posting;
mod proof;
pub(crate) mod rows;

pub use balance::{Balance, StatementLine};
pub use posting::{Account, Cause, CauseKind, Entry, LedgerError, Posting};
pub use proof::LedgerFault;
pub use rows::Posted;
pub(crate) use rows::post;
