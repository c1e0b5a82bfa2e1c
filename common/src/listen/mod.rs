//! Listeners that stand upright: what every program does with the connections of others.
//!
//! [`connections`] counts them and finds one that may go where there are too many, [`descriptors`]
//! says how many the system leaves for them, [`pace`] how long each may keep one waiting, and
//! [`http`] serves HTTP on all of that.

pub mod connections;
pub mod descriptors;
pub mod http;
pub mod metrics;
pub mod pace;

pub use connections::{Connection, ConnectionLimits, Connections};
pub use metrics::{Close, ListenerMetrics, Refusal};
pub use pace::{Alarm, Pace, Rate};
