//! Decoding of a usage batch: never a panic, nothing beyond the limits, and what was encoded comes
//! back as it was.

#![no_main]

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
    usage::{BATCH_MAX_ENTRIES, RefusalCount, StreamId, UsageBatch, UsageEntry, UsageRecord},
};
use fuzz::{Damage, inflict};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Debug, Arbitrary)]
enum Input {
    /// A batch as a gateway sent it, and the damage on its way.
    Sent { first_seq: u32, entries: Vec<Entry>, damages: Vec<Damage> },
    /// Bytes of any origin.
    Anything(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
struct Entry {
    kind: Kind,
    at: i64,
    tenant: u8,
    key: u8,
    name: u8,
    meter: u8,
    units: u64,
    status: u16,
    billable: bool,
    test: bool,
    prepaid: bool,
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Request,
    Refusals,
    Void,
    Lost,
    End,
}

fuzz_target!(|input: Input| match input {
    Input::Sent { first_seq, entries, damages } => {
        let stream = StreamId::new("edge-1", 7, 0).expect("it is a stream");
        let entries: Vec<_> = entries.iter().take(BATCH_MAX_ENTRIES).map(usage_entry).collect();
        let is_empty = entries.is_empty();
        let sent = UsageBatch { stream, first_seq: first_seq.into(), entries };
        let mut bytes = sent.encode();
        match UsageBatch::decode(&bytes) {
            Ok(received) => assert_eq!(received, sent),
            Err(error) => assert!(is_empty, "{error}"),
        }
        inflict(&damages, &mut bytes);
        judge(&bytes);
    }
    Input::Anything(bytes) => judge(&bytes),
});

/// Whatever is taken for a batch is one that could have been sent.
fn judge(bytes: &[u8]) {
    let Ok(batch) = UsageBatch::decode(bytes) else { return };
    assert!((1..=BATCH_MAX_ENTRIES).contains(&batch.entries.len()));
    assert!(i64::try_from(batch.end_seq()).is_ok());
    assert_eq!(UsageBatch::decode(&batch.encode()).expect("it is a batch"), batch);
}

fn usage_entry(entry: &Entry) -> UsageEntry {
    let (at, tenant, key) =
        (Micros(entry.at), TenantId::from_u128(entry.tenant.into()), KeyId::from_u128(entry.key.into()));
    let name = |number: u8| format!("name-{number}").into();
    let units = entry.units >> 1;
    match entry.kind {
        Kind::Request => UsageEntry::Request(UsageRecord {
            at,
            tenant,
            key,
            route: name(entry.name),
            meter: name(entry.meter),
            units,
            status: 100 + entry.status % 900,
            billable: entry.billable,
            mode: if entry.test { Mode::Test } else { Mode::Live },
            prepaid: entry.prepaid,
        }),
        Kind::Refusals => {
            UsageEntry::Refusals(RefusalCount { at, tenant, key, reason: name(entry.name), count: units })
        }
        Kind::Void => UsageEntry::Void,
        Kind::Lost => UsageEntry::Lost,
        Kind::End => UsageEntry::End,
    }
}
