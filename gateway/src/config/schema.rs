//! The JSON Schema of `gateway.yaml`, made from the types that read it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use super::{
    file::{GatewayFile, OneOrMore},
    matching::WantedFile,
    upstream::{balance::BalanceFile, file::ServerFile},
};

/// Returns the schema of the configuration file.
pub fn schema() -> Schema {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<GatewayFile>();
    schema.insert("title".into(), "gateway.yaml".into());
    schema
}

/// A text that may be written without quotes where it looks like a number.
pub(super) enum Text {}

/// Types that read several forms: each is written into its place, without a name of its own.
macro_rules! forms {
    ($($type:ty: $name:literal = $schema:tt;)*) => {
        $(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

forms! {
    Text: "Text" = { "type": ["string", "integer"] };
    OneOrMore: "OneOrMore" = { "type": ["string", "array"], "items": { "type": "string" } };
    WantedFile: "Wanted" = {
        "type": ["string", "integer", "boolean", "object"],
        "properties": {
            "present": { "type": "boolean", "description": "True if it has to be there, with any value." },
            "prefix": { "type": "string", "description": "The beginning that the value must have." }
        },
        "additionalProperties": false
    };
    BalanceFile: "Balance" = {
        "anyOf": [
            { "enum": ["round_robin", "least_loaded"] },
            {
                "type": "object",
                "required": ["hash"],
                "additionalProperties": false,
                "properties": {
                    "hash": {
                        "description": "The value that always leads to the same server.",
                        "type": "object",
                        "required": ["by"],
                        "additionalProperties": false,
                        "properties": {
                            "by": { "type": "string", "description": "`key`, `tenant`, `header NAME` or `path PARAMETER`." }
                        }
                    }
                }
            }
        ]
    };
    ServerFile: "Server" = {
        "type": ["string", "object"],
        "properties": {
            "address": { "type": "string", "description": "`host:port`, or a URL." },
            "srv": { "type": "string", "description": "Name of a service in DNS, instead of `address`." },
            "weight": { "type": "integer", "minimum": 1, "description": "Share of the requests, beside the other servers." }
        },
        "additionalProperties": false
    };
}
