//! The vendor's JSON, both ways, and the one place where what its documentation leaves open is
//! read as *adopted* (see `docs.md`).
//!
//! Out goes an exact struct without nulls: a null may mean "clear this". In comes anything the
//! contract lists, read from a tree.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use transport::vendor::{List, OwnIds, Row, Vendor, VendorError};

/// `POST /v2/customers` and `POST /v2/customers/{uuid}`: what is stated, and nothing else.
#[derive(Serialize)]
pub(crate) struct Customer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_customer_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<&'a str>,
}

/// The names a customer's id is accepted under: `id` stands in lists.
pub(crate) const CUSTOMER_ID: &[&str] = &["uuid", "id"];
/// The name of a saved payment method's id.
pub(crate) const METHOD_ID: &[&str] = &["id"];
/// Where a list stands.
const DATA: &[&str] = &["data"];

/// The vendor's ways.
pub(crate) const VENDOR: Vendor = Vendor {
    any_casing: false,
    ids: OwnIds {
        names: &["uuid", "id", "customer_uuid"],
        marks: b"-_",
        // A saved payment method's id is a text or a number.
        numbered: METHOD_ID,
    },
    hidden: &[
        "merchant_customer_id",
        "description",
        "email",
        "name",
        "phone",
        "metadata",
        "zip_code",
        "city",
        "address",
    ],
    // Its errors name no property.
    column: |_| None,
    own_error,
    error_in_success: true,
};

/// The vendor's word for how a call went.
fn status(value: &Value) -> Option<&str> {
    value.get("status")?.as_str()
}

/// Whether an answer says of itself that it took place: a 2xx alone does not.
pub(crate) fn approved(answer: &Value) -> Result<(), &'static str> {
    match status(answer) {
        Some("approved") => Ok(()),
        _ => Err("the answer does not say `approved`"),
    }
}

/// Reads a list that says of itself that it is one.
pub(crate) fn list(body: &[u8]) -> Result<List, &'static str> {
    let list = VENDOR.list(body, DATA)?;
    approved(&list.envelope)?;
    Ok(list)
}

/// The vendor's own error. Its documentation has every answer carry a `status`; adopted: that one of
/// its words for failure, or without a status a list of texts under `errors`, makes an error the
/// vendor's own. A message alone is not enough: that is what gateways in front of an API answer.
fn own_error(row: Row<'_>) -> Option<VendorError> {
    let texts: Vec<&str> = match row.get("errors") {
        Some(Value::Array(errors)) => errors.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let code = match row.get("status") {
        Some(Value::String(word)) if matches!(word.as_str(), "invalid-request" | "error") => {
            Some(word.clone())
        }
        None | Some(Value::Null) if !texts.is_empty() => None,
        _ => return None,
    };
    let message = row.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
    let message = message.map(str::to_owned).or_else(|| {
        let all = texts.join("; ");
        (!all.is_empty()).then_some(all)
    });
    Some(VendorError { code, message, field: None })
}

#[cfg(test)]
mod tests;
