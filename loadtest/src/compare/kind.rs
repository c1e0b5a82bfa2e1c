//! The rows of each comparison, and the features that each row has switched on.

use super::{Options, nginx};

/// Which comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contest {
    /// Programs that forward requests.
    Proxies,
    /// Programs that decide if a request may pass.
    Checks,
}

/// Which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Upstream,
    Pingora,
    Nginx,
    Gateway,
    Check,
    Peek,
    SharedCheck,
    RedisLimiter,
}

/// A row that the others' CPU is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) kind: Kind,
    /// Name of the ratio in JSON.
    pub(super) field: &'static str,
    /// Name of the ratio in the table.
    pub(super) heading: &'static str,
}

const PROXY_PEERS: &[Peer] = &[
    Peer { kind: Kind::Nginx, field: "cpu_vs_nginx", heading: "CPU vs nginx" },
    Peer { kind: Kind::Pingora, field: "cpu_vs_pingora", heading: "CPU vs Pingora" },
];

const CHECK_PEERS: &[Peer] =
    &[Peer { kind: Kind::RedisLimiter, field: "cpu_vs_redis_limiter", heading: "CPU vs Redis limiter" }];

impl Contest {
    /// The one that was asked for.
    pub(super) const fn of(options: &Options) -> Self {
        if options.checks { Self::Checks } else { Self::Proxies }
    }

    /// Rows that CPU is compared with.
    pub(super) const fn peers(self) -> &'static [Peer] {
        match self {
            Self::Proxies => PROXY_PEERS,
            Self::Checks => CHECK_PEERS,
        }
    }

    /// Programs that share the cores that are not the contestant's.
    pub(super) const fn others(self) -> &'static str {
        match self {
            Self::Proxies => "client, upstream or billing",
            Self::Checks => "client, Redis or billing",
        }
    }
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream alone",
            Self::Pingora => "bare Pingora",
            Self::Nginx => "nginx",
            Self::Gateway => "gateway",
            Self::Check => "check",
            Self::Peek => "check, peek",
            Self::SharedCheck => "check, shared",
            Self::RedisLimiter => "Redis limiter",
        }
    }

    pub(super) const fn switched_on(self) -> &'static str {
        match self {
            Self::Upstream => {
                "no proxy: the client and the upstream share the other cores, which shows how far they reach; CPU and \
                 memory are the upstream's own"
            }
            Self::Pingora => {
                "pass-through with 1 thread, no work stealing, mimalloc, keepalive pool of 1024, as the gateway; no log"
            }
            Self::Nginx => nginx::SWITCHED_ON,
            Self::Gateway => {
                "everything: keys, route, limits per second, minute and day of key and tenant, monthly quota, identity \
                 headers, access log to a file, usage journal, drain over HTTP to billing; its CPU includes the drain"
            }
            Self::Check => {
                "the gateway's POST /check: keys, two limits of the key and two of its tenant, kept in the process; \
                 usage journal, drain over HTTP to billing; its CPU includes the drain"
            }
            Self::Peek => "the same with mode peek: the decision alone, nothing is consumed, so nothing is recorded",
            Self::SharedCheck => "as the first, with the limits shared through Redis: its CPU includes drawing from it",
            Self::RedisLimiter => {
                "hyper on 1 thread with mimalloc, as the gateway's API; the same four limits by one EVALSHA for each \
                 check (GCRA, all or nothing) on one multiplexed connection; keys in a map, not hashed; no usage is \
                 recorded"
            }
        }
    }

    /// Returns true if it is held to a core that nothing else of the comparison uses.
    pub(super) fn has_core(self) -> bool {
        self != Self::Upstream
    }

    /// Returns true if what is received from it is recorded as usage.
    pub(super) const fn records_usage(self) -> bool {
        matches!(self, Self::Gateway | Self::Check | Self::SharedCheck)
    }

    /// Returns true if Redis works for it.
    pub(super) const fn uses_redis(self) -> bool {
        matches!(self, Self::SharedCheck | Self::RedisLimiter)
    }
}
