//! `onfile history`: what happened to a customer or a payment method.

use anyhow::Result;
use engine::EngineError;
use serde_json::{Value, json};
use store::{ExportedCustomer, Store};

use super::runs;
use crate::cli::{Global, HistoryOf};
use crate::exit::Exit;
use crate::out;

pub(crate) async fn run(global: &Global, of: HistoryOf, id: &str) -> Result<Exit> {
    let id = id.trim();
    runs::with_store(global, async |opened| match of {
        HistoryOf::Customer => customer(global, &*opened.store, id).await,
        HistoryOf::Method => method(global, &*opened.store, id).await,
    })
    .await
}

fn name_of(customer: &ExportedCustomer) -> String {
    let id = customer.customer.as_ref().map(ToString::to_string).unwrap_or_default();
    let reference = customer.reference.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
    format!("customer {id}{reference}")
}

async fn customer(global: &Global, store: &dyn Store, id: &str) -> Result<Exit> {
    let mut all = Vec::new();
    for id in store.find_customers(id).await? {
        all.extend(store.customer_history(&id).await?);
    }
    match all.as_slice() {
        [] => Err(EngineError::NoSuchCustomer(id.to_owned()).into()),
        [one] => {
            if global.json {
                out::json(&report::history_json(one, "customer"));
            } else {
                let text = report::history(one, &name_of(&one.now), &one.now.sources);
                out::line(text.trim_end());
            }
            Ok(Exit::Clean)
        }
        several => {
            let names = several.iter().map(|one| name_of(&one.now)).collect();
            let found = several.iter().map(
                |one| json!({ "customer_id": one.now.customer, "reference": one.now.reference }),
            );
            Ok(choose(global, id, names, found.collect()))
        }
    }
}

async fn method(global: &Global, store: &dyn Store, id: &str) -> Result<Exit> {
    let mut all = Vec::new();
    for id in store.find_methods(id).await? {
        all.extend(store.method_history(&id).await?);
    }
    let name = |method: &store::ExportedMethod| {
        let of = |id: Option<String>| id.unwrap_or_default();
        let id = of(method.method.as_ref().map(ToString::to_string));
        let customer = of(method.customer.as_ref().map(ToString::to_string));
        let last4 = method.facts.last4().map(|l| format!(" {}", l.as_str())).unwrap_or_default();
        format!("{}{last4} {id} of customer {customer}", method.facts.kind())
    };
    match all.as_slice() {
        [] => Err(EngineError::NoSuchMethod(id.to_owned()).into()),
        [one] => {
            if global.json {
                out::json(&report::history_json(one, "method"));
            } else {
                out::line(report::history(one, &name(&one.now), &one.now.sources).trim_end());
            }
            Ok(Exit::Clean)
        }
        several => {
            let names = several.iter().map(|one| name(&one.now)).collect();
            let found = several
                .iter()
                .map(|one| json!({ "method_id": one.now.method, "customer_id": one.now.customer }));
            Ok(choose(global, id, names, found.collect()))
        }
    }
}

/// More than one fit: a person, or a script, names one of them.
fn choose(global: &Global, id: &str, names: Vec<String>, found: Vec<Value>) -> Exit {
    if global.json {
        out::json(&json!({ "matches": found }));
    } else {
        for name in &names {
            out::line(name);
        }
    }
    out::error_line(&format!("{} are called {id}: name one of them by our id", names.len()));
    Exit::Error
}
