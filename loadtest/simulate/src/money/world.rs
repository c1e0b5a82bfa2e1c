//! A store in which a history happens, beside the model that says what must come of it.

use std::{collections::BTreeMap, path::Path};

use billing::{
    invoice::{InvoiceError, IssueOptions, issue},
    reconcile::reconcile,
};
use common::{
    id::{InvoiceId, KeyId, PaymentId, TenantId},
    invoice::{
        BillingDetails, InvoiceStatus, NewCreditNote,
        tax::{TaxRule, Treatment},
    },
    key::Mode,
    ledger::Account,
    money::{Currency, Decimal, Money},
    payment::NewPayment,
    plan::{PlanFile, PlanId, REQUESTS_METER, subscription::PlanStart},
    store::{Store, StoreError},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Period, Zone},
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
    wallet::{GrantKind, NewWalletGrant},
};

use super::{
    Failure,
    books::{Accounts, Books, Grant, Status},
    crash::{Crash, MESSAGE},
    model::{Bill, Model, ROOT, Tenant, Units},
    price::{Plan, RESELLER_PLANS, ROOT_PLANS, Tax},
    script::{Act, Batch, RESELLERS, Script, Step, TENANTS},
};

/// Earlier months in which late usage is looked for.
const LATE_MONTHS: u32 = 3;

/// The store and the model.
pub(super) struct World {
    store: Store,
    crash: Crash,
    ids: Vec<TenantId>,
    model: Model,
    books: Books,
    /// Invoices and payments of the store, by place in the model.
    invoices: Vec<InvoiceId>,
    payments: Vec<PaymentId>,
    /// Batches that are booked.
    booked: Vec<bool>,
    references: u32,
    /// Crashes that there were.
    pub(super) crashes: usize,
}

/// An answer of the store, or of the simulated crash.
enum Answer<T> {
    Done(T),
    Refused(String),
}

impl World {
    /// An empty store with the tenants and plans of a history.
    pub(super) async fn new(directory: &Path, script: &Script) -> Result<Self, Failure> {
        let path = directory.join("store.db").display().to_string();
        let (store, _) = Store::open_and_migrate(&format!("sqlite://{path}")).await?;
        let began = Micros(script.steps.first().map_or(0, |step| step.at) - 1_000_000_000);
        let mut ids: Vec<TenantId> = Vec::new();
        let mut model = Model::default();
        for (place, zone) in script.zones.iter().enumerate() {
            let kind = match place {
                ROOT => TenantKind::Root,
                1..=RESELLERS => TenantKind::Reseller,
                _ => TenantKind::Customer,
            };
            // Customers are under the root and under both resellers.
            let parent = if place <= RESELLERS { ROOT } else { place % (RESELLERS + 1) };
            let zone_of = zone.parse().unwrap_or_else(|_| Zone::utc());
            let above = (place != ROOT).then(|| ids[parent]);
            let new = NewTenant { parent: above, kind, name: format!("Tenant {place}"), zone: zone_of, plan: None };
            ids.push(store.create_tenant(&new, began).await?.id);
            model.tenants.push(Tenant::new(zone, parent, Tax::Nothing)?);
        }
        for (owner, text) in
            [(None, ROOT_PLANS)].into_iter().chain((1..=RESELLERS).map(|one| (Some(ids[one]), RESELLER_PLANS)))
        {
            let plans = PlanFile::parse(text, "money").map_err(|error| Failure::of(error.to_string()))?;
            store.apply_plans_of(owner, &plans.plans, began).await?;
        }
        let crash = Crash::install(&path).await?;
        let booked = vec![false; script.batches.len()];
        let (invoices, payments, books) = (Vec::new(), Vec::new(), Books::default());
        let mut world = Self { store, crash, ids, model, books, invoices, payments, booked, references: 0, crashes: 0 };
        for (tenant, tax) in script.taxes.iter().enumerate() {
            world.set_tax(tenant, *tax, began).await?;
        }
        Ok(world)
    }

    pub(super) fn invoice_count(&self) -> usize {
        self.invoices.len()
    }

    /// Lets a step happen, perhaps with a crash before, perhaps twice.
    pub(super) async fn step(&mut self, script: &Script, step: &Step) -> Result<(), Failure> {
        if let Some(writes) = step.crash {
            self.crash.arm(writes).await?;
        }
        let first = self.act(script, step).await;
        self.crash.disarm().await?;
        match first {
            Err(error) if step.crash.is_some() && error.what.contains(MESSAGE) => {
                self.crashes += 1;
                self.act(script, step).await?;
            }
            outcome => outcome?,
        }
        if step.is_repeated && step.act.may_be_repeated() {
            self.act(script, step).await?;
        }
        Ok(())
    }

