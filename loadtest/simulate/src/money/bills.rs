//! Runs of months, and what the store has against what the model has.

use std::collections::BTreeMap;

use billing::{
    invoice::{IssueOptions, issue},
    reconcile::reconcile,
};
use common::{
    id::{InvoiceId, TenantId},
    invoice::InvoiceStatus,
    ledger::Account,
    time::{Micros, Period},
};

use super::{
    Failure,
    answer::agree,
    books::{Accounts, Status},
    model::{Bill, ROOT, Units},
    script::TENANTS,
    world::{LATE_MONTHS, World},
};

impl World {
    /// Runs a month, and holds each invoice against the model.
    pub(super) async fn run(&mut self, month: u32, now: Micros) -> Result<(), Failure> {
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
                // Nobody disputes a payment here, and no provider pays out.
                other @ (Account::Disputed | Account::Fees | Account::Bank | Account::Unmatched) => {
                    return Err(Failure::of(format!("{other} has {}", balance.amount)));
                }
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
