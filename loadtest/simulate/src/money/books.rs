//! The plain model of documents and money: invoices, credit notes, payments, refunds and wallets.

use std::collections::BTreeMap;

use super::{
    model::{Bill, Units},
    price::{Tax, rounded},
};

/// State of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Paid,
    Void,
    GivenUp,
}

/// An invoice. Amounts are cents.
#[derive(Debug, Clone)]
pub(super) struct Invoice {
    pub(super) bill: Bill,
    pub(super) month: u32,
    /// Usage that it bills, by month.
    pub(super) units: BTreeMap<u32, Units>,
    pub(super) tax: Tax,
    pub(super) net: i128,
    pub(super) tax_amount: i128,
    pub(super) credit_used: i128,
    pub(super) open: i128,
    pub(super) status: Status,
    /// The rest of the net and of the tax.
    left: (i128, i128),
    /// Credit that it has used, by grant.
    from: Vec<(usize, i128)>,
}

/// A payment; `back` is what was refunded of it.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) invoice: usize,
    pub(super) amount: i128,
    pub(super) back: i128,
}

/// Money in a wallet.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) bill: Bill,
    pub(super) left: i128,
    pub(super) is_given: bool,
    pub(super) granted_at: i64,
    pub(super) expires_at: Option<i64>,
}

/// Sums of the ledger's accounts of one tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    pub(super) receivable: i128,
    pub(super) credit: i128,
    pub(super) revenue: i128,
    pub(super) tax: i128,
    pub(super) cash: i128,
    pub(super) write_off: i128,
    pub(super) promotion: i128,
}

/// All documents.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) invoices: Vec<Invoice>,
    pub(super) payments: Vec<Payment>,
    pub(super) grants: Vec<Grant>,
    accounts: BTreeMap<usize, Accounts>,
}

impl Invoice {
    pub(super) const fn total(&self) -> i128 {
        self.net + self.tax_amount
    }

    const fn taken(&self) -> i128 {
        self.total() - self.credit_used - self.open
    }
}

impl Books {
    pub(super) fn accounts(&self, tenant: usize) -> Accounts {
        self.accounts.get(&tenant).copied().unwrap_or_default()
    }

    fn of(&mut self, tenant: usize) -> &mut Accounts {
        self.accounts.entry(tenant).or_default()
    }

    /// The invoice of a bill and month that is not void.
    pub(super) fn find(&self, bill: Bill, month: u32) -> Option<&Invoice> {
        self.invoices.iter().find(|one| one.bill == bill && one.month == month && one.status != Status::Void)
    }

    /// Usage of a month that invoices have billed.
    pub(super) fn billed(&self, bill: Bill, month: u32) -> Units {
        let counts = self.invoices.iter().filter(|one| one.bill == bill && one.status != Status::Void);
        counts
            .filter_map(|one| one.units.get(&month))
            .fold(Units::default(), |sum, one| Units { owed: sum.owed + one.owed, records: sum.records + one.records })
    }

    /// Issues an invoice whose lines come to so much.
    pub(super) fn issue(
        &mut self,
        bill: Bill,
        month: u32,
        units: BTreeMap<u32, Units>,
        lines: i128,
        tax: Tax,
        now: i64,
    ) {
        let (net, tax_amount) = tax.parts(lines);
        let total = net + tax_amount;
        let from = self.draw(bill, total, now);
        let credit_used: i128 = from.iter().map(|(_, amount)| amount).sum();
        let open = total - credit_used;
        let status = if open > 0 { Status::Open } else { Status::Paid };
        let left = (net, tax_amount);
        self.invoices.push(Invoice { bill, month, units, tax, net, tax_amount, credit_used, open, status, left, from });
        let accounts = self.of(bill.0);
        accounts.receivable += open;
        accounts.revenue -= net;
        accounts.tax -= tax_amount;
        accounts.credit += credit_used;
    }

    /// Draws from the grants that expire soonest, of those from given ones first, of those from the
    /// oldest.
    fn draw(&mut self, bill: Bill, mut wanted: i128, now: i64) -> Vec<(usize, i128)> {
        let is_usable = |one: &Grant| one.bill == bill && one.left > 0 && one.expires_at.is_none_or(|end| end > now);
        let mut usable: Vec<usize> = (0..self.grants.len()).filter(|place| is_usable(&self.grants[*place])).collect();
        usable.sort_by_key(|place| {
            let one = &self.grants[*place];
            (one.expires_at.unwrap_or(i64::MAX), !one.is_given, one.granted_at)
        });
        let mut drawn = Vec::new();
        for place in usable {
            let amount = self.grants[place].left.min(wanted).max(0);
            if amount > 0 {
                self.grants[place].left -= amount;
                wanted -= amount;
                drawn.push((place, amount));
            }
        }
        drawn
    }

    /// Pays an invoice; false if that is refused.
    pub(super) fn pay(&mut self, place: usize, amount: i128) -> bool {
        let invoice = &mut self.invoices[place];
        if invoice.status != Status::Open || amount > invoice.open || amount <= 0 {
            return false;
        }
        invoice.open -= amount;
        if invoice.open == 0 {
            invoice.status = Status::Paid;
        }
        let tenant = invoice.bill.0;
        self.payments.push(Payment { invoice: place, amount, back: 0 });
        let accounts = self.of(tenant);
        accounts.cash += amount;
        accounts.receivable -= amount;
        true
    }

