//! The admin door, and the same in process.

use super::*;
use crate::{NewMethod, Rate};

async fn door(bench: &Bench, method: &str, path: &str, body: &str) -> Raw {
    let headers = [("content-type", "application/json")];
    send(bench.running.addr(), method, &format!("/_sandbox{path}"), &headers, body).await.unwrap()
}

#[tokio::test]
async fn state_is_paged_in_one_order() {
    let bench = Bench::with(25, Config::default(), "").await;
    let info = door(&bench, "GET", "", "").await.json();
    assert_eq!(info["accounts"][0]["customers"], 25);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = door(&bench, "GET", &format!("/state?limit=10{after}"), "").await.json();
        seen.extend(page["customers"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(json!(seen), json!(bench.running.customers(MAIN)));
    assert!(seen.is_sorted_by_key(|c| c["reference"].as_str().unwrap().to_owned()));
    assert_eq!(door(&bench, "GET", "/state?account=nope", "").await.status, 404);
    assert_eq!(door(&bench, "GET", "/nothing", "").await.status, 404);
    // The door counts nothing.
    assert!(bench.running.log().is_empty());
}

#[tokio::test]
async fn payers_change_their_wallets() {
    let bench = Bench::new().await;
    let change = async |body: Value| door(&bench, "POST", "/changes", &body.to_string()).await;
    let made = change(json!({"change": "create_customer", "reference": "a", "name": "A"})).await;
    let uid = made.json()["id"].as_str().unwrap().to_owned();
    let taken = change(json!({"change": "create_customer", "reference": "a"})).await;
    assert_eq!(taken.status, 409);
    let card =
        json!({"kind": "card", "last4": "1111", "exp_month": 1, "exp_year": 2027, "token": "t9"});
    let add = json!({"change": "add_method", "customer": uid, "method": card, "default": true});
    let method = change(add).await.json()["id"].as_str().unwrap().to_owned();
    let edit = json!({"change": "edit_method", "customer": uid, "method": method, "exp_year": 2031, "last4": "2222"});
    assert_eq!(change(edit).await.status, 200);
    let edit = json!({"change": "edit_customer", "customer": uid, "email": "new@example.com", "reference": "z"});
    assert_eq!(change(edit).await.status, 200);
    let now = bench.running.customer_by_reference(MAIN, "z").unwrap();
    assert_eq!((now.name.as_deref(), now.email.as_deref()), (Some("A"), Some("new@example.com")));
    assert_eq!((&*now.methods[0].last4, now.methods[0].exp_year), ("2222", Some(2031)));
    assert!(now.methods[0].is_default);
    assert!(bench.running.customer_by_reference(MAIN, "a").is_none());
    // An import of the same token under this customer is a duplicate.
    let rows = json!({"saved_payment_methods": [row(&uid, "t9")]});
    let answer = bench.post("/api/saved-payment-methods/import", rows).await;
    assert_eq!(sorted(&answer)[0]["saved_payment_method_uid"], *method);
    bench.running.set_default(MAIN, &uid, None).unwrap();
    let bank = bench.running.add_method(MAIN, &uid, NewMethod::ach("checking", "6789"), false);
    bench.running.remove_method(MAIN, &uid, &bank.unwrap()).unwrap();
    let gone = change(json!({"change": "remove_method", "customer": uid, "method": "spm_x"})).await;
    assert_eq!(gone.status, 404);
    assert_eq!(change(json!({"change": "delete_customer", "customer": uid})).await.status, 200);
    assert_eq!(bench.running.accounts()[0].methods, 0);
    assert!(bench.running.create_customer(MAIN, None, "N", "n@example.com").is_ok());
    assert_eq!(
        change(json!({"change": "delete_customer", "customer": uid, "x": 1})).await.status,
        422
    );
}

#[tokio::test]
async fn faults_are_put_added_and_listed() {
    let bench = Bench::new().await;
    let put = door(&bench, "PUT", "/faults", "get_customer=drop_before,token=throttle").await;
    assert_eq!(put.json()["rules"].as_array().unwrap().len(), 2);
    let wrong = door(&bench, "PUT", "/faults", "nope=drop_before").await;
    assert!(wrong.status == 400 && wrong.json()["error"].as_str().unwrap().contains("nope"));
    let path = "/api/customers/cus_x";
    assert!(bench.call("GET", path, &Value::Null).await.is_err());
    let plan = r#"[{"id": "more", "on": {"endpoint": "bulk_import"}, "do": "cut_body"}]"#;
    assert_eq!(door(&bench, "POST", "/faults", plan).await.status, 200);
    assert_eq!(door(&bench, "POST", "/faults", plan).await.status, 400);
    let unfired = door(&bench, "GET", "/faults/unfired", "").await.json();
    assert_eq!(
        (&unfired["rules"][0]["id"], &unfired["rules"][1]["id"]),
        (&json!("token=throttle"), &json!("more"))
    );
    assert_eq!(door(&bench, "GET", "/faults", "").await.json()["rules"][0]["fired"], 1);
    assert_eq!(door(&bench, "DELETE", "/faults", "").await.status, 204);
    assert_eq!(bench.get(path).await.status, 404);
}

#[tokio::test]
async fn the_rate_limit_answers_429_and_is_measured() {
    let bench = Bench::new().await;
    let body = r#"{"per_second": 0.1, "burst": 3}"#;
    assert_eq!(door(&bench, "PUT", "/rate", body).await.status, 200);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(bench.get("/api/customers").await);
    }
    let statuses: Vec<u16> = seen.iter().map(|r| r.status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(seen[3].header("retry-after").as_deref(), Some("10"));
    assert_eq!(door(&bench, "PUT", "/rate", r#"{"per_second": 0}"#).await.status, 400);
    assert!(!bench.running.set_rate(Some(Rate { per_second: 1.0, burst: 0.0 })));
    assert_eq!(door(&bench, "DELETE", "/rate", "").await.status, 204);
    assert_eq!(bench.get("/api/customers").await.status, 200);
    let counters = door(&bench, "GET", "/counters", "").await.json();
    assert_eq!(counters["endpoints"]["list_customers"]["by_status"], json!({"200": 4, "429": 2}));
    assert_eq!(bench.running.counters().executed("list_customers"), 4);
    let log = door(&bench, "GET", "/log?after=2&limit=2", "").await.json();
    let seqs: Vec<_> = log["entries"].as_array().unwrap().iter().map(|e| &e["seq"]).collect();
    assert_eq!((seqs, &log["next"]), (vec![&json!(3), &json!(4)], &json!(4)));
    let worst = door(&bench, "GET", "/worst-second", "").await.json();
    assert!(worst["requests"].as_u64().unwrap() >= 2);
    bench.running.clear_log();
    assert!(bench.running.log().is_empty() && bench.running.counters().endpoints.is_empty());
}
