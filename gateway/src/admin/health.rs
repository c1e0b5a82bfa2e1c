//! The health report: whether the gateway can serve, and what is missing if it cannot.
//!
//! Readiness is about the gateway itself. A dead upstream is told and takes only its own routes
//! down, unless the configuration calls it essential.

use std::{collections::BTreeMap, sync::Arc};

use common::time::{Clock as _, SystemClock};
use serde::Serialize;

use super::Serving;
use crate::{catalog::Source, limit::bank::BankReport, runtime::Gateway, upstream::UpstreamHealth};

/// The state of everything that serving needs.
#[derive(Serialize)]
pub(super) struct Report {
    status: Status,
    /// Reasons for which it is not ready, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<CatalogReport>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    upstreams: BTreeMap<Arc<str>, UpstreamHealth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<JournalReport>,
    /// The fault that keeps usage in the journal until an operator mends it. Requests are served
    /// all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_problem: Option<String>,
    /// The fault of the store's schema. The catalog serves on as it is until an operator mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_problem: Option<String>,
    /// State of the limits shared with other gateways, if they are configured. Without the bank,
    /// each gateway admits its part.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<BankReport>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Serving.
    Ready,
    /// Something that requests need is missing: `reasons` says what.
    NotReady,
    /// The store was not there yet.
    Starting,
    /// About to end.
    Draining,
}

#[derive(Serialize)]
struct CatalogReport {
    loaded: bool,
    /// `store` once the store has confirmed the catalog, `snapshot` if it comes from the file.
    source: Option<Source>,
    /// Number of the last change that is contained.
    last_change: i64,
    staleness_seconds: Option<f64>,
    keys: usize,
    tenants: usize,
}

#[derive(Serialize)]
struct JournalReport {
    /// Entries that the sink has not acknowledged.
    entries: u64,
    has_room: bool,
    /// The fault that puts usage at risk, or keeps it from being fetched, until an operator mends
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Report {
    pub(super) fn new(serving: Option<&Serving>) -> Self {
        let Some(Serving { gateway, sink, bank }) = serving else {
            return Self {
                status: Status::Starting,
                reasons: vec!["the store has not answered yet".into()],
                catalog: None,
                upstreams: BTreeMap::new(),
                journal: None,
                usage_problem: None,
                store_problem: None,
                limits: None,
            };
        };
        let (catalog, meter, live) = (gateway.catalog(), gateway.meter(), gateway.live());
        let has_room = meter.has_room();
        let reasons = reasons(gateway, has_room);
        let status = match (gateway.is_draining(), reasons.is_empty()) {
            (true, _) => Status::Draining,
            (false, true) => Status::Ready,
            (false, false) => Status::NotReady,
        };
        Self {
            status,
            reasons,
            catalog: Some(CatalogReport {
                loaded: catalog.is_loaded(),
                source: catalog.source(),
                last_change: catalog.last_change(),
                staleness_seconds: catalog.staleness(SystemClock.now()).map(|age| age.as_secs_f64()),
                keys: catalog.key_count(),
                tenants: catalog.tenant_count(),
            }),
            upstreams: live.upstreams.iter().map(|(name, upstream)| (Arc::clone(name), upstream.health())).collect(),
            journal: Some(JournalReport {
                entries: meter.unacknowledged(),
                has_room,
                problem: meter.journal_problem(),
            }),
            usage_problem: sink.problem(),
            store_problem: catalog.schema.problem(),
            limits: bank.as_ref().map(|bank| bank.report()),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.status == Status::Ready
    }
}

/// Reasons for which requests cannot be served.
fn reasons(gateway: &Gateway, has_room: bool) -> Vec<String> {
    let live = gateway.live();
    let catalog = (!gateway.catalog().is_loaded()).then(|| "tenants, plans and keys are not loaded".to_owned());
    let full = || "the usage journal is full".to_owned();
    let journal = (!has_room).then(|| gateway.meter().journal_problem().unwrap_or_else(full));
    let silent = live.silent().map(|name| format!("no server of the essential upstream `{name}` answers"));
    catalog.into_iter().chain(journal).chain(silent).collect()
}
