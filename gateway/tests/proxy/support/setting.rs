//! A gateway before an upstream whose connections the test serves itself.

use std::net::SocketAddr;

use common::usage::UsageRecord;

use super::{Customer, Fixture, process::Gateway, raw::RawUpstream};

/// The gateway, with everything around it.
pub(crate) struct Setting {
    pub(crate) fixture: Fixture,
    /// A customer, on a plan without limits unless the test names another.
    pub(crate) customer: Customer,
    pub(crate) upstream: RawUpstream,
    pub(crate) gateway: Gateway,
}

impl Setting {
    /// Starts a gateway with the configuration for an upstream at this address.
    pub(crate) async fn new(configuration: impl FnOnce(SocketAddr) -> String) -> Self {
        Self::on_plan("roomy", configuration).await
    }

    /// The same with a customer on this plan.
    pub(crate) async fn on_plan(plan: &str, configuration: impl FnOnce(SocketAddr) -> String) -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some(plan)).await;
        let upstream = RawUpstream::start().await;
        let gateway = fixture.gateway_with(&configuration(upstream.address)).await;
        Self { fixture, customer, upstream, gateway }
    }

    /// The only record of the customer, once no request is in progress any more.
    pub(crate) async fn only_record(&self) -> UsageRecord {
        let records = self.fixture.billing.wait_for(self.customer.tenant, 1).await;
        self.gateway.idle().await;
        assert_eq!(records.len(), 1, "{records:?}");
        records[0].clone()
    }

    /// Requests of the route whose client left, and that ended in this way.
    pub(crate) async fn aborts(&self, route: &str, outcome: &str) -> Option<f64> {
        let series = format!("tollgate_http_aborts_total{{outcome=\"{outcome}\",route=\"{route}\"}}");
        self.gateway.metric(&series).await
    }
}
