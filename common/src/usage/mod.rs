//! Usage: what the gateways report and billing books.
//!
//! Each gateway writes streams of entries numbered without gaps. A [`UsageBatch`] carries a
//! contiguous range of one stream, so that whoever books it can tell a repetition (numbers seen
//! before) from a loss (numbers skipped).

mod booked;
pub mod booking;
pub mod dead_letters;
pub mod event;
pub mod gaps;
pub mod heard;
pub mod lives;
mod modular;
mod paid;
pub mod positions;
pub mod quarantine;
pub mod reconcile;
pub mod refusals;
pub mod report;
pub mod retention;
pub mod rollup;
pub mod sum;
mod wire;

use std::{fmt, str::FromStr, sync::Arc};

pub use booked::Booked;
pub use paid::PaidBy;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
pub use wire::BatchError;

use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
};

/// Most entries that one batch may carry.
pub const BATCH_MAX_ENTRIES: usize = 4_096;

/// Largest encoded batch, in bytes.
pub const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

/// `Content-Type` of an encoded batch.
pub const BATCH_CONTENT_TYPE: &str = "application/vnd.tollgate.usage-batch+protobuf";

/// Path at which `billing` takes batches by POST.
pub const BATCH_PATH: &str = "/v1/usage/batches";

/// Status of the record of a request whose client left before its answer.
pub const ABORTED_STATUS: u16 = 499;

/// Request header that names a batch's stream outside of it: so it is known whose a batch is that
/// cannot be read.
pub const BATCH_STREAM_HEADER: &str = "x-usage-stream";

/// One source of numbered entries: a lane of one life of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    gateway: String,
    boot: u128,
    lane: u16,
}

/// One life of one gateway, from its start to its end: what its streams have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Life {
    gateway: String,
    boot: u128,
}

/// The reason why a text is not a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stream: expected gateway/boot/lane, as in edge-1/01jd0000000000000000000000/0")]
pub struct StreamIdError(String);

/// A contiguous range of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBatch {
    /// The stream.
    pub stream: StreamId,
    /// Number of the first entry; the others follow without gaps.
    pub first_seq: u64,
    /// The entries, in order.
    pub entries: Vec<UsageEntry>,
}

/// One numbered entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageEntry {
    /// A request that was forwarded and answered.
    Request(UsageRecord),
    /// Requests that the gateway itself refused, summed up.
    Refusals(RefusalCount),
    /// A number that never had an entry: taken by a process that died before it wrote, so before
    /// anybody was answered. It keeps the numbering whole and bills nothing.
    Void,
    /// A number whose entry was written and can no longer be read: usage that may never come. It is
    /// booked as an open gap, which the entry itself still fills should it turn up after all.
    Lost,
    /// The stream has ended: its gateway is gone, and everything that it wrote has the numbers
    /// before this one.
    End,
}

/// A request that was forwarded to the upstream and answered by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    /// Time of admission, which decides the month of bill and quota.
    pub at: Micros,
    /// Tenant that used it.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// Through which route.
    pub route: Arc<str>,
    /// Meter that is counted.
    pub meter: Arc<str>,
    /// Units used.
    pub units: u64,
    /// HTTP status of the upstream's answer; [`ABORTED_STATUS`] if the client left before it.
    pub status: u16,
    /// True if the route bills this answer. Usage of test keys is never billed, whatever this says.
    pub billable: bool,
    /// Mode of the key.
    pub mode: Mode,
    /// True if its units were drawn from prepaid credit, not from a month's quota.
    pub prepaid: bool,
}

/// Refusals of one reason under one key since the last such entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalCount {
    /// Time of the count.
    pub at: Micros,
    /// Tenant that was refused.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// The problem code that the client was told, such as `rate_limited`.
    pub reason: Arc<str>,
    /// Number of refusals.
    pub count: u64,
}

/// A batch without the entries of it that cannot be read, and those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApartBatch {
    /// Its stream.
    pub stream: StreamId,
    /// Readable entries, as batches without a hole; one batch if all are readable.
    pub batches: Vec<UsageBatch>,
    /// Entries that cannot be read.
    pub unread: Vec<UnreadEntry>,
}

/// An entry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadEntry {
    /// Its number in the stream.
    pub seq: u64,
    /// Reason why it cannot be read.
    pub reason: String,
    /// A batch of nothing but this entry, as protobuf: a later version may read it.
    pub payload: Vec<u8>,
}

impl UsageBatch {
    /// The batch as protobuf.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// The batch from protobuf; everything about the bytes is checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        wire::decode(bytes)
    }

    /// The same, if entries of it cannot be read: those are taken out.
    pub fn decode_apart(bytes: &[u8]) -> Result<ApartBatch, BatchError> {
        wire::decode_apart(bytes)
    }

    /// Number after the last entry.
    pub fn end_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.entries.len() as u64)
    }
}

impl UsageEntry {
    /// Returns the tenant that used or was refused.
    pub const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Request(record) => Some(record.tenant),
            Self::Refusals(refusals) => Some(refusals.tenant),
            Self::Void | Self::Lost | Self::End => None,
        }
    }

    /// Returns the time of the usage or refusal.
    pub const fn at(&self) -> Option<Micros> {
        match self {
            Self::Request(record) => Some(record.at),
            Self::Refusals(refusals) => Some(refusals.at),
            Self::Void | Self::Lost | Self::End => None,
        }
    }
}

// === impl StreamId ===

impl StreamId {
    /// A stream of lane `lane` of the gateway called `gateway` in the life that `boot` numbers.
    pub fn new(gateway: &str, boot: u128, lane: u16) -> Result<Self, StreamIdError> {
        let named = (1..=128).contains(&gateway.len())
            && gateway.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if named {
            Ok(Self { gateway: gateway.to_owned(), boot, lane })
        } else {
            Err(StreamIdError(gateway.chars().take(160).collect()))
        }
    }

    /// The gateway's name.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Returns the boot number, which names the life of the gateway.
    pub const fn boot(&self) -> u128 {
        self.boot
    }

    /// Returns the lane of the life.
    pub const fn lane(&self) -> u16 {
        self.lane
    }

    /// The life that writes it.
    pub fn life(&self) -> Life {
        Life { gateway: self.gateway.clone(), boot: self.boot }
    }
}

impl Life {
    /// The gateway's name.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }
}

impl FromStr for Life {
    type Err = StreamIdError;

    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        let stream: Result<StreamId, _> = format!("{text}/0").parse();
        stream.map(|stream| stream.life()).map_err(|_| StreamIdError(text.chars().take(160).collect()))
    }
}

impl Serialize for Life {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Life {
    /// Writes the beginning of the names of its streams, up to the lane.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let boot = ulid::Ulid(self.boot).to_string().to_ascii_lowercase();
        formatter.pad(&format!("{}/{boot}", self.gateway))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{}/{}", self.life(), self.lane))
    }
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        let refuse = || StreamIdError(text.chars().take(160).collect());
        let mut parts = text.split('/');
        let (Some(gateway), Some(boot), Some(lane), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let boot = ulid::Ulid::from_string(boot).map_err(|_| refuse())?;
        Self::new(gateway, boot.0, lane.parse().map_err(|_| refuse())?)
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