    async fn act(&mut self, script: &Script, step: &Step) -> Result<(), Failure> {
        let now = Micros(step.at);
        match &step.act {
            Act::Assign { tenant, plan, at_period_end } => self.assign(*tenant, *plan, *at_period_end, now).await,
            Act::Cancel { tenant, at_period_end } => {
                let start = if *at_period_end { PlanStart::PeriodEnd } else { PlanStart::Now };
                self.store.end_subscription(self.ids[*tenant], start, now).await?;
                let end = self.start_of(*tenant, *at_period_end, now)?;
                self.model.tenants[*tenant].cancel(end, now.0);
                Ok(())
            }
            Act::Move { tenant, to } => self.move_tenant(*tenant, *to, now).await,
            Act::Tax { tenant, tax } => self.set_tax(*tenant, *tax, now).await,
            Act::Deliver { batch } => self.deliver(*batch, &script.batches[*batch], now).await,
            Act::Run { month } => self.run(*month, now).await,
            Act::Pay { pick, percent } => self.pay(*pick, *percent, now).await,
            Act::CreditNote { pick, line, percent } => self.credit_note(*pick, *line, *percent, now).await,
            Act::Refund { pick, percent } => self.refund(*pick, *percent, now).await,
            Act::Grant { tenant, cents, is_given, days } => self.grant(*tenant, *cents, *is_given, *days, now).await,
            Act::Expire => {
                self.store.expire_money(now).await?;
                self.books.expire(now.0);
                Ok(())
            }
            Act::Void { pick } => self.close(*pick, Status::Void, now).await,
            Act::WriteOff { pick } => self.close(*pick, Status::GivenUp, now).await,
        }
    }

    /// The instant from which on a change counts.
    fn start_of(&self, tenant: usize, at_period_end: bool, now: Micros) -> Result<i64, Failure> {
        if !at_period_end {
            return Ok(now.0);
        }
        let tenant = &self.model.tenants[tenant];
        for month in 0.. {
            let (start, end) = tenant.window(month)?;
            if now.0 < start {
                break;
            }
            if now.0 < end {
                return Ok(end);
            }
        }
        Err(Failure::of(format!("{} is before the first month", now.0)))
    }

    async fn assign(&mut self, tenant: usize, plan: Plan, at_period_end: bool, now: Micros) -> Result<(), Failure> {
        let parent = self.model.tenants[tenant].parent(now.0);
        // Nobody but customers of resellers is offered the plan of one.
        let plan = if plan == Plan::Retail && parent == ROOT { Plan::Flat } else { plan };
        let issuer = if plan == Plan::Retail { parent } else { ROOT };
        let start = if at_period_end { PlanStart::PeriodEnd } else { PlanStart::Now };
        self.store.assign_plan(self.ids[tenant], &plan_id(plan)?, None, start, now).await?;
        let starts_at = self.start_of(tenant, at_period_end, now)?;
        self.model.tenants[tenant].assign(plan, issuer, starts_at, now.0);
        Ok(())
    }

    /// Moves a customer, with a plan of the root's, as that of a reseller would be left behind.
    async fn move_tenant(&mut self, tenant: usize, to: usize, now: Micros) -> Result<(), Failure> {
        if tenant <= RESELLERS || self.model.tenants[tenant].parent(now.0) == to {
            return Ok(());
        }
        self.assign(tenant, Plan::Tiered, false, now).await?;
        self.store.move_tenant(self.ids[tenant], self.ids[to], None, now).await?;
        self.model.tenants[tenant].move_to(to, now.0);
        Ok(())
    }

    async fn set_tax(&mut self, tenant: usize, tax: Tax, now: Micros) -> Result<(), Failure> {
        let rule = |treatment, tenths: i128| {
            let percent = i64::try_from(tenths).map_or(Decimal::ZERO, |tenths| Decimal::new(tenths, 1));
            TaxRule { treatment, percent }
        };
        let rule = match tax {
            Tax::Nothing => None,
            Tax::OnTop(tenths) => Some(rule(Treatment::Exclusive, tenths)),
            Tax::Within(tenths) => Some(rule(Treatment::Inclusive, tenths)),
        };
        let details = BillingDetails { tax: rule, ..BillingDetails::default() };
        self.store.set_billing_details(self.ids[tenant], &details, now).await?;
        self.model.tenants[tenant].tax = tax;
        Ok(())
    }

