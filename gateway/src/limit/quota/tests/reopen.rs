//! A spent cell opens again by itself: whatever raises what may be spent is found by the first
//! request that comes a second later, without a refusal in between.

use common::quota::credit::TopUp;

use super::*;

/// Within this, every gateway has to find what came.
const A_SECOND: Duration = Duration::from_secs(1);

impl Fixture {
    async fn top_up(&self, units: i64, reference: &str) {
        let top_up = TopUp {
            tenant: self.tenant,
            meter: "requests".into(),
            reference: reference.into(),
            units,
            reason: None,
            added_at: SystemClock.now(),
        };
        self.store.add_credit(&top_up).await.unwrap();
    }
}

/// Asks until it is refused; how many were admitted.
async fn spend(gateway: &Gateway, refusal: DenialReason) -> u64 {
    let mut admitted = 0;
    loop {
        match gateway.request(1, Some(1)).await {
            Ok(()) => admitted += 1,
            Err(reason) => {
                assert_eq!(reason, refusal);
                return admitted;
            }
        }
    }
}

#[tokio::test]
async fn a_top_up_lets_the_first_request_a_second_later_pass_on_every_gateway() {
    let fixture = Fixture::new(0, Mode::Live).await;
    fixture.top_up(10, "first").await;
    let fleet = [fixture.gateway_on("prepaid: [requests]"), fixture.gateway_on("prepaid: [requests]")];
    let mut admitted = 0;
    for gateway in &fleet {
        admitted += spend(gateway, DenialReason::CreditSpent).await;
    }
    assert!(admitted <= 10);
    for round in 0..3 {
        fixture.top_up(40, &format!("round {round}")).await;
        tokio::time::sleep(A_SECOND).await;
        for gateway in &fleet {
            assert_eq!(gateway.request(1, Some(1)).await, Ok(()), "round {round}");
        }
        for gateway in &fleet {
            spend(gateway, DenialReason::CreditSpent).await;
        }
    }
}

#[tokio::test]
async fn what_another_gateway_gives_back_is_found_a_second_later() {
    let fixture = Fixture::new(20, Mode::Live).await;
    let [giver, asker] = [fixture.gateway(), fixture.gateway()];
    giver.request(10, Some(1)).await.unwrap();
    spend(&asker, DenialReason::QuotaExceeded).await;
    giver.stop().await;
    assert!(fixture.left().await > 0, "the other gave back what it had in hand");
    tokio::time::sleep(A_SECOND).await;
    assert_eq!(asker.request(1, Some(1)).await, Ok(()));
}

#[test]
fn a_cell_asks_again_after_a_while_whatever_the_last_answer_was() {
    const SECOND: u64 = 1_000_000_000;
    let book = QuotaBook::default();
    let account = account_of(&book, TenantId::generate(), &Zone::utc(), 100);
    let cell = account.cell(SystemClock.now()).unwrap();
    let nothing = QuotaGrant { granted: 0, left: 0 };
    let ask = |at| account.take(&cell, 1, at).err();
    assert_eq!(ask(0), Some(Refused::Drawing), "nothing is known yet");
    cell.granted(nothing, 1, 0);
    assert_eq!(ask(1), Some(Refused::Spent), "the store has just said so");
    for spent_at in [1, 2, 3].map(|second| second * SECOND) {
        assert_eq!(ask(spent_at), Some(Refused::Drawing), "that was a second ago: it is asked again");
        assert_eq!(ask(spent_at), Some(Refused::Drawing), "and all who come meanwhile wait for the answer");
        cell.granted(nothing, 1, spent_at);
        assert_eq!(ask(spent_at + 1), Some(Refused::Spent));
    }
    assert_eq!(ask(4 * SECOND), Some(Refused::Drawing));
    cell.failed(4 * SECOND);
    assert_eq!(ask(4 * SECOND + 1), Some(Refused::Unavailable));
    assert_eq!(ask(5 * SECOND), Some(Refused::Drawing), "the store may be there again");
    cell.give_up_waiting();
    assert_eq!(ask(6 * SECOND), Some(Refused::Unavailable), "the draw still hangs: nobody else waits for it");
    cell.granted(QuotaGrant { granted: 5, left: 0 }, 5, 7 * SECOND);
    assert_eq!(ask(7 * SECOND), None);
}
