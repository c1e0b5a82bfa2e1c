//! A cache of each thread's last look-ups, by the address of the name. Every record needs two
//! look-ups, nearly all of them for the same strings of the current configuration.
//!
//! Invariant: an entry keeps its string alive, so that no other string gets the same address.

use std::{cell::RefCell, sync::Arc};

const ENTRIES: usize = 256;

thread_local! {
    static RECENT: RefCell<Box<[Option<Entry>]>> = RefCell::new((0..ENTRIES).map(|_| None).collect());
}

struct Entry {
    dictionary: u64,
    name: Arc<str>,
    number: u32,
}

/// The number of `name` in a dictionary, if this thread remembers it.
pub(super) fn number(dictionary: u64, name: &Arc<str>) -> Option<u32> {
    RECENT.with_borrow(|entries| {
        let entry = entries[place(name)].as_ref()?;
        (entry.dictionary == dictionary && Arc::ptr_eq(&entry.name, name)).then_some(entry.number)
    })
}

/// Remembers a number, in place of an older entry.
pub(super) fn remember(dictionary: u64, name: &Arc<str>, number: u32) {
    let entry = Entry { dictionary, name: Arc::clone(name), number };
    RECENT.with_borrow_mut(|entries| entries[place(name)] = Some(entry));
}

fn place(name: &Arc<str>) -> usize {
    // Strings lie at multiples of 16; the upper bits tell apart what one allocation after the other
    // made.
    let address = Arc::as_ptr(name).addr();
    ((address >> 4) ^ (address >> 12)) % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_remembered_for_the_same_string_of_the_same_dictionary_only() {
        let name: Arc<str> = "search".into();
        remember(u64::MAX, &name, 7);
        assert_eq!(number(u64::MAX, &name), Some(7));
        assert_eq!(number(u64::MAX - 1, &name), None);
        assert_eq!(number(u64::MAX, &Arc::from("search")), None);
    }
}
