//! The batch on the wire: protobuf with a dictionary, so that an entry is a few small numbers.
//!
//! Field numbers are the protocol and never change meaning. Routes, meters, reasons and parties
//! (tenant and key) stand once per batch; entries refer to them by index. Times are differences to
//! the batch's first.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use prost::Message;

use super::{
    ApartBatch, BATCH_MAX_ENTRIES, RefusalCount, StreamId, StreamIdError, UnreadEntry, UsageBatch, UsageEntry,
    UsageRecord,
};
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
};

/// Largest number that a stream may reach; it has to fit the store's signed 64 bits.
const SEQ_MAX: u64 = i64::MAX as u64;

/// Longest route, meter or reason, in bytes.
const NAME_MAX_BYTES: usize = 256;

/// The reason why bytes are not a batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Not protobuf, or cut short.
    #[error("batch is not readable: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// Fewer or more entries than stated.
    #[error("batch states {stated} entries and holds {found}: it was cut short")]
    Truncated {
        /// As stated by the sender.
        stated: u32,
        /// As found.
        found: usize,
    },
    /// The stream's name is not one.
    #[error(transparent)]
    Stream(#[from] StreamIdError),
    /// More than the limit, or nothing at all.
    #[error("batch has {0} entries; 1 to {BATCH_MAX_ENTRIES} are allowed")]
    Entries(usize),
    /// Numbers beyond what can be stored.
    #[error("batch ends beyond the highest sequence number")]
    SequenceOverflow,
    /// An entry says something that cannot be.
    #[error("entry {index}: {reason}")]
    Entry {
        /// Position in the batch, from 0.
        index: usize,
        /// Reason for the refusal.
        reason: &'static str,
    },
    /// The dictionary holds something that cannot be.
    #[error("dictionary: {0}")]
    Dictionary(&'static str),
}

#[derive(Clone, PartialEq, Message)]
struct WireBatch {
    #[prost(string, tag = "1")]
    stream: String,
    #[prost(uint64, tag = "2")]
    first_seq: u64,
    #[prost(int64, tag = "3")]
    base_micros: i64,
    #[prost(string, repeated, tag = "4")]
    names: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    parties: Vec<WireParty>,
    #[prost(message, repeated, tag = "6")]
    entries: Vec<WireEntry>,
    /// Number of entries, last on the wire: bytes cut off at a field's edge would else read as a
    /// shorter batch.
    #[prost(uint32, tag = "7")]
    entry_count: u32,
}

#[derive(Clone, PartialEq, Message)]
struct WireParty {
    #[prost(bytes = "vec", tag = "1")]
    tenant: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bool, tag = "3")]
    test: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WireEntry {
    #[prost(sint64, tag = "1")]
    micros_after_base: i64,
    #[prost(uint32, tag = "2")]
    party: u32,
    /// Index of the route's name; of the reason's, for refusals.
    #[prost(uint32, tag = "3")]
    name: u32,
    #[prost(uint32, tag = "4")]
    meter: u32,
    /// Units used; requests refused, for refusals.
    #[prost(uint64, tag = "5")]
    units: u64,
    #[prost(uint32, tag = "6")]
    status: u32,
    #[prost(bool, tag = "7")]
    billable: bool,
    #[prost(enumeration = "WireKind", tag = "8")]
    kind: i32,
    #[prost(bool, tag = "9")]
    prepaid: bool,
}

/// Kind of an entry on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum WireKind {
    Request = 0,
    Refusals = 1,
    /// That there never was one; nothing else is set.
    Void = 2,
    /// That it cannot be read any more; nothing else is set.
    Lost = 3,
    /// That the stream has ended; nothing else is set.
    End = 4,
}

