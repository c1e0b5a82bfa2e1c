//! Attempts to collect what is open of an invoice from a payment provider.
//!
//! Invariants: an invoice has one attempt at most that may still succeed. An attempt is written before
//! the provider hears of it, and has one intent there, which the provider charges once at most:
//! whoever repeats a step asks for the same intent. What the provider says last counts, so it does
//! not matter how often and in which order it is heard.

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{NewPayment, account, by_reference, record};
use crate::{
    event::{EventType, NewEvent, emit},
    id::{InvoiceId, PaymentAttemptId, TenantId},
    invoice::{Invoice, InvoiceStatus, locked},
    ledger::rows::currency,
    money::Money,
    store::{
        Store, StoreError,
        row::{instant, instant_or_null, parsed},
        scope,
        transaction::ChangeTransaction,
    },
    time::Micros,
    wallet::{GrantKind, NewWalletGrant, PRIORITY_DEFAULT, WalletKey, grant},
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
    /// Address at which the payer confirms it, if it waits for that.
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

macro_rules! select_attempts {
    ($rest:literal) => {
        concat!(
            "SELECT id, issuer_id, tenant_id, invoice_id, provider, customer, method, currency, amount, status, intent, \
             failure, is_final, action_url, created_at, updated_at, check_at FROM payment_attempts ",
            $rest
        )
    };
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
    /// that has not ended is given as it is. A conflict: an invoice of which nothing is open, a tenant
    /// without a saved method.
    pub async fn begin_payment(
        &self,
        invoice: InvoiceId,
        provider: &str,
        now: Micros,
    ) -> Result<PaymentAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        let invoice = locked(&mut change, invoice).await?;
        if let Some(open) = open_of(change.connection(), invoice.id).await? {
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
            action_url: None,
            created_at: now,
            updated_at: now,
            check_at: Some(now),
        };
        insert(change.connection(), &attempt).await?;
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
        let attempt = lock(&mut change, id).await?;
        match &attempt.intent {
            Some(known) if known == intent => return Ok(attempt),
            Some(known) => return Err(StoreError::conflict(format!("{id} is {known} and not {intent}"))),
            None => {}
        }
        let after = PaymentAttempt { intent: Some(intent.to_owned()), updated_at: now, ..attempt };
        save(change.connection(), &after).await?;
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
        let attempt = lock(&mut change, id).await?;
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
            take(&mut change, &after, *amount).await?;
        }
        save(change.connection(), &after).await?;
        if let Some(failure) = &after.failure {
            let invoice = locked(&mut change, after.invoice).await?;
            emit(change.connection(), &[failed(&after, failure, &invoice)], now).await?;
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
        rows.iter().map(read).collect()
    }

    /// An attempt.
    pub async fn payment_attempt(&self, id: PaymentAttemptId) -> Result<PaymentAttempt, StoreError> {
        let row =
            sqlx::query(select_attempts!("WHERE id = $1")).bind(id.to_string()).fetch_optional(&self.pool).await?;
        let attempt =
            row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("payment attempt", &id))?;
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
        row.as_ref().map(read).transpose()
    }

    /// Attempts to collect an invoice, oldest first.
    pub async fn payment_attempts(&self, invoice: InvoiceId) -> Result<Vec<PaymentAttempt>, StoreError> {
        self.invoice(invoice).await?;
        let rows = sqlx::query(select_attempts!("WHERE invoice_id = $1 ORDER BY seq"))
            .bind(invoice.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }
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

/// The event of a failure. It keeps its order with the events of its invoice.
fn failed(attempt: &PaymentAttempt, failure: &AttemptFailure, invoice: &Invoice) -> NewEvent {
    let data = serde_json::json!({
        "id": attempt.id,
        "invoice": attempt.invoice,
        "invoice_number": invoice.number,
        "issuer": { "tenant": attempt.issuer, "name": invoice.content.issuer.name },
        "buyer": { "tenant": attempt.tenant, "name": invoice.content.buyer.name },
        "currency": attempt.amount.currency().code(),
        "amount": attempt.amount.digits(),
        "open": invoice.open.digits(),
        "method": attempt.provider,
        "reason": failure.code,
        "final": failure.is_final,
    });
    NewEvent { kind: EventType::PaymentFailed, tenant: attempt.tenant, object: attempt.invoice.to_string(), data }
}

/// Records what an attempt has brought: as much as is open pays the invoice, the rest is the tenant's
/// money with the issuer.
async fn take(change: &mut ChangeTransaction, attempt: &PaymentAttempt, amount: Money) -> Result<(), StoreError> {
    let now = change.now();
    let Some(intent) = attempt.intent.clone() else {
        return Err(StoreError::conflict(format!("{} is paid, and the provider has no name for it", attempt.id)));
    };
    let invoice: Invoice = locked(change, attempt.invoice).await?;
    let open = if invoice.status == InvoiceStatus::Finalized { invoice.open.minor().max(0) } else { 0 };
    let paid = Money::from_minor(amount.minor().min(open), amount.currency());
    let is_recorded = by_reference(change, &invoice, &attempt.provider, &intent).await?.is_some();
    if is_recorded {
        return Ok(());
    }
    if !paid.is_zero() {
        let new = NewPayment {
            invoice: invoice.id,
            amount: paid,
            method: attempt.provider.clone(),
            reference: intent.clone(),
            received_at: now,
        };
        record(change, &invoice, &new).await?;
    }
    let rest = amount.checked_sub(paid).map_err(|error| StoreError::refused(format!("amount: {error}")))?;
    if rest.is_zero() {
        return Ok(());
    }
    let key = WalletKey { issuer: attempt.issuer, tenant: attempt.tenant, currency: rest.currency() };
    let grant = NewWalletGrant {
        issuer: Some(attempt.issuer),
        tenant: attempt.tenant,
        amount: rest,
        kind: GrantKind::Paid,
        priority: PRIORITY_DEFAULT,
        expires_at: None,
        reference: intent,
        reason: Some(format!("paid for {} beyond what was open", invoice.number)),
    };
    grant::insert(change.connection(), &key, &grant, now).await.map(drop)
}

/// An attempt that nobody else changes up to the end of the transaction.
async fn lock(change: &mut ChangeTransaction, id: PaymentAttemptId) -> Result<PaymentAttempt, StoreError> {
    sqlx::query("UPDATE payment_attempts SET status = status WHERE id = $1")
        .bind(id.to_string())
        .execute(change.connection())
        .await?;
    let row =
        sqlx::query(select_attempts!("WHERE id = $1")).bind(id.to_string()).fetch_optional(change.connection()).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("payment attempt", &id))
}

