//! The domain that the gateway, billing and `keyctl` share.
//!
//! Read it in the order in which a request becomes money: a [`key`] belongs to a [`tenant`], whose
//! [`plan`] says what it may do and what that costs; [`usage`] says what it did; an [`invoice`]
//! says what that costs, and a [`payment`] pays it, of which the [`bank`] may tell, or [`dunning`]
//! follows; the [`ledger`] says who owes what, [`deferral`] what is not earned yet; [`branding`] says
//! how documents look, a [`budget`] what usage may cost, and an [`export`] hands all of it to other programs; an
//! [`event`] tells others of it through the [`outbox`], by [`webhook`] and by [`mail`]; the
//! [`store`] keeps all of it. [`acting`] and [`admin`] say who changes it, [`origin`] where a
//! request comes from. [`telemetry`] is how programs tell of themselves. [`id`], [`money`] and
//! [`time`] hold the small types that make wrong states impossible, [`files`] keeps what is written
//! to disk private, [`listen`] and [`tls`] are the listeners of every program.

pub mod acting;
pub mod admin;
#[cfg(feature = "api")]
pub mod api;
pub mod bank;
pub mod branding;
pub mod budget;
pub mod change;
pub mod config;
pub mod coupon;
pub mod deferral;
pub mod dunning;
pub mod event;
pub mod export;
pub mod files;
pub mod hex;
pub mod id;
pub mod invoice;
pub mod job;
pub mod json;
#[cfg(feature = "tokens")]
pub mod jwt;
pub mod kafka;
pub mod key;
pub mod ledger;
pub mod limit;
pub mod listen;
pub mod mail;
pub mod member;
pub mod money;
pub mod name;
pub mod origin;
pub mod outbox;
pub mod payment;
pub mod plan;
pub mod quota;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod tenant;
pub mod time;
pub mod tls;
pub mod usage;
pub mod wallet;
pub mod webhook;
pub mod word;

use std::sync::LazyLock;

/// The commit that the programs are built from, if the build named one in `TOLLGATE_COMMIT`.
pub const COMMIT: Option<&str> = option_env!("TOLLGATE_COMMIT");

/// Returns the text that `--version` prints after a program's name: its version, the commit if it is
/// known, the version of the store's schema, and the release of the IANA time zones built in.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let (version, schema, zones) = (env!("CARGO_PKG_VERSION"), store::SCHEMA_VERSION, time::zone_release());
        let commit = COMMIT.map(|commit| format!("commit {commit}, ")).unwrap_or_default();
        format!("{version} ({commit}schema {schema}, IANA time zones {zones})")
    });
    &VERSION
}