pub(super) fn encode(batch: &UsageBatch) -> Vec<u8> {
    let first = batch.entries.iter().find_map(UsageEntry::at).map_or(0, |at| at.0);
    // Clocks gone mad may be further apart than a difference can say.
    let fits = batch.entries.iter().filter_map(UsageEntry::at).all(|at| at.0.checked_sub(first).is_some());
    let base = if fits { first } else { 0 };
    let mut names = Interned::default();
    let mut parties = Interned::default();
    let entries: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| WireEntry {
            micros_after_base: entry.at().map_or(0, |at| at.0.wrapping_sub(base)),
            ..match entry {
                UsageEntry::Request(record) => WireEntry {
                    party: parties.index((record.tenant, record.key, record.mode)),
                    name: names.index(Arc::clone(&record.route)),
                    meter: names.index(Arc::clone(&record.meter)),
                    units: record.units,
                    status: u32::from(record.status),
                    billable: record.billable,
                    prepaid: record.prepaid,
                    ..WireEntry::default()
                },
                UsageEntry::Refusals(refusals) => WireEntry {
                    party: parties.index((refusals.tenant, refusals.key, Mode::Live)),
                    name: names.index(Arc::clone(&refusals.reason)),
                    units: refusals.count,
                    kind: WireKind::Refusals.into(),
                    ..WireEntry::default()
                },
                UsageEntry::Void => WireEntry::without_content(WireKind::Void),
                UsageEntry::Lost => WireEntry::without_content(WireKind::Lost),
                UsageEntry::End => WireEntry::without_content(WireKind::End),
            }
        })
        .collect();
    let wire = WireBatch {
        stream: batch.stream.to_string(),
        first_seq: batch.first_seq,
        base_micros: base,
        names: names.values.iter().map(|name| name.as_ref().to_owned()).collect(),
        parties: parties
            .values
            .iter()
            .map(|(tenant, key, mode)| WireParty {
                tenant: tenant.as_u128().to_be_bytes().to_vec(),
                key: key.as_u128().to_be_bytes().to_vec(),
                test: *mode == Mode::Test,
            })
            .collect(),
        entry_count: u32::try_from(entries.len()).unwrap_or(u32::MAX),
        entries,
    };
    wire.encode_to_vec()
}

pub(super) fn decode(bytes: &[u8]) -> Result<UsageBatch, BatchError> {
    let mut entries = Vec::new();
    let wire = read(bytes, |index, _, entry| {
        entries.push(entry.map_err(|reason| BatchError::Entry { index, reason })?);
        Ok(())
    })?;
    Ok(UsageBatch { stream: wire.stream.parse()?, first_seq: wire.first_seq, entries })
}

pub(super) fn decode_apart(bytes: &[u8]) -> Result<ApartBatch, BatchError> {
    let (mut runs, mut refused): (Vec<(usize, Vec<UsageEntry>)>, Vec<_>) = (Vec::new(), Vec::new());
    let wire = read(bytes, |index, wire_entry, entry| {
        match (entry, runs.last_mut()) {
            (Ok(entry), Some((first, run))) if *first + run.len() == index => run.push(entry),
            (Ok(entry), _) => runs.push((index, vec![entry])),
            (Err(reason), _) => refused.push((index, *wire_entry, reason)),
        }
        Ok(())
    })?;
    let stream: StreamId = wire.stream.parse()?;
    let number = |index: usize| wire.first_seq.saturating_add(index as u64);
    let alone = |(index, entry, reason): (usize, WireEntry, &'static str)| {
        let first_seq = number(index);
        let payload = WireBatch { first_seq, entries: vec![entry], entry_count: 1, ..wire.clone() }.encode_to_vec();
        UnreadEntry { seq: first_seq, reason: BatchError::Entry { index: 0, reason }.to_string(), payload }
    };
    let unread = refused.into_iter().map(alone).collect();
    let batch = |(first, entries)| UsageBatch { stream: stream.clone(), first_seq: number(first), entries };
    Ok(ApartBatch { batches: runs.into_iter().map(batch).collect(), unread, stream: stream.clone() })
}

