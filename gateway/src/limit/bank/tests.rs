//! Accounts and tellers on a clock moved by hand, with a bank that is played by the test.

use std::sync::Arc;

use common::plan::{RateLimit, RateWindow};

use super::*;
use crate::limit::{Purse, Rate, take_all};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const TICK: u64 = 10 * MILLISECOND;

/// A teller and one account whose limit it knows.
struct Desk {
    teller: Teller,
    account: Arc<Account>,
    rate: Rate,
}

fn per_second(limit: u64, burst: u64) -> Rate {
    Rate::new("test", RateWindow::Second, RateLimit { limit, burst })
}

fn teller(gateways: u64) -> Teller {
    Teller::new(TellerSettings { gateways, tick: TICK, is_fresh: true })
}

fn answer(fleet: u64, grants: &[(u64, u64)]) -> Answer {
    let grant = |&(granted, level): &(u64, u64)| Grant {
        granted,
        level,
        wait_micros: u64::from(level == 0),
        ..Grant::default()
    };
    Answer { fleet, is_open: true, grants: grants.iter().map(grant).collect(), ..Answer::default() }
}

impl Desk {
    fn new(rate: Rate, gateways: u64) -> Self {
        Self { teller: teller(gateways), account: Arc::new(Account::new("key_1:second")), rate }
    }

    fn leave_errand(&mut self, now: u64) {
        assert!(self.account.needs_draw(&self.rate, now));
        self.teller.queue([Errand::new(Arc::clone(&self.account), self.rate)]);
    }

    /// What the gateway says about the account at its next call, which is answered so.
    fn draw(&mut self, now: u64, granted: u64, level: u64) -> Draw {
        let call = self.teller.call(now).unwrap();
        let draw = *call.draws().next().unwrap().1;
        self.teller.answered(call, &answer(1, &[(granted, level)]), now);
        draw
    }

    fn take(&self, now: u64) -> Result<Debit, Short> {
        self.account.take(&self.rate, self.teller.gateways(), now)
    }

    /// A desk that has so many tokens in hand at instant 0, and whose bank has so many left.
    fn holding(rate: Rate, gateways: u64, granted: u64, level: u64) -> Self {
        let mut desk = Self::new(rate, gateways);
        desk.account.missed();
        desk.leave_errand(0);
        desk.draw(0, granted, level);
        desk
    }
}

#[test]
fn a_call_is_what_the_script_reads() {
    let mut desk = Desk::new(per_second(10, 20), 1);
    desk.account.missed();
    desk.leave_errand(7_000);
    let call = desk.teller.call(7_000).unwrap();
    assert_eq!(call.keys(3), ["rb:{3}:clock", "rb:{3}:key_1:second"]);
    let arguments: Vec<_> = call.arguments("me").iter().map(ToString::to_string).collect();
    let about_call = ["me", "1", "7", "1000000", "1", "1", "0", "0", "0"];
    let about_limit = ["rate", "10", "1000000", "20", "0", "0", "0"];
    assert_eq!(arguments[..16], [&about_call[..], &about_limit[..]].concat());
    assert_eq!(arguments.len(), 18);
}

#[test]
fn everybody_who_found_nothing_is_drawn_for() {
    let mut desk = Desk::new(per_second(1_000, 1_000), 1);
    (0..300).for_each(|_| desk.account.missed());
    desk.leave_errand(3_600 * SECOND);
    let draw = desk.draw(3_600 * SECOND, 301, 699);
    assert!(draw.want >= 301, "{draw:?}: one is kept");
    assert!((0..300).all(|_| desk.take(3_600 * SECOND).is_ok()));
}

#[test]
fn what_is_not_used_goes_back() {
    let mut desk = Desk::holding(per_second(100, 100), 1, 5, 95);
    let due = desk.teller.next_at();
    let draw = desk.draw(due, 0, 100);
    assert_eq!((draw.held, draw.returned, draw.want), (0, 5, 0));
    assert_eq!(desk.take(due), Err(Short::Dry));
}

#[test]
fn tokens_lapse_before_the_bank_takes_them_for_lapsed() {
    let desk = Desk::holding(per_second(100, 100), 1, 5, 95);
    assert!(desk.take(LEASE - 100 * MILLISECOND - 1).is_ok());
    assert!(desk.take(LEASE - 100 * MILLISECOND).is_err());
}

#[test]
fn an_empty_bank_is_not_asked_before_there_can_be_more() {
    let mut desk = Desk::new(per_second(10, 10), 1);
    desk.account.missed();
    desk.leave_errand(0);
    let call = desk.teller.call(0).unwrap();
    let empty = Grant { wait_micros: 100_000, ..Grant::default() };
    desk.teller.answered(call, &Answer { fleet: 1, is_open: true, grants: vec![empty], ..Answer::default() }, 0);
    assert_eq!(desk.take(0), Err(Short::Wait(100 * MILLISECOND)));
    assert!(!desk.account.needs_draw(&desk.rate, 100 * MILLISECOND - 1));
    assert_eq!(desk.take(100 * MILLISECOND), Err(Short::Dry));
}

#[test]
fn other_terms_are_told_at_once_and_what_is_too_much_goes_back() {
    let mut desk = Desk::holding(per_second(100, 100), 1, 50, 50);
    desk.take(0).unwrap();
    desk.account.missed();
    assert!(!desk.account.needs_draw(&desk.rate, 0), "there is plenty in hand");
    desk.rate = per_second(5, 5);
    desk.leave_errand(TICK);
    let draw = desk.draw(TICK, 0, 0);
    assert_eq!((draw.limit, draw.burst, draw.held, draw.returned), (5, 5, 5, 44));
}

