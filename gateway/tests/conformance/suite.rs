//! Runs tables of cases of HTTP/1.1.

use crate::{
    answers, forwarding,
    message::{Message, read_answers},
    recorder::Recorder,
    requests,
    support::{DEADLINE, Fixture, process::Gateway, raw::Wire},
    targets,
};

/// The answer of the upstream where a case names no other.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sent behind every case whose connection serves on.
const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A request that cases hide in the body of another one.
const INNER: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// The required outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 400, no whole request at the upstream, and the connection ends.
    Bad,
    /// The same with another status.
    Refused(u16),
    /// Answered by the upstream; the connection serves the request behind it.
    Good,
    /// Answered by the upstream; the connection ends by itself.
    GoodAndOver,
    /// Answered by the gateway with this status, without the upstream; the connection serves on.
    Answered(u16),
    /// The same, and the connection ends by itself.
    AnsweredAndOver(u16),
    /// The upstream has seen the request; the gateway answers 502 in its place.
    BadGateway,
    /// The answer ends before its end, so that the client can tell.
    CutOff,
}

pub(crate) use Outcome::{Answered, AnsweredAndOver, Bad, BadGateway, CutOff, Good, GoodAndOver, Refused};

/// A request with what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    sent: &'static str,
    outcome: Outcome,
    answer: &'static str,
    seen: &'static [&'static str],
    got: &'static [&'static str],
}

/// A case. In the bytes that are sent, `HOST` stands for the line of the host, `CHUNKED` for the
/// rest of a header whose body comes in chunks, `INNER` for a hidden request, and `LENGTH` for the
/// length of the body.
pub(crate) const fn case(name: &'static str, sent: &'static str, outcome: Outcome) -> Case {
    Case { name, sent, outcome, answer: OK, seen: &[], got: &[] }
}

impl Case {
    /// Lets the upstream answer like this; `CLOSE` at the end closes its connection.
    pub(crate) const fn answered(mut self, answer: &'static str) -> Self {
        self.answer = answer;
        self
    }

    /// Expects this of the request at the upstream; see [`Message::misses`].
    pub(crate) const fn sees(mut self, expected: &'static [&'static str]) -> Self {
        self.seen = expected;
        self
    }

    /// Expects this of the answer at the client; see [`Message::misses`].
    pub(crate) const fn gets(mut self, expected: &'static [&'static str]) -> Self {
        self.got = expected;
        self
    }

    /// The bytes that the client sends.
    fn bytes(&self) -> String {
        let text = self.sent.replace("INNER", INNER).replace("HOST", "Host: a\r\n");
        let text = text.replace("CHUNKED", "Transfer-Encoding: chunked\r\n\r\n");
        let body = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        text.replace("LENGTH", &body.to_string())
    }
}

/// Tables of cases, each named by its rule.
pub(crate) type Rules = &'static [(&'static str, &'static [Case])];

/// The bytes of all cases, which others go on from.
pub(crate) fn requests() -> Vec<String> {
    let all = [requests::RULES, targets::RULES, forwarding::RULES, answers::RULES];
    all.into_iter().flatten().flat_map(|(_, cases)| *cases).map(Case::bytes).collect()
}

/// A gateway between a client that is written out and an upstream that keeps what it sees.
pub(crate) struct Suite {
    _fixture: Fixture,
    pub(crate) upstream: Recorder,
    pub(crate) gateway: Gateway,
}

impl Suite {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with these settings of the gateway.
    pub(crate) async fn start_with(settings: &str) -> Self {
        let (fixture, upstream) = (Fixture::new().await, Recorder::start().await);
        let server = upstream.address;
        let gateway = fixture
            .gateway_with(&format!(
                "
{settings}
upstreams:
  recorder: {{ servers: ['{server}'], health: {{ interval_seconds: 3600 }} }}
routes:
  - {{ name: all, path_prefix: /, upstream: recorder, public: true }}
"
            ))
            .await;
        Self { _fixture: fixture, upstream, gateway }
    }

    /// Runs tables, each named by its rule; panics with all cases that fail.
    pub(crate) async fn run(&self, rules: Rules) {
        let mut failed = Vec::new();
        let mut names: Vec<&str> = rules.iter().flat_map(|(_, cases)| *cases).map(|case| case.name).collect();
        let count = names.len();
        for (rule, cases) in rules {
            for case in *cases {
                if let Err(reason) = self.check(case).await {
                    failed.push(format!("{rule}: {}: {:?}: {reason}", case.name, case.outcome));
                }
            }
        }
        assert!(failed.is_empty(), "{} of {count} fail:\n{}", failed.len(), failed.join("\n"));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name stands twice");
    }

    async fn check(&self, case: &Case) -> Result<(), String> {
        self.upstream.answer(case.answer);
        let answers = self.exchange(case).await?;
        let seen = self.upstream.take();
        let told = || {
            let told = |messages: &[Message]| messages.iter().map(Message::to_string).collect::<Vec<_>>().join(" | ");
            format!("the client got {}; the upstream saw {}", told(&answers), told(&seen))
        };
        let statuses: Vec<u16> = answers.iter().map(Message::status).collect();
        let is_first_problem = answers.first().is_some_and(Message::is_problem);
        let wants_seen = match case.outcome {
            Bad | Refused(_) | AnsweredAndOver(_) => 0,
            Good => 2,
            GoodAndOver | Answered(_) | BadGateway | CutOff => 1,
        };
        let is_right = match case.outcome {
            Bad => statuses == [400] && is_first_problem,
            Refused(status) => statuses == [status] && is_first_problem,
            Good => answers.len() == 2 && !is_first_problem && answers[1].body == "behind",
            GoodAndOver | CutOff => answers.len() == 1 && !is_first_problem,
            Answered(status) => answers.len() == 2 && statuses[0] == status && answers[1].body == "behind",
            AnsweredAndOver(status) => statuses == [status],
            BadGateway => statuses == [502] && is_first_problem,
        };
        let is_whole = answers.iter().all(|answer| answer.is_whole) != (case.outcome == CutOff);
        if !is_right || !is_whole || seen.len() != wants_seen {
            return Err(told());
        }
        let missed = seen.first().and_then(|seen| seen.misses(case.seen));
        match missed.or_else(|| answers.first().and_then(|answer| answer.misses(case.got))) {
            Some(missed) => Err(format!("{missed:?} is not met: {}", told())),
            None => Ok(()),
        }
    }

    /// Sends a case and what follows it; all that comes back.
    async fn exchange(&self, case: &Case) -> Result<Vec<Message>, String> {
        let mut wire = Wire::connect(self.gateway.address).await;
        wire.send_as_far_as_taken(case.bytes()).await;
        match case.outcome {
            // These end by themselves, though the client would go on.
            GoodAndOver | AnsweredAndOver(_) => {}
            // Nothing of the connection is left over for another request.
            Good | Answered(_) => wire.send(BEHIND).await,
            Bad | Refused(_) | BadGateway | CutOff => wire.end_sending().await,
        }
        let received = tokio::time::timeout(DEADLINE / 2, wire.read_to_end()).await;
        let received = received.map_err(|_| "the connection stays open")?;
        read_answers(received.as_bytes(), case.sent.starts_with("HEAD "))
    }
}
