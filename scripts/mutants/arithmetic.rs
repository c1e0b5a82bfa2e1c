//! Money, time, prices, tax and postings of `common` as a crate of its own: it builds in seconds.

pub mod config;
pub mod id;
pub mod money;
pub mod time;

pub mod deferral {
    pub mod earning;
}

pub mod invoice {
    pub mod correction;
    pub mod tax;
}

pub mod ledger {
    pub mod posting;
}

pub mod plan {
    pub mod price;
}