/// Reads all but the entries, and gives each of those to `take`, read or with what is wrong with
/// it.
fn read(
    bytes: &[u8],
    mut take: impl FnMut(usize, &WireEntry, Result<UsageEntry, &'static str>) -> Result<(), BatchError>,
) -> Result<WireBatch, BatchError> {
    let wire = WireBatch::decode(bytes)?;
    let count = wire.entries.len();
    if count != wire.entry_count as usize {
        return Err(BatchError::Truncated { stated: wire.entry_count, found: count });
    }
    if count == 0 || count > BATCH_MAX_ENTRIES {
        return Err(BatchError::Entries(count));
    }
    if wire.first_seq.checked_add(count as u64).is_none_or(|end| end > SEQ_MAX) {
        return Err(BatchError::SequenceOverflow);
    }
    let dictionary = Dictionary::read(&wire)?;
    for (index, entry) in wire.entries.iter().enumerate() {
        take(index, entry, dictionary.entry(wire.base_micros, entry))?;
    }
    Ok(wire)
}

struct Interned<T> {
    values: Vec<T>,
    indexes: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { values: Vec::new(), indexes: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn index(&mut self, value: T) -> u32 {
        if let Some(index) = self.indexes.get(&value) {
            return *index;
        }
        let index = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.indexes.insert(value, index);
        index
    }
}

struct Dictionary {
    names: Vec<Arc<str>>,
    parties: Vec<(TenantId, KeyId, Mode)>,
}

impl Dictionary {
    fn read(wire: &WireBatch) -> Result<Self, BatchError> {
        if wire
            .names
            .iter()
            .any(|name| name.is_empty() || name.len() > NAME_MAX_BYTES || name.contains(char::is_control))
        {
            return Err(BatchError::Dictionary("a name is empty, too long or contains control characters"));
        }
        let number = |bytes: &[u8]| {
            let bytes = bytes.try_into().map_err(|_| BatchError::Dictionary("an id does not have 16 bytes"))?;
            Ok::<_, BatchError>(u128::from_be_bytes(bytes))
        };
        let party = |party: &WireParty| {
            let mode = if party.test { Mode::Test } else { Mode::Live };
            Ok((TenantId::from_u128(number(&party.tenant)?), KeyId::from_u128(number(&party.key)?), mode))
        };
        Ok(Self {
            names: wire.names.iter().map(|name| Arc::from(name.as_str())).collect(),
            parties: wire.parties.iter().map(party).collect::<Result<_, BatchError>>()?,
        })
    }

    fn entry(&self, base_micros: i64, entry: &WireEntry) -> Result<UsageEntry, &'static str> {
        let kind = WireKind::try_from(entry.kind).map_err(|_| "it is of a kind that this program does not know")?;
        if let Some(without_content) = kind.without_content() {
            if *entry != WireEntry::without_content(kind) {
                return Err("it is of a kind without content and says something");
            }
            return Ok(without_content);
        }
        let at = Micros(base_micros.checked_add(entry.micros_after_base).ok_or("its time is out of range")?);
        let (tenant, key, mode) =
            *self.parties.get(entry.party as usize).ok_or("its party is not in the dictionary")?;
        let name = Arc::clone(self.name(entry.name)?);
        if i64::try_from(entry.units).is_err() {
            return Err("its units do not fit 63 bits");
        }
        if kind == WireKind::Refusals {
            return Ok(UsageEntry::Refusals(RefusalCount { at, tenant, key, reason: name, count: entry.units }));
        }
        let status = u16::try_from(entry.status).ok().filter(|status| (100..=999).contains(status));
        Ok(UsageEntry::Request(UsageRecord {
            at,
            tenant,
            key,
            route: name,
            meter: Arc::clone(self.name(entry.meter)?),
            units: entry.units,
            status: status.ok_or("its status is not an HTTP status")?,
            billable: entry.billable,
            mode,
            prepaid: entry.prepaid,
        }))
    }

    fn name(&self, index: u32) -> Result<&Arc<str>, &'static str> {
        self.names.get(index as usize).ok_or("a name of it is not in the dictionary")
    }
}

impl WireKind {
    /// The entry, if its kind is all that there is to say.
    const fn without_content(self) -> Option<UsageEntry> {
        match self {
            Self::Request | Self::Refusals => None,
            Self::Void => Some(UsageEntry::Void),
            Self::Lost => Some(UsageEntry::Lost),
            Self::End => Some(UsageEntry::End),
        }
    }
}

impl WireEntry {
    /// An entry that says nothing but its kind.
    fn without_content(kind: WireKind) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