    async fn deliver(&mut self, place: usize, batch: &Batch, now: Micros) -> Result<(), Failure> {
        let stream = StreamId::new("edge", 1, 0).map_err(|error| Failure::of(error.to_string()))?;
        let entries = batch.records.iter().map(|record| {
            UsageEntry::Request(UsageRecord {
                at: Micros(record.at),
                tenant: self.ids[record.tenant],
                key: KeyId::from_u128(7),
                route: "api".into(),
                meter: REQUESTS_METER.into(),
                units: record.units,
                status: 200,
                billable: true,
                mode: Mode::Live,
                prepaid: record.prepaid,
            })
        });
        let usage = UsageBatch { stream, first_seq: batch.first_seq, entries: entries.collect() };
        self.store.book_usage(&usage, now).await?;
        if !std::mem::replace(&mut self.booked[place], true) {
            self.model.used.extend(batch.records.iter().map(|record| super::model::Use {
                tenant: record.tenant,
                at: record.at,
                units: record.units,
                prepaid: record.prepaid,
            }));
        }
        Ok(())
    }

    /// Runs a month, and holds each invoice against the model.
    async fn run(&mut self, month: u32, now: Micros) -> Result<(), Failure> {
        let period: Period =
            format!("{}-{:02}", 2_026 + month / 12, month % 12 + 1).parse().map_err(|_| Failure::of("month".into()))?;
        let options = IssueOptions { now, grace_seconds: 0, late_periods: LATE_MONTHS };
        let run = issue(&self.store, period, None, options).await?;
        if let Some(failed) = run.failed.first() {
            return Err(Failure::of(format!("{} could not be billed: {}", failed.tenant_name, failed.reason)));
        }
        let place = |tenant: TenantId| self.ids.iter().position(|id| *id == tenant).unwrap_or(ROOT);
        // A crash may have come after some invoices: those are issued before then.
        let all = run.issued.iter().chain(&run.before);
        let found: BTreeMap<Bill, InvoiceId> =
            all.map(|invoice| ((place(invoice.tenant), place(invoice.issuer)), invoice.id)).collect();
        for (bill, units) in self.due_bills(month)? {
            let Some(id) = found.get(&bill) else {
                return Err(Failure::of(format!("no invoice of {bill:?} in month {month}")));
            };
            if self.books.find(bill, month).is_none() {
                self.issue(bill, month, &units, *id, now)?;
            }
        }
        for (bill, id) in &found {
            let known = self.books.invoices.iter().zip(&self.invoices).find(|(_, known)| *known == id);
            if known.is_none_or(|(one, _)| one.bill != *bill || one.month != month) {
                return Err(Failure::of(format!("{id} of {bill:?} in month {month} is too much")));
            }
        }
        self.compare().await
    }

    /// The bills of a month, each with the units of this and earlier months that are not billed.
    fn due_bills(&self, month: u32) -> Result<BTreeMap<Bill, BTreeMap<u32, Units>>, Failure> {
        let mut due: BTreeMap<Bill, BTreeMap<u32, Units>> = BTreeMap::new();
        let used = self.model.usage(month)?;
        for tenant in 1..TENANTS {
            for issuer in self.model.tenants[tenant].issuers(month)? {
                let bill = (tenant, issuer);
                let units = used.get(&bill).copied().unwrap_or_default();
                due.entry(bill).or_default().insert(month, units.less(self.books.billed(bill, month)));
            }
        }
        for earlier in month.saturating_sub(LATE_MONTHS)..month {
            for (bill, units) in self.model.usage(earlier)? {
                let late = units.less(self.books.billed(bill, earlier));
                if late.records != 0 && self.books.find(bill, earlier).is_some() {
                    due.entry(bill).or_default().insert(earlier, late);
                }
            }
        }
        Ok(due)
    }

    /// Adds an invoice to the model, and compares it.
    fn issue(
        &mut self,
        bill: Bill,
        month: u32,
        units: &BTreeMap<u32, Units>,
        id: InvoiceId,
        now: Micros,
    ) -> Result<(), Failure> {
        let mut lines = 0;
        for (of, more) in units {
            let billed = self.books.billed(bill, *of).owed;
            let before = if *of == month { 0 } else { self.model.due(bill, *of, billed)? };
            lines += self.model.due(bill, *of, billed + more.owed)? - before;
        }
        let tax = self.model.tenants[bill.0].tax;
        self.books.issue(bill, month, units.clone(), lines, tax, now.0);
        self.invoices.push(id);
        Ok(())
    }

