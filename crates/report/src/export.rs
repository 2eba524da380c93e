//! Customers, payment methods and links as an export writes them: in CSV with the columns that an
//! import reads, in JSON with where each value comes from. Never a token.

use std::collections::{BTreeMap, BTreeSet};

use model::{FieldName, MethodFacts};
use serde_json::{Map, Value, json};
use store::{ExportedCustomer, ExportedLink, ExportedMethod, FieldSource};

/// What an export lists. `theirs`: the rows of one account, with the provider's ids.
pub trait Exported {
    /// The word in the command and in the document.
    const WHAT: &'static str;

    /// The columns; `keys` are those of the metadata, or the names of attributes.
    fn columns(keys: &BTreeSet<String>, theirs: bool) -> Vec<String>;

    /// The cells of these columns.
    fn cells(&self, keys: &BTreeSet<String>, theirs: bool) -> Vec<String>;

    /// The entry of the document.
    fn json(&self) -> Value;
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

pub(crate) fn sources_json(sources: &BTreeMap<String, FieldSource>) -> Value {
    let one =
        |source: &FieldSource| json!({ "account": source.account, "at": source.at.to_string() });
    sources.iter().map(|(field, source)| (field.clone(), one(source))).collect::<Map<_, _>>().into()
}

impl Exported for ExportedCustomer {
    const WHAT: &'static str = "customers";

    fn columns(keys: &BTreeSet<String>, theirs: bool) -> Vec<String> {
        let mut columns = own(&["row_id", "reference"]);
        columns.extend(FieldName::TEXTS.map(|field| field.as_str().to_owned()));
        columns.extend(keys.iter().map(|key| format!("metadata.{key}")));
        columns.extend(theirs.then(|| "remote_customer_id".to_owned()));
        columns
    }

    fn cells(&self, keys: &BTreeSet<String>, theirs: bool) -> Vec<String> {
        let mut cells = vec![text(self.customer.as_ref()), text(self.reference.as_ref())];
        let profile = &self.profile;
        cells.extend(
            FieldName::TEXTS.map(|field| profile.get(field).unwrap_or_default().to_owned()),
        );
        cells.extend(keys.iter().map(|key| text(profile.metadata.get(key))));
        cells.extend(theirs.then(|| text(self.remote_customer.as_ref())));
        cells
    }

    fn json(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("customer_id".into(), json!(self.customer));
        if let Some(remote) = &self.remote_customer {
            entry.insert("remote_customer_id".into(), json!(remote));
        }
        entry.insert("reference".into(), json!(self.reference));
        for field in FieldName::TEXTS {
            if let Some(value) = self.profile.get(field) {
                entry.insert(field.as_str().into(), json!(value));
            }
        }
        entry.insert("metadata".into(), json!(self.profile.metadata));
        entry.insert("sources".into(), sources_json(&self.sources));
        entry.into()
    }
}

const FACTS: [&str; 12] = [
    "method",
    "brand",
    "bin",
    "last4",
    "exp_month",
    "exp_year",
    "holder_name",
    "bank_name",
    "account_type",
    "routing_number",
    "chain_id",
    "wallet_address",
];

/// The facts that are known, by the columns of an import.
fn facts_by_column(facts: &MethodFacts) -> BTreeMap<&'static str, String> {
    let mut cells = BTreeMap::from([("method", facts.kind().as_str().to_owned())]);
    let mut put = |column, value: Option<String>| {
        if let Some(value) = value {
            cells.insert(column, value);
        }
    };
    match facts {
        MethodFacts::Card(card) => {
            put("brand", card.brand.clone());
            put("bin", card.bin.as_ref().map(|bin| bin.as_str().to_owned()));
            put("last4", card.last4.as_ref().map(|last4| last4.as_str().to_owned()));
            put("exp_month", card.expiry.map(|expiry| expiry.month().to_string()));
            put("exp_year", card.expiry.map(|expiry| expiry.year().to_string()));
            put("holder_name", card.holder_name.clone());
        }
        MethodFacts::BankAccount(bank) => {
            put("bank_name", bank.bank_name.clone());
            put("account_type", bank.account_type.map(|kind| kind.as_str().to_owned()));
            put("routing_number", bank.routing_number.clone());
            put("last4", bank.last4.as_ref().map(|last4| last4.as_str().to_owned()));
            put("holder_name", bank.holder_name.clone());
        }
        MethodFacts::CryptoWallet(wallet) => {
            put("chain_id", Some(wallet.chain_id.to_string()));
            put("wallet_address", Some(wallet.address.clone()));
        }
    }
    cells
}

