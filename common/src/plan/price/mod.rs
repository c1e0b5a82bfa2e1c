//! Price models: what the units of a meter come to in a period.
//!
//! One file a model. Each is a pure function from what was measured to exact parts; a part becomes
//! one line of a bill and is rounded there, once. A model is asked for the parts between what was
//! billed before and what was measured by now, so a bill in mid-period, late usage and a correction
//! are priced in the tiers of their own period: the parts of all bills of a period add up to the
//! parts of one bill for all of it.

mod graduated;
mod package;
mod per_unit;
mod percentage;
mod tier;
mod volume;

pub use percentage::Percentage;
use tier::Fault;
pub use tier::Tier;

use crate::money::{Decimal, Exact, UnitPrice};

/// A rule by which the units of a meter are priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    /// Every unit has the same price.
    PerUnit(UnitPrice),
    /// Each tier prices the units that fall into it.
    Graduated(Vec<Tier>),
    /// The tier that all units together reach prices all of them.
    Volume(Vec<Tier>),
    /// Packages of so many units, each begun one in full.
    Package(UnitPrice),
    /// A share of an amount that the units stand for, and a fixed part per request.
    Percentage(Percentage),
}

/// Counts of a meter, beyond the allowance of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Units.
    pub units: u64,
    /// Requests that they came from.
    pub requests: u64,
}

impl Measured {
    /// Requests that so many of its units came from, if all requests are alike; rounded down.
    pub fn requests_of(&self, units: u64) -> u64 {
        match u128::from(self.requests) * u128::from(units) {
            0 => 0,
            product => u64::try_from(product / u128::from(self.units.max(1))).unwrap_or(u64::MAX).min(self.requests),
        }
    }
}

/// A part of what a charge comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The kind of part.
    pub kind: PartKind,
    /// The unit with which its tier begins, and the one with which it ends; none: it has no end.
    pub tier: (u64, Option<u64>),
    /// Units; below zero if fewer were measured than were billed before.
    pub units: i128,
    /// Exactly what they come to, in major units of the currency.
    pub amount: Exact,
}

/// The kinds of part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartKind {
    /// Units at a price each.
    Units(UnitPrice),
    /// Units that a fixed part of their tier pays for.
    FixedUnits,
    /// The fixed part of a tier, beside the price of its units.
    Fixed,
    /// Packages, each of so many units at that price.
    Packages(i128, UnitPrice),
    /// A share of an amount.
    Share(Percentage),
    /// The fixed part of so many requests.
    PerRequest(i128, Decimal),
    /// The difference that it makes to all units that they reach another tier.
    TierChange,
}

impl Price {
    /// The parts of what was measured since `before`; nothing was billed yet if that is none. Parts
    /// without units that come to nothing are left out.
    pub fn parts(&self, before: Option<Measured>, after: Measured) -> Vec<Part> {
        let units = (before.map(|before| before.units), after.units);
        let mut parts = match self {
            Self::PerUnit(price) => per_unit::parts(price, units),
            Self::Graduated(tiers) => graduated::parts(tiers, units),
            Self::Volume(tiers) => volume::parts(tiers, units),
            Self::Package(price) => package::parts(price, units),
            Self::Percentage(percentage) => percentage.parts(before.unwrap_or_default(), after),
        };
        parts.retain(|part| part.units != 0 || !part.amount.is_zero());
        parts
    }

    /// The exact amount for all of a period.
    pub fn total(&self, measured: Measured) -> Exact {
        self.parts(None, measured).into_iter().map(|part| part.amount).sum()
    }

    /// The tiers, if the model has some.
    pub fn tiers(&self) -> &[Tier] {
        match self {
            Self::Graduated(tiers) | Self::Volume(tiers) => tiers,
            Self::PerUnit(_) | Self::Package(_) | Self::Percentage(_) => &[],
        }
    }

    /// Returns true if more units never cost less.
    pub const fn is_monotonic(&self) -> bool {
        !matches!(self, Self::Volume(_))
    }

    /// The name of the model in plan files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PerUnit(_) => "per_unit",
            Self::Graduated(_) => "tiers",
            Self::Volume(_) => "volume",
            Self::Package(_) => "package",
            Self::Percentage(_) => "percentage",
        }
    }

    /// Its faults, each with the way to it from the charge.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let located = |(rest, reason): Fault| (std::iter::once(self.name().into()).chain(rest).collect(), reason);
        let found = match self {
            Self::PerUnit(price) | Self::Package(price) => tier::price_faults(price, ""),
            Self::Graduated(tiers) | Self::Volume(tiers) => tier::faults(tiers),
            Self::Percentage(percentage) => percentage.faults(),
        };
        found.into_iter().map(located).collect()
    }

    /// The counts of units at which it comes to most, for counts up to `most`.
    pub(super) fn extremes(&self, most: u64) -> Vec<u64> {
        let ends = self.tiers().iter().filter_map(|tier| tier.up_to).filter(|up_to| *up_to < most);
        ends.chain(std::iter::once(most)).collect()
    }
}

/// Signed difference of two counts.
fn difference(before: u64, after: u64) -> i128 {
    i128::from(after) - i128::from(before)
}

#[cfg(test)]
mod tests;
