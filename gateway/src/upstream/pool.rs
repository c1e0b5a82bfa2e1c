//! Turns among the servers of an upstream.
//!
//! Invariant: requests go to servers that are up, in turn and by weight. Those whose checks have
//! not decided yet come next, and those that are down last: if all are down, all are tried, because
//! checks can be wrong and a refusal cannot be right more often than an attempt.

use std::sync::Arc;

use super::{server::Server, standing::Verdict};

/// The servers of an upstream as they stand; made anew whenever that changes.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) servers: Vec<Arc<Server>>,
    /// The best servers in the order of their turns, heavier ones more often.
    turns: Vec<usize>,
    /// The other servers, better ones first.
    others: Vec<usize>,
}

impl Pool {
    pub(super) fn new(servers: Vec<Arc<Server>>) -> Self {
        let mut ranked: Vec<(Verdict, usize)> =
            servers.iter().enumerate().map(|(index, server)| (server.verdict(), index)).collect();
        ranked.sort_unstable();
        let best = ranked.first().map(|(verdict, _)| *verdict);
        let (first, others): (Vec<_>, Vec<_>) = ranked.into_iter().partition(|(verdict, _)| Some(*verdict) == best);
        let turns = turns(&first.into_iter().map(|(_, index)| (index, servers[index].weight)).collect::<Vec<_>>());
        let others = others.into_iter().map(|(_, index)| index).collect();
        Self { servers, turns, others }
    }

    /// The server whose turn it is, one that is not in `tried` if possible.
    pub(super) fn pick(&self, turn: usize, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        let start = turn.checked_rem(self.turns.len())?;
        let (before, after) = self.turns.split_at(start);
        let mut in_order = after.iter().chain(before).chain(&self.others).map(|index| &self.servers[*index]);
        in_order.find(|server| is_untried(server, tried)).or_else(|| self.servers.get(self.turns[start]))
    }

    /// Returns true if there is a server that is not in `tried`.
    pub(super) fn has_untried(&self, tried: &[Arc<Server>]) -> bool {
        self.servers.iter().any(|server| is_untried(server, tried))
    }

    /// Number of servers with this verdict.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.servers.iter().filter(|server| server.verdict() == verdict).count()
    }
}

fn is_untried(server: &Arc<Server>, tried: &[Arc<Server>]) -> bool {
    tried.iter().all(|other| other.id() != server.id())
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
}
