//! Lists in pages. A page says where the next one begins; what is created meanwhile comes last and
//! moves nothing.

/// Selects a page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// The `next` of the previous page; none for the first.
    pub after: Option<i64>,
    /// Most items.
    pub limit: u32,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items, in order.
    pub items: Vec<T>,
    /// Place at which the next page begins; none if this is the last.
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

impl PageRequest {
    /// Rows to ask for: one more than the page has, to know whether it is the last.
    pub(crate) fn rows(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Returns the place at which the page begins.
    pub(crate) const fn begin(self) -> i64 {
        match self.after {
            Some(after) => after,
            None => 0,
        }
    }

    /// The page made of `found`, each with its place, which are as many as [`PageRequest::rows`] at
    /// most.
    pub(crate) fn page<T>(self, mut found: Vec<(i64, T)>) -> Page<T> {
        let limit = self.limit as usize;
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = found.last().filter(|_| !is_last).map(|(place, _)| *place);
        Page { items: found.into_iter().map(|(_, item)| item).collect(), next }
    }
}
