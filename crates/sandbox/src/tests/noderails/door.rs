//! The seed, the admin door, and changes from outside.

use super::*;
use crate::noderails::SearchLag;
use crate::{Change, ChangeError, Kind, MethodKind, NewMethod};
use std::collections::BTreeMap;

fn edit(customer: &str, fields: &[(&str, &str)]) -> Change {
    let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let customer = customer.to_owned();
    Change::EditCustomer { customer, reference: None, name: None, email: None, fields }
}

#[tokio::test]
async fn seeded_customers_have_wallets_and_some_authorizations() {
    let rails = Rails::with(200, Config::default(), "").await;
    let people = rails.running.customers(MAIN);
    assert_eq!(&*people[0].reference.clone().unwrap(), "C-000001");
    let counts: Vec<usize> = people.iter().map(|p| p.methods.len()).collect();
    assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&0), Some(&4)));
    let wallets: Vec<_> = people.iter().flat_map(|p| &p.methods).collect();
    for (chain, prefix) in [(11_155_111, "0x"), (102, ""), (202, "0x")] {
        let on = wallets.iter().find(|w| w.chain_id == Some(chain)).unwrap();
        assert!(on.kind == MethodKind::Wallet && on.last4.is_empty() && on.token_sha256.is_empty());
        assert!(on.wallet_address.as_ref().unwrap().starts_with(prefix));
    }
    let granted = |p: &crate::CustomerView| {
        p.fields.keys().filter(|k| k.ends_with(".hasActiveAuthorization")).count()
    };
    let authorized: usize = people.iter().map(granted).sum();
    assert!((wallets.len() / 10..wallets.len() / 3).contains(&authorized), "{authorized}");
    // Every seeded address is one that the vendor would take.
    let id = rails.customer("a").await;
    for seeded in wallets {
        let body = wallet(seeded.chain_id.unwrap(), seeded.wallet_address.as_ref().unwrap());
        let made = rails.post(&format!("/customers/{id}/wallets"), body).await;
        assert_eq!(made.status, 201, "{}", made.json());
    }
}

#[tokio::test]
async fn ids_depend_on_the_seed_and_not_on_the_order() {
    let (one, two) =
        (Rails::with(5, Config::default(), "").await, Rails::with(5, Config::default(), "").await);
    for (rails, order) in [(&one, ["a", "b"]), (&two, ["b", "a"])] {
        for reference in order {
            rails.customer(reference).await;
        }
        let id = rails.running.customer_by_reference(MAIN, "a").unwrap().id;
        let mut wallets = [wallet(1, EVM), wallet(102, SOLANA)];
        if order[0] == "b" {
            wallets.reverse();
        }
        for wallet in wallets {
            rails.post(&format!("/customers/{id}/wallets"), wallet).await;
        }
    }
    let state = |rails: &Rails| {
        let mut people = rails.running.customers(MAIN);
        people.iter_mut().for_each(|p| p.methods.sort_by_key(|m| m.chain_id));
        people
    };
    assert_eq!(state(&one), state(&two));
    assert_ne!(
        one.running.customers(MAIN)[0].id,
        one.running.customers(EMPTY).first().map(|c| c.id.clone()).unwrap_or_default()
    );
}

