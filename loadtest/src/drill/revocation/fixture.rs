//! Two resellers for the subjects: one whose plan allows everything, one whose plan allows nearly
//! nothing.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use common::{
    id::{KeyId, TenantId},
    key::Pepper,
    plan::{PlanFile, PlanId},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, SystemClock, Zone},
};

use super::{super::error::DrillError, subject::Subject};
use crate::deployment::{Books, Deployment};

/// The tight plan is used up with the first request of the day.
const PLANS: &str = r#"
plans:
  - { id: open, name: Open, currency: USD, flat_fee: "0.00" }
  - { id: tight, name: Tight, currency: USD, flat_fee: "0.00", limits: { tenant: { per_day: 1 } } }
"#;

/// The two resellers, and everything that a change needs.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) pepper: Pepper,
    pub(super) gateways: Vec<SocketAddr>,
    pub(super) open: PlanHolder,
    pub(super) tight: PlanHolder,
    /// Requests of the subjects that have finished.
    finished: Mutex<Vec<Finished>>,
}

/// A plan and the reseller that has it.
pub(super) struct PlanHolder {
    pub(super) plan: PlanId,
    pub(super) reseller: TenantId,
}

struct Finished {
    key: KeyId,
    served: u64,
    unanswered: u64,
}

impl Fixture {
    pub(super) async fn prepare(deployment: &Deployment) -> Result<Self, DrillError> {
        let store = Store::open(deployment.store()).await?;
        let plans = PlanFile::parse(PLANS, "plans of the drill").map_err(|error| broken(&error))?.plans;
        store.apply_plans(&plans, SystemClock.now()).await?;
        Ok(Self {
            open: PlanHolder::new(&store, deployment.root(), "open").await?,
            tight: PlanHolder::new(&store, deployment.root(), "tight").await?,
            pepper: Pepper::new(deployment.keyctl.pepper.as_bytes()).map_err(|error| broken(&error))?,
            gateways: deployment.gateways().map(crate::processes::GatewayProcess::address).collect(),
            store,
            finished: Mutex::default(),
        })
    }

    /// Ends a subject and keeps its counts.
    pub(super) fn finish(&self, subject: &Subject) {
        let finished = Finished { key: subject.key, served: subject.served(), unanswered: subject.unanswered() };
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(finished);
    }

    /// Requests that got no answer.
    pub(super) fn unanswered(&self) -> u64 {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|finished| finished.unanswered).sum()
    }

    /// Adds the requests that were served, which have to be on the bill.
    pub(super) fn note_served(&self, books: &mut Books) {
        for finished in self.finished.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            books.keys.entry(finished.key.to_string()).or_default().received += finished.served;
        }
    }
}

impl PlanHolder {
    async fn new(store: &Store, root: TenantId, plan: &str) -> Result<Self, DrillError> {
        let plan = plan.parse::<PlanId>().map_err(|error| broken(&error))?;
        let new = NewTenant {
            parent: Some(root),
            kind: TenantKind::Reseller,
            name: format!("{plan} reseller"),
            zone: "UTC".parse::<Zone>().map_err(|error| broken(&error))?,
            plan: Some(plan.clone()),
        };
        let reseller = store.create_tenant(&new, SystemClock.now()).await?.id;
        Ok(Self { plan, reseller })
    }
}

/// The drill's own input was refused.
pub(super) fn broken(error: &impl std::fmt::Display) -> DrillError {
    DrillError::Io(std::io::Error::other(error.to_string()))
}
