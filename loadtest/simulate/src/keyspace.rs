//! The keys of the simulated Redis. They expire by its wall clock, and some seconds of their past
//! are kept for a replica that lags behind.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Length of the past that is kept, in nanoseconds. No replica lags by more.
const PAST: u64 = 20_000_000_000;

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    /// Milliseconds of the wall clock. None: never.
    expires: Option<i64>,
}

/// A change of a key, with the value before it.
#[derive(Debug)]
struct Change {
    /// Simulation time of the change, in nanoseconds.
    at: u64,
    key: Vec<u8>,
    before: Option<Entry>,
}

/// Keys and their values.
#[derive(Debug, Default)]
pub(super) struct Keyspace {
    entries: HashMap<Vec<u8>, Entry>,
    past: VecDeque<Change>,
}

impl Keyspace {
    /// The value of `key`. `wall` is in milliseconds. An expired key is removed for good: no step
    /// of the clock brings it back.
    pub(super) fn get(&mut self, key: &[u8], at: u64, wall: i64) -> Option<&[u8]> {
        if self.entries.get(key)?.expires.is_some_and(|expires| expires <= wall) {
            self.replace(key.to_vec(), None, at);
            return None;
        }
        self.entries.get(key).map(|entry| &*entry.value)
    }

    pub(super) fn set(&mut self, key: Vec<u8>, value: Vec<u8>, expires: Option<i64>, at: u64) {
        self.replace(key, Some(Entry { value, expires }), at);
    }

    pub(super) fn dump(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.entries.iter().map(|(key, entry)| (key.clone(), entry.value.clone())).collect()
    }

    /// Removes every key.
    pub(super) fn flush(&mut self, at: u64) {
        let keys: Vec<_> = self.entries.keys().cloned().collect();
        for key in keys {
            self.replace(key, None, at);
        }
    }

    /// Undoes all changes after `at`.
    pub(super) fn go_back_to(&mut self, at: u64) {
        while let Some(change) = self.past.pop_back_if(|change| change.at > at) {
            self.put(change.key, change.before);
        }
    }

    fn replace(&mut self, key: Vec<u8>, entry: Option<Entry>, at: u64) {
        let before = self.put(key.clone(), entry);
        self.past.push_back(Change { at, key, before });
        while self.past.pop_front_if(|change| change.at + PAST < at).is_some() {}
    }

    fn put(&mut self, key: Vec<u8>, entry: Option<Entry>) -> Option<Entry> {
        match entry {
            Some(entry) => self.entries.insert(key, entry),
            None => self.entries.remove(&key),
        }
    }
}
