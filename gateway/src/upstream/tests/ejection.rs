//! Servers that are ejected for what their requests showed.

use super::*;

/// Four servers that are up.
fn four(ejection: &str) -> Fixture {
    let servers = "['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80']";
    let fixture = Fixture::new(&format!("{{ servers: {servers}, ejection: {{ {ejection} }} }}"));
    fixture.checks(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"], Ok(()), 1);
    fixture
}

impl Fixture {
    /// So many requests to a server fail in a row.
    fn failures(&self, address: &str, count: usize) {
        let server = self.server(address);
        (0..count).for_each(|_| self.upstream.note_failure(&server, || "refused".into()));
    }

    /// Addresses that requests go to.
    fn used(&self) -> Vec<String> {
        let mut used = self.requests(8);
        used.dedup();
        used
    }
}

#[tokio::test]
async fn server_whose_requests_fail_in_a_row_is_left_out_and_told_of() {
    let fixture = four("failures: 3");
    fixture.failures("10.0.0.2:80", 2);
    assert_eq!(fixture.used().len(), 4);
    fixture.upstream.note_answer(&fixture.server("10.0.0.2:80"), 500);
    fixture.failures("10.0.0.2:80", 2);
    assert_eq!(fixture.used().len(), 4, "an answer is no failure unless its status is named");
    fixture.failures("10.0.0.2:80", 1);
    assert_eq!(fixture.used(), ["10.0.0.1:80", "10.0.0.3:80", "10.0.0.4:80"]);
    assert_eq!(fixture.status(), (Status::Degraded, 3, 4));
    let problem = &fixture.upstream.health().problems[0];
    assert!(problem.reason.contains("ejected for 10 s after failed requests: refused"), "{}", problem.reason);
    assert_eq!(fixture.upstream.shared().ejections.load(Ordering::Relaxed), 1);
    // Good checks do not bring it back before its time.
    fixture.checks(&["10.0.0.2:80"], Ok(()), 3);
    assert_eq!(fixture.used().len(), 3);
    // It is still tried before a request fails.
    assert_eq!(fixture.attempts().last().unwrap(), "10.0.0.2:80");
}

#[tokio::test]
async fn named_statuses_are_failures() {
    let fixture = four("failures: 2, statuses: [503]");
    let server = fixture.server("10.0.0.1:80");
    for status in [503, 500, 503, 200, 503] {
        fixture.upstream.note_answer(&server, status);
    }
    assert_eq!(fixture.used().len(), 4);
    fixture.upstream.note_answer(&server, 503);
    assert_eq!(fixture.used().len(), 3);
}

#[tokio::test]
async fn no_more_than_the_stated_part_of_the_servers_is_ejected() {
    let fixture = four("failures: 1");
    for address in ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"] {
        fixture.failures(address, 5);
    }
    assert_eq!(fixture.used(), ["10.0.0.3:80", "10.0.0.4:80"]);
    let single = Fixture::new("{ servers: ['10.0.0.1:80'], ejection: { failures: 1 } }");
    single.checks(&["10.0.0.1:80"], Ok(()), 1);
    single.failures("10.0.0.1:80", 5);
    assert_eq!(single.status(), (Status::Up, 1, 1));
}

#[tokio::test]
async fn ejection_that_is_switched_off_ejects_nothing_and_ends_what_was() {
    let before = four("failures: 1");
    before.failures("10.0.0.1:80", 1);
    let text = "{ servers: ['10.0.0.1:80', '10.0.0.2:80'], ejection: { failures: 0 } }";
    let after = Fixture::after(text, Some(&before));
    after.failures("10.0.0.1:80", 100);
    assert_eq!(after.used(), ["10.0.0.1:80", "10.0.0.2:80"]);
}

#[tokio::test]
async fn ejection_breaker_and_budget_outlive_a_change_of_the_configuration() {
    let settings = "ejection: { failures: 1 }, retry_budget: { least: 1 }, \
                    breaker: { error_percent: 1, least_requests: 1 }";
    let before = Fixture::new(&format!("{{ servers: ['10.0.0.1:80', '10.0.0.2:80'], {settings} }}"));
    before.checks(&BOTH, Ok(()), 1);
    before.failures("10.0.0.1:80", 1);
    assert!(before.upstream.take_retry());
    before.upstream.pass().unwrap().unwrap().failed();
    let text = format!("{{ servers: ['10.0.0.3:80', '10.0.0.2:80', '10.0.0.1:80'], read_timeout_ms: 5, {settings} }}");
    let after = Fixture::after(&text, Some(&before));
    assert_eq!(after.attempts(), ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.1:80"]);
    assert!(!after.upstream.take_retry());
    assert!(after.upstream.pass().is_err());
    assert_eq!(after.upstream.health().breaker, Some(BreakerState::Open));
    // An upstream of another name knows nothing of it.
    assert!(Fixture::new(&text).upstream.pass().is_ok());
}

#[tokio::test(start_paused = true)]
async fn server_comes_back_when_its_time_is_over() {
    let fixture = four("failures: 1, seconds: 1");
    let ejections = || fixture.upstream.shared().ejections.load(Ordering::Relaxed);
    fixture.failures("10.0.0.1:80", 1);
    assert_eq!(ejections(), 1);
    let back = async {
        while fixture.used().len() < 4 {
            // The ejection ends on the machine's clock, which does not stand still.
            tokio::time::sleep(Duration::from_millis(1)).await;
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    back.await;
    assert_eq!(fixture.status(), (Status::Up, 4, 4));
    // The next failure ejects it for longer.
    fixture.failures("10.0.0.1:80", 1);
    assert_eq!(ejections(), 2);
    // On a machine that stands still for that long, it may be back already.
    let problem = fixture.upstream.health().problems.pop();
    assert!(problem.is_none_or(|problem| problem.reason.contains("ejected for 2 s")));
}
