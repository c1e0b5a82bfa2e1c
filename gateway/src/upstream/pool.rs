//! Which of the servers of an upstream a request goes to.
//!
//! Invariants: requests go to the best servers, by the upstream's rule and by weight; of a service,
//! to those with the lowest number of priority. Those whose
//! checks have not decided yet come next, then those that are ejected, and those that are down last:
//! if all are down, all are tried, because checks can be wrong and a refusal cannot be right more
//! often than an attempt. Choosing takes no lock and allocates nothing.

use std::{cmp::Ordering, sync::Arc};

use super::{server::Server, standing::Verdict};
use crate::config::Balance;

/// The servers of an upstream as they stand; made anew whenever that changes.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) servers: Vec<Arc<Server>>,
    /// The rank of each server.
    ranks: Vec<Rank>,
    /// The best servers in the order of their turns, heavier ones more often.
    turns: Vec<usize>,
    /// The best servers, each once.
    best: Vec<usize>,
    /// The other servers, better ones first.
    others: Vec<usize>,
}

/// The rank of a server, better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Checks succeed.
    Up,
    /// No check has decided yet.
    Unknown,
    /// Its requests failed.
    Ejected,
    /// Checks fail.
    Down,
}

impl Rank {
    fn of(server: &Server, now_ms: u64) -> Self {
        match server.verdict() {
            Verdict::Down => Self::Down,
            _ if server.condition().is_ejected(now_ms) => Self::Ejected,
            Verdict::Unknown => Self::Unknown,
            Verdict::Up => Self::Up,
        }
    }
}

impl Pool {
    pub(super) fn new(servers: Vec<Arc<Server>>, now_ms: u64) -> Self {
        let ranks: Vec<Rank> = servers.iter().map(|server| Rank::of(server, now_ms)).collect();
        let place = |index: &usize| (ranks[*index], servers[*index].endpoint.priority);
        let mut ranked: Vec<usize> = (0..servers.len()).collect();
        ranked.sort_by_key(place);
        let first = ranked.first().map(place);
        let (best, others): (Vec<usize>, Vec<usize>) =
            ranked.into_iter().partition(|index| Some(place(index)) == first);
        let turns = turns(&best.iter().map(|index| (*index, servers[*index].weight)).collect::<Vec<_>>());
        Self { servers, ranks, turns, best, others }
    }

    /// The server for a request, one that is not in `tried` if possible. `turn` counts requests;
    /// `value` leads a request to its server where the rule is to hash.
    pub(super) fn pick(
        &self,
        balance: &Balance,
        turn: usize,
        value: Option<u64>,
        tried: &[Arc<Server>],
    ) -> Option<&Arc<Server>> {
        match (balance, value) {
            (Balance::RoundRobin, _) | (Balance::Hash(_), None) => self.in_turn(turn, tried),
            (Balance::LeastLoaded, _) => self.less_loaded(turn, tried),
            (Balance::Hash(_), Some(value)) => self.by_value(value, tried),
        }
    }

    /// The server whose turn it is.
    fn in_turn(&self, turn: usize, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        let start = turn.checked_rem(self.turns.len())?;
        let (before, after) = self.turns.split_at(start);
        let mut in_order = after.iter().chain(before).chain(&self.others).map(|index| &self.servers[*index]);
        in_order.find(|server| is_untried(server, tried)).or_else(|| self.servers.get(self.turns[start]))
    }

    /// The one of two random servers that has fewer requests in progress for its weight.
    fn less_loaded(&self, turn: usize, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        let random = mixed(turn as u64);
        let count = self.turns.len() as u64;
        let first = usize::try_from((random >> 32).checked_rem(count)?).ok()?;
        let second = usize::try_from((random & 0xffff_ffff) % count).ok()?;
        let servers = [first, second].map(|position| &self.servers[self.turns[position]]);
        let load = |server: &Server| u64::from(server.condition().in_flight()) + 1;
        let [one, other] = servers.map(|server| is_untried(server, tried).then_some(server));
        match (one, other) {
            (Some(one), Some(other)) => {
                let is_lighter = load(other) * u64::from(one.weight) < load(one) * u64::from(other.weight);
                Some(if is_lighter { other } else { one })
            }
            (None, None) => self.in_turn(first, tried),
            (one, other) => one.or(other),
        }
    }