impl Exported for ExportedMethod {
    const WHAT: &'static str = "methods";

    fn columns(keys: &BTreeSet<String>, theirs: bool) -> Vec<String> {
        let mut columns = own(&["row_id", "reference"]);
        columns.extend(own(&FACTS));
        if theirs {
            columns.extend(own(&["default", "remote_customer_id", "remote_method_id"]));
            columns.extend(keys.iter().map(|key| format!("attributes.{key}")));
        }
        columns
    }

    fn cells(&self, keys: &BTreeSet<String>, theirs: bool) -> Vec<String> {
        let mut cells = vec![text(self.method.as_ref()), text(self.reference.as_ref())];
        let facts = facts_by_column(&self.facts);
        cells.extend(FACTS.map(|column| text(facts.get(column))));
        if theirs {
            cells.push(text(self.default.as_ref()));
            cells.push(text(self.remote_customer.as_ref()));
            cells.push(text(self.remote_method.as_ref()));
            cells.extend(keys.iter().map(|key| text(self.attributes.get(key))));
        }
        cells
    }

    fn json(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("method_id".into(), json!(self.method));
        entry.insert("customer_id".into(), json!(self.customer));
        entry.insert("reference".into(), json!(self.reference));
        if let (Some(customer), Some(method)) = (&self.remote_customer, &self.remote_method) {
            entry.insert("remote_customer_id".into(), json!(customer));
            entry.insert("remote_method_id".into(), json!(method));
            entry.insert("default".into(), json!(self.default));
            entry.insert("attributes".into(), json!(self.attributes));
        }
        for (column, value) in facts_by_column(&self.facts) {
            // A number where it counts or is a month; digits that are a name stay text.
            let number = matches!(column, "exp_month" | "exp_year" | "chain_id");
            let number = number.then(|| value.parse::<u64>().ok()).flatten();
            entry.insert(column.into(), number.map_or_else(|| json!(value), Value::from));
        }
        entry.insert("sources".into(), sources_json(&self.sources));
        entry.into()
    }
}

/// A link with the account it is at.
#[derive(Debug, Clone)]
pub struct LinkAt {
    /// The account.
    pub account: String,
    /// The link.
    pub link: ExportedLink,
}

impl Exported for LinkAt {
    const WHAT: &'static str = "links";

    fn columns(_: &BTreeSet<String>, _: bool) -> Vec<String> {
        own(&[
            "account",
            "reference",
            "customer_id",
            "remote_customer_id",
            "method_id",
            "remote_method_id",
            "linked_by",
        ])
    }

    fn cells(&self, _: &BTreeSet<String>, _: bool) -> Vec<String> {
        let link = &self.link;
        vec![
            self.account.clone(),
            text(link.reference.as_ref()),
            text(link.customer.as_ref()),
            link.remote_customer.to_string(),
            text(link.method.as_ref()),
            text(link.remote_method.as_ref()),
            text(link.linked_by.as_ref()),
        ]
    }

    fn json(&self) -> Value {
        let link = &self.link;
        json!({
            "account": self.account,
            "reference": link.reference,
            "customer_id": link.customer,
            "remote_customer_id": link.remote_customer,
            "method_id": link.method,
            "remote_method_id": link.remote_method,
            "linked_by": link.linked_by,
        })
    }
}
