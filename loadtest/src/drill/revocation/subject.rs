//! A customer with a key, whose clients ask every gateway all the time, and what is changed of it.

use std::time::{Duration, Instant};

use common::{
    id::{KeyId, TenantId},
    key::{Mode, NewKey, Secret},
    plan::subscription::PlanStart,
    tenant::{TenantKind, TenantStatus, lifecycle::NewTenant},
    time::{Clock as _, SystemClock, Zone},
};
use tokio::time::{sleep, timeout};

use super::{
    super::error::DrillError,
    fixture::{Fixture, broken},
    probe::{Probe, Shows},
};
use crate::load::Request;

/// Longest time until a change counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time for which answers have to stay right.
const STAY: Duration = Duration::from_millis(150);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    /// The tenant goes to the reseller on the tight plan, whose plan it inherits,
    MoveToTight,
    /// and to the one on the open plan.
    MoveToOpen,
    /// The tenant gets the tight plan for itself,
    TakeTight,
    /// and the open one.
    TakeOpen,
    /// The tenant is suspended,
    Suspend,
    /// and active again.
    Reinstate,
    /// The key is revoked.
    Revoke,
}

/// The changes of a subject in order, each with the treatment that gateways have to show. Before
/// the first one, the key is served.
pub(super) const LIFE: [(Step, Shows); 7] = [
    (Step::MoveToTight, Shows::Limited),
    (Step::MoveToOpen, Shows::Served),
    (Step::TakeTight, Shows::Limited),
    (Step::TakeOpen, Shows::Served),
    (Step::Suspend, Shows::Refused),
    (Step::Reinstate, Shows::Served),
    (Step::Revoke, Shows::Refused),
];

/// The customer.
pub(super) struct Subject {
    tenant: TenantId,
    pub(super) key: KeyId,
    /// By gateway.
    pub(super) probes: Vec<Probe>,
}

impl Subject {
    /// A new customer without a plan of its own, once every gateway serves it.
    pub(super) async fn enter(fixture: &Fixture, name: &str) -> Result<Self, DrillError> {
        let now = SystemClock.now();
        let tenant = NewTenant {
            parent: Some(fixture.open.reseller),
            kind: TenantKind::Customer,
            name: name.to_owned(),
            zone: "UTC".parse::<Zone>().map_err(|error| broken(&error))?,
            plan: None,
        };
        let tenant = fixture.store.create_tenant(&tenant, now).await?.id;
        let secret = Secret::generate(Mode::Live);
        let key = NewKey::new(tenant, "live", &secret, &fixture.pepper);
        let key = fixture.store.create_key(&key, now).await?.id;
        let request = Request::get(&key.to_string(), "/v1/hello").bearer(secret.expose());
        let probes = fixture.gateways.iter().map(|gateway| Probe::start(*gateway, &request)).collect();
        let subject = Self { tenant, key, probes };
        match subject.arrival(Instant::now(), Shows::Served).await {
            Some(_) => Ok(subject),
            None => Err(DrillError::Patience(format!("a gateway does not serve the new key {key}"))),
        }
    }

    /// Makes a change and says when it was committed.
    pub(super) async fn change(&self, fixture: &Fixture, step: Step) -> Result<Instant, DrillError> {
        let (store, tenant, now) = (&fixture.store, self.tenant, SystemClock.now());
        match step {
            Step::MoveToTight => store.move_tenant(tenant, fixture.tight.reseller, None, now).await.map(drop)?,
            Step::MoveToOpen => store.move_tenant(tenant, fixture.open.reseller, None, now).await.map(drop)?,
            Step::TakeTight => {
                store.assign_plan(tenant, &fixture.tight.plan, None, PlanStart::Now, now).await.map(drop)?;
            }
            Step::TakeOpen => {
                store.assign_plan(tenant, &fixture.open.plan, None, PlanStart::Now, now).await.map(drop)?;
            }
            Step::Suspend => store.set_tenant_status(tenant, TenantStatus::Suspended, now).await.map(drop)?,
            Step::Reinstate => store.set_tenant_status(tenant, TenantStatus::Active, now).await.map(drop)?,
            Step::Revoke => store.revoke_key(self.key, now).await.map(drop)?,
        }
        Ok(Instant::now())
    }

    /// Time from `since` until the last gateway has shown it for good; none if one does not.
    pub(super) async fn arrival(&self, since: Instant, shows: Shows) -> Option<Duration> {
        arrival(&self.probes, since, shows).await
    }

    pub(super) fn served(&self) -> u64 {
        self.probes.iter().map(Probe::served).sum()
    }

    pub(super) fn unanswered(&self) -> u64 {
        self.probes.iter().map(Probe::unanswered).sum()
    }
}

/// Time from `since` until the last of some gateways has shown it for good; none if one does not.
pub(super) async fn arrival(probes: &[Probe], since: Instant, shows: Shows) -> Option<Duration> {
    let last = || {
        let arrivals: Option<Vec<_>> = probes.iter().map(|probe| probe.arrival(since, shows)).collect();
        arrivals.and_then(|arrivals| arrivals.into_iter().max())
    };
    let arrived = async {
        loop {
            if last().is_some() {
                sleep(STAY).await;
                if let Some(arrived) = last() {
                    return arrived;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, arrived).await.ok()
}
