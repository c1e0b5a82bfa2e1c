//! The state that all handlers share.

use std::sync::Arc;

use common::{
    key::{IngestToken, Pepper},
    store::Store,
    time::Clock,
};
use prometheus::Registry;

use super::requests::RequestMetrics;
use crate::{
    access::Access, config::PagesConfig, document::Documents, ingest::Intake, job::JobSettings, outbox::webhook::Reach,
    payment::Providers,
};

/// The state that all handlers share.
pub struct Services {
    /// Authenticates callers and checks what they may do.
    pub access: Access,
    /// Books usage batches.
    pub intake: Intake,
    /// The token that gateways present.
    pub ingest_token: IngestToken,
    /// The pepper that secrets are hashed under.
    pub pepper: Pepper,
    /// The time of changes.
    pub clock: Arc<dyn Clock>,
    /// The store, seeing everything; the health check pings it.
    pub store: Store,
    /// Makes PDF documents.
    pub documents: Documents,
    /// Counts and times requests by route.
    pub requests: RequestMetrics,
    /// The URLs that webhooks may go to.
    pub reach: Reach,
    /// The metrics that `/metrics` shows.
    pub registry: Registry,
    /// Payment providers of issuers.
    pub providers: Providers,
    /// Settings of jobs, for runs that somebody asks for.
    pub settings: Arc<JobSettings>,
    /// Settings of console and portal.
    pub pages: PagesConfig,
    /// True if members get links into the portal by mail.
    pub mails_links: bool,
}
