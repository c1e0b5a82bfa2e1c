//! Coupons: what an issuer takes off the bills of tenants that redeem them.
//!
//! The instant at which a coupon was redeemed decides for which periods of a bill it counts. No counter
//! runs down, so a bill that is computed again has the same coupons.

mod redeem;
mod rows;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::redeem::{CouponRedemption, Redemption};
use crate::{
    id::TenantId,
    money::{Currency, Decimal, Money},
    plan::{PlanId, subscription::cycles::BillCycles, validate_meter},
    store::StoreError,
    time::{Micros, TimeError, Window},
};

/// Most periods of a coupon.
pub const PERIODS_MAX: u32 = 120;

/// Longest code.
const CODE_LENGTH_MAX: usize = 64;

/// Most plans that one coupon names.
const PLANS_MAX: usize = 100;

/// A coupon. It never changes; it can be archived, so that nobody redeems it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coupon {
    /// The issuer of the bills.
    pub issuer: TenantId,
    /// The code by which it is redeemed, unique within the issuer.
    pub code: String,
    /// The percentage or amount that it takes off.
    pub discount: CouponDiscount,
    /// The periods for which it counts.
    pub duration: CouponDuration,
    /// Plans for whose bills it is; none: every plan.
    pub plans: Vec<PlanId>,
    /// The meter for whose usage it is; none: all lines.
    pub meter: Option<String>,
    /// The instant from which on nobody redeems it.
    pub redeem_by: Option<Micros>,
    /// Most tenants that redeem it.
    pub max_redemptions: Option<u32>,
    /// Time at which it was made.
    pub created_at: Micros,
    /// Time at which it was archived.
    pub archived_at: Option<Micros>,
}

/// A coupon's code: 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponCode(String);

impl CouponCode {
    /// The code itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CouponCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_code = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=CODE_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_code) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("code: use 1 to {CODE_LENGTH_MAX} letters, digits, - and _"))
    }
}

/// The percentage or amount that a coupon takes off each period's bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CouponDiscount {
    /// Percent, above 0 and up to 100.
    Percent(Decimal),
    /// An amount, above zero; only bills in its currency.
    Amount(Money),
}

/// The periods for which a coupon counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CouponDuration {
    /// The one in which it is redeemed.
    Once,
    /// So many, that one included.
    Periods(u32),
    /// That one and all that follow.
    Forever,
}

/// A coupon that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCoupon {
    /// The issuer; the actor's own tenant or the only root unless stated.
    pub issuer: Option<TenantId>,
    /// The code.
    pub code: String,
    /// The percentage or amount that it takes off.
    pub discount: CouponDiscount,
    /// The periods for which it counts.
    pub duration: CouponDuration,
    /// Plans for whose bills it is.
    pub plans: Vec<PlanId>,
    /// The meter for whose usage it is.
    pub meter: Option<String>,
    /// The instant from which on nobody redeems it.
    pub redeem_by: Option<Micros>,
    /// Most tenants that redeem it.
    pub max_redemptions: Option<u32>,
}

impl CouponDiscount {
    fn check(self) -> Result<(), String> {
        match self {
            Self::Percent(percent)
                if percent <= Decimal::ZERO || percent > Decimal::ONE_HUNDRED || percent.scale() > 4 =>
            {
                Err(format!(
                    "percent: {percent} is no discount: use more than 0, up to 100, with at most 4 decimal places"
                ))
            }
            Self::Amount(amount) if amount.minor() <= 0 => Err(format!("amount: {amount} takes nothing off")),
            Self::Percent(_) | Self::Amount(_) => Ok(()),
        }
    }

