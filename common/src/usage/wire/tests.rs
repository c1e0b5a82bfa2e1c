//! The wire protocol: a batch reads back as written, and any other bytes are refused.

use proptest::prelude::*;

use super::*;

fn entries() -> impl Strategy<Value = Vec<UsageEntry>> {
    let name = prop::sample::select(vec!["search", "upload", "requests", "tokens"]).prop_map(Arc::<str>::from);
    let party = (any::<u128>(), any::<u128>(), any::<bool>());
    let at = prop_oneof![any::<u32>().prop_map(i64::from), any::<i64>()];
    let flags = any::<(bool, bool)>();
    let entry = (at, party, name.clone(), name, 0..i64::MAX as u64, 100_u16..1000, flags, 0..7);
    let entry = entry.prop_map(|(at, (tenant, key, test), route, meter, units, status, flags, kind)| {
        let (billable, prepaid) = flags;
        let (at, tenant, key) = (Micros(at), TenantId::from_u128(tenant), KeyId::from_u128(key));
        match kind {
            0 => UsageEntry::Void,
            1 => UsageEntry::Lost,
            2 => UsageEntry::End,
            3 | 4 => UsageEntry::Refusals(RefusalCount { at, tenant, key, reason: route, count: units }),
            _ => {
                let mode = if test { Mode::Test } else { Mode::Live };
                UsageEntry::Request(UsageRecord {
                    at,
                    tenant,
                    key,
                    route,
                    meter,
                    units,
                    status,
                    billable,
                    mode,
                    prepaid,
                })
            }
        }
    });
    prop::collection::vec(entry, 1..50)
}

fn batch(first_seq: u64, entries: Vec<UsageEntry>) -> UsageBatch {
    UsageBatch { stream: StreamId::new("edge-1", 7, 0).unwrap(), first_seq, entries }
}

proptest! {
    #[test]
    fn batch_round_trips(first_seq in 0..SEQ_MAX - 100, entries in entries()) {
        let sent = batch(first_seq, entries);
        prop_assert_eq!(UsageBatch::decode(&sent.encode()).unwrap(), sent);
    }

    #[test]
    fn truncated_batch_is_refused(entries in entries(), cut in 0.0..1.0_f64) {
        let bytes = batch(3, entries).encode();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of a length")]
        let kept = (bytes.len() as f64 * cut) as usize;
        prop_assert!(UsageBatch::decode(&bytes[..kept]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = UsageBatch::decode(&bytes);
    }
}

#[test]
fn entry_that_contradicts_its_kind_is_refused() {
    let sound = WireBatch::decode(batch(0, vec![UsageEntry::Lost]).encode().as_slice()).unwrap();
    let (void, lost) = (WireEntry::without_content(WireKind::Void), WireEntry::without_content(WireKind::Lost));
    assert_eq!(sound.entries, [lost]);
    for entry in [WireEntry { units: 1, ..lost }, WireEntry { status: 200, ..void }, WireEntry { kind: 5, ..lost }] {
        let bytes = WireBatch { entries: vec![entry], ..sound.clone() }.encode_to_vec();
        let error = UsageBatch::decode(&bytes).unwrap_err();
        assert!(matches!(error, BatchError::Entry { index: 0, .. }), "{error}");
    }
}

#[test]
fn empty_batch_is_refused() {
    assert!(matches!(UsageBatch::decode(&batch(0, Vec::new()).encode()), Err(BatchError::Entries(0))));
}

#[test]
fn unreadable_entry_leaves_batch_and_reads_alone() {
    let names = |route: &str| UsageRecord {
        at: Micros(7),
        tenant: TenantId::from_u128(1),
        key: KeyId::from_u128(2),
        route: route.into(),
        meter: "requests".into(),
        units: 1,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    };
    let sent = batch(10, ["a", "b", "c"].map(|route| UsageEntry::Request(names(route))).to_vec());
    let mut wire = WireBatch::decode(sent.encode().as_slice()).unwrap();
    for (broken, reason) in [
        (WireEntry { status: 99, ..wire.entries[1] }, "its status is not an HTTP status"),
        (WireEntry { units: u64::MAX, ..wire.entries[1] }, "its units do not fit 63 bits"),
        (WireEntry { party: 9, ..wire.entries[1] }, "its party is not in the dictionary"),
        (WireEntry { kind: 77, ..wire.entries[1] }, "it is of a kind that this program does not know"),
    ] {
        let sound = wire.entries[1];
        wire.entries[1] = broken;
        let bytes = wire.encode_to_vec();
        wire.entries[1] = sound;
        let error = UsageBatch::decode(&bytes).unwrap_err();
        assert!(matches!(error, BatchError::Entry { index: 1, .. }), "{error}");
        let apart = UsageBatch::decode_apart(&bytes).unwrap();
        let expected = [batch(10, vec![sent.entries[0].clone()]), batch(12, vec![sent.entries[2].clone()])];
        assert_eq!(apart.batches, expected);
        let [unread] = &apart.unread[..] else { panic!("{:?}", apart.unread) };
        assert!(unread.seq == 11 && unread.reason.contains(reason), "{unread:?}");
        // By itself it is as unreadable as it was, and is nothing but this entry.
        let alone = WireBatch::decode(unread.payload.as_slice()).unwrap();
        assert_eq!((alone.first_seq, alone.entries, alone.stream), (11, vec![broken], sent.stream.to_string()));
        let error = UsageBatch::decode(&unread.payload).unwrap_err();
        assert!(matches!(error, BatchError::Entry { index: 0, .. }), "{error}");
    }
    let whole = UsageBatch::decode_apart(&sent.encode()).unwrap();
    assert_eq!((whole.batches, whole.unread.len()), (vec![sent], 0));
}
