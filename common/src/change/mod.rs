//! The catalog that gateways start from, the feed of changes to it, and the changes passed on to
//! other systems.
//!
//! The change log itself, written in the transaction of every change, is part of the store.

mod catalog;
mod feed;
mod mark;
mod served;
mod sink;
mod watch;

pub use self::{
    catalog::Catalog,
    feed::ChangeFeed,
    mark::ChangeMark,
    served::{CatalogRow, Changes, ServedKey, ServedTenant},
    sink::DatedChange,
    watch::ChangeWatch,
};
