//! Lists: in pages, or whole where a list is never long.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ListDocument<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Asks for the next page; null on the last page.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// All of a list that is never long.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WholeListDocument<T> {
    /// The items, in order.
    pub items: Vec<T>,
}

impl<T> WholeListDocument<T> {
    /// A list of all these items.
    pub fn of<Item: Into<T>>(items: impl IntoIterator<Item = Item>) -> Self {
        Self { items: items.into_iter().map(Into::into).collect() }
    }
}
