//! Stripe: payment intents, hosted pages and webhooks, over its HTTP API.
//!
//! Every request that changes something has an idempotency key that follows from what it is about, so
//! that a repetition gets the first answer.

mod amount;
mod client;
mod dispute;
mod event;
mod intent;
mod page;
mod payout;
mod refund;
mod signature;

use client::StripeClient;
use common::{
    id::TenantId,
    money::Money,
    payment::{PaymentAttempt, RefundAttempt, SavedMethod, ToldDispute, ToldPayout},
    time::Micros,
};
use dispute::DisputeDocument;
use intent::{IntentDocument, MethodDocument, SetupDocument};
use page::SessionDocument;
use payout::{BalanceTransactionDocument, PayoutDocument};
use refund::RefundDocument;
use serde::Deserialize;
pub use signature::verify;

use super::provider::{
    About, Answer, Intent, PageState, PaymentPage, PaymentProvider, ProviderError, Refund, Saved, SetupPage,
    SignatureError,
};

/// Its name in the store.
pub const NAME: &str = "stripe";

/// The address of its API unless the settings name another.
pub const BASE_URL: &str = "https://api.stripe.com";

/// The account of an issuer with Stripe.
pub struct Stripe {
    client: StripeClient,
    issuer: TenantId,
    webhook_secrets: Vec<String>,
}

