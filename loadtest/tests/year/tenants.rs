//! The twelve tenants and their lives: who does what on which day.

use crate::calendar::{Day, day};

/// Cards that localstripe knows.
const GOOD: &str = "4242424242424242";
const DECLINED: &str = "4000000000000341";
const TO_CONFIRM: &str = "4000002760003184";

/// A tenant and its year.
pub(crate) struct Life {
    pub(crate) name: &'static str,
    pub(crate) zone: &'static str,
    pub(crate) kind: Kind,
    /// Part of its address before the `@`, by which the SMTP server knows how to treat it.
    pub(crate) mailbox: &'static str,
    /// Units on the 5th and the 20th of January; each month has 10 and 7 more.
    pub(crate) units: Option<(u64, u64)>,
    /// Acts by day.
    pub(crate) acts: &'static [(&'static str, Act)],
}

/// Place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A customer of the root.
    Customer,
    /// The reseller below the root.
    Reseller,
    /// A customer of the reseller.
    Retail,
}

/// An act of a tenant, or of its issuer about it. All go through the API.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Is made, with a plan, and a trial of so many days.
    Joins { plan: &'static str, trial_days: u32 },
    /// Saves a card with this number.
    SavesCard(&'static str),
    /// The bank of the card declines it for good from now on.
    CardIsStolen,
    /// Takes another plan at once.
    Takes(&'static str),
    /// Takes another plan once its period has ended.
    TakesLater(&'static str),
    /// Gets the plan `team` in a new version, whose fee is 59.00, once its period has ended. All that have
    /// the plan and no change ahead get it together; the same again changes nothing.
    GetsNewPrice,
    /// Pauses from the end of its period to an instant.
    Pauses(&'static str),
    /// Ends its subscription with its period.
    Cancels,
    /// Redeems a coupon.
    Redeems(&'static str),
    /// Confirms a payment that waits for that, after it was asked to.
    Confirms,
    /// Pays what is open by bank transfer.
    Transfers,
    /// Reports units of an instant that has been billed.
    ReportsLate { units: u64, at: &'static str },
    /// Its bank takes back what it has paid last, and Stripe tells of it, or does not.
    Disputes { told: bool },
    /// The bank has decided about that: the issuer has won, or lost.
    IsDecided { won: bool },
    /// The issuer takes back so much of the first line of its last invoice, and gives it back by the
    /// provider.
    IsRefunded(&'static str),
    /// The issuer grants money that was paid in advance, in minor units.
    PaysAhead(i64),
    /// The issuer gives money that expires at an instant, in minor units.
    IsGiven { amount: i64, until: &'static str },
    /// The issuer voids its last invoice, which is issued anew.
    IsVoided,
    /// The issuer sets when a top-up is asked for, in minor units.
    TopsUp { below: i64, to: i64 },
}

use Act::{
    Cancels, CardIsStolen, Confirms, Disputes, GetsNewPrice, IsDecided, IsGiven, IsRefunded, IsVoided, Joins, Pauses,
    PaysAhead, Redeems, ReportsLate, SavesCard, Takes, TakesLater, TopsUp, Transfers,
};

const fn joins(plan: &'static str) -> Act {
    Joins { plan, trial_days: 0 }
}

const fn customer(name: &'static str, mailbox: &'static str, units: (u64, u64)) -> Life {
    Life { name, zone: "UTC", kind: Kind::Customer, mailbox, units: Some(units), acts: &[] }
}

pub(crate) const LIVES: [Life; 12] = [
    // Pays each month by card, after a trial of two weeks; wins a dispute about August.
    Life {
        acts: &[
            ("01-01", Joins { plan: "team", trial_days: 14 }),
            ("01-02", SavesCard(GOOD)),
            ("06-20", GetsNewPrice),
            ("09-10", Disputes { told: true }),
            ("10-06", IsDecided { won: true }),
        ],
        ..customer("Anna", "anna", (700, 800))
    },
    // Pays for a year in advance; usage is billed whenever it has come to 50.00.
    Life {
        acts: &[("02-10", joins("annual")), ("02-10", SavesCard(GOOD))],
        ..customer("Boris", "boris", (4_000, 4_000))
    },
    // Takes a bigger plan in the middle of May; fees in advance, prorated, on the clock of Berlin. Loses a
    // dispute about September, and pays it in the end.
    Life {
        zone: "Europe/Berlin",
        acts: &[
            ("01-01", joins("basic")),
            ("01-01", SavesCard(GOOD)),
            ("05-17", Takes("pro")),
            ("10-08", Disputes { told: false }),
            ("10-22", IsDecided { won: false }),
            ("10-26", Transfers),
        ],
        ..customer("Clara", "clara", (900, 700))
    },
    // Takes a smaller plan from July on, whose new price comes too late for it, and pauses in October, on
    // the clock of New York.
    Life {
        zone: "America/New_York",
        acts: &[
            ("01-15", joins("scale")),
            ("01-15", SavesCard(GOOD)),
            ("06-10", TakesLater("team")),
            ("09-10", Pauses("2025-11-01T04:00:00Z")),
        ],
        ..customer("Dmitri", "dmitri", (6_500, 6_600))
    },
    // Has a card without money until February; reports usage of July in August.
    Life {
        acts: &[
            ("01-01", joins("team")),
            ("01-01", SavesCard(DECLINED)),
            ("02-05", SavesCard(GOOD)),
            ("06-20", GetsNewPrice),
            ("08-03", ReportsLate { units: 700, at: "2025-07-28T09:00:00Z" }),
        ],
        ..customer("Elena", "grey", (600, 650))
    },
    // Is suspended in April as its card was stolen, until it pays by transfer.
    Life {
        acts: &[
            ("01-01", joins("team")),
            ("01-01", SavesCard(GOOD)),
            ("03-15", CardIsStolen),
            ("04-18", Transfers),
            ("04-20", SavesCard(GOOD)),
            ("06-20", GetsNewPrice),
        ],
        ..customer("Farid", "farid", (800, 900))
    },
    // Has to confirm its first payment, and leaves with August.
    Life {
        acts: &[
            ("01-10", joins("team")),
            ("01-10", SavesCard(TO_CONFIRM)),
            ("02-01", Confirms),
            ("02-10", SavesCard(GOOD)),
            ("06-20", GetsNewPrice),
            ("08-12", Cancels),
        ],
        ..customer("Grace", "grace", (550, 560))
    },
    // Has a coupon for three months, and gets back 40.00 of May.
    Life {
        acts: &[
            ("03-01", joins("scale")),
            ("03-02", SavesCard(GOOD)),
            ("03-02", Redeems("WELCOME")),
            ("06-10", IsRefunded("40.00")),
        ],
        ..customer("Hugo", "lost", (9_000, 9_100))
    },
    // Pays yen by transfer on the 6th, but July on the 20th of August only; May is issued twice.
    Life {
        zone: "Asia/Tokyo",
        acts: &[
            ("01-05", joins("yen")),
            ("02-06", Transfers),
            ("03-06", Transfers),
            ("04-06", Transfers),
            ("05-06", Transfers),
            ("06-03", IsVoided),
            ("06-06", Transfers),
            ("07-06", Transfers),
            ("08-20", Transfers),
            ("09-06", Transfers),
            ("10-06", Transfers),
            ("11-06", Transfers),
            ("12-06", Transfers),
        ],
        ..customer("Jin", "jin", (450, 460))
    },
    // Pays the root for what its customers use, and sells to them. As its card was stolen, all of them
    // are suspended in November.
    Life {
        kind: Kind::Reseller,
        units: None,
        acts: &[
            ("01-01", Takes("bulk")),
            ("01-01", SavesCard(GOOD)),
            ("10-15", CardIsStolen),
            ("11-17", Transfers),
            ("11-18", SavesCard(GOOD)),
        ],
        ..customer("Karo", "karo", (0, 0))
    },
    // Buys from the reseller, by card.
    Life {
        kind: Kind::Retail,
        acts: &[("01-02", joins("retail")), ("01-02", SavesCard(GOOD))],
        ..customer("Lara", "lara", (30_000, 31_000))
    },
    // Buys from the reseller, from a wallet that is topped up; what it is given expires before it is used.
    Life {
        kind: Kind::Retail,
        acts: &[
            ("01-02", joins("retail")),
            ("01-02", PaysAhead(10_000)),
            ("01-02", TopsUp { below: 3_000, to: 10_000 }),
            ("11-05", IsGiven { amount: 5_000, until: "2025-11-25T00:00:00Z" }),
        ],
        ..customer("Milo", "milo", (6_000, 6_100))
    },
];

impl Life {
    /// Acts of a day, in their order.
    pub(crate) fn acts_on(&self, today: Day) -> impl Iterator<Item = Act> {
        self.acts.iter().filter(move |(date, _)| day(date) == today).map(|(_, act)| *act)
    }

    /// The day on which it is there.
    pub(crate) fn joined(&self) -> Day {
        day(self.acts[0].0)
    }

    /// Units that it uses through the gateway on a day. Who has cancelled uses nothing more: on the
    /// gateway's clock, the end of the period has passed.
    pub(crate) fn units_on(&self, today: Day) -> Option<u64> {
        let (month, date) = today.date();
        let (fifth, twentieth) = self.units?;
        if today <= self.joined() || self.is_leaving(today) || month > 12 {
            return None;
        }
        let months = month as u64 - 1;
        match date {
            5 => Some(fifth + 10 * months),
            20 => Some(twentieth + 7 * months),
            _ => None,
        }
    }

    /// Returns true once it has cancelled.
    pub(crate) fn is_leaving(&self, today: Day) -> bool {
        self.acts.iter().any(|(date, act)| matches!(act, Cancels) && today >= day(date))
    }

    /// Units of a month that are used through the gateway.
    pub(crate) fn units_of(&self, month: usize) -> u64 {
        [5, 20].into_iter().filter_map(|date| self.units_on(Day::of(month, date))).sum()
    }
}
