//! Paths that are named in more than one place.

/// Path of the health check.
pub const HEALTH_PATH: &str = "/health";

/// Path of the metrics, in the text format of Prometheus.
pub const METRICS_PATH: &str = "/metrics";

/// Path of the `OpenAPI` document.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// Path of the same document as a page.
pub const PAGE_PATH: &str = "/docs";
