//! Payments, credit notes, refunds, credit, and ends of invoices.

use common::{
    invoice::NewCreditNote,
    money::{Currency, Money},
    payment::NewPayment,
    time::Micros,
    wallet::{GrantKind, NewWalletGrant},
};

use super::{
    Failure,
    answer::{Answer, agree, answer, some},
    books::{Grant, Status},
    world::World,
};

impl World {
    pub(super) async fn pay(&mut self, pick: usize, percent: i128, now: Micros) -> Result<(), Failure> {
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

    pub(super) async fn credit_note(
        &mut self,
        pick: usize,
        line: usize,
        percent: i128,
        now: Micros,
    ) -> Result<(), Failure> {
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

    pub(super) async fn refund(&mut self, pick: usize, percent: i128, now: Micros) -> Result<(), Failure> {
        let Some(place) = some(pick, self.payments.len()) else { return Ok(()) };
        let amount = (self.books.refundable(place) * percent / 100).max(1);
        let reference = format!("refund {}", self.next_reference());
        let payment = self.payments[place];
        let answer = answer(self.store.refund_payment(payment, usd(amount), &reference, now).await)?;
        let expected = self.books.refund(place, amount);
        answer.agree("refund", expected)
    }

    pub(super) async fn grant(
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
    pub(super) async fn close(&mut self, pick: usize, status: Status, now: Micros) -> Result<(), Failure> {
        let Some(place) = some(pick, self.invoices.len()) else { return Ok(()) };
        let id = self.invoices[place];
        let (answer, expected) = if status == Status::Void {
            (answer(self.store.void_invoice(id, "wrong", now).await)?, self.books.void(place))
        } else {
            (answer(self.store.write_off_invoice(id, "gone", now).await)?, self.books.write_off(place))
        };
        answer.agree("end of an invoice", expected)
    }
}

fn usd(cents: i128) -> Money {
    Money::from_minor(i64::try_from(cents).unwrap_or(i64::MAX), Currency::USD)
}
