//! Idempotency keys and the rate limit.

use super::*;
use crate::Rate;
use std::time::Duration;
use tokio::time::Instant;

impl Rails {
    async fn keyed(&self, key: &str, external_id: &str) -> Result<Raw, Broken> {
        let headers = [("idempotency-key", key)];
        self.call("POST", "/customers", &headers, &someone(external_id)).await
    }
}

fn replayed(raw: &Raw) -> bool {
    raw.header("idempotent-replayed").as_deref() == Some("true")
}

/// The status and the `error.type`.
fn typed(raw: &Raw) -> (u16, String) {
    (raw.status, raw.json()["error"]["type"].as_str().unwrap_or_default().to_owned())
}

fn busy() -> (u16, String) {
    (409, "idempotency_error".to_owned())
}

#[tokio::test]
async fn the_first_answer_comes_again() {
    let rails = Rails::new().await;
    let first = rails.keyed("k1", "a").await.unwrap();
    assert!(first.status == 201 && !replayed(&first));
    let again = rails.keyed("k1", "a").await.unwrap();
    assert!(again.status == 201 && replayed(&again) && again.json() == first.json());
    // An error, too: its cause is gone, but the answer stays.
    let error = rails.keyed("k2", "a").await.unwrap();
    assert_eq!(error.status, 500);
    let id = first.json()["data"]["id"].as_str().unwrap().to_owned();
    rails.running.delete_customer(MAIN, &id).unwrap();
    let error = rails.keyed("k2", "a").await.unwrap();
    assert!(error.status == 500 && replayed(&error) && !rails.has("a"));
    assert_eq!(rails.keyed("k3", "a").await.unwrap().status, 201);
    // Neither path nor body nor caller is compared.
    let headers = [("x-api-key", "nobody"), ("idempotency-key", "k3")];
    let foreign = send(rails.running.addr(), "PUT", "/customers/x", &headers, "").await.unwrap();
    assert!(foreign.status == 201 && replayed(&foreign));
    let unpaid = [("x-api-key", "nobody"), ("idempotency-key", "k4")];
    let refused = send(rails.running.addr(), "POST", "/customers", &unpaid, "").await.unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(rails.keyed("k4", "b").await.unwrap().status, 401, "kept, like any error");
    // A kept answer ends after a day.
    rails.now.fetch_add(86_399, Ordering::SeqCst);
    assert!(replayed(&rails.keyed("k3", "c").await.unwrap()));
    rails.now.fetch_add(1, Ordering::SeqCst);
    let new = rails.keyed("k3", "c").await.unwrap();
    assert!(new.status == 201 && !replayed(&new) && rails.has("c"));
    let long = rails.keyed(&"k".repeat(256), "d").await.unwrap();
    assert_eq!(typed(&long), (400, "idempotency_error".to_owned()));
    assert!(!rails.has("d"));
}

#[tokio::test]
async fn updates_have_keys_and_removals_and_reads_have_none() {
    let rails = Rails::new().await;
    let id = rails.customer("a").await;
    let path = format!("/customers/{id}");
    let key = [("idempotency-key", "k")];
    let body = json!({"city": "Bergen"});
    let put = rails.call("PUT", &path, &key, &body).await.unwrap();
    assert!(put.status == 200 && !replayed(&put));
    let put = rails.call("PUT", &path, &key, &json!({"city": "Oslo"})).await.unwrap();
    assert!(replayed(&put) && put.json()["data"]["city"] == "Bergen");
    let got = rails.call("GET", &path, &key, &Value::Null).await.unwrap();
    assert!(!replayed(&got) && got.json()["data"]["city"] == "Bergen");
    let gone = rails.call("DELETE", &format!("{path}/wallets/x"), &key, &Value::Null).await;
    assert_eq!(gone.unwrap().status, 404);
}

