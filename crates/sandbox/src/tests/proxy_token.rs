//! The vendor's behaviour without faults.

use super::*;
use crate::proxy_token::{Envelope, IdField, MethodShape, NextLink, Shape};
use base64::Engine;

async fn token(bench: &Bench, client: &str, form: &str) -> Raw {
    let basic = base64::engine::general_purpose::STANDARD.encode(client);
    let headers = [
        ("authorization", &*format!("Basic {basic}")),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    send(bench.running.addr(), "POST", "/oauth2/token", &headers, form).await.unwrap()
}

const FORM: &str = "grant_type=client_credentials&scope=com.govineer.payments%2Fadmin";

#[tokio::test]
async fn access_tokens_are_given_checked_and_end() {
    let bench = Bench::new().await;
    assert_eq!(token(&bench, "sandbox-client:wrong", FORM).await.status, 401);
    let scope = token(&bench, "sandbox-client:sandbox-secret", "grant_type=client_credentials");
    assert_eq!(scope.await.json()["error"], "invalid_scope");
    let given = token(&bench, "sandbox-client:sandbox-secret", FORM).await.json();
    assert_eq!((&given["token_type"], &given["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let bearer = format!("Bearer {}", given["access_token"].as_str().unwrap());
    let list = async |bearer: &str| {
        let headers = [("authorization", bearer), ("x-payment-account-uid", MAIN)];
        send(bench.running.addr(), "GET", "/api/customers", &headers, "").await.unwrap().status
    };
    assert_eq!(list(&bearer).await, 200);
    assert_eq!(list("Bearer nonsense").await, 401);
    bench.now.fetch_add(3600, Ordering::SeqCst);
    assert_eq!(list(&bearer).await, 401);
    let again = token(&bench, "sandbox-client:sandbox-secret", FORM).await.json();
    let bearer = format!("Bearer {}", again["access_token"].as_str().unwrap());
    assert_eq!(list(&bearer).await, 200);
    bench.running.revoke_access_tokens();
    assert_eq!(list(&bearer).await, 401);
    assert_eq!(bench.running.token_requests(), 4);
    assert_eq!(bench.running.tokens_issued(), 2);
}

#[tokio::test]
async fn the_account_header_selects_the_merchant() {
    let bench = Bench::with(3, Config::default(), "").await;
    let call = async |account: &str| {
        bench.call_as(account, "GET", "/api/customers", &Value::Null).await.unwrap()
    };
    assert_eq!(call("").await.code(), "account_required");
    assert_eq!((call("pa_other").await.status, call("_empty").await.status), (403, 403));
    assert_eq!(call(MAIN).await.json()["value"].as_array().unwrap().len(), 3);
    assert_eq!(call("pa_empty").await.json(), json!({"value": []}));
    // A wrong uid that exists acts on the other merchant.
    let body = person("R-1");
    let made = bench.call_as("pa_empty", "POST", "/api/customers", &body).await.unwrap();
    assert_eq!(made.status, 201);
    assert!(bench.running.customer_by_reference("pa_empty", "R-1").is_some());
    assert!(bench.running.customer_by_reference(MAIN, "R-1").is_none());
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let bench = Bench::new().await;
    let refused = async |body: Value| {
        let answer = bench.post("/api/customers", body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["request_id"].as_str().unwrap().starts_with("req_"));
        (answer.code(), answer.json()["error"]["field"].as_str().unwrap().to_owned())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        refused(json!({"reference_id": "a", "phone": "1"})).await,
        pair("unknown_property", "phone")
    );
    assert_eq!(
        refused(json!({"reference_id": "a", "name": null})).await,
        pair("null_not_allowed", "name")
    );
    assert_eq!(refused(json!({"name": "a"})).await, pair("missing_property", "reference_id"));
    assert_eq!(refused(json!({"reference_id": 5})).await, pair("invalid_property", "reference_id"));
    assert_eq!(
        refused(json!({"reference_id": "a", "email": "x"})).await,
        pair("invalid_field", "email")
    );
    assert_eq!(
        refused(json!({"reference_id": "4242 4242 4242 4242"})).await,
        pair("pan_not_allowed", "reference_id")
    );
    let uid = bench.customer("a").await;
    let path = format!("/api/customers/{uid}/payment-methods");
    let mut method = json!({"payment_method": credit("4242424242424242")});
    assert_eq!(bench.post(&path, method.clone()).await.code(), "pan_not_allowed");
    method["payment_method"]["credit"]["cvv"] = "123".into();
    method["payment_method"]["credit"]["fingerprint"] = "x".into();
    let answer = bench.post(&path, method).await.json();
    assert_eq!(answer["error"]["field"], "payment_method.credit.cvv");
    let wide = bench.get("/api/customers?$orderby=name").await;
    assert_eq!((wide.status, wide.code()), (400, "unknown_query_option".to_owned()));
    let put = bench.call("PUT", &format!("/api/customers/{uid}"), &json!({})).await.unwrap();
    assert_eq!(put.status, 405);
    assert_eq!(bench.get("/api/nothing").await.code(), "route_not_found");
    assert_eq!(bench.running.counters().calls("unknown"), 2);
}

#[tokio::test]
async fn customers_are_created_once_found_and_got() {
    let bench = Bench::new().await;
    let uid = bench.customer("O'Neil & Söhne/1+1").await;
    let again = bench.post("/api/customers", person("O'Neil & Söhne/1+1")).await;
    assert_eq!((again.status, again.code()), (409, "customer_exists".to_owned()));
    let found = bench.get(&find_path("O'Neil & Söhne/1+1")).await.json();
    assert_eq!(found["value"][0]["uid"], *uid);
    assert_eq!(bench.get(&find_path("o'neil & söhne/1+1")).await.json(), json!({"value": []}));
    assert_eq!(bench.get("/api/customers?$filter=reference_id%20eq%20'a'b'").await.status, 400);
    let got = bench.get(&format!("/api/customers/{uid}")).await.json();
    assert_eq!(got["created_at"], "2027-01-15T08:00:00Z");
    assert_eq!(bench.get("/api/customers/cus_none").await.code(), "customer_not_found");
}

#[tokio::test]
async fn the_list_is_newest_first_and_ends_with_an_empty_page() {
    let bench = Bench::with(230, Config::default(), "").await;
    let page = async |query: &str| {
        let answer = bench.get(&format!("/api/customers?{query}")).await.json();
        let rows = answer["value"].as_array().unwrap().clone();
        rows.iter().map(|r| r["reference_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = page("$top=500&$skip=0").await;
    assert_eq!((first.len(), &*first[0], &*first[99]), (100, "C-000230", "C-000131"));
    assert_eq!(page("$top=100&$skip=200").await.last().unwrap(), "C-000001");
    assert!(page("$top=100&$skip=230").await.is_empty());
    bench.customer("new").await;
    assert_eq!(page("$top=1").await, ["new"]);
}

#[tokio::test]
async fn proxynized_tokens_are_swapped_once_and_grow_old() {
    let bench = Bench::new().await;
    let uid = bench.customer("a").await;
    let path = format!("/api/customers/{uid}/payment-methods");
    let add = async |token: &str| bench.post(&path, json!({"payment_method": credit(token)})).await;
    let fresh = format!("pxt_{}_1", NOON - 900);
    let saved = add(&fresh).await;
    assert_eq!(saved.status, 201);
    let permanent = saved.json()["payment_method"]["credit"]["fingerprint"].clone();
    assert!(permanent.as_str().unwrap().starts_with("ptk_"));
    assert_eq!(add(&fresh).await.code(), "token_spent");
    assert_eq!(add(&format!("pxt_{}_1", NOON - 901)).await.code(), "token_expired");
    assert_eq!(add(&format!("pxt_{}_1", NOON + 61)).await.code(), "invalid_token");
    assert_eq!(add("tok_1").await.code(), "invalid_token");
    let ach = json!({"payment_method": {"payment_method_type": "ach", "ach": {
        "fingerprint": format!("pxt_{NOON}_2"), "routing_number": "011000015",
        "account_number_suffix": "6789", "account_type": "checking", "bank_name": "B",
        "holder_name": "H"}}});
    assert_eq!(bench.post(&path, ach).await.status, 201);
    let listed = bench.get(&path).await.json();
    let rows = listed["payment_methods"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    // The first one did not become the default, and nothing sensitive is listed.
    assert!(rows.iter().all(|r| r["is_default"] == false));
    assert!(!listed.to_string().contains("ptk_") && !listed.to_string().contains("011000015"));
    assert_eq!(rows[1]["ach"]["account_number_suffix"], "6789");
    // The dump shows a hash of the permanent token, no more.
    let dump = serde_json::to_string(&bench.running.customers(MAIN)).unwrap();
    assert!(!dump.contains(permanent.as_str().unwrap()));
    assert_eq!(bench.methods(&uid)[0].token_sha256.len(), 12);
    let none = bench.post(
        "/api/customers/cus_x/payment-methods",
        json!({"payment_method": credit(&format!("pxt_{NOON}_3"))}),
    );
    assert_eq!(none.await.status, 404);
}

#[tokio::test]
async fn the_default_is_set_and_methods_removed() {
    let bench = Bench::new().await;
    let (a, b) = (bench.customer("a").await, bench.customer("b").await);
    let rows = json!({"saved_payment_methods": [row(&a, "t1"), row(&b, "t2")]});
    bench.post("/api/saved-payment-methods/import", rows).await;
    let (mine, other) = (bench.methods(&a)[0].id.clone(), bench.methods(&b)[0].id.clone());
    let path = format!("/api/customers/{a}/default-payment-method");
    let set = async |uid: &str| {
        bench.call("PUT", &path, &json!({"saved_payment_method_uid": uid})).await.unwrap()
    };
    assert_eq!(set(&other).await.code(), "payment_method_not_found");
    assert_eq!(set(&mine).await.status, 200);
    assert_eq!(bench.running.customer(MAIN, &a).unwrap().default_method, Some(mine.clone()));
    let remove = async |uid: &str| {
        let path = format!("/api/customers/{a}/payment-methods/{uid}");
        bench.call("DELETE", &path, &Value::Null).await.unwrap().status
    };
    assert_eq!(remove(&other).await, 404);
    assert_eq!(remove(&mine).await, 204);
    assert_eq!(remove(&mine).await, 404);
    assert_eq!(bench.running.customer(MAIN, &a).unwrap().default_method, None);
}

#[tokio::test]
async fn bulk_import_answers_each_row() {
    let bench = Bench::new().await;
    let (a, b) = (bench.customer("a").await, bench.customer("b").await);
    let mut first = row(&a, "t1");
    first["is_default"] = true.into();
    let mut wrong = row(&a, "t3");
    wrong["payment_method"]["credit"]["exp_month"] = 13.into();
    let rows = json!([
        first,
        row(&a, "t1"),
        row(&b, "t1"),
        row(&a, "bad_x"),
        row("cus_x", "t2"),
        wrong,
        row(&a, "pxt_1_1"),
    ]);
    let import = async |rows: &Value| {
        bench
            .post("/api/saved-payment-methods/import", json!({"saved_payment_methods": rows}))
            .await
    };
    let answer = import(&rows).await;
    let results = sorted(&answer);
    let said: Vec<&str> = results
        .iter()
        .map(|r| r["error"]["code"].as_str().or(r["status"].as_str()).unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "imported",
            "duplicate",
            "imported",
            "invalid_token",
            "customer_not_found",
            "invalid_field",
            "invalid_token",
        ]
    );
    assert_eq!(results[0]["saved_payment_method_uid"], results[1]["saved_payment_method_uid"]);
    assert!(bench.methods(&a)[0].is_default);
    // The same call again: the same order, and what was imported is a duplicate.
    let again = import(&rows).await;
    let order = |raw: &Raw| {
        let results = raw.json()["results"].as_array().unwrap().clone();
        results.iter().map(|r| r["index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(order(&answer), order(&again));
    assert_ne!(order(&answer), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(sorted(&again)[0]["status"], "duplicate");
    assert_eq!(bench.methods(&a).len(), 1);
    let many: Vec<Value> = (0..101).map(|i| row(&a, &format!("m{i}"))).collect();
    let answer = import(&json!(many)).await;
    assert_eq!((answer.status, answer.code()), (413, "batch_too_large".to_owned()));
    assert_eq!(import(&json!([])).await.code(), "empty_batch");
}

#[tokio::test]
async fn switches_change_the_vendor() {
    let config = Config {
        import_dedupes: false,
        duplicate_across_customers: true,
        references_ignore_case: true,
        first_method_is_default: true,
        shape: Shape {
            customers: Envelope::Bare,
            methods: Envelope::Data,
            id_field: IdField::CustomerUid,
            method: MethodShape::Flat,
            is_default: false,
            created_at: false,
            next_link: NextLink::Absent,
            mixed_method_prefix: true,
        },
        ..Config::default()
    };
    let bench = Bench::with(0, config, "").await;
    let made = bench.post("/api/customers", person("Ab")).await.json();
    assert!(made.get("created_at").is_none());
    let a = made["customer_uid"].as_str().unwrap().to_owned();
    assert_eq!(bench.post("/api/customers", person("aB")).await.status, 409);
    assert_eq!(bench.get(&find_path("AB")).await.json()[0]["reference_id"], "Ab");
    let b = bench.running.create_customer(MAIN, Some("b"), "B", "b@example.com").unwrap();
    let mut rows: Vec<Value> = (0..20).map(|i| row(&a, &format!("t{i}"))).collect();
    rows.push(row(&a, "t0"));
    rows.push(row(&b, "t1"));
    let rows = json!({"saved_payment_methods": rows});
    let results = sorted(&bench.post("/api/saved-payment-methods/import", rows).await);
    assert_eq!(
        (&results[20]["status"], &results[21]["status"]),
        (&json!("imported"), &json!("duplicate"))
    );
    assert_eq!(results[21]["saved_payment_method_uid"], results[1]["saved_payment_method_uid"]);
    let prefix = |p: &str| bench.methods(&a).iter().filter(|m| m.id.starts_with(p)).count();
    assert!(prefix("spm_") > 0 && prefix("SPM_") > 0);
    let listed = bench.get(&format!("/api/customers/{a}/payment-methods")).await.json();
    let first = &listed["data"][0];
    assert_eq!((&first["type"], &first["brand"]), (&json!("card"), &json!("VISA")));
    assert!(first.get("is_default").is_none());
    assert!(bench.methods(&a)[0].is_default);
}

#[tokio::test]
async fn pages_can_link_to_the_next() {
    for (next_link, origin) in
        [(NextLink::SameOrigin, None), (NextLink::ForeignOrigin, Some("http://elsewhere.invalid"))]
    {
        let shape = Shape { next_link, customers: Envelope::Items, ..Shape::default() };
        let bench = Bench::with(5, Config { shape, ..Config::default() }, "").await;
        let page = bench.get("/api/customers?$top=3").await.json();
        let origin = origin.unwrap_or(bench.running.base_url());
        assert_eq!(page["@odata.nextLink"], format!("{origin}/api/customers?$top=3&$skip=3"));
        let last = bench.get("/api/customers?$top=3&$skip=3").await.json();
        assert_eq!(last["items"].as_array().unwrap().len(), 2);
        assert!(last.get("@odata.nextLink").is_none());
    }
}

#[tokio::test]
async fn ids_depend_on_the_seed_and_not_on_the_order() {
    let (one, two) = (Bench::with(50, Config::default(), "").await, Bench::new().await);
    let (a, _) = (one.customer("a").await, one.customer("b").await);
    let (_, also) = (two.customer("b").await, two.customer("a").await);
    assert_eq!(a, also);
    let three = Bench::with(50, Config::default(), "").await;
    one.running.delete_customer(MAIN, &a).unwrap();
    assert_ne!(one.customer("a").await, a, "an id never comes twice");
    for reference in ["a", "b"] {
        let made = one.running.customer_by_reference(MAIN, reference).unwrap().id;
        one.running.delete_customer(MAIN, &made).unwrap();
    }
    assert_eq!(one.running.customers(MAIN), three.running.customers(MAIN));
}

#[tokio::test]
async fn the_seeded_people_stay_the_same() {
    use sha2::{Digest, Sha256};
    let bench = Bench::with(500, Config::default(), "").await;
    let state = serde_json::to_string(&bench.running.customers(MAIN)).unwrap();
    let digest = hex::encode(Sha256::digest(state.as_bytes()));
    assert_eq!(digest, "36d7d75fcc97f0ae83357a00447b6697b465c18a9f56b096666e2273701e25c5");
}
