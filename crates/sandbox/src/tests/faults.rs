//! Each fault, as a client sees it and as the vendor's data show it.

use super::*;
use std::time::Duration;
use tokio::time::Instant;

/// Waits for a condition; the tests never sleep blindly.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn bench(faults: &str) -> Bench {
    Bench::with(0, Config::default(), faults).await
}

impl Bench {
    fn has(&self, reference: &str) -> bool {
        self.running.customer_by_reference(MAIN, reference).is_some()
    }

    fn all_fired(&self) {
        assert_eq!(self.running.faults_unfired(), []);
    }
}

#[tokio::test]
async fn connections_are_closed_before_after_and_amid() {
    let bench = bench(
        "create_customer:1=drop_before,create_customer:2=drop_after,create_customer:3=cut_body",
    )
    .await;
    let create = async |r: &str| bench.call("POST", "/api/customers", &person(r)).await;
    assert_eq!(create("a").await.unwrap_err(), Broken::Closed);
    assert!(!bench.has("a"));
    assert_eq!(create("b").await.unwrap_err(), Broken::Closed);
    assert!(bench.has("b"));
    let Err(Broken::Cut(got, promised)) = create("c").await else { panic!("expected a cut body") };
    assert!(got == promised / 2 && got > 0);
    assert!(bench.has("c"));
    assert_eq!(create("d").await.unwrap().status, 201);
    bench.all_fired();
    let log = bench.running.log();
    let seen: Vec<_> = log.iter().map(|e| (e.status, e.executed)).collect();
    assert_eq!(seen, [(Some(0), false), (Some(0), true), (Some(201), true), (Some(201), true)]);
    assert_eq!(log[1].fault.as_deref(), Some("create_customer:2=drop_after"));
    assert_eq!(bench.running.counters().endpoints["create_customer"].by_status["closed"], 2);
}

#[tokio::test]
async fn a_closed_connection_takes_the_others_not_along() {
    let bench = bench("get_customer=drop_before").await;
    let uid = bench.customer("a").await;
    let path = format!("/api/customers/{uid}");
    let (dropped, listed) =
        tokio::join!(bench.call("GET", &path, &Value::Null), bench.get("/api/customers"));
    assert_eq!(dropped.unwrap_err(), Broken::Closed);
    assert_eq!(listed.status, 200);
}

#[tokio::test]
async fn statuses_before_and_after() {
    let bench = bench(
        "create_customer:1=status(503,retry_after=2),create_customer:2=status_after(500),\
         create_customer:3=status(404,html),create_customer:4=throttle(7),\
         create_customer:5=garbage_body,create_customer:6=echo_request_in_error",
    )
    .await;
    let create = async |r: &str| bench.post("/api/customers", person(r)).await;
    let one = create("a").await;
    assert_eq!((one.status, one.header("retry-after").as_deref()), (503, Some("2")));
    assert_eq!(one.code(), "simulated");
    assert_eq!(create("b").await.status, 500);
    let html = create("c").await;
    assert_eq!((html.status, html.header("content-type").as_deref()), (404, Some("text/html")));
    let slow = create("d").await;
    assert_eq!((slow.status, slow.header("retry-after").as_deref()), (429, Some("7")));
    let garbage = create("e").await;
    assert_eq!(garbage.status, 200);
    assert!(serde_json::from_slice::<Value>(&garbage.body).is_err());
    let echo = create("secret-f").await;
    assert!(echo.status == 400 && echo.json().to_string().contains("secret-f"));
    let there: Vec<bool> = ["a", "b", "c", "d", "e", "f"].iter().map(|r| bench.has(r)).collect();
    assert_eq!(there, [false, true, false, false, true, false]);
    bench.all_fired();
}

#[tokio::test]
async fn delays_and_late_execution() {
    let bench = bench(
        "create_customer:1=delay_ms(60),create_customer:2=delay_after_ms(60),\
         create_customer:3=late_execution_ms(400),create_customer:4=delay_ms(500)",
    )
    .await;
    let create = async |r: &str| bench.call("POST", "/api/customers", &person(r)).await;
    let start = Instant::now();
    assert_eq!(create("a").await.unwrap().status, 201);
    assert!(start.elapsed() >= Duration::from_millis(60));
    let (start, slow) = (Instant::now(), create("b"));
    tokio::pin!(slow);
    tokio::select! {
        _ = &mut slow => panic!("answered before it was executed, or at once"),
        () = until("the execution", || bench.has("b")) => {}
    }
    slow.await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(create("c").await.unwrap_err(), Broken::Closed);
    assert!(!bench.has("c"));
    until("the late execution", || bench.has("c")).await;
    // The client gives up; the vendor executes all the same.
    let gone = tokio::time::timeout(Duration::from_millis(40), create("d")).await;
    assert!(gone.is_err() && !bench.has("d"));
    until("the execution for a client that is gone", || bench.has("d")).await;
    bench.all_fired();
}

