//! One entry of the journal as the payload of a ring's slot: numbers only.
//!
//! | word | content |
//! |---|---|
//! | 0 | kind (8 bits: 1 a request, 2 refusals, 3 lost), flags (8: 1 billable, 2 test key, 4 prepaid), status (16), index of the route's name; of the reason's, for refusals (32) |
//! | 1 | index of the meter's name |
//! | 2, 3 | tenant, low half first |
//! | 4, 5 | key, low half first |
//! | 6 | time, microseconds |
//! | 7 | units; number of refusals |
//!
//! The other words are zero. The slot's checksum keeps torn, altered and misplaced payloads out.

use common::{
    id::{KeyId, TenantId},
    time::Micros,
};
use ring::{PAYLOAD_WORDS, Payload};

const KIND_REQUEST: u8 = 1;
const KIND_REFUSALS: u8 = 2;
const KIND_LOST: u8 = 3;
const FLAG_BILLABLE: u8 = 1;
const FLAG_TEST: u8 = 2;
const FLAG_PREPAID: u8 = 4;

/// Payload in the spool for an entry that was already damaged in the ring.
pub(super) const LOST: Payload = {
    let mut words = [0; PAYLOAD_WORDS];
    words[0] = KIND_LOST as u64;
    words
};

/// The content of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) at: Micros,
    pub(super) tenant: TenantId,
    pub(super) key: KeyId,
    /// Index of the route's name, or of the reason's for refusals.
    pub(super) name: u32,
    pub(super) content: Content,
}

/// The fields in which the two kinds of entries differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Request { meter: u32, units: u64, status: u16, billable: bool, test: bool, prepaid: bool },
    Refusals { count: u64 },
}

impl Slot {
    pub(super) fn encode(&self) -> Payload {
        let (kind, flags, status, meter, number) = match self.content {
            Content::Request { meter, units, status, billable, test, prepaid } => {
                let flags = [(billable, FLAG_BILLABLE), (test, FLAG_TEST), (prepaid, FLAG_PREPAID)];
                let flags = flags.into_iter().fold(0, |flags, (is_set, flag)| flags | (u8::from(is_set) * flag));
                (KIND_REQUEST, flags, status, meter, units)
            }
            Content::Refusals { count } => (KIND_REFUSALS, 0, 0, 0, count),
        };
        let mut words = [0; PAYLOAD_WORDS];
        words[0] = u64::from(kind) | u64::from(flags) << 8 | u64::from(status) << 16 | u64::from(self.name) << 32;
        words[1] = u64::from(meter);
        [words[2], words[3]] = halves(self.tenant.as_u128());
        [words[4], words[5]] = halves(self.key.as_u128());
        words[6] = self.at.0.cast_unsigned();
        words[7] = number;
        words
    }

    /// Decodes a payload. None if it is not one of a request or of refusals.
    #[expect(clippy::cast_possible_truncation, reason = "the fields of a word")]
    pub(super) fn decode(words: &Payload) -> Option<Self> {
        let (kind, flags) = (words[0] as u8, (words[0] >> 8) as u8);
        let content = match kind {
            KIND_REQUEST => Content::Request {
                meter: words[1] as u32,
                units: words[7],
                status: (words[0] >> 16) as u16,
                billable: flags & FLAG_BILLABLE != 0,
                test: flags & FLAG_TEST != 0,
                prepaid: flags & FLAG_PREPAID != 0,
            },
            KIND_REFUSALS => Content::Refusals { count: words[7] },
            _ => return None,
        };
        Some(Self {
            at: Micros(words[6].cast_signed()),
            tenant: TenantId::from_u128(whole(words[2], words[3])),
            key: KeyId::from_u128(whole(words[4], words[5])),
            name: (words[0] >> 32) as u32,
            content,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half, and the high half")]
const fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

fn whole(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slot_reads_back_as_it_was_written(
            (at, tenant, key) in any::<(i64, u128, u128)>(),
            (name, meter, number, status) in any::<(u32, u32, u64, u16)>(),
            (billable, test, prepaid, refusals) in any::<(bool, bool, bool, bool)>(),
        ) {
            let content = if refusals {
                Content::Refusals { count: number }
            } else {
                Content::Request { meter, units: number, status, billable, test, prepaid }
            };
            let (tenant, key) = (TenantId::from_u128(tenant), KeyId::from_u128(key));
            let slot = Slot { at: Micros(at), tenant, key, name, content };
            prop_assert_eq!(Slot::decode(&slot.encode()), Some(slot));
        }
    }

    #[test]
    fn empty_and_lost_payloads_are_not_slots() {
        assert_eq!(Slot::decode(&[0; PAYLOAD_WORDS]), None);
        assert_eq!(Slot::decode(&LOST), None);
    }
}