    /// The most of a payment that can go back.
    pub(super) fn refundable(&self, place: usize) -> i128 {
        let payment = &self.payments[place];
        (payment.amount - payment.back).min(-self.invoices[payment.invoice].open).max(0)
    }

    pub(super) fn refund(&mut self, place: usize, amount: i128) -> bool {
        if amount <= 0 || amount > self.refundable(place) {
            return false;
        }
        let payment = &mut self.payments[place];
        payment.back += amount;
        let invoice = &mut self.invoices[payment.invoice];
        invoice.open += amount;
        let tenant = invoice.bill.0;
        let accounts = self.of(tenant);
        accounts.cash -= amount;
        accounts.receivable += amount;
        true
    }

    /// Takes back an amount of a line; gives the total, or nothing if that is refused. The caller
    /// knows what is left of the line.
    pub(super) fn credit_note(&mut self, place: usize, asked: i128) -> Option<i128> {
        let invoice = &mut self.invoices[place];
        if let Status::Void | Status::GivenUp = invoice.status {
            return None;
        }
        let (net_left, tax_left) = invoice.left;
        let (net, tax) = match invoice.tax {
            Tax::Nothing => (asked, 0),
            Tax::OnTop(rate) => (asked, rounded(asked * rate, 1_000)),
            Tax::Within(_) if asked == net_left + tax_left => (net_left, tax_left),
            Tax::Within(rate) => {
                let tax = rounded(asked * rate, 1_000 + rate);
                (asked - tax, tax)
            }
        };
        if net <= 0 || net > net_left {
            return None;
        }
        let tax = if net == net_left { tax_left } else { tax.min(tax_left) };
        invoice.left = (net_left - net, tax_left - tax);
        invoice.open -= net + tax;
        if invoice.open <= 0 {
            invoice.status = Status::Paid;
        }
        let tenant = invoice.bill.0;
        let accounts = self.of(tenant);
        accounts.receivable -= net + tax;
        accounts.revenue += net;
        accounts.tax += tax;
        Some(net + tax)
    }

    /// Voids an invoice; false if that is refused. Credit goes back to its grants.
    pub(super) fn void(&mut self, place: usize) -> bool {
        let invoice = &mut self.invoices[place];
        if matches!(invoice.status, Status::GivenUp) || invoice.taken() != 0 && invoice.status != Status::Void {
            return false;
        }
        if invoice.status == Status::Void {
            return true;
        }
        let (bill, month) = (invoice.bill, invoice.month);
        // A later invoice bills late usage of the month: it would be billed again.
        let is_billed_later = |one: &Invoice| {
            one.bill == bill && one.month != month && one.status != Status::Void && one.units.contains_key(&month)
        };
        if self.invoices.iter().any(is_billed_later) {
            return false;
        }
        let invoice = &mut self.invoices[place];
        invoice.status = Status::Void;
        let (net, tax, used, open) = (invoice.net, invoice.tax_amount, invoice.credit_used, invoice.open);
        invoice.open = 0;
        for (grant, amount) in std::mem::take(&mut invoice.from) {
            self.grants[grant].left += amount;
        }
        let accounts = self.of(bill.0);
        accounts.receivable -= open;
        accounts.revenue += net;
        accounts.tax += tax;
        accounts.credit -= used;
        true
    }

    /// Gives up what is open of an invoice; false if that is refused.
    pub(super) fn write_off(&mut self, place: usize) -> bool {
        let invoice = &mut self.invoices[place];
        if invoice.status == Status::GivenUp {
            return true;
        }
        if invoice.status != Status::Open || invoice.open <= 0 {
            return false;
        }
        let (tenant, open) = (invoice.bill.0, std::mem::take(&mut invoice.open));
        invoice.status = Status::GivenUp;
        let accounts = self.of(tenant);
        accounts.receivable -= open;
        accounts.write_off += open;
        true
    }

    pub(super) fn grant(&mut self, grant: Grant) {
        let (tenant, amount, is_given) = (grant.bill.0, grant.left, grant.is_given);
        self.grants.push(grant);
        let accounts = self.of(tenant);
        accounts.credit -= amount;
        if is_given {
            accounts.promotion += amount;
        } else {
            accounts.cash += amount;
        }
    }

    /// Takes out what has expired.
    pub(super) fn expire(&mut self, now: i64) {
        for place in 0..self.grants.len() {
            let grant = &mut self.grants[place];
            if grant.expires_at.is_none_or(|end| end > now) || grant.left == 0 {
                continue;
            }
            let (tenant, left, is_given) = (grant.bill.0, std::mem::take(&mut grant.left), grant.is_given);
            let accounts = self.of(tenant);
            accounts.credit += left;
            if is_given {
                accounts.promotion -= left;
            } else {
                accounts.revenue -= left;
            }
        }
    }
}
