//! The seller of a tenant, as its pages show it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::branding::{Contact, Image};

/// The tenant above, in its own looks. A root is shown as itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Seller)]
pub struct SellerDocument {
    /// Its name.
    #[schema(example = "Northwind Resale")]
    pub name: String,
    /// Its colour, as in `#1d4ed8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// Language of its documents, as in `de`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Its logo: PNG, JPEG or SVG in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub logo: Option<Image>,
    /// The person or office to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
}
