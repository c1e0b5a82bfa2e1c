//! One call of the bank's script: the draws of many accounts, with the keys and arguments that the
//! script reads.

use super::{
    SHARDS,
    account::LEASE,
    draw::{Answer, Argument, Draw, Kind},
    request::DrawRequest,
};

/// One call of the bank's script.
pub struct Call {
    /// Number of the call. The bank ignores a call that arrives after a later one.
    pub(super) sequence: u64,
    /// Instant of the call, in nanoseconds of the gateway's clock.
    pub(super) sent: u64,
    pub(super) is_fresh: bool,
    pub(super) is_new_connection: bool,
    /// Number of the last call that was answered.
    pub(super) answered: u64,
    /// The bank's version of that call.
    pub(super) version: u64,
    pub(super) is_last: bool,
    pub(super) draws: Vec<(DrawRequest, Draw)>,
}

impl Call {
    /// Number of the call.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Instant of the call, in nanoseconds of the gateway's clock.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Names of the limits in the call, each with its draw.
    pub fn draws(&self) -> impl ExactSizeIterator<Item = (&str, &Draw)> {
        self.draws.iter().map(|(request, draw)| (request.name(), draw))
    }

    /// Tokens of rates that `answer` grants. Permits do not count: they come back.
    pub(super) fn tokens(&self, answer: &Answer) -> u64 {
        let rates = self.draws.iter().zip(&answer.grants).filter(|((_, draw), _)| draw.kind == Kind::Rate);
        rates.map(|(_, grant)| grant.granted).sum()
    }

    /// Keys of the script. All are in one slot of a Redis Cluster.
    pub fn keys(&self, shard: usize) -> Vec<String> {
        debug_assert!(shard < SHARDS);
        let name = |name| format!("rb:{{{shard}}}:{name}");
        std::iter::once("clock").chain(self.draws().map(|(limit, _)| limit)).map(name).collect()
    }

    /// Arguments of the script. `gateway` is the name of this process, which no other process uses.
    pub fn arguments<'a>(&self, gateway: &'a str) -> Vec<Argument<'a>> {
        let about_call = [
            Argument::Text(gateway),
            Argument::Number(self.sequence),
            Argument::Number(self.sent / 1_000),
            Argument::Number(LEASE / 1_000),
            Argument::Number(self.is_fresh.into()),
            Argument::Number(self.is_new_connection.into()),
            Argument::Number(self.answered),
            Argument::Number(self.is_last.into()),
            Argument::Number(self.version),
        ];
        about_call.into_iter().chain(self.draws().flat_map(|(_, draw)| draw.arguments())).collect()
    }
}