#[test]
fn a_bank_that_does_not_answer_is_away_and_asked_again() {
    let mut desk = Desk::holding(per_second(100, 100), 2, 2, 40);
    assert_eq!(desk.teller.gateways(), None);
    desk.take(0).unwrap();
    assert_eq!(desk.take(0), Err(Short::Dry), "the last one is kept while the bank may have more");
    let now = desk.teller.next_at();
    let call = desk.teller.call(now).unwrap();
    desk.teller.unanswered(call, now);
    assert_eq!(desk.teller.gateways(), Some(2));
    desk.take(now).unwrap();
    let part = (0..100).take_while(|_| desk.take(now).is_ok()).count() as u64;
    let refilled = 100 * now / SECOND;
    assert!((20..=20 + refilled).contains(&part), "half of what was left, not {part}");
    assert!(desk.teller.next_at() > now + TICK, "it is left alone for a while");
    let again = desk.teller.next_at();
    assert_eq!(desk.draw(again, 0, 30).debt, part, "the bank has refilled meanwhile, but was not full");
    assert_eq!(desk.teller.gateways(), None);
}

#[test]
fn what_was_admitted_alone_is_told_once() {
    let mut desk = Desk::new(per_second(1, 100), 1);
    let away = desk.teller.gateways();
    assert!((0..7).all(|_| desk.account.take(&desk.rate, away, 0).is_ok()));
    desk.leave_errand(0);
    // Two more while the call is under way.
    let call = desk.teller.call(0).unwrap();
    assert_eq!(call.draws().next().unwrap().1.debt, 7);
    assert!((0..2).all(|_| desk.account.take(&desk.rate, away, 0).is_ok()));
    desk.teller.answered(call, &answer(1, &[(0, 93)]), 0);
    assert_eq!(desk.draw(desk.teller.next_at(), 0, 90).debt, 2);
    desk.account.missed();
    let now = desk.teller.next_at();
    desk.leave_errand(now);
    assert_eq!(desk.draw(now, 0, 90).debt, 0);
}

#[test]
fn a_closed_bank_takes_debts_and_gives_no_new_part() {
    let mut desk = Desk::new(per_second(1, 10), 1);
    assert!((0..4).all(|_| desk.take(0).is_ok()));
    desk.leave_errand(0);
    let call = desk.teller.call(0).unwrap();
    assert_eq!(call.draws().next().unwrap().1.debt, 4);
    desk.teller.answered(call, &Answer { is_open: false, ..answer(1, &[(0, 6)]) }, 0);
    assert_eq!(desk.teller.gateways(), Some(1), "it is as good as away");
    assert_eq!((0..100).take_while(|_| desk.take(0).is_ok()).count(), 6);
    let now = desk.teller.next_at();
    assert_eq!(desk.draw(now, 0, 0).debt, 6);
}

#[test]
fn a_debit_that_was_told_is_not_undone() {
    let mut desk = Desk::new(per_second(1, 10), 1);
    let debit = desk.take(0).unwrap();
    desk.leave_errand(0);
    assert_eq!(desk.draw(0, 0, 9).debt, 1);
    let left = desk.account.remaining(&desk.rate, Some(1), 0);
    desk.account.put_back(debit, 0);
    assert_eq!(desk.account.remaining(&desk.rate, Some(1), 0), left);
}

#[test]
fn several_limits_are_debited_together_or_not_at_all() {
    let full = Desk::holding(per_second(100, 100), 1, 5, 95);
    let empty = Desk::new(per_second(100, 100), 1);
    let purse = |desk: &'static Desk| (&desk.rate, Purse::Shared { account: &desk.account, gateways: None });
    let (full, empty): (&Desk, &Desk) = (Box::leak(Box::new(full)), Box::leak(Box::new(empty)));
    assert!(!take_all(&[purse(full), purse(empty)], 0, || 0));
    assert_eq!(full.account.remaining(&full.rate, None, 0), 5);
    assert!(take_all(&[purse(full), purse(full)], 0, || 0));
    assert_eq!(full.account.remaining(&full.rate, None, 0), 3);
}

#[test]
fn more_gateways_are_believed_at_once_and_fewer_after_a_while() {
    let mut teller = teller(2);
    let mut now = 0;
    let mut hear = |fleet, seconds: u64| {
        let end = now + seconds * SECOND;
        while now < end {
            now = teller.next_at().max(now + 1);
            let call = teller.call(now).unwrap();
            teller.answered(call, &answer(fleet, &[]), now);
        }
        let call = teller.call(teller.next_at()).unwrap();
        teller.unanswered(call, now);
        teller.gateways()
    };
    assert_eq!(hear(1, 1), Some(2), "as configured");
    assert_eq!(hear(5, 1), Some(5));
    assert_eq!(hear(1, 3), Some(5), "an outage is no time to forget them");
    assert_eq!(hear(3, 20), Some(3));
}

#[test]
fn many_accounts_go_in_several_calls_each_once() {
    let mut teller = teller(1);
    let rate = per_second(10, 10);
    let accounts: Vec<_> = (0..700).map(|number| Arc::new(Account::new(format!("{number}")))).collect();
    let errands = accounts.iter().chain(&accounts[..50]);
    teller.queue(errands.map(|account| Errand::new(Arc::clone(account), rate)));
    let (mut now, mut told) = (0, Vec::new());
    while told.len() < 700 {
        now = teller.next_at().max(now);
        let call = teller.call(now).unwrap();
        assert!(call.draws().len() <= 512);
        told.extend(call.draws().map(|(name, _)| name.to_owned()));
        let grants = vec![(0, 10); call.draws().len()];
        teller.answered(call, &answer(1, &grants), now);
    }
    assert!(accounts.iter().all(|account| told.iter().any(|name| name == account.name())));
}
