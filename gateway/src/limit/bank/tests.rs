//! Accounts and the scheduler on a manual clock. The test plays the bank.

use std::sync::Arc;

use common::plan::{RateLimit, RateWindow};

use super::*;
use crate::limit::{Rate, TokenSource, take_all};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const TICK: u64 = 10 * MILLISECOND;

/// A scheduler with one account.
struct Fixture {
    scheduler: Scheduler,
    account: Arc<Account>,
    rate: Rate,
}

fn per_second(limit: u64, burst: u64) -> Rate {
    Rate::new("test", RateWindow::Second, RateLimit { limit, burst })
}

fn scheduler(gateways: u64) -> Scheduler {
    Scheduler::new(SchedulerSettings { gateways, tick: TICK, is_fresh: true })
}

fn answer(gateways: u64, grants: &[(u64, u64)]) -> Answer {
    let grant = |&(granted, level): &(u64, u64)| Grant {
        granted,
        level,
        wait_micros: u64::from(level == 0),
        ..Grant::default()
    };
    Answer { gateways, is_open: true, grants: grants.iter().map(grant).collect(), ..Answer::default() }
}

impl Fixture {
    fn new(rate: Rate, gateways: u64) -> Self {
        Self { scheduler: scheduler(gateways), account: Arc::new(Account::new("key_1:second")), rate }
    }

    fn enqueue(&mut self, now: u64) {
        assert!(self.account.needs_draw(&self.rate, now));
        self.scheduler.queue([DrawRequest::rate(Arc::clone(&self.account), self.rate)]);
    }

    /// Makes the next call, answers it with this grant, and returns its draw.
    fn draw(&mut self, now: u64, granted: u64, level: u64) -> Draw {
        let call = self.scheduler.call(now).unwrap();
        let draw = *call.draws().next().unwrap().1;
        self.scheduler.answered(call, &answer(1, &[(granted, level)]), now);
        draw
    }

    fn take(&self, now: u64) -> Result<Debit, Shortage> {
        self.account.take(&self.rate, self.scheduler.gateways(), now)
    }

    /// A fixture with `granted` tokens in hand at instant 0, and `level` left at the bank.
    fn holding(rate: Rate, gateways: u64, granted: u64, level: u64) -> Self {
        let mut fixture = Self::new(rate, gateways);
        fixture.account.missed();
        fixture.enqueue(0);
        fixture.draw(0, granted, level);
        fixture
    }
}

#[test]
fn call_has_the_arguments_that_the_script_reads() {
    let mut fixture = Fixture::new(per_second(10, 20), 1);
    fixture.account.missed();
    fixture.enqueue(7_000);
    let call = fixture.scheduler.call(7_000).unwrap();
    assert_eq!(call.keys(3), ["rb:{3}:clock", "rb:{3}:key_1:second"]);
    let arguments: Vec<_> = call.arguments("me").iter().map(ToString::to_string).collect();
    let about_call = ["me", "1", "7", "1000000", "1", "1", "0", "0", "0"];
    let about_limit = ["rate", "10", "1000000", "20", "0", "0", "0"];
    assert_eq!(arguments[..16], [&about_call[..], &about_limit[..]].concat());
    assert_eq!(arguments.len(), 18);
}

#[test]
fn draw_covers_every_request_that_found_nothing() {
    let mut fixture = Fixture::new(per_second(1_000, 1_000), 1);
    (0..300).for_each(|_| fixture.account.missed());
    fixture.enqueue(3_600 * SECOND);
    let draw = fixture.draw(3_600 * SECOND, 301, 699);
    assert!(draw.want >= 301, "{draw:?}: one is kept");
    assert!((0..300).all(|_| fixture.take(3_600 * SECOND).is_ok()));
}

#[test]
fn unused_tokens_go_back() {
    let mut fixture = Fixture::holding(per_second(100, 100), 1, 5, 95);
    let due = fixture.scheduler.next_at();
    let draw = fixture.draw(due, 0, 100);
    assert_eq!((draw.held, draw.returned, draw.want), (0, 5, 0));
    assert_eq!(fixture.take(due), Err(Shortage::AskBank));
}

