//! Prepaid credit: paid once, added once.

use serde_json::json;

use super::fixture::Fixture;
use crate::topic::deployments;

#[tokio::test]
async fn payment_is_added_once() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let path = format!("/v1/tenants/{}/credit", fixture.shop);
        let top_up = json!({ "meter": "tokens", "units": 100, "reference": "order-1" });
        for _ in 0..2 {
            let credit = owner.post(&path, top_up.clone()).await.document(201);
            assert_eq!(credit, json!({ "meter": "tokens", "paid": 100, "drawn": 0, "owed": 0, "left": 100 }));
        }
        let other = json!({ "meter": "tokens", "units": 7, "reference": "order-1" });
        assert!(owner.post(&path, other).await.problem(409, "conflict").contains("order-1"));
        let named = owner.with("idempotency-key", "payment-2");
        let added = json!({ "meter": "tokens", "units": 11 });
        assert_eq!(named.post(&path, added.clone()).await.document(201)["paid"], 111);
        let again = named.post(&path, added).await;
        assert_eq!((again.document(200)["paid"].as_u64(), again.header("idempotency-replayed")), (Some(111), "true"));
        let credit = owner.get(&path).await.document(200);
        assert_eq!(credit["credit"], json!([{ "meter": "tokens", "paid": 111, "drawn": 0, "owed": 0, "left": 111 }]));
        assert_eq!(credit["top_ups"].as_array().map(Vec::len), Some(2));
        let quotas = owner.get(&format!("/v1/tenants/{}/quotas", fixture.shop)).await.document(200);
        let credit =
            json!({ "meter": "tokens", "period": "prepaid", "limit": 111, "drawn": 0, "owed": 0, "left": 111 });
        assert_eq!(quotas["quotas"], json!([credit]));
        let logged = owner.get("/v1/audit?action=credit.add").await.document(200);
        assert_eq!(logged["items"].as_array().map(Vec::len), Some(2), "{logged}");
        let back = json!({ "meter": "tokens", "units": -11, "reason": "paid twice" });
        assert_eq!(owner.post(&path, back).await.document(201)["left"], 100);
        let second = owner.get(&format!("{path}?limit=2")).await.document(200);
        let cursor = second["next_cursor"].as_str().unwrap();
        let last = owner.get(&format!("{path}?cursor={cursor}")).await.document(200);
        assert_eq!((last["top_ups"][0]["units"].as_i64(), &last["next_cursor"]), (Some(-11), &json!(null)), "{last}");
        assert_eq!(last["top_ups"][0]["reason"], "paid twice");
        let too_much = json!({ "meter": "tokens", "units": -101, "reason": "all of it" });
        owner.post(&path, too_much).await.problem(409, "conflict");
        // Nobody learns from references what others have paid.
        let rival = format!("/v1/tenants/{}/credit", fixture.rival);
        owner.post(&rival, json!({ "meter": "tokens", "units": 7, "reference": "order-1" })).await.document(201);
        for units in [json!(0), json!(-1), json!(u64::MAX), json!(i64::MAX), json!("1")] {
            let answer = owner.post(&path, json!({ "meter": "tokens", "units": units })).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{answer:?}");
        }
    }
}
