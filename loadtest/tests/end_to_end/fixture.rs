//! A deployment with a client of its own.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use common::time::{Clock, Period, SystemClock, Zone};
use loadtest::{
    deployment::{self, Customer, DeploymentOptions},
    processes::{GatewayProcess, Invoice},
};
use servers::{DEADLINE, KafkaOptions, eventually, within};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// A deployment, and somebody who calls its gateway.
pub(crate) struct Fixture {
    deployment: deployment::Deployment,
    client: reqwest::Client,
}

impl Fixture {
    /// A deployment on a SQLite file.
    pub(crate) async fn on_sqlite() -> Self {
        Self::build(DeploymentOptions::default()).await
    }

    /// A deployment on a PostgreSQL server of its own.
    pub(crate) async fn on_postgres() -> Self {
        Self::build(DeploymentOptions { postgres: true, ..DeploymentOptions::default() }).await
    }

    /// A deployment on a SQLite file, whose usage goes through a Kafka that wants TLS and a
    /// password.
    pub(crate) async fn on_secured_kafka() -> Self {
        Self::build(DeploymentOptions { kafka: Some(KafkaOptions { secured: true }), ..DeploymentOptions::default() })
            .await
    }

    async fn build(options: DeploymentOptions) -> Self {
        let deployment = deployment::Deployment::build(options).await.unwrap();
        let client = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
        Self { deployment, client }
    }

    /// A customer that the gateway serves already.
    pub(crate) async fn customer(&self, name: &str, plan: &str) -> Customer {
        let customer = self.deployment.customer(name, plan).await.unwrap();
        // No route is there, so nothing is metered; once both keys are known, the refusal is about
        // the route.
        for key in [&customer.key, &customer.test_key] {
            eventually("the gateway knows the key", async || self.get("/nowhere", key).await == 404).await;
        }
        customer
    }

    /// The status of one request through the gateway, received in full.
    pub(crate) async fn get(&self, path: &str, key: &str) -> u16 {
        self.get_from(&self.gateway, path, key).await
    }

    /// As [`Fixture::get`], through another gateway.
    pub(crate) async fn get_from(&self, gateway: &GatewayProcess, path: &str, key: &str) -> u16 {
        let answer = self.client.get(gateway.url() + path).bearer_auth(key).send().await.unwrap();
        let status = answer.status().as_u16();
        answer.bytes().await.unwrap();
        status
    }

    /// Sends a request through the gateway and hangs up at once.
    pub(crate) async fn leave(&self, path: &str, key: &str) {
        let url = reqwest::Url::parse(&self.gateway.url()).unwrap();
        let address = url.socket_addrs(|| None).unwrap()[0];
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Runs a command of `keyctl` that must succeed.
    pub(crate) async fn admin(&self, arguments: &[&str]) {
        self.keyctl.call(arguments).await.unwrap();
    }

    /// The customer's invoice draft, once it is as expected.
    pub(crate) async fn invoice_once(&self, customer: &Customer, expected: impl Fn(&Invoice) -> bool) -> Invoice {
        let period = Period::containing(SystemClock.now(), &Zone::utc()).unwrap();
        let mut last = None;
        let found = within(DEADLINE, Duration::from_millis(50), async || {
            let bill = self.bills.read(period).await.unwrap();
            let invoice = bill.of(customer.tenant).expect("the customer has an invoice").clone();
            last = Some(invoice.clone());
            expected(&invoice).then_some(invoice)
        });
        found.await.unwrap_or_else(|| panic!("not the invoice expected: {last:?}"))
    }
}

impl Deref for Fixture {
    type Target = deployment::Deployment;

    fn deref(&self) -> &deployment::Deployment {
        &self.deployment
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut deployment::Deployment {
        &mut self.deployment
    }
}
