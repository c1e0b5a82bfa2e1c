//! Taking back: what credit notes and voids leave of deferred revenue.

use std::collections::HashMap;

use sqlx::AnyConnection;

use super::{
    recognize::{Earned, months, postings},
    rows::{beyond, next_of, of_invoices, save, zones},
};
use crate::{
    id::InvoiceId,
    ledger::rows::post_all,
    money::Money,
    store::{Engine, StoreError},
    time::Micros,
};

/// Takes back what is left of the lines of an invoice, each at most by an amount without tax; of
/// all lines if
/// `asked` is none. What is earned by now is recognized before. Gives the sum of what was taken back, for the
/// posting of the cause; none if nothing of the invoice was deferred.
pub(crate) async fn take_back(
    connection: &mut AnyConnection,
    engine: Engine,
    invoice: InvoiceId,
    asked: Option<&HashMap<usize, Money>>,
    now: Micros,
) -> Result<Option<Money>, StoreError> {
    let mut all = of_invoices(connection, engine, &[invoice]).await?;
    let Some(first) = all.first() else { return Ok(None) };
    let zones = zones(connection, engine, [first.issuer]).await?;
    let (mut earned, mut taken) = (Earned::new(), Money::zero(first.amount.currency()));
    // All lines are recognized up to the same instants: each has one posting.
    for one in all.iter_mut().filter(|one| one.next_at.is_some()) {
        months(one, &zones, now, &mut earned)?;
        earned.add(one, now)?;
        if let Some(wanted) = asked.map_or(Some(one.amount), |asked| asked.get(&one.line).copied()) {
            taken = taken
                .checked_add(one.take_back(wanted, now).map_err(|error| beyond(&error))?)
                .map_err(|error| beyond(&error))?;
        }
        let is_over = one.left().map_err(|error| beyond(&error))?.is_zero();
        one.next_at = if is_over { None } else { Some(next_of(&zones, one.issuer, one.recognized_until.max(now))?) };
        save(connection, one).await?;
    }
    post_all(connection, &postings(earned, now)?).await?;
    Ok(Some(taken))
}
