//! Answers to a usage batch that a gateway hands in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{id::TenantId, usage::Booked};

/// Result of booking a batch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BookedDocument {
    /// Number after the highest entry of the stream that is booked.
    pub next_seq: u64,
    /// Entries booked now.
    pub booked: u64,
    /// Entries that were booked before and changed nothing.
    pub replayed: u64,
    /// Numbers that this batch skipped; a late batch may still fill them.
    pub gap: u64,
    /// Of the entries booked now, those that the gateway has lost.
    pub lost: u64,
    /// Of the entries booked now, those that are set aside: `billing quarantine` lists them.
    pub quarantined: u64,
    /// Tenants that the store does not know; their usage is kept.
    #[schema(value_type = Vec<String>, example = json!(["ten_01jd0000000000000000000000"]))]
    pub unknown_tenants: Vec<TenantId>,
}

/// Answer to a batch that can never be booked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterDocument {
    /// Reason why it is a dead letter: `billing dead-letters` shows and replays it.
    #[schema(example = "batch is cut off")]
    pub dead_letter: String,
}

impl From<Booked> for BookedDocument {
    fn from(booked: Booked) -> Self {
        let Booked { next_seq, booked, replayed, gap, lost, quarantined, unknown_tenants } = booked;
        Self { next_seq, booked, replayed, gap, lost, quarantined, unknown_tenants }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_to_a_batch_has_every_member_of_the_booking() {
        let booked = Booked {
            next_seq: 9,
            booked: 2,
            replayed: 1,
            gap: 3,
            lost: 1,
            quarantined: 1,
            unknown_tenants: vec![TenantId::from_u128(4)],
        };
        let document = serde_json::to_value(BookedDocument::from(booked.clone())).unwrap();
        assert_eq!(document, serde_json::to_value(booked).unwrap());
    }
}
