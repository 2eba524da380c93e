//! Lists and searches.

use super::*;
use crate::noderails::SearchLag;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn the_list_is_newest_first_with_its_size() {
    let rails = Rails::with(230, Config::default(), "").await;
    let first = rails.page("&pageSize=100").await;
    let pagination = json!({"total": 230, "page": 1, "pageSize": 100, "totalPages": 3});
    assert_eq!(first["pagination"], pagination);
    assert_eq!(
        (&first["data"][0]["externalId"], &first["data"][99]["externalId"]),
        (&json!("C-000230"), &json!("C-000131"))
    );
    assert!(first["data"][0]["wallets"].is_array() && first["data"][0]["_count"].is_object());
    assert_eq!(rails.listed("&page=3&pageSize=100").await.len(), 30);
    assert!(rails.listed("&page=4&pageSize=100").await.is_empty());
    assert_eq!(rails.listed("").await.len(), 20);
    rails.customer("new").await;
    assert_eq!(rails.listed("&pageSize=1").await, ["new"]);
    for query in ["&pageSize=101", "&pageSize=0", "&page=0", "&page=x", "&pageSize=1.5"] {
        let refused = rails.get(&format!("/customers?appId={MAIN}{query}")).await;
        assert_eq!((refused.status, &*refused.code()), (400, "VALIDATION_ERROR"), "{query}");
    }
    let long = format!("/customers?appId={MAIN}&search={}", "a".repeat(256));
    assert_eq!(rails.get(&long).await.status, 400);
    let card = rails.get(&format!("/customers?appId={MAIN}&search=4242424242424242")).await;
    assert_eq!(card.status, 400);
}

#[tokio::test]
async fn search_finds_parts_of_name_email_and_external_id() {
    let rails = Rails::new().await;
    for (external_id, name, email) in [
        ("C-1", "Zoë Straße", "zoe@example.com"),
        ("XC-10", "Bea", "bea@example.com"),
        ("D-2", "Mac-1", "c-1@example.com"),
        ("E", "Gus", "gus@example.com"),
    ] {
        let body = json!({"appId": MAIN, "externalId": external_id, "name": name, "email": email});
        assert_eq!(rails.post("/customers", body).await.status, 201);
    }
    let body = json!({"appId": MAIN, "address": "C-1", "metadata": {"c-1": "c-1"}});
    assert_eq!(rails.post("/customers", body).await.status, 201);
    assert_eq!(rails.listed("&search=c-1").await, ["D-2", "XC-10", "C-1"]);
    let second = rails.page("&search=c-1&page=2&pageSize=2").await;
    assert_eq!(
        (&second["data"][0]["externalId"], &second["pagination"]["total"]),
        (&json!("C-1"), &json!(3))
    );
    assert_eq!(rails.listed("&search=ZO%C3%8B+str").await, ["C-1"]);
    assert_eq!(rails.listed("&search=e").await, ["E", "D-2", "XC-10", "C-1"]);
    assert!(rails.listed("&search=C-100").await.is_empty());
    assert_eq!(rails.listed("&search=").await.len(), 5);
    let id = rails.running.customer_by_reference(MAIN, "E").unwrap().id;
    rails.put(&format!("/customers/{id}"), json!({"externalId": "renamed"})).await;
    assert_eq!(rails.listed("&search=name").await, ["renamed"]);
    rails.running.delete_customer(MAIN, &id).unwrap();
    assert!(rails.listed("&search=renamed").await.is_empty());
    assert_eq!(rails.running.counters().calls("list_customers"), 1);
    let blind = Config { search_external_id: false, ..Config::default() };
    let blind = Rails::with(3, blind, "").await;
    assert!(blind.listed("&search=C-000002").await.is_empty());
    assert_eq!(blind.listed("&search=.2@example.com").await, ["C-000002"]);
}

#[tokio::test]
async fn search_may_lag() {
    let lag = |search_lag| Config { search_lag, ..Config::default() };
    let rails = Rails::with(1, lag(SearchLag::Requests(2)), "").await;
    assert_eq!(rails.listed("&search=C-000001").await.len(), 1, "seeded ones are known");
    rails.customer("new").await;
    for expected in [0, 0, 1] {
        assert_eq!(rails.listed("&search=new").await.len(), expected);
    }
    assert_eq!(rails.listed("&pageSize=1").await, ["new"]);
    let rails = Rails::with(0, lag(SearchLag::Ms(300)), "").await;
    let start = Instant::now();
    rails.customer("new").await;
    assert!(rails.listed("&search=new").await.is_empty() || start.elapsed().as_millis() >= 300);
    while rails.listed("&search=new").await.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "search never knows it");
    }
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn lists_and_finds_are_spoiled() {
    let faults = "list_customers:1=repeat_page*1,list_customers:2=repeat_page,\
                  list_customers:3=short_page,list_customers:4=empty_account,\
                  find_customer:1=wrong_find,find_customer:2=case_find,\
                  find_customer:3=empty_account,get_customer=empty_account,\
                  update_customer=empty_account,create_customer=empty_account";
    let rails = Rails::with(20, Config::default(), &format!("first@{faults}")).await;
    let first = rails.listed("&pageSize=10").await;
    assert_eq!(rails.listed("&pageSize=10&page=2").await, first);
    let short = rails.page("&pageSize=10&page=2").await;
    assert_eq!(
        (short["data"].as_array().unwrap().len(), &short["pagination"]["total"]),
        (5, &json!(20))
    );
    assert_eq!(rails.page("").await["pagination"]["total"], 0);
    assert_eq!(rails.listed("&search=C-000003").await, ["C-000020"]);
    assert_eq!(rails.listed("&search=C-000003").await, ["c-000003"]);
    assert!(rails.listed("&search=C-000003").await.is_empty());
    assert_eq!(rails.listed("&search=C-000003").await, ["C-000003"]);
    let path = format!("/customers/{}", rails.running.customers(MAIN)[0].id);
    assert_eq!(rails.get(&path).await.status, 404);
    assert_eq!(rails.put(&path, json!({"city": "x"})).await.status, 404);
    rails.customer("astray").await;
    assert!(!rails.has("astray") && rails.running.accounts()[2].account == "_empty");
    // The first page cannot repeat an earlier one: that rule fired at nothing.
    let unfired: Vec<String> = rails.running.faults_unfired().into_iter().map(|r| r.id).collect();
    assert_eq!(unfired, ["first"]);
}

#[tokio::test]
async fn a_hundred_thousand_customers() {
    let rails = Rails::with(100_000, Config::default(), "").await;
    let size = rails.running.accounts();
    assert_eq!(size[0].customers, 100_000);
    assert!((195_000..205_000).contains(&size[0].methods), "{size:?}");
    let start = Instant::now();
    for page in 0..50 {
        let query = format!("&pageSize=100&page={}", page * 20 + 1);
        assert_eq!(rails.listed(&query).await.len(), 100);
        let reference = format!("C-{:06}", page * 1999 + 1);
        assert_eq!(rails.listed(&format!("&search={reference}")).await, [reference]);
    }
    // A debug build on a busy machine: still far below what looking at every customer would take.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
