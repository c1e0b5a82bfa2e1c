//! The data plane. A request walks through the rooms in this order and never turns back:
//!
//! | room | what happens |
//! |---|---|
//! | [`listen`] | connections: how many, how long they may take; the form of a request, before anything else sees it |
//! | [`auth`] | credential -> key record, from the [`catalog`] in memory |
//! | [`route`] | host, path, conditions, method -> route; [`pattern`] has the forms of its paths |
//! | [`filter`] | what a route adds: CORS, addresses, own answers, splits, rewriting |
//! | [`limit`] | rates and concurrency of key, tenant, pools and route, hard quotas: local cells, no I/O |
//! | [`upstream`] | servers, their health, the addresses of their names, TLS |
//! | [`proxy`] | forwarding, identity headers |
//! | [`meter`] | usage record into the journal, before the first response byte leaves |
//!
//! [`admission`] leads every request through authentication, routing and limits: those that the
//! proxy forwards, and those that another proxy forwards and asks the [`decision`] API about.
//!
//! The access log ([`access_log`]) has a line for each request.
//! [`answer`] turns every refusal into a problem document; [`admin`] shows health and metrics;
//! [`certificate`] orders certificates of listeners from an authority and renews them;
//! [`config`] reads and watches what operators edit, and [`openapi`] makes routes of a document; [`server`] starts and ends all of it in order.

mod access_log;
mod address_text;
pub mod admin;
pub mod admission;
pub mod answer;
pub mod auth;
pub mod catalog;
pub mod certificate;
pub mod config;
pub mod decision;
mod filter;
pub mod limit;
pub mod listen;
mod lock;
pub mod meter;
pub mod metrics;
pub mod openapi;
mod outage;
mod pattern;
pub mod proxy;
pub mod route;
pub mod runtime;
mod schema;
pub mod server;
pub mod upstream;