    /// The discount that columns hold.
    fn of(percent: Option<Decimal>, amount: Option<(i64, Currency)>) -> Option<Self> {
        match (percent, amount) {
            (Some(percent), None) => Some(Self::Percent(percent)),
            (None, Some((minor, currency))) => Some(Self::Amount(Money::from_minor(minor, currency))),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

impl CouponDuration {
    /// The word in the store and in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Periods(_) => "periods",
            Self::Forever => "forever",
        }
    }

    /// Its number of periods, if it has one.
    pub const fn periods(self) -> Option<u32> {
        match self {
            Self::Periods(periods) => Some(periods),
            Self::Once | Self::Forever => None,
        }
    }

    /// The duration of a word and a number of periods.
    pub fn of(word: &str, periods: Option<u32>) -> Result<Self, String> {
        match (word, periods) {
            ("once", None) => Ok(Self::Once),
            ("forever", None) => Ok(Self::Forever),
            ("periods", Some(periods)) if (1..=PERIODS_MAX).contains(&periods) => Ok(Self::Periods(periods)),
            ("periods", _) => Err(format!("periods: use 1 to {PERIODS_MAX}")),
            ("once" | "forever", Some(_)) => Err(format!("periods: a coupon with duration `{word}` has none")),
            _ => Err(format!("duration: `{word}` is none: use once, periods or forever")),
        }
    }

    /// Returns true if a coupon that was redeemed at `redeemed_at` counts for a period of a bill.
    fn counts(self, redeemed_at: Micros, period: Window, cycles: &BillCycles) -> Result<bool, TimeError> {
        let most = match self {
            Self::Forever => return Ok(period.end > redeemed_at),
            Self::Once => 1,
            Self::Periods(most) => most,
        };
        let mut at = redeemed_at;
        for _ in 0..most {
            let Some(one) = cycles.period_at(at)? else { return Ok(false) };
            if one.window.contains(period.start) {
                return Ok(true);
            }
            at = one.window.end;
        }
        Ok(false)
    }
}

impl NewCoupon {
    /// Refuses what makes no sense; the reason names the field.
    fn check(&self, now: Micros) -> Result<(), StoreError> {
        let found = if let Err(reason) = self.code.parse::<CouponCode>() {
            Err(reason)
        } else if self.plans.len() > PLANS_MAX {
            Err(format!("plans: {} are too many: use at most {PLANS_MAX}", self.plans.len()))
        } else if let Some(past) = self.redeem_by.filter(|redeem_by| *redeem_by <= now) {
            Err(format!("redeem_by: {past} has passed"))
        } else if self.max_redemptions == Some(0) {
            Err("max_redemptions: use 1 or more".to_owned())
        } else if let Some(Err(error)) = self.meter.as_deref().map(validate_meter) {
            Err(format!("meter: {error}"))
        } else {
            self.discount
                .check()
                .and_then(|()| CouponDuration::of(self.duration.word(), self.duration.periods()).map(drop))
        };
        found.map_err(StoreError::refused)
    }
}

/// A percentage or an amount of a currency, of which there is one: texts as documents hold them.
pub fn discount_of(
    percent: Option<&str>,
    amount: Option<&str>,
    currency: Option<Currency>,
) -> Result<CouponDiscount, String> {
    match (percent, amount, currency) {
        (Some(percent), None, None) => {
            let number = percent.parse().map_err(|_| format!("percent: `{percent}` is not a number"))?;
            Ok(CouponDiscount::Percent(number))
        }
        (None, Some(amount), Some(currency)) => {
            let amount = Money::parse(amount, currency).map_err(|error| format!("amount: {error}"))?;
            Ok(CouponDiscount::Amount(amount))
        }
        (None, Some(_), None) => Err("currency: an amount has one".to_owned()),
        _ => Err("percent: a coupon has either a percentage, or an amount with its currency".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{
            BillingTerms,
            subscription::{BillingOverride, Subscription},
        },
        time::{Alignment, CycleUnit, Zone},
    };

    /// Months of the calendar, and from March on years from the day of the change.
    fn cycles() -> BillCycles {
        let instant = |day: &str| format!("{day}T00:00:00Z").parse().unwrap();
        let subscription = |start: &str, end: Option<&str>| Subscription {
            tenant: TenantId::from_u128(1),
            plan_owner: TenantId::from_u128(2),
            plan: "a".parse().unwrap(),
            version: 1,
            starts_at: instant(start),
            ends_at: end.map(instant),
        };
        let (months, years) = (subscription("2026-01-01", Some("2026-03-10")), subscription("2026-03-10", None));
        let monthly = BillingTerms::default();
        let yearly =
            BillingTerms { cycle: CycleUnit::Year, alignment: Alignment::Anniversary, ..BillingTerms::default() };
        let none = BillingOverride::NONE;
        BillCycles::new([(&months, Some(&monthly), &none), (&years, Some(&yearly), &none)], &Zone::utc()).unwrap()
    }

    #[test]
    fn coupon_counts_from_the_period_in_which_it_is_redeemed() {
        let redeemed_at: Micros = "2026-01-31T10:00:00Z".parse().unwrap();
        let cycles = cycles();
        let mut periods = vec![cycles.period_at("2025-12-05T00:00:00Z".parse().unwrap()).unwrap().unwrap().window];
        while periods.len() < 6 {
            let next = periods.last().unwrap().end;
            periods.push(cycles.period_at(next).unwrap().unwrap().window);
        }
        let of = |duration: CouponDuration| {
            let counts = |period: &Window| duration.counts(redeemed_at, *period, &cycles).unwrap();
            periods.iter().map(counts).collect::<Vec<_>>()
        };
        // December, January, February, ten days of March, a year, another year.
        assert_eq!(of(CouponDuration::Once), [false, true, false, false, false, false]);
        assert_eq!(of(CouponDuration::Periods(2)), [false, true, true, false, false, false]);
        assert_eq!(of(CouponDuration::Periods(4)), [false, true, true, true, true, false]);
        assert_eq!(of(CouponDuration::Forever), [false, true, true, true, true, true]);
    }

    #[test]
    fn coupons_that_make_no_sense_are_refused_with_the_field() {
        let good = NewCoupon {
            issuer: None,
            code: "SPRING-26".into(),
            discount: CouponDiscount::Percent(20.into()),
            duration: CouponDuration::Once,
            plans: Vec::new(),
            meter: None,
            redeem_by: None,
            max_redemptions: None,
        };
        assert!(good.check(Micros(5)).is_ok());
        let zero = Money::zero(Currency::EUR);
        for (wrong, field) in [
            (NewCoupon { discount: CouponDiscount::Percent(120.into()), ..good.clone() }, "percent: 120"),
            (NewCoupon { discount: CouponDiscount::Percent(0.into()), ..good.clone() }, "percent: 0"),
            (NewCoupon { discount: CouponDiscount::Amount(zero), ..good.clone() }, "amount: "),
            (NewCoupon { code: "two words".into(), ..good.clone() }, "code: "),
            (NewCoupon { code: String::new(), ..good.clone() }, "code: "),
            (NewCoupon { duration: CouponDuration::Periods(0), ..good.clone() }, "periods: "),
            (NewCoupon { duration: CouponDuration::Periods(121), ..good.clone() }, "periods: "),
            (NewCoupon { redeem_by: Some(Micros(5)), ..good.clone() }, "redeem_by: "),
            (NewCoupon { max_redemptions: Some(0), ..good.clone() }, "max_redemptions: "),
            (NewCoupon { meter: Some("no meter".into()), ..good }, "meter: "),
        ] {
            let error = wrong.check(Micros(5)).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
