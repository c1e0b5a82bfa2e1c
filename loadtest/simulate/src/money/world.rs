//! A store in which a history happens, beside the model that says what must come of it.

use std::path::Path;

use common::{
    coupon::{CouponDiscount, CouponDuration, NewCoupon},
    id::{InvoiceId, KeyId, PaymentId, TenantId},
    invoice::{
        BillingDetails,
        tax::{TaxRule, Treatment},
    },
    key::Mode,
    money::{Currency, Decimal, Money},
    plan::{
        PlanFile, PlanId, REQUESTS_METER,
        subscription::{Agreement, PlanStart},
    },
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Zone},
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};

use super::{
    Failure,
    books::{Books, Status},
    crash::{Crash, MESSAGE},
    model::{Agreed, Model, ROOT, Tenant},
    price::{Coupon, Plan, RESELLER_PLANS, ROOT_PLANS, Tax},
    script::{Act, Batch, RESELLERS, Script, Step},
};

/// Earlier months in which late usage is looked for.
pub(super) const LATE_MONTHS: u32 = 3;

/// The store and the model.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) crash: Crash,
    pub(super) ids: Vec<TenantId>,
    pub(super) model: Model,
    pub(super) books: Books,
    /// Invoices and payments of the store, by place in the model.
    pub(super) invoices: Vec<InvoiceId>,
    pub(super) payments: Vec<PaymentId>,
    /// Batches that are booked.
    booked: Vec<bool>,
    pub(super) references: u32,
    /// Crashes that there were.
    pub(super) crashes: usize,
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
        for coupon in Coupon::ALL {
            store.create_coupon(&new_coupon(coupon), began).await?;
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
            Act::Assign { tenant, plan, agreed, at_period_end } => {
                self.assign(*tenant, *plan, *agreed, *at_period_end, now).await
            }
            Act::Redeem { tenant, coupon } => {
                self.store.redeem_coupon(self.ids[*tenant], coupon.code(), now).await?;
                self.model.tenants[*tenant].redeem(*coupon, now.0);
                Ok(())
            }
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

    async fn assign(
        &mut self,
        tenant: usize,
        plan: Plan,
        agreed: Agreed,
        at_period_end: bool,
        now: Micros,
    ) -> Result<(), Failure> {
        let parent = self.model.tenants[tenant].parent(now.0);
        // Nobody but customers of resellers is offered the plan of one.
        let plan = if plan == Plan::Retail && parent == ROOT { Plan::Flat } else { plan };
        let issuer = if plan == Plan::Retail { parent } else { ROOT };
        let start = if at_period_end { PlanStart::PeriodEnd } else { PlanStart::Now };
        let percent = i64::try_from(agreed.percent_off).unwrap_or_default();
        let agreement = Agreement {
            trial_days: agreed.trial_days,
            discount_percent: (percent > 0).then(|| percent.into()),
            ..Agreement::default()
        };
        let starts_at = self.start_of(tenant, at_period_end, now)?;
        self.store.assign_plan_by(self.ids[tenant], &plan_id(plan)?, None, start, &agreement, now).await?;
        self.model.tenants[tenant].assign((plan, issuer), agreed, starts_at, now.0);
        Ok(())
    }

    /// Moves a customer, with a plan of the root's, as that of a reseller would be left behind.
    async fn move_tenant(&mut self, tenant: usize, to: usize, now: Micros) -> Result<(), Failure> {
        if tenant <= RESELLERS || self.model.tenants[tenant].parent(now.0) == to {
            return Ok(());
        }
        self.assign(tenant, Plan::Tiered, Agreed::default(), false, now).await?;
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

    /// Names what is done next, and not what was tried before a crash: that names it again.
    pub(super) fn next_reference(&mut self) -> u32 {
        self.references += 1;
        self.references
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

fn plan_id(plan: Plan) -> Result<PlanId, Failure> {
    plan.id().parse().map_err(|_| Failure::of(format!("{plan:?} has no name")))
}

fn new_coupon(coupon: Coupon) -> NewCoupon {
    let percent = |percent: Decimal| (CouponDiscount::Percent(percent), CouponDuration::Forever);
    let ((discount, duration), meter) = match coupon {
        Coupon::Tenth => (percent(Decimal::TEN), None),
        Coupon::Seven => ((CouponDiscount::Amount(Money::from_minor(700, Currency::USD)), CouponDuration::Once), None),
        Coupon::ThirdOfUnits => (percent(Decimal::new(333_333, 4)), Some(REQUESTS_METER.to_owned())),
    };
    let code = coupon.code().to_owned();
    NewCoupon {
        issuer: None,
        code,
        discount,
        duration,
        plans: Vec::new(),
        meter,
        redeem_by: None,
        max_redemptions: None,
    }
}
