//! A snapshot gives back the catalog that was written, and nothing from a file that was changed.

use common::{
    key::{IpNet, KeyHash, Mode, Secret},
    time::Micros,
};
use proptest::prelude::*;

use super::*;
use crate::catalog::{Standing, fixture::Rows};

/// In the past: a restored catalog stands as of the machine's clock.
const NOW: Micros = Micros(1_700_000_000_000_000);

fn pepper() -> Pepper {
    Pepper::new(b"a pepper for tests").unwrap()
}

fn rows() -> Rows {
    let mut rows = Rows::three_levels(NOW);
    for level in 0..3 {
        rows.add_key(level, pepper().hash(&Secret::generate(Mode::Live)), Mode::Live);
    }
    rows.keys[1].scopes = vec!["read".into(), "write".into()];
    rows.keys[1].allowed_ips = vec!["198.51.100.0/24".parse::<IpNet>().unwrap()];
    rows.keys[2].expires_at = Some(NOW.plus_seconds(60));
    rows
}

/// The bytes of a snapshot of these rows.
fn written(rows: Rows) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("catalog.snapshot");
    let catalog = Catalog::from_rows(rows.into_catalog(), NOW);
    catalog.write_snapshot(&file, &pepper(), NOW).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "a draft was left");
    fs::read(file).unwrap()
}

/// Every row of a file, shown; or why it is refused.
fn read(bytes: &[u8], pepper: &Pepper) -> Result<Vec<String>, SnapshotError> {
    let mut found = Vec::new();
    format::read(bytes, pepper, |row| found.push(format!("{row:?}")))?;
    found.sort();
    Ok(found)
}

#[test]
fn restored_catalog_equals_written_one() {
    let rows = rows();
    let keys: Vec<(KeyHash, _)> = rows.keys.iter().map(|key| (key.hash, key.id)).collect();
    let customer = rows.tenants[2].id;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deep/catalog.snapshot");
    let before = Catalog::from_rows(rows.into_catalog(), NOW);
    before.write_snapshot(&file, &pepper(), NOW).unwrap();
    let after = Catalog::restore(&file, &pepper()).unwrap();
    assert_eq!(after.source(), Some(Source::Snapshot));
    assert_eq!((after.key_count(), after.tenant_count()), (3, 3));
    assert_eq!(after.progress.mark(), before.progress.mark());
    for (hash, id) in keys {
        let key = after.key(&hash).unwrap();
        assert_eq!(key.id, id);
        assert_eq!(key.row(hash), before.key(&hash).unwrap().row(hash));
    }
    let Standing::Served(tenant) = after.standing(customer) else { panic!("not served") };
    assert_eq!(tenant.plan().as_str(), "plain");
    assert_eq!(after.staleness(NOW.plus_seconds(30)), Some(Duration::from_secs(30)));
}

#[test]
fn file_of_another_pepper_is_refused_by_name() {
    let other = Pepper::new(b"another pepper for tests").unwrap();
    let error = read(&written(rows()), &other).unwrap_err();
    assert!(error.to_string().contains(pepper().id()) && error.to_string().contains(other.id()), "{error}");
    // Nor does it help to claim that it is of the other one.
    let mut relabelled = written(rows());
    relabelled[8..16].copy_from_slice(other.id().as_bytes());
    assert!(matches!(read(&relabelled, &other), Err(SnapshotError::Seal)));
}

#[test]
fn no_part_of_a_file_is_taken_for_a_whole_one() {
    let bytes = written(rows());
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length], &pepper()).is_err(), "the first {length} bytes");
    }
    let longer = [&bytes[..], b"\0"].concat();
    assert!(matches!(read(&longer, &pepper()), Err(SnapshotError::Seal)));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = written(rows());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flipped, &pepper()).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(read(&bytes, &pepper()).is_err());
    }

    /// Even under a right seal, which only a gateway of another version could make, nothing panics.
    #[test]
    fn sealed_nonsense_does_not_panic(
        place in 16_usize..400,
        nonsense in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut bytes = written(rows());
        bytes.truncate(bytes.len() - format::SEAL);
        let place = place.min(bytes.len());
        let end = (place + nonsense.len()).min(bytes.len());
        drop(bytes.splice(place..end, nonsense));
        let mut seal = pepper().snapshot_seal();
        seal.update(&bytes);
        bytes.extend_from_slice(&seal.finish());
        let _ = read(&bytes, &pepper());
    }
}
