//! Claims: one worker at a time sends a message, and one message of a lane at a time is sent.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Message,
    rows::{read, select_messages},
};
use crate::{
    store::{Store, StoreError, bulk, row::corrupt},
    time::Micros,
};

/// Longest result that is kept, in characters.
const RESULT_MAX_CHARS: usize = 1_000;

/// Messages that one look finds.
const DUE_AT_ONCE: i64 = 64;

/// A message that is due: the first of its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMessage {
    /// The kind of message.
    pub kind: String,
    /// The receiver.
    pub target: String,
    seq: i64,
}

/// A message that a worker sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedMessage {
    /// The message, with the number of this try.
    pub message: Message,
    worker: String,
    number: i64,
}

/// Outcome of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The receiver has it; with the answer.
    Delivered(String),
    /// It is tried again after so many seconds; with the error.
    Later(String, i64),
    /// It is not tried again; with the error.
    GivenUp(String),
}

impl Store {
    /// Claims the message of these kinds that is due for longest, for `lease_seconds` from now; none
    /// if none is due. Messages to `busy` targets, and messages behind another of their lane, are not
    /// due.
    pub async fn claim_message(
        &self,
        worker: &str,
        kinds: &[&str],
        busy: &[String],
        lease_seconds: i64,
        now: Micros,
    ) -> Result<Option<ClaimedMessage>, StoreError> {
        for due in self.due_messages(kinds, busy, now).await? {
            if let Some(claimed) = self.claim_due_message(&due, worker, lease_seconds, now).await? {
                return Ok(Some(claimed));
            }
        }
        Ok(None)
    }

    /// Messages of these kinds that are due, each the first of its lane, those first that are due for
    /// longest. Messages to `busy` targets are left out.
    pub async fn due_messages(
        &self,
        kinds: &[&str],
        busy: &[String],
        now: Micros,
    ) -> Result<Vec<DueMessage>, StoreError> {
        let statement = format!(
            "SELECT seq, kind, target FROM outbox WHERE state = 'pending' AND due_at <= $1 \
             AND (lease_until IS NULL OR lease_until <= $1) AND kind {} AND NOT (target {}) AND NOT EXISTS \
             (SELECT 1 FROM outbox AS earlier WHERE earlier.lane = outbox.lane AND earlier.state = 'pending' \
             AND earlier.seq < outbox.seq) ORDER BY due_at, seq LIMIT $4",
            bulk::in_list(self.engine, 2),
            bulk::in_list(self.engine, 3),
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(now.0)
            .bind(bulk::list(kinds))
            .bind(bulk::list(busy))
            .bind(DUE_AT_ONCE)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DueMessage { kind: row.try_get("kind")?, target: row.try_get("target")?, seq: row.try_get("seq")? })
            })
            .collect()
    }

    /// Claims a message that was due, unless somebody else was faster.
    pub async fn claim_due_message(
        &self,
        due: &DueMessage,
        worker: &str,
        lease_seconds: i64,
        now: Micros,
    ) -> Result<Option<ClaimedMessage>, StoreError> {
        let mut write = self.begin_write().await?;
        let number: Option<i64> = sqlx::query_scalar(
            "UPDATE outbox SET claim = claim + 1, attempt = attempt + 1, worker = $1, lease_until = $2, \
             first_at = COALESCE(first_at, $3) WHERE seq = $4 AND state = 'pending' AND due_at <= $3 \
             AND (lease_until IS NULL OR lease_until <= $3) RETURNING claim",
        )
        .bind(worker.to_owned())
        .bind(now.plus_seconds(lease_seconds).0)
        .bind(now.0)
        .bind(due.seq)
        .fetch_optional(write.connection())
        .await?;
        let Some(number) = number else { return Ok(None) };
        let row = sqlx::query(select_messages!("WHERE seq = $1")).bind(due.seq).fetch_one(write.connection()).await?;
        let message = read(&row)?;
        write.commit().await?;
        Ok(Some(ClaimedMessage { message, worker: worker.to_owned(), number }))
    }

    /// Ends a try. False if somebody else has the message: then nothing is changed.
    pub async fn end_message(&self, claimed: &ClaimedMessage, sent: &Sent, now: Micros) -> Result<bool, StoreError> {
        let (state, due_at, ended_at, result) = match sent {
            Sent::Delivered(answer) => ("delivered", None, Some(now), answer),
            Sent::Later(error, seconds) => ("pending", Some(now.plus_seconds((*seconds).max(0))), None, error),
            Sent::GivenUp(error) => ("given_up", None, Some(now), error),
        };
        let mut write = self.begin_write().await?;
        let done = sqlx::query(
            "UPDATE outbox SET state = $1, due_at = COALESCE($2, due_at), ended_at = $3, result = $4, worker = NULL, \
             lease_until = NULL WHERE id = $5 AND claim = $6 AND worker = $7 AND state = 'pending'",
        )
        .bind(state)
        .bind(due_at.map(|at| at.0))
        .bind(ended_at.map(|at| at.0))
        .bind(shortened(result))
        .bind(claimed.message.id.to_string())
        .bind(claimed.number)
        .bind(claimed.worker.clone())
        .execute(write.connection())
        .await?;
        write.commit().await?;
        match done.rows_affected() {
            0 => Ok(false),
            1 => Ok(true),
            more => Err(corrupt("message", format!("{} is there {more} times", claimed.message.id))),
        }
    }
}

/// The text in one line, cut to what is kept.
pub(crate) fn shortened(text: &str) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(printable).take(RESULT_MAX_CHARS).collect()
}
