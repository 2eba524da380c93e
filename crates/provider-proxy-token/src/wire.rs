//! The vendor's JSON, both ways, and the one place where what its documentation leaves open is
//! read as *adopted* (see `docs.md`).
//!
//! Out go exact structs: the vendor rejects unknown properties, so nothing is sent that is not
//! stated and nothing is sent as null. In comes anything the contract lists: rows are read from a
//! tree, because ids, envelopes and payment methods each have several shapes.

use serde::Serialize;
use serde_json::Value;
use transport::vendor::{List, OwnIds, Row, Vendor, VendorError, is_word};

/// `POST /api/customers`.
#[derive(Serialize)]
pub(crate) struct NewCustomer<'a> {
    pub reference_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
}

/// `POST /api/customers/{uid}/payment-methods`.
#[derive(Serialize)]
pub(crate) struct SaveMethod<'a> {
    pub payment_method: Method<'a>,
}

/// `POST /api/saved-payment-methods/import` (adopted, all of it).
#[derive(Serialize)]
pub(crate) struct Import<'a> {
    pub saved_payment_methods: Vec<ImportRow<'a>>,
}

#[derive(Serialize)]
pub(crate) struct ImportRow<'a> {
    pub customer_uid: &'a str,
    pub payment_method: Method<'a>,
    /// Sent when true only: what `false` would do to an earlier default is not documented.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_default: bool,
}

/// `PUT /api/customers/{uid}/default-payment-method` (adopted).
#[derive(Serialize)]
pub(crate) struct SetDefault<'a> {
    pub saved_payment_method_uid: &'a str,
}

/// A payment method as it is sent.
#[derive(Serialize)]
pub(crate) struct Method<'a> {
    pub payment_method_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit: Option<Credit<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ach: Option<Ach<'a>>,
}

/// A card as it is sent. The year has four digits.
#[derive(Serialize)]
pub(crate) struct Credit<'a> {
    pub fingerprint: &'a str,
    pub last4: &'a str,
    pub exp_month: u8,
    pub exp_year: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_brand: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<&'a str>,
}

/// A bank account as it is sent (adopted).
#[derive(Serialize)]
pub(crate) struct Ach<'a> {
    pub fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_number: Option<&'a str>,
    pub account_number_suffix: &'a str,
    pub account_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<&'a str>,
}

/// The names a customer's id has been accepted under (adopted).
pub(crate) const CUSTOMER_ID: &[&str] = &["uid", "customer_uid", "id"];
/// The names that a saved payment method's id is accepted under in a list.
pub(crate) const METHOD_ID: &[&str] = &["saved_payment_method_uid", "id"];
/// Its one name in the answer to a save, which is documented.
pub(crate) const SAVED_ID: &[&str] = &["saved_payment_method_uid"];
/// The names a list of customers is accepted under (adopted).
pub(crate) const CUSTOMERS: &[&str] = &["value", "data", "items"];
/// The names a list of payment methods is accepted under (adopted).
pub(crate) const METHODS: &[&str] = &["value", "data", "payment_methods", "items"];

/// The vendor's ways.
pub(crate) const VENDOR: Vendor = Vendor {
    any_casing: false,
    // `cus_9014564050715011`, `SPM_…`.
    ids: OwnIds {
        names: &["uid", "customer_uid", "saved_payment_method_uid", "id"],
        marks: b"_",
        numbered: &[],
    },
    hidden: &[
        "fingerprint",
        "reference_id",
        "name",
        "email",
        "holder_name",
        "last4",
        "bin",
        "routing_number",
        "account_number_suffix",
    ],
    column,
    own_error,
    error_in_success: false,
};

/// The address of the next page, where the vendor gives one.
pub(crate) fn next_link(list: &List) -> Result<Option<&str>, &'static str> {
    match list.envelope.get("@odata.nextLink") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(link)) if !link.is_empty() => Ok(Some(link)),
        Some(_) => Err("`@odata.nextLink` is not an address"),
    }
}

/// Reads the vendor's own error body; `None` for everybody else's.
///
/// The vendor documents no error body, only codes (`insufficient_scope`, `already_confirmed`).
/// Adopted: JSON with a *code word* in `error.code`, `code`, `errors[0].code` or `error`. A
/// message alone is not enough: that is what gateways in front of an API answer
/// (`{"message":"Not Found"}`), and so is `{"status":404,"error":"Not Found"}`.
fn own_error(row: Row<'_>) -> Option<VendorError> {
    let first = row.get("errors").and_then(Value::as_array).and_then(|all| all.first());
    let inner = row.row("error").or_else(|| VENDOR.row(first?).ok());
    let error = match inner {
        Some(inner) => error_row(inner),
        None => {
            let flat = error_row(row);
            match (&flat.code, row.get("error")) {
                (None, Some(Value::String(word))) if is_word(word) && is_lower(word) => {
                    VendorError { code: Some(word.clone()), ..flat }
                }
                _ => flat,
            }
        }
    };
    error.code.is_some().then_some(error)
}

/// The fields of an error object, wherever it stands.
fn error_row(row: Row<'_>) -> VendorError {
    let text = |name| row.get(name).and_then(Value::as_str).map(str::to_owned);
    VendorError {
        code: text("code").filter(|code| is_word(code)),
        message: text("message"),
        field: text("field").filter(|field| is_word(field)),
    }
}

/// The column of a file that a property of a request is made from, by its last name
/// (`credit.fingerprint`); any other property as the vendor names it.
fn column(name: &str) -> Option<&'static str> {
    Some(match name {
        "fingerprint" => "token",
        "reference_id" => "reference",
        "payment_method_type" => "method",
        "card_brand" => "brand",
        "account_number_suffix" | "last4" => "last4",
        "is_default" => "default",
        "name" => "name",
        "email" => "email",
        "exp_month" => "exp_month",
        "exp_year" => "exp_year",
        "bin" => "bin",
        "holder_name" => "holder_name",
        "routing_number" => "routing_number",
        "account_type" => "account_type",
        "bank_name" => "bank_name",
        _ => return None,
    })
}

fn is_lower(text: &str) -> bool {
    !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// One result of a bulk answer.
#[derive(Debug)]
pub(crate) struct BulkResult {
    pub index: Option<usize>,
    pub status: Option<String>,
    pub uid: Option<String>,
    pub error: VendorError,
}

/// Reads a bulk answer (adopted): `{"results":[{index,status,saved_payment_method_uid?,error?}]}`.
pub(crate) fn bulk(answer: &Value) -> Result<Vec<BulkResult>, &'static str> {
    let results = answer.get("results").and_then(Value::as_array);
    let read = |value: &Value| {
        let row = VENDOR.row(value).ok();
        let text = |name| row.and_then(|row| row.get(name)).and_then(Value::as_str);
        BulkResult {
            index: row
                .and_then(|row| row.get("index"))
                .and_then(Value::as_u64)
                .and_then(|index| usize::try_from(index).ok()),
            status: text("status").map(str::to_owned),
            uid: text("saved_payment_method_uid").map(str::to_owned),
            error: row.and_then(|row| row.row("error")).map(error_row).unwrap_or_default(),
        }
    };
    Ok(results.ok_or("the answer holds no results")?.iter().map(read).collect())
}

#[cfg(test)]
mod tests;