/// The reason for which an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StripeSetupError {
    /// The address is none.
    #[error("{url} is not the URL of an API: {reason}")]
    Url {
        /// The address.
        url: String,
        /// Fault of the address.
        reason: String,
    },
    /// The client cannot be made.
    #[error("cannot make a client for Stripe: {0}")]
    Client(reqwest::Error),
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Stripe {
    /// The account of `issuer` that `secret_key` opens. Webhooks are signed with any of
    /// `webhook_secrets`.
    pub fn new(
        base: &str,
        issuer: TenantId,
        secret_key: String,
        webhook_secrets: Vec<String>,
    ) -> Result<Self, StripeSetupError> {
        Ok(Self { client: StripeClient::new(base, secret_key)?, issuer, webhook_secrets })
    }

    async fn read_intent(&self, intent: &str) -> Result<Intent, ProviderError> {
        let document: IntentDocument = self.client.get(&["payment_intents", intent], &[]).await?;
        document.intent().map_err(unexpected)
    }

    /// Changes an intent; what became of it counts, whatever was answered.
    async fn change_intent(
        &self,
        attempt: &PaymentAttempt,
        intent: &str,
        verb: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Intent, ProviderError> {
        let key = format!("{}-{verb}", attempt.id);
        let path = ["payment_intents", intent, verb];
        match self.client.post::<IntentDocument>(&path, parameters, Some(&key)).await {
            Ok(changed) => changed.intent().map_err(unexpected),
            Err(ProviderError::Refused { .. } | ProviderError::Declined { .. }) => self.read_intent(intent).await,
            Err(error) => Err(error),
        }
    }

    /// A payout with its items, if Stripe knows them.
    async fn told_payout(&self, payout: PayoutDocument) -> Result<ToldPayout, ProviderError> {
        let items = if payout.has_items() {
            let query = [("payout", payout.id.as_str()), ("expand[]", "data.source")];
            Some(self.client.list::<BalanceTransactionDocument>(&["balance_transactions"], &query).await?)
        } else {
            None
        };
        payout.told(items).map_err(unexpected)
    }
}

impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn issuer(&self) -> TenantId {
        self.issuer
    }

    fn check_event(&self, signature: &str, body: &[u8], now: Micros) -> Result<(), SignatureError> {
        verify(signature, body, &self.webhook_secrets, now)
    }

    fn about(&self, kind: &str, body: &str) -> About {
        event::about(kind, body)
    }

    fn create_customer<'a>(&'a self, tenant: TenantId, name: &'a str) -> Answer<'a, String> {
        Box::pin(async move {
            let id = tenant.to_string();
            let key = format!("customer-{id}-of-{}", self.issuer);
            let parameters = [("name", name), ("metadata[tollgate_tenant]", id.as_str())];
            let customer: Named = self.client.post(&["customers"], &parameters, Some(&key)).await?;
            Ok(customer.id)
        })
    }

    fn setup_page<'a>(&'a self, customer: &'a str, back_to: &'a str) -> Answer<'a, SetupPage> {
        Box::pin(async move {
            let parameters = [
                ("mode", "setup"),
                ("customer", customer),
                ("payment_method_types[0]", "card"),
                ("success_url", back_to),
                ("cancel_url", back_to),
            ];
            let session: SessionDocument = self.client.post(&["checkout", "sessions"], &parameters, None).await?;
            Ok(SetupPage { url: session.page().map_err(unexpected)?.url })
        })
    }

    fn attach_method<'a>(&'a self, customer: &'a str, method: &'a str) -> Answer<'a, SavedMethod> {
        Box::pin(async move {
            let path = ["payment_methods", method, "attach"];
            let method: MethodDocument = self.client.post(&path, &[("customer", customer)], None).await?;
            Ok(method.saved())
        })
    }

    fn create_intent<'a>(&'a self, attempt: &'a PaymentAttempt) -> Answer<'a, Intent> {
        Box::pin(async move {
            let amount = charged(attempt.amount)?;
            let currency = attempt.amount.currency().code().to_lowercase();
            let (id, invoice) = (attempt.id.to_string(), attempt.invoice.to_string());
            let parameters = [
                ("amount", amount.as_str()),
                ("currency", currency.as_str()),
                ("customer", attempt.customer.as_str()),
                ("payment_method", attempt.method.as_str()),
                ("automatic_payment_methods[enabled]", "true"),
                ("automatic_payment_methods[allow_redirects]", "never"),
                ("metadata[tollgate_attempt]", id.as_str()),
                ("metadata[tollgate_invoice]", invoice.as_str()),
            ];
            let made: IntentDocument = self.client.post(&["payment_intents"], &parameters, Some(&id)).await?;
            made.intent().map_err(unexpected)
        })
    }

    fn confirm_intent<'a>(&'a self, attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent> {
        Box::pin(self.change_intent(attempt, intent, "confirm", &[("off_session", "true")]))
    }

    fn cancel_intent<'a>(&'a self, attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent> {
        Box::pin(self.change_intent(attempt, intent, "cancel", &[]))
    }

    fn intent<'a>(&'a self, _attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent> {
        Box::pin(self.read_intent(intent))
    }

    fn payment_page<'a>(
        &'a self,
        attempt: &'a PaymentAttempt,
        title: &'a str,
        back_to: &'a str,
    ) -> Answer<'a, PaymentPage> {
        Box::pin(async move {
            let amount = charged(attempt.amount)?;
            let (currency, id) = (attempt.amount.currency().code().to_lowercase(), attempt.id.to_string());
            let (invoice, key) = (attempt.invoice.to_string(), format!("{id}-page"));
            let expires_at = attempt.created_at.plus_seconds(page::OPEN_SECONDS).seconds().to_string();
            let parameters = [
                ("mode", "payment"),
                ("customer", attempt.customer.as_str()),
                ("line_items[0][quantity]", "1"),
                ("line_items[0][price_data][currency]", currency.as_str()),
                ("line_items[0][price_data][unit_amount]", amount.as_str()),
                ("line_items[0][price_data][product_data][name]", title),
                ("metadata[tollgate_attempt]", id.as_str()),
                ("payment_intent_data[metadata][tollgate_attempt]", id.as_str()),
                ("payment_intent_data[metadata][tollgate_invoice]", invoice.as_str()),
                ("expires_at", expires_at.as_str()),
                ("success_url", back_to),
                ("cancel_url", back_to),
            ];
            let session: SessionDocument = self.client.post(&["checkout", "sessions"], &parameters, Some(&key)).await?;
            session.page().map_err(unexpected)
        })
    }

    fn page_state<'a>(&'a self, page: &'a str) -> Answer<'a, PageState> {
        Box::pin(async move {
            let session: SessionDocument = self.client.get(&["checkout", "sessions", page], &[]).await?;
            session.state().map_err(unexpected)
        })
    }

    fn close_page<'a>(&'a self, page: &'a str) -> Answer<'a, PageState> {
        Box::pin(async move {
            let path = ["checkout", "sessions", page, "expire"];
            match self.client.post::<SessionDocument>(&path, &[], None).await {
                Ok(session) => session.state().map_err(unexpected),
                // It was paid, or closed, meanwhile.
                Err(ProviderError::Refused { .. }) => self.page_state(page).await,
                Err(error) => Err(error),
            }
        })
    }

    fn find_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Option<Refund>> {
        Box::pin(async move {
            let query = [("payment_intent", attempt.payment.reference.as_str())];
            let found: Vec<RefundDocument> = self.client.list(&["refunds"], &query).await?;
            let id = attempt.id.to_string();
            let own = found.into_iter().find(|refund| refund.is_of(&id));
            own.map(|refund| refund.refund().map_err(unexpected)).transpose()
        })
    }

    fn create_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Refund> {
        Box::pin(async move {
            let amount = amount::to_stripe(attempt.amount).filter(|amount| {
                // What is rounded up would be more than is owed.
                amount::of_stripe(*amount, attempt.amount.currency()) == Some(attempt.amount)
            });
            let amount = amount.ok_or_else(|| ProviderError::Amount {
                provider: NAME,
                amount: attempt.amount.to_string(),
                reason: "Stripe takes no such amounts",
            })?;
            let (amount, id) = (amount.to_string(), attempt.id.to_string());
            let parameters = [
                ("payment_intent", attempt.payment.reference.as_str()),
                ("amount", amount.as_str()),
                ("metadata[tollgate_refund]", id.as_str()),
            ];
            let made: RefundDocument = self.client.post(&["refunds"], &parameters, Some(&id)).await?;
            made.refund().map_err(unexpected)
        })
    }

    fn saved<'a>(&'a self, setup: &'a str) -> Answer<'a, Option<Saved>> {
        Box::pin(async move {
            let setup: SetupDocument = self.client.get(&["setup_intents", setup], &[]).await?;
            let Some((customer, method)) = setup.succeeded() else { return Ok(None) };
            let method: MethodDocument = self.client.get(&["payment_methods", &method], &[]).await?;
            Ok(Some(Saved { customer, method: method.saved() }))
        })
    }

    fn dispute<'a>(&'a self, dispute: &'a str) -> Answer<'a, Option<ToldDispute>> {
        Box::pin(async move {
            let document: DisputeDocument = self.client.get(&["disputes", dispute], &[]).await?;
            document.told().map_err(unexpected)
        })
    }

    fn disputes_since(&self, since: Micros) -> Answer<'_, Vec<ToldDispute>> {
        Box::pin(async move {
            let since = since.seconds().to_string();
            let found: Vec<DisputeDocument> = self.client.list(&["disputes"], &[("created[gte]", &since)]).await?;
            let told: Result<Vec<Option<ToldDispute>>, String> = found.into_iter().map(DisputeDocument::told).collect();
            Ok(told.map_err(unexpected)?.into_iter().flatten().collect())
        })
    }

    fn payout<'a>(&'a self, payout: &'a str) -> Answer<'a, ToldPayout> {
        Box::pin(async move {
            let document: PayoutDocument = self.client.get(&["payouts", payout], &[]).await?;
            self.told_payout(document).await
        })
    }

    fn payouts_since(&self, since: Micros) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let since = since.seconds().to_string();
            let found: Vec<PayoutDocument> = self.client.list(&["payouts"], &[("created[gte]", &since)]).await?;
            Ok(found.into_iter().map(|payout| payout.id).collect())
        })
    }
}

/// The amount to charge, in Stripe's units.
fn charged(amount: Money) -> Result<String, ProviderError> {
    let units = amount::to_stripe(amount).ok_or_else(|| ProviderError::Amount {
        provider: NAME,
        amount: amount.to_string(),
        reason: "Stripe takes no such amounts",
    })?;
    Ok(units.to_string())
}

fn unexpected(reason: String) -> ProviderError {
    ProviderError::Unexpected { provider: NAME, reason }
}