    async fn pay(&mut self, pick: usize, percent: i128, now: Micros) -> Result<(), Failure> {
        let Some(place) = some(pick, self.invoices.len()) else { return Ok(()) };
        let amount = (self.books.invoices[place].open * percent / 100).max(1);
        let reference = format!("payment {}", self.next_reference());
        let new = NewPayment {
            invoice: self.invoices[place],
            amount: usd(amount),
            method: "bank".into(),
            reference,
            received_at: now,
        };
        let answer = answer(self.store.record_payment(&new, now).await)?;
        let expected = self.books.pay(place, amount);
        if let Answer::Done(payment) = &answer {
            self.payments.push(payment.id);
            self.crash.disarm().await?;
            let again = self.store.record_payment(&new, now).await?;
            agree("a payment that is repeated", again.id, payment.id)?;
        }
        answer.agree("payment", expected)
    }

    async fn credit_note(&mut self, pick: usize, line: usize, percent: i128, now: Micros) -> Result<(), Failure> {
        let Some(place) = some(pick, self.invoices.len()) else { return Ok(()) };
        let id = self.invoices[place];
        let mut left: Vec<i64> =
            self.store.invoice(id).await?.content.lines.iter().map(|line| line.amount_minor).collect();
        for taken in self.store.credit_notes(id).await?.iter().flat_map(|note| &note.lines) {
            left[taken.line] -= taken.amount_minor;
        }
        let Some(line) = some(line, left.len()) else { return Ok(()) };
        let asked = i128::from(left[line]) * percent / 100;
        if asked <= 0 {
            return Ok(());
        }
        let minor = i64::try_from(asked).unwrap_or(i64::MAX);
        let new = NewCreditNote { lines: vec![(line, minor)], reason: "too much".into() };
        let answer = answer(self.store.issue_credit_note(id, &new, now).await)?;
        let expected = if asked > i128::from(left[line]) { None } else { self.books.credit_note(place, asked) };
        if let (Answer::Done(note), Some(total)) = (&answer, expected) {
            agree("total of a credit note", i128::from(note.total.minor()), total)?;
        }
        answer.agree("credit note", expected.is_some())
    }

    async fn refund(&mut self, pick: usize, percent: i128, now: Micros) -> Result<(), Failure> {
        let Some(place) = some(pick, self.payments.len()) else { return Ok(()) };
        let amount = (self.books.refundable(place) * percent / 100).max(1);
        let reference = format!("refund {}", self.next_reference());
        let payment = self.payments[place];
        let answer = answer(self.store.refund_payment(payment, usd(amount), &reference, now).await)?;
        let expected = self.books.refund(place, amount);
        answer.agree("refund", expected)
    }

    async fn grant(
        &mut self,
        tenant: usize,
        cents: i64,
        is_given: bool,
        days: Option<i64>,
        now: Micros,
    ) -> Result<(), Failure> {
        let expires_at = days.map(|days| now.plus_seconds(days * 86_400));
        let new = NewWalletGrant {
            issuer: None,
            tenant: self.ids[tenant],
            amount: Money::from_minor(cents, Currency::USD),
            kind: if is_given { GrantKind::Promotional } else { GrantKind::Paid },
            priority: common::wallet::PRIORITY_DEFAULT,
            expires_at,
            reference: format!("grant {}", self.next_reference()),
            reason: None,
        };
        self.store.grant_money(&new, now).await?;
        self.crash.disarm().await?;
        self.store.grant_money(&new, now).await?;
        let bill = (tenant, self.model.tenants[tenant].parent(now.0));
        let (granted_at, expires_at) = (now.0, expires_at.map(|at| at.0));
        self.books.grant(Grant { bill, left: cents.into(), is_given, granted_at, expires_at });
        Ok(())
    }

    /// Voids an invoice or gives it up.
    async fn close(&mut self, pick: usize, status: Status, now: Micros) -> Result<(), Failure> {
        let Some(place) = some(pick, self.invoices.len()) else { return Ok(()) };
        let id = self.invoices[place];
        let (answer, expected) = if status == Status::Void {
            (answer(self.store.void_invoice(id, "wrong", now).await)?, self.books.void(place))
        } else {
            (answer(self.store.write_off_invoice(id, "gone", now).await)?, self.books.write_off(place))
        };
        answer.agree("end of an invoice", expected)
    }

    /// Names what is done next, and not what was tried before a crash: that names it again.
    fn next_reference(&mut self) -> u32 {
        self.references += 1;
        self.references
    }

