//! The switches: what the contract lets an adapter meet.

use super::*;
use crate::v2::{Deleted, Duplicate, ErrorShape, IdField, KeepUntil, Mask, MethodId, Shape, Times};

#[tokio::test]
async fn a_tolerance_of_the_clock_can_be_asked_for() {
    let config = Config { clock_tolerance: Some(300), ..Config::default() };
    let bench = Bench::with(0, config, "").await;
    assert_eq!(bench.get("/v2/customers").await.status, 200);
    bench.now.fetch_add(301, Ordering::SeqCst);
    assert_eq!(bench.get("/v2/customers").await.status, 401);
}

#[tokio::test]
async fn a_duplicate_is_refused_as_asked() {
    let shapes = [
        (400, ErrorShape::Message),
        (409, ErrorShape::Errors),
        (422, ErrorShape::Bare),
        (403, ErrorShape::Text),
    ];
    for (status, errors) in shapes {
        let duplicate = Duplicate { status, errors };
        let bench = Bench::with(0, Config { duplicate, ..Config::default() }, "").await;
        bench.customer("a").await;
        let answer = bench.post("/v2/customers", person("a")).await;
        assert_eq!(answer.status, status);
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let said = "a customer with this merchant_customer_id exists";
        let expected = match errors {
            ErrorShape::Message => Some(json!({"status": "invalid-request", "message": said})),
            ErrorShape::Errors => Some(json!({"status": "invalid-request", "errors": [said]})),
            ErrorShape::Bare => Some(json!({"status": "invalid-request"})),
            ErrorShape::Text => None,
        };
        assert_eq!(body, expected);
        // Other errors keep the shape of every error.
        assert!(bench.get("/v2/customers/none").await.json()["message"].is_string());
    }
}

#[tokio::test]
async fn a_deletion_may_mean_other_things() {
    let deleted =
        Deleted { shown: false, listed: true, frees_reference: true, again_not_found: true };
    let bench = Bench::with(0, Config { deleted, ..Config::default() }, "").await;
    let uuid = bench.customer("a").await;
    let path = format!("/v2/customers/{uuid}");
    assert_eq!(bench.delete(&path).await.status, 200);
    assert_eq!(bench.delete(&path).await.status, 404);
    for path in [path.clone(), find("a"), format!("{path}/payment-methods")] {
        assert_eq!(bench.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(bench.post(&path, json!({"name": "x"})).await.status, 404);
    let again = bench.customer("a").await;
    assert_ne!(again, uuid);
    let rows = bench.get("/v2/customers").await.json();
    let marks: Vec<_> = rows["data"].as_array().unwrap().iter().map(|r| &r["deleted"]).collect();
    assert_eq!(marks, [false, true]);
    assert_eq!(bench.get(&find("a")).await.json()["uuid"], *again);
    // A reference can also be kept although the vendor shows the customer no more.
    let deleted = Deleted { shown: false, ..Deleted::default() };
    let bench = Bench::with(0, Config { deleted, ..Config::default() }, "").await;
    let uuid = bench.customer("a").await;
    bench.delete(&format!("/v2/customers/{uuid}")).await;
    assert_eq!(bench.get(&find("a")).await.status, 404);
    assert_eq!(bench.post("/v2/customers", person("a")).await.status, 400);
}

#[tokio::test]
async fn pages_may_be_short_at_any_time() {
    let config = Config { max_page: 20, irregular_pages: true, ..Config::default() };
    let bench = Bench::with(100, config, "").await;
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let page = bench.page(&format!("?limit=100&offset={}", seen.len())).await;
        if page.is_empty() {
            break;
        }
        sizes.push(page.len());
        seen.extend(page);
    }
    assert_eq!(seen.len(), 100);
    assert!(seen.is_sorted_by(|a, b| a > b));
    assert!(
        sizes.iter().all(|size| *size <= 20) && sizes.iter().any(|size| *size < 10),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn answers_come_in_other_shapes() {
    let shape = Shape {
        listed_id: IdField::Id,
        deleted_id: IdField::Id,
        method_id: MethodId::Number,
        mask: Mask::LastFour,
        times: Times::Offset,
        keep_until: KeepUntil::Time,
        nulls: false,
        created_is_201: false,
        errors: ErrorShape::Errors,
    };
    let bench = Bench::with(0, Config { shape, ..Config::default() }, "").await;
    let made = bench.post("/v2/customers", person("a")).await;
    assert_eq!((made.status, made.json().get("phone")), (200, None));
    let uuid = made.json()["uuid"].as_str().unwrap().to_owned();
    let row = bench.get("/v2/customers").await.json()["data"][0].clone();
    assert_eq!((&row["id"], row.get("uuid")), (&json!(uuid), None));
    assert_eq!(row["created_at"], "2027-01-15T09:00:00.000+01:00");
    let id = bench.card(&uuid);
    let path = format!("/v2/customers/{uuid}");
    let method = bench.get(&format!("{path}/payment-methods")).await.json()["data"][0].clone();
    assert_eq!(method["id"].as_u64().unwrap().to_string(), id);
    assert_eq!(method["masked_pan"], "************1111");
    assert_eq!(method["keep_until"], "2032-01-14T09:00:00.000+01:00");
    let refused = bench.post("/v2/customers", json!({"x": 1})).await.json();
    assert_eq!(refused, json!({"status": "invalid-request", "errors": ["`x` has the wrong type"]}));
    let gone = bench.delete(&path).await.json();
    assert_eq!(gone, json!({"status": "approved", "id": uuid, "deleted": true}));
    let shape = Shape {
        mask: Mask::FirstFour,
        times: Times::Spaced,
        errors: ErrorShape::Text,
        ..Shape::default()
    };
    let config = Config {
        keep_seconds: None,
        references_ignore_case: true,
        methods_move_updated_at: true,
        shape,
        ..Config::default()
    };
    let bench = Bench::with(0, config, "").await;
    let uuid = bench.customer("Ab").await;
    assert_eq!(bench.post("/v2/customers", person("aB")).await.status, 400);
    bench.card(&uuid);
    let shown = bench.get(&find("AB")).await.json();
    assert_eq!(shown["created_at"], "2027-01-15 08:00:00 UTC");
    assert_eq!(shown["updated_at"], "2027-01-15 08:00:01 UTC");
    let path = format!("/v2/customers/{uuid}/payment-methods");
    let method = bench.get(&path).await.json()["data"][0].clone();
    assert_eq!(
        (&method["masked_pan"], &method["keep_until"]),
        (&json!("4111********1111"), &Value::Null)
    );
    let none = bench.get("/v2/customers/none").await;
    assert_eq!(none.header("content-type").as_deref(), Some("text/plain"));
}