#[tokio::test]
async fn what_is_late_does_not_outlive_the_sandbox() {
    let bench = bench("create_customer=late_execution_ms(60000)").await;
    let closed = bench.call("POST", "/api/customers", &person("a")).await;
    assert_eq!(closed.unwrap_err(), Broken::Closed);
    let (handle, addr) = (bench.running.handle(), bench.running.addr());
    bench.running.stop().await;
    assert!(handle.customers(MAIN).is_empty());
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn bulk_answers_are_spoiled() {
    let bench = bench(
        "bulk_import:1=missing_index,bulk_import:2=repeat_index,\
                       bulk_import:3=foreign_index,bulk_import:4=drop_after",
    )
    .await;
    let uid = bench.customer("a").await;
    let import = async |n: usize| {
        let rows: Vec<Value> = (0..4).map(|i| row(&uid, &format!("t{n}_{i}"))).collect();
        let body = json!({"saved_payment_methods": rows});
        bench.call("POST", "/api/saved-payment-methods/import", &body).await
    };
    let indexes =
        |raw: &Raw| sorted(raw).iter().map(|r| r["index"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(indexes(&import(1).await.unwrap()).len(), 3);
    let repeated = indexes(&import(2).await.unwrap());
    assert!(repeated.len() == 5 && repeated.windows(2).any(|w| w[0] == w[1]));
    let foreign = indexes(&import(3).await.unwrap());
    assert!(foreign.len() == 4 && foreign[3] == 11);
    assert_eq!(import(4).await.unwrap_err(), Broken::Closed);
    assert_eq!(bench.methods(&uid).len(), 16);
    bench.all_fired();
}

#[tokio::test]
async fn lists_and_finds_are_spoiled() {
    let faults = "list_customers:1=repeat_page*1,list_customers:2=repeat_page,\
                  list_customers:3=short_page,list_customers:4=empty_account,\
                  find_customer:1=wrong_find,find_customer:2=case_find,\
                  find_customer:3=empty_account";
    let bench = Bench::with(20, Config::default(), &format!("first@{faults}")).await;
    let page = async |skip: usize| {
        let path = format!("/api/customers?$top=10&$skip={skip}");
        let answer = bench.get(&path).await.json();
        let rows = answer["value"].as_array().unwrap().clone();
        rows.iter().map(|r| r["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = page(0).await;
    assert_eq!(page(10).await, first);
    assert_eq!(page(10).await.len(), 5);
    assert!(page(0).await.is_empty());
    let find = async |r: &str| bench.get(&find_path(r)).await.json()["value"].clone();
    assert_eq!(find("C-000003").await[0]["reference_id"], "C-000020");
    assert_eq!(find("C-000003").await[0]["reference_id"], "c-000003");
    assert_eq!(find("C-000003").await, json!([]));
    assert_eq!(find("C-000003").await[0]["reference_id"], "C-000003");
    // The first page cannot repeat an earlier one: that rule fired at nothing.
    let unfired: Vec<String> = bench.running.faults_unfired().into_iter().map(|r| r.id).collect();
    assert_eq!(unfired, ["first"]);
}

#[tokio::test]
async fn rules_choose_their_calls() {
    let plan = r#"{"rules": [
        {"id": "ref", "on": {"endpoint": "create_customer", "reference": "b"}, "do": "drop_before"},
        {"id": "bulk", "on": {"reference": "a", "endpoint": "bulk_import"}, "do": {"status": {"code": 500}}},
        {"id": "every", "on": {"endpoint": "get_customer", "every": 2}, "times": 2, "do": {"throttle": {}}},
        {"id": "window", "on": {"endpoint": "list_methods", "nth": 2}, "times": 2, "do": {"status": {"code": 502}}},
        {"id": "chance", "on": {"endpoint": "find_customer", "probability": 0.5}, "do": {"status": {"code": 500}}},
        {"id": "verb", "on": {"method": "DELETE"}, "do": "drop_before"}
    ]}"#;
    let bench = bench(plan).await;
    let uid = bench.customer("a").await;
    let closed = bench.call("POST", "/api/customers", &person("b")).await;
    assert_eq!(closed.unwrap_err(), Broken::Closed);
    let rows = json!({"saved_payment_methods": [row(&uid, "t")]});
    assert_eq!(bench.post("/api/saved-payment-methods/import", rows).await.status, 500);
    let many = async |path: String, n: usize| {
        let mut seen = Vec::new();
        for _ in 0..n {
            seen.push(bench.get(&path).await.status);
        }
        seen
    };
    let got = many(format!("/api/customers/{uid}"), 6).await;
    assert_eq!(got, [200, 429, 200, 429, 200, 200]);
    let got = many(format!("/api/customers/{uid}/payment-methods"), 4).await;
    assert_eq!(got, [200, 502, 502, 200]);
    let drawn = many(find_path("a"), 60).await.iter().filter(|&&s| s == 500).count();
    assert!((15..=45).contains(&drawn), "{drawn}");
    assert_eq!(bench.running.faults_unfired().len(), 1);
    let path = format!("/api/customers/{uid}/payment-methods/x");
    assert_eq!(bench.call("DELETE", &path, &Value::Null).await.unwrap_err(), Broken::Closed);
    bench.all_fired();
}
