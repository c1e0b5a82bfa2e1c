//! One entry of the journal: 128 bytes, numbers only, with a checksum that also covers where it belongs.
//!
//! | bytes | content (little endian) |
//! |---|---|
//! | 0 | kind: 1 a request, 2 refusals |
//! | 1 | flags: 1 billable, 2 test key |
//! | 2..4 | status |
//! | 4..8 | index of the route's name; of the reason's, for refusals |
//! | 8..12 | index of the meter's name |
//! | 16..32 | tenant |
//! | 32..48 | key |
//! | 48..56 | time, microseconds |
//! | 56..64 | units; number of refusals |
//! | 64..72 | sequence number |
//! | 124..128 | CRC-32 of the stream and everything before |
//!
//! Bytes in between are zero. A slot that was torn, altered, or that belongs to another stream or place does not decode.

use common::{
    id::{KeyId, TenantId},
    time::Micros,
    usage::StreamId,
};

/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 128;

const CRC_AT: usize = SLOT_BYTES - 4;

const KIND_REQUEST: u8 = 1;
const KIND_REFUSALS: u8 = 2;
const FLAG_BILLABLE: u8 = 1;
const FLAG_TEST: u8 = 2;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) at: Micros,
    pub(crate) tenant: TenantId,
    pub(crate) key: KeyId,
    /// Index of the route's name; of the reason's, for refusals.
    pub(crate) name: u32,
    pub(crate) content: Content,
}

/// What the two kinds of entries do not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Request { meter: u32, units: u64, status: u16, billable: bool, test: bool },
    Refusals { count: u64 },
}

/// The checksum's start: every slot of a stream carries it, those of others fail with it.
#[derive(Debug, Clone)]
pub(crate) struct Seal(crc32fast::Hasher);

impl Seal {
    pub(crate) fn new(stream: &StreamId) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(stream.to_string().as_bytes());
        Self(hasher)
    }

    /// The checksum of `bytes` in this stream.
    pub(crate) fn of(&self, bytes: &[u8]) -> [u8; 4] {
        let mut hasher = self.0.clone();
        hasher.update(bytes);
        hasher.finalize().to_le_bytes()
    }
}

impl Slot {
    pub(crate) fn encode(&self, seq: u64, seal: &Seal) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let number = match self.content {
            Content::Request { meter, units, status, billable, test } => {
                let flags = (u8::from(billable) * FLAG_BILLABLE) | (u8::from(test) * FLAG_TEST);
                put(0, &[KIND_REQUEST, flags]);
                put(2, &status.to_le_bytes());
                put(8, &meter.to_le_bytes());
                units
            }
            Content::Refusals { count } => {
                put(0, &[KIND_REFUSALS]);
                count
            }
        };
        put(4, &self.name.to_le_bytes());
        put(16, &self.tenant.as_u128().to_le_bytes());
        put(32, &self.key.as_u128().to_le_bytes());
        put(48, &self.at.0.to_le_bytes());
        put(56, &number.to_le_bytes());
        put(64, &seq.to_le_bytes());
        let checksum = seal.of(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&checksum);
        bytes
    }

    /// The slot at place `seq` of the stream of `seal`; nothing if the bytes are anything else.
    pub(crate) fn decode(bytes: &[u8; SLOT_BYTES], seq: u64, seal: &Seal) -> Option<Self> {
        if seal.of(&bytes[..CRC_AT]) != bytes[CRC_AT..] || u64::from_le_bytes(field(bytes, 64)) != seq {
            return None;
        }
        let number = u64::from_le_bytes(field(bytes, 56));
        let flags = bytes[1];
        let content = match bytes[0] {
            KIND_REQUEST => Content::Request {
                meter: u32::from_le_bytes(field(bytes, 8)),
                units: number,
                status: u16::from_le_bytes(field(bytes, 2)),
                billable: flags & FLAG_BILLABLE != 0,
                test: flags & FLAG_TEST != 0,
            },
            KIND_REFUSALS => Content::Refusals { count: number },
            _ => return None,
        };
        Some(Self {
            at: Micros(i64::from_le_bytes(field(bytes, 48))),
            tenant: TenantId::from_u128(u128::from_le_bytes(field(bytes, 16))),
            key: KeyId::from_u128(u128::from_le_bytes(field(bytes, 32))),
            name: u32::from_le_bytes(field(bytes, 4)),
            content,
        })
    }
}

/// The `N` bytes from `at` on.
fn field<const N: usize>(bytes: &[u8; SLOT_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot() -> impl Strategy<Value = Slot> {
        let request = (any::<u32>(), any::<u64>(), any::<u16>(), any::<bool>(), any::<bool>()).prop_map(
            |(meter, units, status, billable, test)| Content::Request { meter, units, status, billable, test },
        );
        let refusals = any::<u64>().prop_map(|count| Content::Refusals { count });
        (any::<i64>(), any::<u128>(), any::<u128>(), any::<u32>(), prop_oneof![request, refusals]).prop_map(
            |(at, tenant, key, name, content)| Slot {
                at: Micros(at),
                tenant: TenantId::from_u128(tenant),
                key: KeyId::from_u128(key),
                name,
                content,
            },
        )
    }

    fn seal(lane: u16) -> Seal {
        Seal::new(&StreamId::new("edge-1", 7, lane).unwrap())
    }

    proptest! {
        #[test]
        fn a_slot_reads_back_as_it_was_written(slot in slot(), seq in any::<u64>()) {
            prop_assert_eq!(Slot::decode(&slot.encode(seq, &seal(0)), seq, &seal(0)), Some(slot));
        }

        #[test]
        fn an_altered_slot_does_not_decode(slot in slot(), seq in any::<u64>(), bit in 0..SLOT_BYTES * 8) {
            let mut bytes = slot.encode(seq, &seal(0));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Slot::decode(&bytes, seq, &seal(0)), None);
        }

        #[test]
        fn a_torn_slot_does_not_decode(slot in slot(), seq in any::<u64>(), kept in 0..SLOT_BYTES) {
            let mut bytes = slot.encode(seq, &seal(0));
            let whole = bytes;
            bytes[kept..].fill(0);
            prop_assume!(bytes != whole);
            prop_assert_eq!(Slot::decode(&bytes, seq, &seal(0)), None);
        }

        #[test]
        fn a_slot_of_another_place_or_stream_does_not_decode(slot in slot(), seq in 0..u64::MAX) {
            let bytes = slot.encode(seq, &seal(0));
            prop_assert_eq!(Slot::decode(&bytes, seq + 1, &seal(0)), None);
            prop_assert_eq!(Slot::decode(&bytes, seq, &seal(1)), None);
        }
    }

    #[test]
    fn nothing_is_not_a_slot() {
        assert_eq!(Slot::decode(&[0; SLOT_BYTES], 0, &seal(0)), None);
    }
}
