//! Payments that Stripe collects: against localstripe, which keeps what it is told, and stripe-mock,
//! which checks requests against Stripe's own OpenAPI document.

mod collecting;
mod disputes;
mod dunning;
mod faults;
mod fixture;
mod form;
mod pages;
mod payouts;
mod refunds;
mod webhooks;
