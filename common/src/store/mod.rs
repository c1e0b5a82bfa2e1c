//! The store: one code for SQLite and PostgreSQL, portable SQL over `sqlx::Any`; only booking and retention have files
//! for one engine.
//!
//! Each file holds the statements of one thing. What holds throughout: ids are text, times are epoch microseconds,
//! amounts are minor units, flags are 0 or 1; every change that gateways must see writes a row of the change log in its
//! own transaction, one writer at a time, so that the order of sequence numbers is the order of commits.

mod address;
mod admin_keys;
mod audit;
mod audit_log;
mod bank;
mod booking;
mod changes;
mod connect;
mod dead_letters;
mod error;
mod feed;
mod gaps;
mod idempotency;
mod keys;
mod lives;
mod migrate;
mod page;
mod partition;
mod peppers;
mod plans;
mod positions;
mod probe;
mod quarantine;
mod quota;
mod quota_credit;
mod quota_thresholds;
mod retention;
mod row;
mod scope;
mod search;
mod served;
mod sinks;
mod subscriptions;
mod tenants;
mod transaction;
mod usage;
mod usage_report;
mod watch;

pub use admin_keys::{AdminKeyFilter, AdminKeyRotation, NewAdminKey};
pub use audit::{Audit, Breach, BreachPlace, PeriodAudit, Reading, StreamAudit, Tally};
pub use audit_log::{AuditAction, AuditEntry, AuditFilter};
pub use booking::{Booked, Booking};
use changes::CHANGES_CHANNEL;
pub use changes::{Catalog, Change, Changed};
pub use connect::{Engine, Store};
pub use dead_letters::{DeadLetter, NewDeadLetter};
pub use error::StoreError;
pub use feed::{ChangeFeed, ChangeMark};
pub use gaps::{GapSettlement, Settling, UsageGap};
pub use keys::{KeyFilter, KeyRotation, KeyUpdate, NewKey};
pub use lives::LostLife;
pub use migrate::{Migrated, SCHEMA_VERSION};
pub use page::{Page, PageRequest};
pub use plans::{AppliedPlan, OfferedPlan, PLANS_AT_ONCE_MAX, PLANS_OF_OWNER_MAX, PlanOutcome, PlanPage, PlanPlace};
pub use positions::Position;
pub use quarantine::{QuarantineAction, QuarantineVerdict, QuarantinedUsage};
pub use quota::{QuotaDraw, QuotaGrant, QuotaHolder, QuotaLease, QuotaRefund, QuotaSource, QuotaStanding};
pub use quota_credit::{Credit, TOP_UP_UNITS_MAX, TopUp};
pub use quota_thresholds::{THRESHOLDS, ThresholdEvent};
pub use retention::{Dropped, Partitions};
pub use served::{CatalogRow, Changes, ServedKey, ServedTenant};
pub use sinks::DatedChange;
pub use subscriptions::{MIGRATED_AT_ONCE, PlanStart, Subscription};
pub use tenants::{NewTenant, TENANT_DEPTH_MAX, TenantAccount, TenantFilter, TenantParent, TenantUpdate};
pub use usage::{RefusalSum, UsageFilter, UsageSum};
pub use usage_report::{UsageCursor, UsageDimension, UsageQuery, UsageReport, UsageReportRow, UsageStep};
pub use watch::ChangeWatch;