#[tokio::test]
async fn payers_and_the_vendors_people_change_things() {
    let rails = Rails::new().await;
    assert_eq!((rails.running.kind(), Kind::Noderails.as_str()), (Kind::Noderails, "noderails"));
    let fields = BTreeMap::from([
        ("city".to_owned(), "Oslo".to_owned()),
        ("metadata.k".to_owned(), "v".to_owned()),
    ]);
    let change =
        Change::CreateCustomer { reference: Some("a".to_owned()), name: None, email: None, fields };
    let id = rails.running.change(MAIN, change).unwrap().id;
    let one = rails.running.add_method(MAIN, &id, NewMethod::wallet(1, EVM), false).unwrap();
    let at = |part: &str| format!("wallets.{one}.{part}");
    let granted = [
        (&*at("hasActiveAuthorization"), "true"),
        (&*at("authorizationType"), "PERMIT"),
        (&*at("authorizationTxHash"), "0xfeed"),
        (&*at("authorizedAt"), "2026-11-01T00:00:00.000Z"),
        ("metadata.other", "x"),
        ("postalCode", "0150"),
    ];
    rails.running.change(MAIN, edit(&id, &granted)).unwrap();
    let shown = rails.page("").await["data"][0].clone();
    let held = &shown["wallets"][0];
    assert_eq!(
        (&held["hasActiveAuthorization"], &held["authorizationType"]),
        (&json!(true), &json!("PERMIT"))
    );
    assert_eq!(
        (&held["authorizationTxHash"], &held["authorizedAt"]),
        (&json!("0xfeed"), &json!("2026-11-01T00:00:00.000Z"))
    );
    assert_eq!(shown["metadata"], json!({"k": "v", "other": "x"}));
    let view = rails.running.customer(MAIN, &id).unwrap();
    assert_eq!(
        (&*view.fields["postalCode"], &*view.fields["city"], &*view.fields["metadata.k"]),
        ("0150", "Oslo", "v")
    );
    assert_eq!(view.fields[&at("authorizationType")], "PERMIT");
    for wrong in [
        ("phone", "1"),
        ("wallets.none.authorizationType", "x"),
        (&*at("hasActiveAuthorization"), "yes"),
    ] {
        let refused = rails.running.change(MAIN, edit(&id, &[("city", "Rome"), wrong]));
        assert!(matches!(refused, Err(ChangeError::Invalid(_))), "{wrong:?}");
    }
    assert_eq!(rails.running.customer(MAIN, &id).unwrap().fields["city"], "Oslo");
    let add = |method, default| rails.running.add_method(MAIN, &id, method, default);
    for method in [
        NewMethod::wallet(1, EVM),
        NewMethod::wallet(5, EVM),
        NewMethod::wallet(1, SOLANA),
        NewMethod::ach("checking", "6789"),
    ] {
        assert!(matches!(add(method, false), Err(ChangeError::Invalid(_))));
    }
    assert!(matches!(add(NewMethod::wallet(102, SOLANA), true), Err(ChangeError::Invalid(_))));
    assert!(matches!(rails.running.set_default(MAIN, &id, None), Err(ChangeError::Invalid(_))));
    rails.running.remove_method(MAIN, &id, &one).unwrap();
    assert_eq!(rails.running.remove_method(MAIN, &id, &one), Err(ChangeError::NoMethod(one)));
    let taken = rails.running.create_customer(MAIN, Some("a"), "N", "n@example.com");
    assert_eq!(taken, Err(ChangeError::ReferenceTaken("a".to_owned())));
    rails.running.delete_customer(MAIN, &id).unwrap();
    assert_eq!(rails.get(&format!("/customers/{id}")).await.status, 404);
    assert_eq!(rails.page("").await["pagination"]["total"], 0);
    let again = rails.running.create_customer(MAIN, Some("a"), "N", "n@example.com").unwrap();
    assert_ne!(again, id, "an id never comes twice");
}

#[tokio::test]
async fn an_authorized_wallet_may_have_to_stay() {
    for (authorized_wallets_stay, status) in [(false, 204), (true, 409)] {
        let config =
            Config { authorized_wallets_stay, search_lag: SearchLag::None, ..Config::default() };
        let rails = Rails::with(0, config, "").await;
        let id = rails.customer("a").await;
        let one = rails.running.add_method(MAIN, &id, NewMethod::wallet(1, EVM), false).unwrap();
        let at = format!("wallets.{one}.hasActiveAuthorization");
        rails.running.change(MAIN, edit(&id, &[(&at, "true")])).unwrap();
        assert_eq!(rails.delete(&format!("/customers/{id}/wallets/{one}")).await, status);
    }
}

#[tokio::test]
async fn a_rule_names_a_customer_by_its_external_id() {
    let faults = r#"{"rules": [
        {"on": {"endpoint": "create_customer", "reference": "b"}, "do": "drop_before"},
        {"on": {"endpoint": "find_customer", "reference": "a"}, "do": {"status": {"code": 500}}},
        {"on": {"endpoint": "add_method", "reference": "a"}, "do": {"status": {"code": 429}}},
        {"on": {"endpoint": "update_customer", "reference": "a"}, "do": {"status": {"code": 503}}}]}"#;
    let rails = Rails::with(0, Config::default(), faults).await;
    let id = rails.customer("a").await;
    let create = rails.call("POST", "/customers", &[], &someone("b")).await;
    assert_eq!(create.unwrap_err(), Broken::Closed);
    let find = rails.get(&format!("/customers?appId={MAIN}&search=a")).await;
    assert_eq!((find.status, &*find.code()), (500, "INTERNAL_ERROR"));
    let add = rails.post(&format!("/customers/{id}/wallets"), wallet(1, EVM)).await;
    assert_eq!((add.status, &*add.code()), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!(rails.put(&format!("/customers/{id}"), json!({})).await.status, 503);
    assert_eq!(rails.running.faults_unfired(), []);
}