    /// Compares all invoices, and all accounts of the ledger.
    async fn compare(&self) -> Result<(), Failure> {
        for (id, expected) in self.invoices.iter().zip(&self.books.invoices) {
            let found = self.store.invoice(*id).await?;
            let status = match found.status {
                InvoiceStatus::Finalized => Status::Open,
                InvoiceStatus::Paid => Status::Paid,
                InvoiceStatus::Void => Status::Void,
                InvoiceStatus::Uncollectible => Status::GivenUp,
            };
            let amounts =
                [found.content.subtotal_minor, found.content.tax_minor, found.credit_used.minor(), found.open.minor()];
            let of_model = [expected.net, expected.tax_amount, expected.credit_used, expected.open];
            let what =
                format!("{} of {:?} in month {} [net, tax, credit, open]", found.number, expected.bill, expected.month);
            agree(&what, (amounts.map(i128::from), status), (of_model, expected.status))?;
        }
        for tenant in 1..TENANTS {
            agree(&format!("accounts of tenant {tenant}"), self.accounts(tenant).await?, self.books.accounts(tenant))?;
        }
        Ok(())
    }

    async fn accounts(&self, tenant: usize) -> Result<Accounts, Failure> {
        let mut found = Accounts::default();
        for balance in self.store.balances(self.ids[tenant]).await? {
            let account = match balance.account {
                Account::Receivable => &mut found.receivable,
                Account::Credit => &mut found.credit,
                // The audit proves how much of it is earned.
                Account::Revenue | Account::DeferredRevenue => &mut found.revenue,
                Account::Tax => &mut found.tax,
                Account::Cash => &mut found.cash,
                Account::WriteOff => &mut found.write_off,
                Account::Promotion => &mut found.promotion,
            };
            *account += i128::from(balance.amount.minor());
        }
        Ok(found)
    }

    /// Ends the history: the books are clean, and the ledger is as the model has it.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        self.compare().await?;
        let report = reconcile(&self.store, None).await.map_err(|error| Failure::of(error.to_string()))?;
        let gaps = report.open_gaps.len();
        let faults = report.faults();
        // Batches that never came leave gaps, and nothing else.
        if faults.len() > usize::from(gaps > 0) {
            return Err(Failure::of(format!("the audit finds: {}", faults.join("; "))));
        }
        self.crash.close().await;
        self.store.close().await;
        Ok(())
    }
}

impl Act {
    /// True for what changes nothing a second time; what names its own references repeats itself.
    const fn may_be_repeated(&self) -> bool {
        !matches!(
            self,
            Self::Pay { .. } | Self::CreditNote { .. } | Self::Refund { .. } | Self::Grant { .. } | Self::Move { .. }
        )
    }
}

impl<T> Answer<T> {
    /// Compares whether something was done with whether it should be.
    fn agree(self, what: &str, expected: bool) -> Result<(), Failure> {
        match (self, expected) {
            (Self::Done(_), true) | (Self::Refused(_), false) => Ok(()),
            (Self::Done(_), false) => Err(Failure::of(format!("{what} was taken, and should be refused"))),
            (Self::Refused(reason), true) => Err(Failure::of(format!("{what} was refused: {reason}"))),
        }
    }
}

/// Tells a refusal from a failure.
fn answer<T>(result: Result<T, StoreError>) -> Result<Answer<T>, Failure> {
    match result {
        Ok(done) => Ok(Answer::Done(done)),
        Err(error @ (StoreError::Refused(_) | StoreError::Conflict(_))) if !error.to_string().contains(MESSAGE) => {
            Ok(Answer::Refused(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn agree<T: PartialEq + std::fmt::Debug + Copy>(what: &str, found: T, expected: T) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(Failure::of(format!("{what}: {found:?}, and the model has {expected:?}")))
}

/// A place among so many, if there are any.
fn some(pick: usize, count: usize) -> Option<usize> {
    pick.checked_rem(count)
}

fn usd(cents: i128) -> Money {
    Money::from_minor(i64::try_from(cents).unwrap_or(i64::MAX), Currency::USD)
}

fn plan_id(plan: Plan) -> Result<PlanId, Failure> {
    plan.id().parse().map_err(|_| Failure::of(format!("{plan:?} has no name")))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of(error.to_string())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::of(error.to_string())
    }
}

impl From<jiff::Error> for Failure {
    fn from(error: jiff::Error) -> Self {
        Self::of(error.to_string())
    }
}

impl From<InvoiceError> for Failure {
    fn from(error: InvoiceError) -> Self {
        Self::of(error.to_string())
    }
}