#[test]
fn tokens_lapse_here_before_they_lapse_at_the_bank() {
    let fixture = Fixture::holding(per_second(100, 100), 1, 5, 95);
    assert!(fixture.take(LEASE - 100 * MILLISECOND - 1).is_ok());
    assert!(fixture.take(LEASE - 100 * MILLISECOND).is_err());
}

#[test]
fn empty_bank_is_not_asked_before_it_can_have_more() {
    let mut fixture = Fixture::new(per_second(10, 10), 1);
    fixture.account.missed();
    fixture.enqueue(0);
    let call = fixture.scheduler.call(0).unwrap();
    let empty = Grant { wait_micros: 100_000, ..Grant::default() };
    fixture.scheduler.answered(
        call,
        &Answer { gateways: 1, is_open: true, grants: vec![empty], ..Answer::default() },
        0,
    );
    assert_eq!(fixture.take(0), Err(Shortage::Wait(100 * MILLISECOND)));
    assert!(!fixture.account.needs_draw(&fixture.rate, 100 * MILLISECOND - 1));
    assert_eq!(fixture.take(100 * MILLISECOND), Err(Shortage::AskBank));
}

#[test]
fn changed_terms_are_reported_at_once_and_surplus_tokens_go_back() {
    let mut fixture = Fixture::holding(per_second(100, 100), 1, 50, 50);
    fixture.take(0).unwrap();
    fixture.account.missed();
    assert!(!fixture.account.needs_draw(&fixture.rate, 0), "there is plenty in hand");
    fixture.rate = per_second(5, 5);
    fixture.enqueue(TICK);
    let draw = fixture.draw(TICK, 0, 0);
    assert_eq!((draw.limit, draw.burst, draw.held, draw.returned), (5, 5, 5, 44));
}

#[test]
fn bank_that_does_not_answer_is_away_and_tried_again() {
    let mut fixture = Fixture::holding(per_second(100, 100), 2, 2, 40);
    assert_eq!(fixture.scheduler.gateways(), None);
    fixture.take(0).unwrap();
    assert_eq!(fixture.take(0), Err(Shortage::AskBank), "the last one is kept while the bank may have more");
    let now = fixture.scheduler.next_at();
    let call = fixture.scheduler.call(now).unwrap();
    fixture.scheduler.unanswered(call, now);
    assert_eq!(fixture.scheduler.gateways(), Some(2));
    fixture.take(now).unwrap();
    let part = (0..100).take_while(|_| fixture.take(now).is_ok()).count() as u64;
    let refilled = 100 * now / SECOND;
    assert!((20..=20 + refilled).contains(&part), "half of what was left, not {part}");
    assert!(fixture.scheduler.next_at() > now + TICK, "it is left alone for a while");
    let again = fixture.scheduler.next_at();
    assert_eq!(fixture.draw(again, 0, 30).debt, part, "the bank has refilled meanwhile, but was not full");
    assert_eq!(fixture.scheduler.gateways(), None);
}

#[test]
fn tokens_admitted_alone_are_reported_once() {
    let mut fixture = Fixture::new(per_second(1, 100), 1);
    let away = fixture.scheduler.gateways();
    assert!((0..7).all(|_| fixture.account.take(&fixture.rate, away, 0).is_ok()));
    fixture.enqueue(0);
    // Two more while the call is under way.
    let call = fixture.scheduler.call(0).unwrap();
    assert_eq!(call.draws().next().unwrap().1.debt, 7);
    assert!((0..2).all(|_| fixture.account.take(&fixture.rate, away, 0).is_ok()));
    fixture.scheduler.answered(call, &answer(1, &[(0, 93)]), 0);
    assert_eq!(fixture.draw(fixture.scheduler.next_at(), 0, 90).debt, 2);
    fixture.account.missed();
    let now = fixture.scheduler.next_at();
    fixture.enqueue(now);
    assert_eq!(fixture.draw(now, 0, 90).debt, 0);
}

