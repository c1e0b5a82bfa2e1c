//! Lists in pages. A cursor is valid for the list that handed it out, and for no other.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{
    api::{page::ListDocument, problem::ProblemCode},
    store::{Page, PageRequest},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::problem::Problem;

/// Items of a page unless the request states a limit.
const LIMIT_DEFAULT: u32 = 50;

/// Most items of a page.
const LIMIT_MAX: u32 = 1_000;

/// Parameters of a list without filters.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParameters {
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// A page of `list`.
pub(super) fn list<T, Item: Into<T>>(list: &str, page: Page<Item>) -> ListDocument<T> {
    let next_cursor = page.next.map(|after| cursor(list, &after));
    ListDocument { items: page.items.into_iter().map(Into::into).collect(), next_cursor }
}

/// The content of an opaque cursor: its list, and the place at which the list continues.
#[derive(Serialize, Deserialize)]
struct Place<T> {
    list: String,
    after: T,
}

impl PageParameters {
    /// The requested page of `list`.
    pub(super) fn request(&self, list: &str) -> Result<PageRequest, Problem> {
        request(list, self.cursor.as_deref(), self.limit)
    }
}

/// The requested page of `list`.
pub(super) fn request(list: &str, cursor: Option<&str>, limit: Option<u32>) -> Result<PageRequest, Problem> {
    Ok(PageRequest { after: cursor.map(|text| place(list, text)).transpose()?, limit: checked_limit(limit)? })
}

/// The requested number of items, if it is in bounds.
pub(super) fn checked_limit(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(ProblemCode::ParameterInvalid, format!("limit: {limit} is not from 1 to {LIMIT_MAX}")))
}

/// The cursor behind `after` in `list`.
pub(super) fn cursor<T: Serialize>(list: &str, after: &T) -> String {
    let place = serde_json::to_vec(&Place { list: list.into(), after }).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(place)
}

/// The place in `list` that a cursor holds.
pub(super) fn place<T: DeserializeOwned>(list: &str, cursor: &str) -> Result<T, Problem> {
    let decoded = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place: Option<Place<T>> = decoded.and_then(|bytes| common::json::from_slice(&bytes).ok());
    place.filter(|place| place.list == list).map(|place| place.after).ok_or_else(|| {
        let detail = "cursor: take `next_cursor` of the page before as it is, and ask for the same list with it";
        Problem::new(ProblemCode::CursorInvalid, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_valid_for_its_own_list_only() {
        let text = cursor("tenants", &7_i64);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{text}");
        assert_eq!(request("tenants", Some(&text), None).unwrap(), PageRequest { after: Some(7), limit: 50 });
        for (list, text) in [("keys", text.as_str()), ("tenants", "7"), ("tenants", ""), ("tenants", "%%%")] {
            assert!(request(list, Some(text), None).is_err(), "{text} in {list}");
        }
    }

    #[test]
    fn page_limit_is_from_1_to_1000() {
        assert!(request("keys", None, Some(0)).is_err() && request("keys", None, Some(1_001)).is_err());
        assert_eq!(request("keys", None, Some(1_000)).unwrap().limit, 1_000);
    }
}
