//! Attempts to collect what is open of an invoice from a payment provider.
//!
//! Invariants: an invoice has one attempt at most that may still succeed. An attempt is written before
//! the provider hears of it, and has one intent there, which the provider charges once at most:
//! whoever repeats a step asks for the same intent. What the provider says last counts, so it does
//! not matter how often and in which order it is heard.

mod outcome;
mod page;
mod rows;

use rows::select_attempts;
use serde::Serialize;

use super::{
    account,
    request::{ProviderRequest, ask},
};
use crate::{
    event::emit,
    id::{InvoiceId, PaymentAttemptId, TenantId},
    invoice::{Invoice, InvoiceStatus, locked},
    money::Money,
    store::{Store, StoreError, scope, transaction::ChangeTransaction},
    time::Micros,
    word::UnknownWord,
};

/// Seconds until an attempt is looked at again that the provider has not decided.
const CHECK_SECONDS: i64 = 60;

/// Seconds until one is looked at again that waits for the payer.
const ACTION_CHECK_SECONDS: i64 = 3_600;

/// An attempt to collect a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentAttempt {
    /// Its id. The provider's idempotency keys are made of it.
    pub id: PaymentAttemptId,
    /// The tenant that is paid.
    pub issuer: TenantId,
    /// The tenant that pays.
    pub tenant: TenantId,
    /// The invoice.
    pub invoice: InvoiceId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// The tenant's name at the provider.
    pub customer: String,
    /// The saved method that is charged.
    pub method: String,
    /// The amount: what was open when it began.
    pub amount: Money,
    /// Its status.
    pub status: AttemptStatus,
    /// The provider's name of it, once there is one.
    pub intent: Option<String>,
    /// The reason for which it failed.
    pub failure: Option<AttemptFailure>,
    /// The provider's name of the page on which the payer pays, for an attempt of that kind.
    pub page: Option<String>,
    /// Address at which the payer confirms it or pays, if it waits for that.
    pub action_url: Option<String>,
    /// Time at which it began.
    pub created_at: Micros,
    /// Time of the last change.
    pub updated_at: Micros,
    /// Time from which on the provider is asked again; none once it has ended.
    pub check_at: Option<Micros>,
}

/// Status of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "api", derive(serde::Deserialize, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    /// The provider may not have heard of it.
    Created,
    /// The provider has not decided.
    Processing,
    /// The payer has to confirm it.
    ActionRequired,
    /// It is paid.
    Succeeded,
    /// It is not, and will not be.
    Failed,
}

/// The reason for which an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptFailure {
    /// The provider's word for it, as in `insufficient_funds`.
    pub code: String,
    /// True if the same method will not do later either.
    pub is_final: bool,
}

/// The state of an attempt's intent, as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentState {
    /// It is there, and nothing was charged.
    Unconfirmed,
    /// Not decided yet.
    Processing,
    /// The payer has to confirm it, there if the provider says where.
    ActionRequired(Option<String>),
    /// So much was charged.
    Succeeded(Money),
    /// Nothing was charged.
    Failed(AttemptFailure),
}

impl AttemptStatus {
    /// All statuses.
    pub const ALL: [Self; 5] = [Self::Created, Self::Processing, Self::ActionRequired, Self::Succeeded, Self::Failed];

    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Processing => "processing",
            Self::ActionRequired => "action_required",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for AttemptStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let all = "created, processing, action_required, succeeded, failed";
        let known = Self::ALL.into_iter().find(|status| status.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("status of a payment attempt", all, word))
    }
}

