//! The script alone, with the worst callers: they spend at any moment of their leases, and calls
//! and answers are lost, late or repeated.

use gateway::limit::bank::LEASE;
use proptest::prelude::*;
use simulate::{
    Bound,
    redis::{Redis, Reply},
    schedule::Terms,
};

use crate::schedules::terms;

const GATEWAYS: usize = 4;
const KEYS: [&str; 2] = ["rb:{0}:clock", "rb:{0}:limit"];

/// A step of the test.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Time passes, in nanoseconds.
    Pause(u64),
    /// A gateway spends so many hundredths of what it has in hand.
    Spend { gateway: usize, part: u64 },
    /// It calls: keeps so many hundredths, returns the rest, and wants more.
    Call { gateway: usize, kept: u64, want: u64, fate: Fate },
    /// Its process ends, and another one starts.
    Crash { gateway: usize },
    /// The latest call arrives once more.
    Again,
}

/// Fate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    Lost,
    AnswerLost,
    /// It arrives after the next pause.
    Late,
}

pub(crate) fn steps() -> impl Strategy<Value = (Terms, Vec<Step>)> {
    let gateway = 0..GATEWAYS;
    let part = || prop_oneof![2 => Just(100_u64), 1 => 0..100_u64];
    let fate = prop_oneof![6 => Just(Fate::Answered), 1 => Just(Fate::Lost), 1 => Just(Fate::AnswerLost), 1 => Just(Fate::Late)];
    // Short ones, and those in which most of a lease passes.
    let pause = prop_oneof![
        2 => 0..20_000_000_u64,
        1 => 20_000_000..200_000_000_u64,
        2 => 800_000_000..1_000_000_000_u64,
    ];
    let step = prop_oneof![
        4 => pause.prop_map(Step::Pause),
        4 => (gateway.clone(), part()).prop_map(|(gateway, part)| Step::Spend { gateway, part }),
        6 => (gateway.clone(), part(), prop_oneof![1 => Just(0), 5 => 1..700_u64], fate)
            .prop_map(|(gateway, kept, want, fate)| Step::Call { gateway, kept, want, fate }),
        1 => gateway.prop_map(|gateway| Step::Crash { gateway }),
        1 => Just(Step::Again),
    ];
    (terms(), prop::collection::vec(step, 1..80))
}

/// A violated promise.
pub(crate) struct Violation(String);

#[derive(Debug, Clone, Copy, Default)]
struct Caller {
    /// Number of processes before this one.
    starts: u64,
    sequence: u64,
    answered: u64,
    in_hand: u64,
    lapses: u64,
}

struct Model {
    redis: Redis,
    terms: Terms,
    bound: Bound,
    now: u64,
    callers: [Caller; GATEWAYS],
    late: Vec<Vec<String>>,
    latest: Option<Vec<String>>,
}

/// Runs the steps with `script` as the bank.
pub(crate) fn try_steps(script: &str, terms: Terms, steps: &[Step]) -> Result<(), Violation> {
    let bound = Bound::new(terms.rate(), terms.burst as f64);
    let callers = [Caller::default(); GATEWAYS];
    let redis = Redis::new(script).unwrap();
    let mut model = Model { redis, terms, bound, now: 0, callers, late: Vec::new(), latest: None };
    steps.iter().try_for_each(|step| model.take(step))
}

impl Model {
    fn take(&mut self, step: &Step) -> Result<(), Violation> {
        match *step {
            Step::Pause(nanos) => {
                self.now += nanos;
                for arguments in std::mem::take(&mut self.late) {
                    self.evaluate(&arguments)?;
                }
            }
            Step::Spend { gateway, part } => {
                let spent = part_of(self.in_hand(gateway), part);
                self.callers[gateway].in_hand -= spent;
                (0..spent).for_each(|_| self.bound.admit(self.now));
                if self.bound.overshoot() > 1e-3 {
                    return Err(Violation(format!("{} admitted too many", self.bound.overshoot())));
                }
            }
            Step::Call { gateway, kept, want, fate } => self.call(gateway, kept, want, fate)?,
            Step::Crash { gateway } => {
                self.callers[gateway] = Caller { starts: self.callers[gateway].starts + 1, ..Caller::default() };
            }
            Step::Again => {
                if let Some(arguments) = self.latest.clone() {
                    let before = self.redis.dump();
                    let reply = self.evaluate(&arguments)?;
                    if reply != Reply::Late || self.redis.dump() != before {
                        return Err(Violation("a call that came again was not late".to_owned()));
                    }
                }
            }
        }
        Ok(())
    }

    fn in_hand(&mut self, gateway: usize) -> u64 {
        let caller = &mut self.callers[gateway];
        if self.now >= caller.lapses {
            caller.in_hand = 0;
        }
        caller.in_hand
    }

    fn call(&mut self, gateway: usize, kept: u64, want: u64, fate: Fate) -> Result<(), Violation> {
        let in_hand = self.in_hand(gateway);
        let held = part_of(in_hand, kept);
        let caller = &mut self.callers[gateway];
        (caller.sequence, caller.in_hand) = (caller.sequence + 1, held);
        let arguments = arguments(gateway, *caller, self.terms, self.now, in_hand - held, want);
        match fate {
            Fate::Lost => return Ok(()),
            Fate::Late => {
                self.late.push(arguments);
                return Ok(());
            }
            Fate::Answered | Fate::AnswerLost => {}
        }
        let reply = self.evaluate(&arguments)?;
        self.latest = Some(arguments);
        let Reply::Numbers(numbers) = reply else {
            return Err(Violation("a new call was late".to_owned()));
        };
        if fate == Fate::Answered {
            let caller = &mut self.callers[gateway];
            let ids = usize::try_from(numbers[0]).unwrap();
            caller.in_hand += u64::try_from(numbers[6 + ids]).unwrap();
            (caller.lapses, caller.answered) = (self.now + LEASE, caller.sequence);
        }
        Ok(())
    }

    fn evaluate(&mut self, arguments: &[String]) -> Result<Reply, Violation> {
        self.redis.set_time(self.now);
        let reply = self.redis.evaluate(&KEYS.map(str::to_owned), arguments).unwrap();
        let record = self.redis.record(KEYS[1]).unwrap();
        let most = self.terms.burst as f64;
        // A late report may tell of tokens that have lapsed and were granted to others: then
        // nothing is left to give.
        if record.level < 0.0 || record.level > (most - record.held).max(0.0) + 1e-3 {
            return Err(Violation(format!("{record:?} of {most}")));
        }
        Ok(reply)
    }
}

fn arguments(gateway: usize, caller: Caller, terms: Terms, now: u64, returned: u64, want: u64) -> Vec<String> {
    let Caller { starts, sequence, answered, in_hand, .. } = caller;
    let about_call = [sequence, now / 1_000, LEASE / 1_000, 1, 0, answered, 0, 0];
    let window = terms.window.seconds() * 1_000_000;
    let draw = [terms.limit, window, terms.burst, in_hand, returned, 0, want, want];
    let text = |number: &u64| number.to_string();
    let name = format!("{gateway:06x}{starts:06x}");
    [name].into_iter().chain(about_call.iter().map(text)).chain(["rate".into()]).chain(draw.iter().map(text)).collect()
}

/// So many hundredths of the tokens.
fn part_of(tokens: u64, part: u64) -> u64 {
    tokens * part / 100
}

impl From<Violation> for TestCaseError {
    fn from(Violation(what): Violation) -> Self {
        Self::fail(what)
    }
}