#[test]
fn closed_bank_takes_debts_and_starts_no_new_share() {
    let mut fixture = Fixture::new(per_second(1, 10), 1);
    assert!((0..4).all(|_| fixture.take(0).is_ok()));
    fixture.enqueue(0);
    let call = fixture.scheduler.call(0).unwrap();
    assert_eq!(call.draws().next().unwrap().1.debt, 4);
    fixture.scheduler.answered(call, &Answer { is_open: false, ..answer(1, &[(0, 6)]) }, 0);
    assert_eq!(fixture.scheduler.gateways(), Some(1), "it is as good as away");
    assert_eq!((0..100).take_while(|_| fixture.take(0).is_ok()).count(), 6);
    let now = fixture.scheduler.next_at();
    assert_eq!(fixture.draw(now, 0, 0).debt, 6);
}

#[test]
fn debit_that_was_reported_is_not_undone() {
    let mut fixture = Fixture::new(per_second(1, 10), 1);
    let debit = fixture.take(0).unwrap();
    fixture.enqueue(0);
    assert_eq!(fixture.draw(0, 0, 9).debt, 1);
    let left = fixture.account.remaining(&fixture.rate, Some(1), 0);
    fixture.account.put_back(debit, 0);
    assert_eq!(fixture.account.remaining(&fixture.rate, Some(1), 0), left);
}

#[test]
fn several_limits_are_debited_together_or_not_at_all() {
    let full = Fixture::holding(per_second(100, 100), 1, 5, 95);
    let empty = Fixture::new(per_second(100, 100), 1);
    let source =
        |fixture: &'static Fixture| (&fixture.rate, TokenSource::Shared { account: &fixture.account, gateways: None });
    let (full, empty): (&Fixture, &Fixture) = (Box::leak(Box::new(full)), Box::leak(Box::new(empty)));
    assert!(!take_all(&[source(full), source(empty)], 0, || 0));
    assert_eq!(full.account.remaining(&full.rate, None, 0), 5);
    assert!(take_all(&[source(full), source(full)], 0, || 0));
    assert_eq!(full.account.remaining(&full.rate, None, 0), 3);
}

#[test]
fn number_of_gateways_rises_at_once_and_falls_after_a_while() {
    let mut scheduler = scheduler(2);
    let mut now = 0;
    let mut hear = |gateways, seconds: u64| {
        let end = now + seconds * SECOND;
        while now < end {
            now = scheduler.next_at().max(now + 1);
            let call = scheduler.call(now).unwrap();
            scheduler.answered(call, &answer(gateways, &[]), now);
        }
        let call = scheduler.call(scheduler.next_at()).unwrap();
        scheduler.unanswered(call, now);
        scheduler.gateways()
    };
    assert_eq!(hear(1, 1), Some(2), "as configured");
    assert_eq!(hear(5, 1), Some(5));
    assert_eq!(hear(1, 3), Some(5), "an outage is no time to forget them");
    assert_eq!(hear(3, 20), Some(3));
}

#[test]
fn many_accounts_take_several_calls_and_each_is_drawn_once() {
    let mut scheduler = scheduler(1);
    let rate = per_second(10, 10);
    let accounts: Vec<_> = (0..700).map(|number| Arc::new(Account::new(format!("{number}")))).collect();
    let requests = accounts.iter().chain(&accounts[..50]);
    scheduler.queue(requests.map(|account| DrawRequest::rate(Arc::clone(account), rate)));
    let (mut now, mut told) = (0, Vec::new());
    while told.len() < 700 {
        now = scheduler.next_at().max(now);
        let call = scheduler.call(now).unwrap();
        assert!(call.draws().len() <= 512);
        told.extend(call.draws().map(|(name, _)| name.to_owned()));
        let grants = vec![(0, 10); call.draws().len()];
        scheduler.answered(call, &answer(1, &grants), now);
    }
    assert!(accounts.iter().all(|account| told.iter().any(|name| name == account.name())));
}
