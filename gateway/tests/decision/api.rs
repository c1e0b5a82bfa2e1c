//! A gateway whose decision API is asked.

use std::net::SocketAddr;

use common::key::Secret;
use reqwest::Response;
use serde_json::Value;

use crate::support::{Fixture, ROUTES, eventually, process::Gateway};

/// A gateway with the usual routes that answers by HTTP and by gRPC.
pub(crate) struct Api {
    pub(crate) gateway: Gateway,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
}

impl Api {
    pub(crate) async fn start(fixture: &Fixture) -> Self {
        Self::start_with(fixture, "").await
    }

    /// `settings` are further settings of the section, each with a comma before it.
    pub(crate) async fn start_with(fixture: &Fixture, settings: &str) -> Self {
        Self::of(fixture.gateway_with(&rest(settings)).await)
    }

    pub(crate) fn of(gateway: Gateway) -> Self {
        let log = gateway.log();
        let listening = log.iter().find(|line| line["event"] == "listening").unwrap();
        let address = |field: &str| listening[field].as_str().unwrap().parse().unwrap();
        Self { http: address("decision"), grpc: address("decision_grpc"), gateway }
    }

    /// Posts a body and returns the answer.
    pub(crate) async fn post(&self, path: &str, secret: Option<&Secret>, body: impl Into<reqwest::Body>) -> Response {
        let request = self.gateway.client.post(format!("http://{}{path}", self.http)).body(body);
        let request = match secret {
            Some(secret) => request.header("x-api-key", secret.expose()),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// The decision on a question. While a busy machine keeps the store from answering in time, it
    /// is asked again, as the denial says.
    pub(crate) async fn check(&self, secret: &Secret, question: Value) -> Value {
        eventually("a decision with the store's answer", async || {
            let response = self.post("/check", Some(secret), question.to_string()).await;
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "application/json");
            let decision: Value = response.json().await.unwrap();
            (decision["reason"] != "quota_unavailable").then_some(decision)
        })
        .await
    }

    /// `allow`, or the reason of the denial.
    pub(crate) async fn outcome(&self, secret: &Secret, question: Value) -> String {
        let answer = self.check(secret, question).await;
        let told = if answer["decision"] == "allow" { &answer["decision"] } else { &answer["reason"] };
        told.as_str().unwrap().to_owned()
    }

    /// Reserves `units` and gives the reservation.
    pub(crate) async fn reserve(&self, secret: &Secret, units: u64) -> String {
        let answer = self.check(secret, serde_json::json!({ "mode": "reserve", "units": units })).await;
        assert_eq!(answer["decision"], "allow", "{answer}");
        answer["reservation_id"].as_str().unwrap().to_owned()
    }

    /// Settles a reservation: status, and code if it is a problem.
    pub(crate) async fn settle(&self, secret: &Secret, reservation: &str, units: u64) -> (u16, Value) {
        let body = serde_json::json!({ "reservation_id": reservation, "units": units });
        let response = self.post("/settle", Some(secret), body.to_string()).await;
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        (status, answer["code"].clone())
    }

    /// Ends the gateway, which sends all that there is.
    pub(crate) async fn end(&self) {
        self.gateway.signal("TERM");
        let status = self.gateway.ended().await;
        assert!(status.success(), "{status}");
    }
}

/// The usual routes, and a section `decision`.
pub(crate) fn rest(settings: &str) -> String {
    format!("decision: {{ listen: '127.0.0.1:0', grpc_listen: '127.0.0.1:0', threads: 2 {settings} }}\n{ROUTES}")
}
