//! The vendor's JSON, both ways, and the one place where what its documentation leaves open is
//! read as *adopted* (see `docs.md`).
//!
//! Out go exact structs without nulls: a null is refused, and unknown properties are dropped without
//! a word. In comes `{"success":true,"data":…}`; what does not say so is no success.

use std::collections::{BTreeMap, HashMap};

use model::contains_card_number;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use transport::vendor::{List, OwnIds, Row, Vendor, VendorError, is_word};

/// `POST /customers`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewCustomer<'a> {
    pub app_id: &'a str,
    pub external_id: &'a str,
    #[serde(flatten)]
    pub fields: Fields<'a>,
}

/// What a customer can be given, also by `PUT /customers/{id}`, which changes what it names and
/// nothing else.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Metadata as it is sent: each value as it is written.
pub(crate) type Metadata = BTreeMap<String, Box<RawValue>>;

/// `POST /customers/{id}/wallets`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewWallet {
    pub chain_id: u64,
    pub wallet_address: String,
}

/// The name of an id.
pub(crate) const ID: &[&str] = &["id"];

/// The vendor's ways.
pub(crate) const VENDOR: Vendor = Vendor {
    any_casing: false,
    // UUIDs, which no card number is; some of the vendor's samples show `cust_abc123`.
    ids: OwnIds { names: &["id", "customerAccountId"], marks: b"_", numbered: &[] },
    hidden: &[
        "externalId",
        "email",
        "name",
        "address",
        "city",
        "state",
        "country",
        "postalCode",
        "metadata",
        "walletAddress",
    ],
    column,
    own_error,
    error_in_success: false,
};

fn column(name: &str) -> Option<&'static str> {
    Some(match name {
        "externalId" => "reference",
        "email" => "email",
        "name" => "name",
        "address" => "line1",
        "city" => "city",
        "state" => "state",
        "country" => "country",
        "postalCode" => "postal_code",
        "chainId" => "chain_id",
        "walletAddress" => "wallet_address",
        _ => return None,
    })
}

/// The vendor's own error: `{"success":false,"error":{"code","message","details"?}}`, where two
/// causes (a wrong version, an idempotency key) have `type` in place of `code`.
fn own_error(row: Row<'_>) -> Option<VendorError> {
    let error = row.row("error").filter(|_| row.get("success") == Some(&Value::Bool(false)))?;
    let text = |name| error.get(name).and_then(Value::as_str);
    let code = ["code", "type"].into_iter().find_map(|name| text(name).filter(|w| is_word(w)))?;
    let message = text("message");
    // It speaks of the address that was called, never of what is or is not there.
    if code == "NOT_FOUND" && message.is_some_and(|message| message.starts_with("Route ")) {
        return None;
    }
    Some(VendorError {
        code: Some(code.to_owned()),
        message: message.map(str::to_owned),
        field: error.get("details").and_then(field_at_fault),
    })
}

/// The path of the first of the vendor's complaints about fields (adopted).
fn field_at_fault(details: &Value) -> Option<String> {
    let path = details.as_array()?.first()?.get("path")?.as_array()?;
    let path: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
    Some(path.join(".")).filter(|path| is_word(path))
}

/// Whether an answer says that it is one of success.
pub(crate) fn says_success(envelope: &Value) -> Result<(), &'static str> {
    match envelope.get("success") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err("the answer does not say `success`"),
    }
}

/// Reads the one object of an answer, with the paths of the card numbers that were dropped from it.
pub(crate) fn object(body: &[u8]) -> Result<(Value, Vec<String>), &'static str> {
    let (mut answer, card_numbers_at) = VENDOR.object(body)?;
    says_success(&answer)?;
    match answer.get_mut("data").map(Value::take) {
        Some(data @ Value::Object(_)) => Ok((data, card_numbers_at)),
        _ => Err("the answer holds no `data`"),
    }
}

/// Where a page stands in its list, by the vendor's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pagination {
    /// Rows in the whole list.
    pub total: u64,
    /// The number of this page, from 1.
    pub page: Option<u64>,
    /// Rows a page.
    pub size: Option<u64>,
}

/// Reads a list, and where it stands. Without the vendor's total its end could not be told.
pub(crate) fn list(body: &[u8]) -> Result<(List, Pagination), &'static str> {
    let list = VENDOR.list(body, &["data"])?;
    says_success(&list.envelope)?;
    let envelope = VENDOR.row(&list.envelope).map_err(|_| "the answer holds no list")?;
    let pagination = envelope.row("pagination").ok_or("the answer holds no `pagination`")?;
    let number = |name| pagination.number(name).ok().flatten().map(u64::from);
    let total = number("total").ok_or("the answer states no `total`")?;
    let pagination = Pagination { total, page: number("page"), size: number("pageSize") };
    Ok((list, pagination))
}

/// The metadata of the customers of an answer as the vendor wrote it, by their ids. What a change
/// may not send back is left out: what is no object, and what holds a card number.
pub(crate) fn metadata(body: &[u8]) -> HashMap<String, String> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Customer<'a> {
        id: String,
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let Ok(Answer { data }) = serde_json::from_slice(body) else { return HashMap::new() };
    let rows: Vec<&RawValue> = serde_json::from_str(data.get()).unwrap_or_else(|_| vec![data]);
    let read = |row: &RawValue| -> Option<(String, String)> {
        let Customer { id, metadata } = serde_json::from_str(row.get()).ok()?;
        let value: Value = serde_json::from_str(metadata.get()).ok()?;
        let may_go = value.is_object() && !contains_card_number(&value.to_string());
        may_go.then(|| (id, metadata.get().to_owned()))
    };
    rows.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests;
