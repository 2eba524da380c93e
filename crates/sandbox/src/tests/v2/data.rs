//! What the seed, other clients and faults make of the vendor's data.

use super::*;
use crate::{Change, ChangeError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn payers_and_others_change_what_the_vendor_holds() {
    let bench = Bench::new().await;
    let fields = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let create = |reference: &str, fields| Change::CreateCustomer {
        reference: Some(reference.to_owned()),
        name: Some("A".to_owned()),
        email: None,
        fields,
    };
    let edit = |customer: &str, fields| Change::EditCustomer {
        customer: customer.to_owned(),
        reference: None,
        name: None,
        email: Some("new@example.com".to_owned()),
        fields,
    };
    let stated = fields(&[("phone", "00387000111"), ("metadata.plan", "gold")]);
    let uuid = bench.running.change(MAIN, create("a", stated)).unwrap().id;
    let shown = bench.get(&find("a")).await.json();
    assert_eq!(
        (&shown["phone"], &shown["metadata"]["plan"]),
        (&json!("00387000111"), &json!("gold"))
    );
    let stated = fields(&[("phone", ""), ("metadata.plan", ""), ("city", "Tuzla")]);
    bench.running.change(MAIN, edit(&uuid, stated)).unwrap();
    let shown = bench.get(&find("a")).await.json();
    assert_eq!((&shown["phone"], &shown["metadata"]), (&Value::Null, &json!({})));
    assert_eq!((&shown["city"], &shown["name"]), (&json!("Tuzla"), &json!("A")));
    for wrong in [fields(&[("city", "Ub")]), fields(&[("street", "x")])] {
        let refused = bench.running.change(MAIN, create("w", wrong)).unwrap_err();
        assert!(matches!(refused, ChangeError::Invalid(_)), "{refused}");
    }
    let taken = bench.running.change(MAIN, create("a", fields(&[]))).unwrap_err();
    assert_eq!(taken, ChangeError::ReferenceTaken("a".to_owned()));
    let id = bench.card(&uuid);
    let edited = Change::EditMethod {
        customer: uuid.clone(),
        method: id.clone(),
        last4: Some("2222".to_owned()),
        exp_month: None,
        exp_year: Some(2036),
    };
    bench.running.change(MAIN, edited).unwrap();
    let card = bench.running.customer(MAIN, &uuid).unwrap().methods[0].clone();
    assert_eq!((&*card.last4, card.exp_year, card.exp_month), ("2222", Some(2036), Some(12)));
    let refused = [
        bench.running.set_default(MAIN, &uuid, Some(&id)).unwrap_err(),
        bench.running.add_method(MAIN, &uuid, NewMethod::ach("checking", "1"), false).unwrap_err(),
        bench
            .running
            .add_method(MAIN, &uuid, NewMethod::card("x", "1", 1, 2030), false)
            .unwrap_err(),
        bench
            .running
            .add_method(MAIN, &uuid, NewMethod::card("VISA", "1", 1, 2030), true)
            .unwrap_err(),
    ];
    assert!(refused.iter().all(|e| matches!(e, ChangeError::Invalid(_))), "{refused:?}");
    bench.running.remove_method(MAIN, &uuid, &id).unwrap();
    assert_eq!(
        bench.running.remove_method(MAIN, &uuid, &id).unwrap_err(),
        ChangeError::NoMethod(id)
    );
    bench.running.delete_customer(MAIN, &uuid).unwrap();
    let gone = ChangeError::NoCustomer(uuid.clone());
    assert_eq!(bench.running.delete_customer(MAIN, &uuid).unwrap_err(), gone);
    assert_eq!(bench.running.change(MAIN, edit(&uuid, fields(&[]))).unwrap_err(), gone);
    let bare = bench.running.create_customer(MAIN, None, "N", "n@example.com").unwrap();
    assert_eq!(bench.running.customer(MAIN, &bare).unwrap().reference, None);
}

#[tokio::test]
async fn finds_and_lists_go_wrong_by_fault() {
    let plan = "find_customer:1=wrong_find,find_customer:2=case_find,list_customers:2=repeat_page,\
                list_customers:3=short_page,get_customer:1=empty_account,\
                create_customer[z]=drop_after,update_customer=status(200),\
                delete_customer=status_after(500)";
    let bench = Bench::with(4, Config::default(), plan).await;
    let reference = async |path: String| {
        let shown = bench.get(&path).await.json();
        shown["merchant_customer_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(reference(find("C-000004")).await, "C-000003");
    assert_eq!(reference(find("C-000004")).await, "c-000004");
    assert_eq!(bench.page("?limit=2").await, ["C-000004", "C-000003"]);
    assert_eq!(bench.page("?limit=2&offset=2").await, ["C-000004", "C-000003"]);
    assert_eq!(bench.page("?limit=2&offset=2").await, ["C-000002"]);
    let uuid = bench.running.customer_by_reference(MAIN, "C-000001").unwrap().id;
    let path = format!("/v2/customers/{uuid}");
    assert_eq!(bench.get(&path).await.status, 404);
    let body = person("z").to_string();
    let signed = authorization(MAIN, KEY, NOON, "/v2/customers", &body);
    let headers = [
        ("authorization", &*signed),
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    let lost = send(bench.running.addr(), "POST", "/v2/customers", &headers, &body).await;
    assert_eq!(lost.unwrap_err(), Broken::Closed);
    assert!(bench.running.customer_by_reference(MAIN, "z").is_some());
    // A success by its code is none by its status.
    let said = bench.post(&path, json!({"name": "x"})).await;
    assert_eq!((said.status, &said.json()["status"]), (200, &json!("error")));
    assert_eq!(bench.delete(&path).await.status, 500);
    assert!(bench.running.customer(MAIN, &uuid).unwrap().deleted);
    assert_eq!(bench.running.faults_unfired(), []);
}

#[tokio::test]
async fn ids_depend_on_the_seed_and_not_on_the_order() {
    let (one, two) = (Bench::with(50, Config::default(), "").await, Bench::new().await);
    let (a, _) = (one.customer("a").await, one.customer("b").await);
    let (_, also) = (two.customer("b").await, two.customer("a").await);
    assert_eq!(a, also);
    let form: Vec<usize> = a.split('-').map(str::len).collect();
    assert_eq!(form, [8, 4, 4, 4, 12], "{a}");
    let three = Bench::with(50, Config::default(), "").await;
    let seeded = three.running.customers(MAIN);
    assert_eq!(one.running.customers(MAIN)[..50], seeded);
    let fields = |name: &str| seeded.iter().filter(|c| c.fields.contains_key(name)).count();
    assert_eq!(fields("phone"), 50);
    assert!((25..50).contains(&fields("city")) && (3..25).contains(&fields("metadata.segment")));
    // What the seed made could have been sent.
    for customer in seeded.into_iter().take(10) {
        let mut body: Value = json!(customer.fields);
        body["name"] = json!(customer.name);
        body["email"] = json!(customer.email);
        body.as_object_mut().unwrap().remove("metadata.segment");
        assert_eq!(one.post("/v2/customers", body).await.status, 201);
    }
}

#[tokio::test]
async fn a_hundred_thousand_customers() {
    let bench = Bench::with(100_000, Config::default(), "").await;
    let size = bench.running.accounts();
    assert_eq!(size[0].customers, 100_000);
    assert!((195_000..205_000).contains(&size[0].methods), "{size:?}");
    let start = Instant::now();
    for page in 0..50 {
        let path = format!("?limit=100&offset={}", page * 2_000 - page);
        assert_eq!(bench.page(&path).await.len(), 100);
        let found = bench.get(&find(&format!("C-{:06}", page + 1))).await.json();
        let path = format!("/v2/customers/{}", found["uuid"].as_str().unwrap());
        assert_eq!(bench.delete(&path).await.status, 200);
    }
    // A debug build on a busy machine: still far below what copying the list would take.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(bench.running.customers(MAIN).iter().filter(|c| c.deleted).count(), 50);
}
