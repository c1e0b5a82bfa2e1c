//! A server that keeps serving while its data is lost or wrong.

use std::cell::Cell;

use servers::{Redis, eventually};

use crate::fixture::{Gateway, Setup, burst_of, per_second, tell};

#[tokio::test]
async fn a_server_that_forgets_the_script_is_told_it_again() {
    let redis = Redis::start().unwrap();
    let gateway = Setup::fresh(&redis.url(), per_second(10_000, 10_000)).start().await;
    assert!(gateway.request().await.is_ok());
    tell::<()>(&redis, &["SCRIPT", "FLUSH", "SYNC"]);
    let script = redis::Script::new(gateway::limit::bank::SCRIPT);
    eventually("the script is known again", async || {
        gateway.requests(100).await;
        assert!(gateway.is_shared(), "that is no outage");
        let known: Vec<bool> = tell(&redis, &["SCRIPT", "EXISTS", script.get_hash()]);
        known[0].then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_forgets_everything_gives_nothing_twice() {
    const BURST: u64 = 300;
    let redis = Redis::start().unwrap();
    let gateway = Setup::fresh(&redis.url(), burst_of(BURST)).start().await;
    let admitted = Cell::new(gateway.requests(150).await);
    assert!(admitted.get() > 0);
    redis.flush().unwrap();
    eventually("the limit is kept again", async || {
        admitted.set(admitted.get() + gateway.requests(1).await);
        (tell::<u64>(&redis, &["EXISTS", &gateway.day_key()]) == 1).then_some(())
    })
    .await;
    let admitted = admitted.get() + gateway.requests(1_000).await;
    assert!(admitted <= BURST, "{admitted}");
    assert!(gateway.is_shared());
}

/// Asks one gateway after the other until `enough` have been admitted in all.
async fn until_admitted(gateways: &[Gateway], enough: u64, admitted: &Cell<u64>) {
    eventually("what was left is there again", async || {
        for gateway in gateways {
            admitted.set(admitted.get() + gateway.requests(5).await);
        }
        (admitted.get() >= enough).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_forgets_everything_is_told_what_was_left() {
    const BURST: u64 = 1_000;
    let redis = Redis::start().unwrap();
    let setup = Setup::fresh(&redis.url(), burst_of(BURST));
    let gateways = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
    let admitted = Cell::new(0);
    for gateway in &gateways {
        admitted.set(admitted.get() + gateway.requests(50).await);
    }
    redis.flush().unwrap();
    // What was in hands is gone, and what refills in a day is one.
    until_admitted(&gateways, BURST / 2, &admitted).await;
    eventually("everybody knows", async || gateways.iter().all(|gateway| gateway.bank.report().shards_restoring == 0))
        .await;
    for gateway in &gateways {
        admitted.set(admitted.get() + gateway.requests(1_000).await);
    }
    assert!(admitted.get() <= BURST, "{}", admitted.get());
    assert!(gateways.iter().all(|gateway| gateway.bank.report().shards_refilling == 0));
}

#[tokio::test]
async fn without_a_gateway_that_was_there_limits_refill_from_empty_and_it_is_told() {
    const BURST: u64 = 1_000;
    let redis = Redis::start().unwrap();
    let setup = Setup::fresh(&redis.url(), burst_of(BURST));
    let [gone, left] = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
    let admitted = gone.requests(50).await + left.requests(50).await;
    gone.crash();
    redis.flush().unwrap();
    eventually("it is told", async || {
        left.bank.report().shards_refilling > 0 && left.bank.report().shards_restoring == 0
    })
    .await;
    eventually("nobody is alone", async || left.is_shared()).await;
    // What the one that is left had in hand it has given back: that is all there is.
    let after = left.requests(1_000).await;
    assert!(!left.is_shared() || admitted + after <= BURST / 2, "what is not known is not granted: {after}");
    let report = serde_json::to_value(left.bank.report()).unwrap();
    assert!(report["shards_refilling"].as_u64().is_some_and(|shards| shards > 0), "{report}");
}

#[tokio::test]
async fn what_is_no_state_of_the_script_is_no_free_pass() {
    let of_limit: [&[&str]; 3] = [&["RPUSH", "x"], &["SET", "from an older script"], &["SET", "\u{1}\u{2}"]];
    for words in of_limit {
        let redis = Redis::start().unwrap();
        let gateway = Setup::fresh(&redis.url(), burst_of(100)).start().await;
        tell::<redis::Value>(&redis, &[words[0], &gateway.day_key(), words[1]]);
        assert_eq!(gateway.requests(50).await, 0, "{words:?}");
        assert!(gateway.is_shared(), "{words:?}: {:?}", gateway.bank.report());
        let kept: String = tell(&redis, &["TYPE", &gateway.day_key()]);
        assert_eq!(kept, "string", "{words:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_none_starts_anew_and_mints_nothing() {
    for words in [["RPUSH", "x"], ["SET", "garbage"]] {
        let redis = Redis::start().unwrap();
        let gateway = Setup::fresh(&redis.url(), burst_of(100)).start().await;
        tell::<u64>(&redis, &["DEL", &gateway.day_clock()]);
        tell::<redis::Value>(&redis, &[words[0], &gateway.day_clock(), words[1]]);
        assert_eq!(gateway.requests(50).await, 0, "{words:?}");
        assert!(gateway.is_shared(), "{words:?}: {:?}", gateway.bank.report());
    }
}

#[tokio::test]
async fn a_bank_that_was_kept_before_and_is_empty_starts_empty() {
    let redis = Redis::start().unwrap();
    let setup = Setup { is_fresh: false, ..Setup::fresh(&redis.url(), burst_of(100)) };
    assert_eq!(setup.start().await.requests(50).await, 0);
}
