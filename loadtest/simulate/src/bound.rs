//! The bound of a limit, watched as a bucket. At most `burst + rate x W` requests are admitted over
//! every stretch of time W if and only if a bucket of `burst` tokens that refills at `rate` and
//! gives each request a token never goes below zero.

/// Largest rounding error of a sum of many small refills, in tokens.
const ROUNDING: f64 = 1e-6;

/// A bucket that may go below zero, and remembers its lowest level.
#[derive(Debug, Clone)]
pub struct Bound {
    rate: f64,
    burst: f64,
    level: f64,
    at: u64,
    extras: Vec<Extra>,
    allowed: usize,
    deepest: f64,
}

/// Requests that a fault allows on top, as if there were another bucket for some time.
#[derive(Debug, Clone, Copy)]
struct Extra {
    number: ExtraNumber,
    most: f64,
    rate: f64,
    until: u64,
}

/// Number of an extra bucket, needed to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtraNumber(usize);

impl Bound {
    /// Makes a full bucket. `rate` is per nanosecond.
    pub fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, level: burst, at: 0, extras: Vec::new(), allowed: 0, deepest: 0.0 }
    }

    /// Makes a bucket that is never full: `tokens` at `now`, and everything that refills from then
    /// on.
    pub fn refilling(rate: f64, tokens: f64, now: u64) -> Self {
        Self { level: tokens, at: now, ..Self::new(rate, f64::INFINITY) }
    }

    /// Number of requests that could still be admitted at `now`.
    pub fn level(&mut self, now: u64) -> f64 {
        while let Some(ended) = self.first_to_end().filter(|index| self.extras[*index].until <= now) {
            self.refill(self.extras[ended].until);
            self.extras.swap_remove(ended);
            self.level = self.level.min(self.most());
        }
        self.refill(now);
        self.level
    }

    /// Counts one admitted request.
    pub fn admit(&mut self, now: u64) {
        self.level = self.level(now) - 1.0;
        self.deepest = self.deepest.max(-self.level);
    }

    /// Adds an extra bucket from now until `until`: it has `tokens` of `most` tokens, and refills
    /// at `rate`.
    pub fn allow(&mut self, (tokens, most): (f64, f64), rate: f64, now: u64, until: u64) -> ExtraNumber {
        self.level = self.level(now) + tokens;
        self.allowed += 1;
        let number = ExtraNumber(self.allowed);
        self.extras.push(Extra { number, most, rate, until });
        number
    }

    /// Refills an extra bucket at `rate` from now on.
    pub fn refill_extra(&mut self, number: ExtraNumber, rate: f64, now: u64) {
        self.level(now);
        if let Some(extra) = self.extras.iter_mut().find(|extra| extra.number == number) {
            extra.rate = rate;
        }
    }

    /// Ends an extra bucket at `at`.
    pub fn end(&mut self, number: ExtraNumber, at: u64) {
        let extra = self.extras.iter_mut().find(|extra| extra.number == number);
        if let Some(extra) = extra {
            extra.until = extra.until.min(at);
        }
    }

    /// Changes the limit. A full bucket stays full, and so may one whose rate rises, because
    /// gateways hear of the change at different times. Tokens beyond a smaller burst are gone.
    pub fn change(&mut self, rate: f64, burst: f64, now: u64) {
        let may_be_full = self.level(now) >= self.most() - ROUNDING || rate > self.rate;
        (self.rate, self.burst) = (rate, burst);
        self.level = if may_be_full { self.most() } else { self.level.min(self.most()) };
    }

    /// Most requests admitted above the bound over any stretch of time, 0 if the bound held.
    pub fn overshoot(&self) -> f64 {
        if self.deepest > ROUNDING { self.deepest } else { 0.0 }
    }

    /// Most tokens that the bucket and its extra buckets can have.
    pub fn most(&self) -> f64 {
        self.burst + self.extras.iter().map(|extra| extra.most).sum::<f64>()
    }

    fn first_to_end(&self) -> Option<usize> {
        let extras = self.extras.iter().enumerate();
        extras.min_by_key(|(_, extra)| extra.until).map(|(index, _)| index)
    }

    fn refill(&mut self, now: u64) {
        let rate = self.rate + self.extras.iter().map(|extra| extra.rate).sum::<f64>();
        let elapsed = now.saturating_sub(self.at) as f64;
        self.level = (self.level + rate * elapsed).min(self.most());
        self.at = self.at.max(now);
    }
}
