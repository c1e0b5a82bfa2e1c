//! Which server a request goes to, by each rule.

use std::collections::BTreeMap;

use super::*;
use crate::upstream::pool::mixed;

/// An upstream of so many servers, all up, with this rule.
fn of(balance: &str, servers: u8) -> Fixture {
    let addresses: Vec<String> = (1..=servers).map(|number| format!("10.0.0.{number}:80")).collect();
    let fixture = Fixture::new(&format!("{{ servers: {addresses:?}, balance: {balance} }}"));
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    fixture.checks(&addresses, Ok(()), 1);
    fixture
}

/// The server of a request with this value after these were tried.
fn led(fixture: &Fixture, value: u64, tried: &[Arc<Server>]) -> String {
    let choice = fixture.upstream.choose(&fixture.route, tried, false, Some(mixed(value))).unwrap();
    choice.server.address.to_string()
}

/// The server of each of many values.
fn leads(fixture: &Fixture, values: u64) -> Vec<String> {
    (0..values).map(|value| led(fixture, value, &[])).collect()
}

fn counts(leads: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for server in leads {
        *counts.entry(server.as_str()).or_default() += 1;
    }
    counts
}

const HASH: &str = "{ hash: { by: key } }";

#[tokio::test]
async fn value_always_leads_to_the_same_server_and_all_servers_get_their_part() {
    let (one, same) = (of(HASH, 4), of(HASH, 4));
    let first = leads(&one, 8_000);
    assert_eq!(first, leads(&one, 8_000));
    assert_eq!(first, leads(&same, 8_000), "another gateway comes to the same");
    let counts = counts(&first);
    assert!(counts.len() == 4 && counts.values().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn server_that_goes_moves_only_its_own_values_and_gets_them_back() {
    let fixture = of(HASH, 5);
    let before = leads(&fixture, 2_000);
    fixture.checks(&["10.0.0.3:80"], Err("refused"), 3);
    let without = leads(&fixture, 2_000);
    for (before, without) in before.iter().zip(&without) {
        assert!(if before == "10.0.0.3:80" { without != before } else { without == before }, "{before} {without}");
    }
    let moved: Vec<String> =
        before.iter().zip(&without).filter(|(before, _)| *before == "10.0.0.3:80").map(|(_, to)| to.clone()).collect();
    assert_eq!(counts(&moved).len(), 4, "its part is shared by all others");
    fixture.checks(&["10.0.0.3:80"], Ok(()), 2);
    assert_eq!(leads(&fixture, 2_000), before);
    // One more server takes its part from the others, and changes nothing among them.
    let grown = of(HASH, 6);
    for (before, after) in before.iter().zip(&leads(&grown, 2_000)) {
        assert!(after == before || after == "10.0.0.6:80", "{before} {after}");
    }
}

#[tokio::test]
async fn heavier_server_is_led_to_more_often() {
    let servers = "['10.0.0.1:80', { address: '10.0.0.2:80', weight: 3 }]";
    let fixture = Fixture::new(&format!("{{ servers: {servers}, balance: {HASH} }}"));
    let leads = leads(&fixture, 8_000);
    let heavy = counts(&leads)["10.0.0.2:80"];
    assert!((5_700..6_300).contains(&heavy), "{heavy}");
}

#[tokio::test]
async fn value_leads_to_its_next_server_after_the_first_was_tried() {
    let fixture = of(HASH, 3);
    fixture.checks(&["10.0.0.3:80"], Err("refused"), 3);
    let (first, second) =
        (fixture.server(&led(&fixture, 7, &[])), led(&fixture, 7, &[fixture.server(&led(&fixture, 7, &[]))]));
    assert_ne!(first.address.to_string(), second);
    assert_ne!(second, "10.0.0.3:80", "one that is down comes last");
    let both = [first, fixture.server(&second)];
    assert_eq!(led(&fixture, 7, &both), "10.0.0.3:80");
    let all = [Arc::clone(&both[0]), Arc::clone(&both[1]), fixture.server("10.0.0.3:80")];
    assert_eq!(led(&fixture, 7, &all), both[0].address.to_string());
}

#[tokio::test]
async fn request_without_a_value_goes_to_servers_in_turn() {
    let fixture = of(HASH, 2);
    assert_eq!(fixture.requests(4), ["10.0.0.1:80", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.2:80"]);
}

/// So many requests that stay in progress.
fn hold(fixture: &Fixture, count: usize) -> Vec<Choice> {
    (0..count).map(|_| fixture.upstream.choose(&fixture.route, &[], false, None).unwrap()).collect()
}

fn held(choices: &[Choice]) -> Vec<String> {
    choices.iter().map(|choice| choice.server.address.to_string()).collect()
}

#[tokio::test]
async fn less_loaded_of_two_keeps_the_load_even() {
    let fixture = of("least_loaded", 4);
    let choices = hold(&fixture, 400);
    let addresses = held(&choices);
    let counts = counts(&addresses);
    assert!(counts.len() == 4 && counts.values().all(|count| (90..=110).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn server_with_many_requests_in_progress_gets_few_more_and_all_its_part_once_they_are_over() {
    let fixture = of("least_loaded", 2);
    let busy = fixture.server("10.0.0.1:80");
    let load: Vec<Load> = (0..50).map(|_| Load::on(&busy)).collect();
    let choices = hold(&fixture, 40);
    let share = held(&choices).iter().filter(|address| *address == "10.0.0.1:80").count();
    // Only if both of the two were the busy one: a quarter.
    assert!(share < 20, "{share}");
    drop((load, choices));
    assert_eq!(busy.condition().in_flight(), 0);
    let choices = hold(&fixture, 400);
    let share = held(&choices).iter().filter(|address| *address == "10.0.0.1:80").count();
    assert!((180..=220).contains(&share), "{share}");
}

#[tokio::test]
async fn heavier_server_takes_more_load() {
    let servers = "['10.0.0.1:80', { address: '10.0.0.2:80', weight: 3 }]";
    let fixture = Fixture::new(&format!("{{ servers: {servers}, balance: least_loaded }}"));
    let choices = hold(&fixture, 400);
    let heavy = held(&choices).iter().filter(|address| *address == "10.0.0.2:80").count();
    assert!((280..=320).contains(&heavy), "{heavy}");
}

#[tokio::test]
async fn less_loaded_of_two_passes_over_servers_that_were_tried_or_are_down() {
    let fixture = of("least_loaded", 3);
    fixture.checks(&["10.0.0.3:80"], Err("refused"), 3);
    for _ in 0..50 {
        let first = fixture.upstream.choose(&fixture.route, &[], false, None).unwrap().server;
        let choice = fixture.upstream.choose(&fixture.route, &[Arc::clone(&first)], false, None).unwrap();
        assert_ne!(choice.server.address.to_string(), "10.0.0.3:80");
        assert_ne!(choice.server.id(), first.id());
    }
    assert_eq!(fixture.attempts()[2], "10.0.0.3:80");
}

#[tokio::test]
async fn requests_in_progress_are_counted_only_where_the_rule_asks() {
    let fixture = of("round_robin", 1);
    assert!(hold(&fixture, 1)[0].load.is_none());
    assert_eq!(fixture.server("10.0.0.1:80").condition().in_flight(), 0);
}

#[test]
fn choosing_allocates_nothing_but_the_peer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    for balance in ["round_robin", "least_loaded", HASH] {
        let fixture = of(balance, 8);
        let choose = || drop(fixture.upstream.choose(&fixture.route, &[], false, Some(5)));
        choose();
        let peer = fixture.server("10.0.0.1:80");
        let of_peer = allocation_counter::measure(|| drop(peer.peer_for(false))).count_total;
        assert_eq!(allocation_counter::measure(choose).count_total, of_peer, "{balance}");
    }
}
