//! Answers that show customers and wallets.

use super::app::{Customer, Wallet};
use super::config::{AddressForm, Chain, Config};
use crate::seeded::Rng;
use crate::vendor::Answer;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// Payment intents and invoices in a get, at most.
const RECENT: u64 = 50;

/// The vendor's form of a time: with milliseconds and `Z`.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string())
        .unwrap_or_default()
}

/// Answers one thing.
pub(super) fn one(status: StatusCode, data: Value) -> Answer {
    Answer::json(status, &json!({"success": true, "data": data}))
}

/// What a page is a part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paged {
    pub(super) total: usize,
    /// From 1.
    pub(super) page: usize,
    pub(super) page_size: usize,
}

/// Answers a page of customers.
pub(super) fn page(app_id: &str, customers: &[&Customer], paged: Paged, config: &Config) -> Answer {
    let row = |customer: &&Customer| {
        let mut row = fields(app_id, customer, config);
        let (intents, invoices) = recent(customer);
        let count = json!({"paymentIntents": intents, "subscriptions": 0, "invoices": invoices});
        row.insert("_count".to_owned(), count);
        Value::Object(row)
    };
    let rows: Vec<Value> = customers.iter().map(row).collect();
    let pagination = json!({
        "total": paged.total,
        "page": paged.page,
        "pageSize": paged.page_size,
        "totalPages": paged.total.div_ceil(paged.page_size),
    });
    let body = json!({"success": true, "data": rows, "pagination": pagination});
    Answer::json(StatusCode::OK, &body)
}

/// A customer as a create and an update answer it.
pub(super) fn customer(app_id: &str, customer: &Customer, config: &Config) -> Value {
    Value::Object(fields(app_id, customer, config))
}

/// A customer as a get answers it: with its app, its chains, and what it paid of late.
pub(super) fn heavy(app_id: &str, customer: &Customer, config: &Config) -> Value {
    let mut shown = fields(app_id, customer, config);
    let named = |w| wallet_with_chain(&customer.id, w, config);
    let wallets: Vec<Value> = customer.wallets.iter().map(named).collect();
    shown.insert("wallets".to_owned(), wallets.into());
    let app = json!({"id": app_id, "name": "Sandbox", "environment": "TEST"});
    shown.insert("app".to_owned(), app);
    let (intents, invoices) = recent(customer);
    let paid = |kind: &str, nth: u64| {
        json!({"id": format!("{kind}_{nth}"), "customerId": customer.id, "amount": "10.00",
               "currency": "USD", "status": "SETTLED", "createdAt": time(customer.created)})
    };
    let list = |kind: &str, count: u64| (0..count.min(RECENT)).map(|n| paid(kind, n)).collect();
    shown.insert("paymentIntents".to_owned(), Value::Array(list("pi", intents)));
    shown.insert("invoices".to_owned(), Value::Array(list("inv", invoices)));
    Value::Object(shown)
}

/// How often it paid: payment intents and invoices.
fn recent(customer: &Customer) -> (u64, u64) {
    let mut rng = Rng::new(0, &["paid", &customer.id]);
    (rng.below(80), rng.below(10))
}

fn fields(app_id: &str, customer: &Customer, config: &Config) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("id", customer.id.as_str().into());
    put("appId", app_id.into());
    put("externalId", customer.external_id.as_deref().into());
    for (name, value) in customer.texts.all() {
        put(name, value.into());
    }
    put("metadata", customer.metadata.clone().into());
    put("createdAt", time(customer.created).into());
    put("updatedAt", time(customer.updated).into());
    let plain = |w| wallet(&customer.id, w, config);
    let wallets: Vec<Value> = customer.wallets.iter().map(plain).collect();
    put("wallets", wallets.into());
    fields
}

fn chain<'c>(wallet: &Wallet, config: &'c Config) -> Option<&'c Chain> {
    config.chains.iter().find(|chain| chain.id == wallet.chain)
}

/// The address as the answers have it.
fn address(wallet: &Wallet, config: &Config) -> String {
    let digits = wallet.address.strip_prefix("0x").unwrap_or_default();
    match chain(wallet, config).map(|chain| chain.form) {
        Some(AddressForm::Evm) if config.shape.evm_upper_case => {
            format!("0x{}", digits.to_ascii_uppercase())
        }
        Some(AddressForm::Sui) if config.shape.sui_padded => format!("0x{digits:0>64}"),
        _ => wallet.address.clone(),
    }
}

/// A wallet as it stands in a customer.
fn wallet(customer: &str, wallet: &Wallet, config: &Config) -> Value {
    json!({
        "id": wallet.id,
        "customerAccountId": customer,
        "chainId": wallet.chain,
        "walletAddress": address(wallet, config),
        "hasActiveAuthorization": wallet.authorization.active,
        "authorizationType": wallet.authorization.kind,
        "authorizationTxHash": wallet.authorization.tx_hash,
        "authorizedAt": wallet.authorization.at,
        "createdAt": time(wallet.created),
        "updatedAt": time(wallet.updated),
    })
}

/// A wallet as an add answers it, and as it stands in a get.
pub(super) fn wallet_with_chain(customer: &str, held: &Wallet, config: &Config) -> Value {
    let mut shown = wallet(customer, held, config);
    if let Some(chain) = chain(held, config).filter(|_| config.shape.chain_names) {
        shown["chain"] = json!({"chainId": chain.id, "name": chain.name});
    }
    shown
}