    /// The server with the highest score for the value. Rendezvous hashing: a server that goes takes
    /// only its own values along, and gets them back when it returns.
    fn by_value(&self, value: u64, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        let score = |server: &Server| {
            // Uniform in (0, 1): the least of -ln(u) / w falls to each server by its weight.
            let uniform = ((mixed(server.seed() ^ value) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            -uniform.ln() / f64::from(server.weight)
        };
        let candidates = self.best.iter().map(|index| &self.servers[*index]);
        let compare = |one: &(f64, _), other: &(f64, _)| one.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal);
        let closest = |servers: &mut dyn Iterator<Item = &'_ Arc<Server>>| {
            servers.map(|server| (score(server), server.id())).min_by(compare).map(|(_, id)| id)
        };
        let untried = closest(&mut candidates.clone().filter(|server| is_untried(server, tried)));
        let id = match untried {
            Some(id) => id,
            None => {
                match self.others.iter().map(|index| &self.servers[*index]).find(|server| is_untried(server, tried)) {
                    Some(other) => other.id(),
                    None => closest(&mut candidates.clone())?,
                }
            }
        };
        self.servers.iter().find(|server| server.id() == id)
    }

    /// Returns true if there is a server that is not in `tried`.
    pub(super) fn has_untried(&self, tried: &[Arc<Server>]) -> bool {
        self.servers.iter().any(|server| is_untried(server, tried))
    }

    /// Returns true if the ejections are still those that it was made with.
    pub(super) fn is_current(&self, now_ms: u64) -> bool {
        let mut each = self.servers.iter().zip(&self.ranks);
        each.all(|(server, rank)| {
            *rank == Rank::Down || (*rank == Rank::Ejected) == server.condition().is_ejected(now_ms)
        })
    }

    /// Number of servers with this rank.
    pub(super) fn count(&self, rank: Rank) -> usize {
        self.ranks.iter().filter(|other| **other == rank).count()
    }
}

fn is_untried(server: &Arc<Server>, tried: &[Arc<Server>]) -> bool {
    tried.iter().all(|other| other.id() != server.id())
}

/// Spreads the bits of a number over all bits (the finalizer of `SplitMix64`). Every gateway, of every
/// version, has to come to the same result.
pub(super) const fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number for a text (FNV-1a), the same on every gateway.
pub(crate) fn value_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Each item as often as it weighs, evenly spread: the k-th turn of an item of weight w stands at
/// (2k + 1) / 2w.
fn turns(items: &[(usize, u32)]) -> Vec<usize> {
    let divisor = items.iter().fold(0, |divisor, (_, weight)| greatest_common_divisor(divisor, *weight)).max(1);
    let mut placed: Vec<(u64, usize)> = Vec::new();
    for (item, weight) in items {
        let weight = u64::from(weight / divisor);
        placed.extend((0..weight).map(|turn| (((2 * turn + 1) << 32) / (2 * weight), *item)));
    }
    placed.sort_unstable();
    placed.into_iter().map(|(_, item)| item).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_weights_and_are_spread_evenly() {
        assert_eq!(turns(&[(0, 1), (1, 1), (2, 1)]), [0, 1, 2]);
        assert_eq!(turns(&[(0, 100), (1, 100)]), [0, 1]);
        assert_eq!(turns(&[(0, 3), (1, 1)]), [0, 0, 1, 0]);
        assert_eq!(turns(&[(0, 4), (1, 2)]), [0, 1, 0]);
        assert_eq!(turns(&[]), [] as [usize; 0]);
        let many = turns(&[(0, 100), (1, 33), (2, 7)]);
        let count = |item: usize| many.iter().filter(|turn| **turn == item).count();
        assert_eq!((count(0), count(1), count(2)), (100, 33, 7));
    }

    #[test]
    fn hashes_are_those_of_every_other_gateway() {
        assert_eq!(value_of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(value_of(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf);
    }
}