impl std::fmt::Display for AttemptStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Store {
    /// Begins to collect what is open of an invoice with the method that its tenant has saved. An attempt
    /// that has not ended is given as it is. The outbox asks the provider from `ask_at` on: whoever asks
    /// at once himself leaves it some time. A conflict: an invoice of which nothing is open, a tenant
    /// without a saved method.
    pub async fn begin_payment(
        &self,
        invoice: InvoiceId,
        provider: &str,
        ask_at: Micros,
        now: Micros,
    ) -> Result<PaymentAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        let invoice = locked(&mut change, invoice).await?;
        let attempt = begin(&mut change, &invoice, provider, ask_at).await?;
        change.commit().await?;
        Ok(attempt)
    }

    /// Keeps the provider's name of an attempt. A conflict: it has another one.
    pub async fn name_intent(
        &self,
        id: PaymentAttemptId,
        intent: &str,
        now: Micros,
    ) -> Result<PaymentAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        let attempt = rows::lock(&mut change, id).await?;
        match &attempt.intent {
            Some(known) if known == intent => return Ok(attempt),
            Some(known) => return Err(StoreError::conflict(format!("{id} is {known} and not {intent}"))),
            None => {}
        }
        let after = PaymentAttempt { intent: Some(intent.to_owned()), updated_at: now, ..attempt };
        rows::save(change.connection(), &after).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Takes over what the provider says of an attempt. If it is paid, the payment is recorded in the same
    /// transaction, and what is more than the invoice needs goes into the tenant's wallet. What has
    /// ended stays so, but that what had failed may still succeed.
    pub async fn follow_payment(
        &self,
        id: PaymentAttemptId,
        state: &IntentState,
        now: Micros,
    ) -> Result<PaymentAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        let attempt = rows::lock(&mut change, id).await?;
        let is_over = match attempt.status {
            AttemptStatus::Succeeded => true,
            // A payer may still pay by an intent that had failed.
            AttemptStatus::Failed => !matches!(state, IntentState::Succeeded(_)),
            AttemptStatus::Created | AttemptStatus::Processing | AttemptStatus::ActionRequired => false,
        };
        if is_over {
            return Ok(attempt);
        }
        let after = attempt.after(state, now);
        if let IntentState::Succeeded(amount) = state {
            outcome::take(&mut change, &after, *amount).await?;
        }
        rows::save(change.connection(), &after).await?;
        if after.status != attempt.status {
            let invoice = locked(&mut change, after.invoice).await?;
            let told = outcome::event(&mut change, &after, &invoice).await?;
            emit(change.connection(), told.as_slice(), now).await?;
        }
        change.commit().await?;
        Ok(after)
    }

    /// Ends an attempt that the provider has refused before it had a name there.
    pub async fn fail_payment(
        &self,
        id: PaymentAttemptId,
        failure: AttemptFailure,
        now: Micros,
    ) -> Result<PaymentAttempt, StoreError> {
        self.follow_payment(id, &IntentState::Failed(failure), now).await
    }

    /// An attempt is to be looked at again in a minute, as the provider did not answer.
    pub async fn delay_payment(&self, id: PaymentAttemptId, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE payment_attempts SET check_at = $1 WHERE id = $2 AND check_at IS NOT NULL")
            .bind(now.plus_seconds(CHECK_SECONDS).0)
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }

    /// Attempts that the provider is to be asked about, those that have waited longest first.
    pub async fn due_payment_attempts(&self, now: Micros, limit: u32) -> Result<Vec<PaymentAttempt>, StoreError> {
        let rows = sqlx::query(select_attempts!("WHERE check_at <= $1 ORDER BY check_at, seq LIMIT $2"))
            .bind(now.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(rows::read).collect()
    }

    /// An attempt.
    pub async fn payment_attempt(&self, id: PaymentAttemptId) -> Result<PaymentAttempt, StoreError> {
        let row =
            sqlx::query(select_attempts!("WHERE id = $1")).bind(id.to_string()).fetch_optional(&self.pool).await?;
        let attempt =
            row.as_ref().map(rows::read).transpose()?.ok_or_else(|| StoreError::not_found("payment attempt", &id))?;
        let mut connection = self.pool.acquire().await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, attempt.tenant).await? {
            return Ok(attempt);
        }
        Err(StoreError::not_found("payment attempt", &id))
    }

    /// The attempt that a provider knows by this name.
    pub async fn payment_attempt_of_intent(
        &self,
        issuer: TenantId,
        provider: &str,
        intent: &str,
    ) -> Result<Option<PaymentAttempt>, StoreError> {
        let row = sqlx::query(select_attempts!("WHERE provider = $1 AND intent = $2 AND issuer_id = $3"))
            .bind(provider)
            .bind(intent)
            .bind(issuer.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(rows::read).transpose()
    }

    /// Attempts to collect an invoice, oldest first.
    pub async fn payment_attempts(&self, invoice: InvoiceId) -> Result<Vec<PaymentAttempt>, StoreError> {
        self.invoice(invoice).await?;
        let rows = sqlx::query(select_attempts!("WHERE invoice_id = $1 ORDER BY seq"))
            .bind(invoice.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(rows::read).collect()
    }
}

/// Begins to collect what is open of a locked invoice, with the message to its provider.
pub(super) async fn begin(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    provider: &str,
    ask_at: Micros,
) -> Result<PaymentAttempt, StoreError> {
    let now = change.now();
    if let Some(open) = rows::open_of(change.connection(), invoice.id).await? {
        return Ok(open);
    }
    if invoice.status != InvoiceStatus::Finalized || invoice.open.minor() <= 0 {
        return Err(StoreError::conflict(format!("{} is {}: nothing is to be paid", invoice.id, invoice.status)));
    }
    let sides = (invoice.issuer, invoice.tenant);
    let account = account::find(change.connection(), sides, provider).await?;
    let Some((customer, method)) = account.and_then(|one| Some((one.customer, one.method?))) else {
        return Err(StoreError::conflict(format!("{} has saved no payment method at {provider}", invoice.tenant)));
    };
    let attempt = PaymentAttempt {
        id: PaymentAttemptId::generate(),
        issuer: invoice.issuer,
        tenant: invoice.tenant,
        invoice: invoice.id,
        provider: provider.to_owned(),
        customer,
        method: method.id,
        amount: invoice.open,
        status: AttemptStatus::Created,
        intent: None,
        failure: None,
        page: None,
        action_url: None,
        created_at: now,
        updated_at: now,
        check_at: Some(ask_at.plus_seconds(CHECK_SECONDS)),
    };
    rows::insert(change.connection(), &attempt).await?;
    ask(change, invoice, provider, (ProviderRequest::Collect(attempt.id), attempt.amount), ask_at).await?;
    Ok(attempt)
}

impl PaymentAttempt {
    /// The attempt once the provider has said this at `now`.
    fn after(&self, state: &IntentState, now: Micros) -> Self {
        let after = Self { updated_at: now, failure: None, action_url: None, ..self.clone() };
        let soon = Some(now.plus_seconds(CHECK_SECONDS));
        match state {
            IntentState::Unconfirmed => Self { status: AttemptStatus::Created, check_at: soon, ..after },
            IntentState::Processing => Self { status: AttemptStatus::Processing, check_at: soon, ..after },
            IntentState::ActionRequired(url) => Self {
                status: AttemptStatus::ActionRequired,
                action_url: url.clone(),
                check_at: Some(now.plus_seconds(ACTION_CHECK_SECONDS)),
                ..after
            },
            IntentState::Succeeded(_) => Self { status: AttemptStatus::Succeeded, check_at: None, ..after },
            IntentState::Failed(failure) => {
                Self { status: AttemptStatus::Failed, failure: Some(failure.clone()), check_at: None, ..after }
            }
        }
    }
}