#[tokio::test]
async fn an_answer_that_was_lost_comes_with_the_repeat() {
    let faults = "create_customer:1=drop_after,create_customer:3=status_after(502),\
                  create_customer:5=drop_before,create_customer:7=status(503),\
                  create_customer:9=cut_body";
    let rails = Rails::with(0, Config::default(), faults).await;
    assert_eq!(rails.keyed("k1", "a").await.unwrap_err(), Broken::Closed);
    let again = rails.keyed("k1", "a").await.unwrap();
    assert!(again.status == 201 && replayed(&again));
    assert_eq!(rails.keyed("k2", "b").await.unwrap().status, 502);
    assert!(replayed(&rails.keyed("k2", "b").await.unwrap()));
    // What was not executed leaves no answer behind, and no lock.
    for (key, external_id) in [("k3", "c"), ("k4", "d")] {
        let lost = rails.keyed(key, external_id).await;
        assert!(lost.is_err() || lost.unwrap().status == 503);
        assert!(!rails.has(external_id));
        let first = rails.keyed(key, external_id).await.unwrap();
        assert!(first.status == 201 && !replayed(&first));
    }
    assert!(matches!(rails.keyed("k5", "e").await, Err(Broken::Cut(..))));
    assert!(replayed(&rails.keyed("k5", "e").await.unwrap()));
    assert_eq!(rails.running.faults_unfired(), []);
}

#[tokio::test]
async fn a_key_in_use_is_refused_until_the_call_was_executed() {
    let faults = "create_customer:1=late_execution_ms(700),add_method:1=delay_ms(700)";
    let rails = Rails::with(0, Config::default(), faults).await;
    assert_eq!(rails.keyed("k1", "a").await.unwrap_err(), Broken::Closed);
    assert_eq!(typed(&rails.keyed("k1", "a").await.unwrap()), busy());
    assert!(!rails.has("a"));
    // Another key is no hindrance, and the one in use is good again once the call was executed.
    let start = Instant::now();
    let made = loop {
        let answer = rails.keyed("k1", "a").await.unwrap();
        if answer.status != 409 {
            break answer;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "the key stays in use");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(made.status == 201 && replayed(&made));
    let id = made.json()["data"]["id"].as_str().unwrap().to_owned();
    let path = format!("/customers/{id}/wallets");
    let key = [("idempotency-key", "w")];
    let body = wallet(1, EVM);
    let slow = rails.call("POST", &path, &key, &body);
    tokio::pin!(slow);
    let early = async {
        // The slow call has to arrive first.
        while rails.running.counters().calls("add_method") == 0 {
            tokio::task::yield_now().await;
        }
        rails.call("POST", &path, &key, &body).await.unwrap()
    };
    let refused = tokio::select! {
        _ = &mut slow => panic!("the slow call was answered first"),
        refused = early => refused,
    };
    assert_eq!(typed(&refused), busy());
    let slow = slow.await.unwrap();
    assert!(slow.status == 201 && !replayed(&slow));
    assert_eq!(rails.running.accounts()[0].methods, 1);
}

#[tokio::test]
async fn a_lock_ends_and_both_calls_are_executed() {
    let config =
        Config { duplicate_external_id: crate::noderails::Duplicate::Allowed, ..Config::default() };
    let rails = Rails::with(0, config, "create_customer:1=late_execution_ms(300)").await;
    assert_eq!(rails.keyed("k", "a").await.unwrap_err(), Broken::Closed);
    rails.now.fetch_add(60, Ordering::SeqCst);
    assert_eq!(rails.keyed("k", "a").await.unwrap().status, 201);
    let start = Instant::now();
    while rails.running.customers(MAIN).len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(10), "the first was not executed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_rate_limit_tells_its_window() {
    let rails = Rails::new().await;
    rails.running.set_rate(Some(Rate { per_second: 0.1, burst: 1.0 }));
    assert_eq!(rails.keyed("k", "a").await.unwrap().status, 201);
    let slow = rails.keyed("k2", "b").await.unwrap();
    assert_eq!((slow.status, &*slow.code()), (429, "RATE_LIMIT_EXCEEDED"));
    let header = |name: &str| slow.header(name).unwrap();
    assert_eq!((&*header("retry-after"), &*header("x-ratelimit-remaining")), ("10", "0"));
    assert_eq!(header("x-ratelimit-reset"), (NOON + 10).to_string());
    assert!(header("x-ratelimit-limit").parse::<u64>().is_ok());
    rails.running.set_rate(None);
    let first = rails.keyed("k2", "b").await.unwrap();
    assert!(first.status == 201 && !replayed(&first), "a refused call keeps no answer");
}