/// The attempt of an invoice that has not ended.
async fn open_of(connection: &mut AnyConnection, invoice: InvoiceId) -> Result<Option<PaymentAttempt>, StoreError> {
    let row = sqlx::query(select_attempts!("WHERE invoice_id = $1 AND check_at IS NOT NULL"))
        .bind(invoice.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

async fn insert(connection: &mut AnyConnection, attempt: &PaymentAttempt) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO payment_attempts (id, issuer_id, tenant_id, invoice_id, provider, customer, method, currency, \
         amount, status, created_at, updated_at, check_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(attempt.id.to_string())
    .bind(attempt.issuer.to_string())
    .bind(attempt.tenant.to_string())
    .bind(attempt.invoice.to_string())
    .bind(&attempt.provider)
    .bind(&attempt.customer)
    .bind(&attempt.method)
    .bind(attempt.amount.currency().code())
    .bind(attempt.amount.minor())
    .bind(attempt.status.as_str())
    .bind(attempt.created_at.0)
    .bind(attempt.updated_at.0)
    .bind(attempt.check_at.map(|at| at.0))
    .execute(connection)
    .await?;
    Ok(())
}

async fn save(connection: &mut AnyConnection, attempt: &PaymentAttempt) -> Result<(), StoreError> {
    let failure = attempt.failure.as_ref();
    sqlx::query(
        "UPDATE payment_attempts SET status = $1, intent = $2, failure = $3, is_final = $4, action_url = $5, \
         updated_at = $6, check_at = $7 WHERE id = $8",
    )
    .bind(attempt.status.as_str())
    .bind(attempt.intent.clone())
    .bind(failure.map(|failure| failure.code.clone()))
    .bind(i64::from(failure.is_some_and(|failure| failure.is_final)))
    .bind(attempt.action_url.clone())
    .bind(attempt.updated_at.0)
    .bind(attempt.check_at.map(|at| at.0))
    .bind(attempt.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<PaymentAttempt, StoreError> {
    let failure: Option<String> = row.try_get("failure")?;
    let is_final = row.try_get::<i64, _>("is_final")? != 0;
    Ok(PaymentAttempt {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        invoice: parsed(row, "invoice_id")?,
        provider: row.try_get("provider")?,
        customer: row.try_get("customer")?,
        method: row.try_get("method")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        status: parsed(row, "status")?,
        intent: row.try_get("intent")?,
        failure: failure.map(|code| AttemptFailure { code, is_final }),
        action_url: row.try_get("action_url")?,
        created_at: instant(row, "created_at")?,
        updated_at: instant(row, "updated_at")?,
        check_at: instant_or_null(row, "check_at")?,
    })
}
