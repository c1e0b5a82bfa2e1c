//! Sets of statuses of an answer: `2xx`, `404`, `200-399`.

use std::{fmt, ops::RangeInclusive};

/// Lowest and highest status that an answer can have in the end.
const ALL: RangeInclusive<u16> = 200..=599;

/// A set of statuses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statuses(Box<[(u16, u16)]>);

impl Statuses {
    /// Every success.
    pub(super) fn success() -> Self {
        Self([(200, 299)].into())
    }

    /// Every failure of a server.
    pub(super) fn server_errors() -> Self {
        Self([(500, 599)].into())
    }

    /// Returns true if the status is in the set.
    pub fn covers(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Returns true if no status is in the set.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            formatter.write_str(if index == 0 { "" } else { ", " })?;
            match (first % 100, last - first) {
                (0, 99) => write!(formatter, "{}xx", first / 100)?,
                (_, 0) => write!(formatter, "{first}")?,
                _ => write!(formatter, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromIterator<(u16, u16)> for Statuses {
    fn from_iter<I: IntoIterator<Item = (u16, u16)>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

/// The first and the last status of an item, or what is wrong with it.
pub(super) fn range(text: &str) -> Result<(u16, u16), String> {
    let refuse = || {
        format!("`{text}` is not a status: write a class, as in 2xx, a status, as in 404, or a range, as in 200-399")
    };
    let status = |text: &str| text.parse::<u16>().ok().filter(|status| text.len() == 3 && ALL.contains(status));
    let (first, last) = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => {
            let class = class.parse::<u16>().ok().filter(|class| (2..=5).contains(class)).ok_or_else(refuse)?;
            (class * 100, class * 100 + 99)
        }
        (None, Some((first, last))) => {
            (status(first.trim()).ok_or_else(refuse)?, status(last.trim()).ok_or_else(refuse)?)
        }
        (None, None) => {
            let status = status(text).ok_or_else(refuse)?;
            (status, status)
        }
    };
    if first <= last { Ok((first, last)) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_is_a_class_a_status_or_a_range() {
        assert_eq!(range("2xx"), Ok((200, 299)));
        assert_eq!(range("404"), Ok((404, 404)));
        assert_eq!(range("200-399"), Ok((200, 399)));
        for wrong in ["", "xx", "1xx", "6xx", "20", "199", "600", "+404", "399-200", "200-", "ok"] {
            assert!(range(wrong).unwrap_err().contains("is not a status"), "{wrong}");
        }
        let set: Statuses = [(200, 299), (401, 401)].into_iter().collect();
        assert!(set.covers(204) && set.covers(401) && !set.covers(400) && !set.covers(500));
        assert!(!Statuses::default().covers(200));
        let set: Statuses = [(200, 299), (401, 401), (404, 410)].into_iter().collect();
        assert_eq!(set.to_string(), "2xx, 401, 404-410");
    }
}
