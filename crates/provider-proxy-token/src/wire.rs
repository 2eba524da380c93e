//! The vendor's JSON, both ways, and the one place where what its documentation leaves open is
//! read as *adopted* (see `docs.md`).
//!
//! Out go exact structs: the vendor rejects unknown properties, so nothing is sent that is not
//! stated and nothing is sent as null. In comes anything the contract lists: rows are read from a
//! tree, because ids, envelopes and payment methods each have several shapes.

use backend::{Refusal, Unreadable};
use model::{Timestamp, contains_card_number};
use serde::Serialize;
use serde_json::{Map, Value};
use transport::vendor_text;

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

/// A list answered: its rows, and the address of the next page where the vendor gives one.
#[derive(Debug)]
pub(crate) struct List {
    pub rows: Vec<Value>,
    pub next: Option<String>,
    /// Where card numbers stood; they are gone from `rows`.
    pub card_numbers_at: Vec<String>,
}

/// Reads a list: a bare array, or an array under one of `names`.
pub(crate) fn list(body: &[u8], names: &[&str]) -> Result<List, &'static str> {
    let mut card_numbers_at = Vec::new();
    let (mut rows, next) = match serde_json::from_slice(body) {
        Ok(Value::Array(rows)) => (rows, None),
        Ok(Value::Object(mut envelope)) => {
            let next = match envelope.remove("@odata.nextLink") {
                None | Some(Value::Null) => None,
                Some(Value::String(link)) if !link.is_empty() => Some(link),
                Some(_) => return Err("`@odata.nextLink` is not an address"),
            };
            let rows = names.iter().find_map(|name| match envelope.remove(*name) {
                Some(Value::Array(rows)) => Some(rows),
                _ => None,
            });
            (rows.ok_or("the answer holds no list")?, next)
        }
        Ok(_) => return Err("the answer holds no list"),
        Err(_) => return Err("the answer is not JSON"),
    };
    for (index, row) in rows.iter_mut().enumerate() {
        drop_card_numbers(row, &mut format!("[{index}]"), &mut card_numbers_at);
    }
    Ok(List { rows, next, card_numbers_at })
}

/// Reads one object, with the paths of the card numbers that were dropped from it.
pub(crate) fn object(body: &[u8]) -> Result<(Value, Vec<String>), &'static str> {
    let mut value: Value = serde_json::from_slice(body).map_err(|_| "the answer is not JSON")?;
    if !value.is_object() {
        return Err("the answer is not an object");
    }
    let mut at = Vec::new();
    drop_card_numbers(&mut value, &mut String::new(), &mut at);
    Ok((value, at))
}

/// Whether a field is an id that the vendor made: by its name, and by its form of a word, `_`, and
/// letters and digits (`cus_9014564050715011`). Of such ids one in some ten thousand is all digits
/// and passes for a card number by chance; dropped, its customer could never be read.
fn is_vendor_id(name: &str, value: &Value) -> bool {
    let named = CUSTOMER_ID.contains(&name) || METHOD_ID.contains(&name);
    let form = |text: &str| {
        text.split_once('_').is_some_and(|(word, rest)| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphabetic())
                && rest.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    };
    named && value.as_str().is_some_and(form)
}

/// Rule 13: a field of an answer that holds a card number is dropped, and its path kept. Depth is
/// bounded by serde_json's own limit.
fn drop_card_numbers(value: &mut Value, path: &mut String, at: &mut Vec<String>) {
    let found = match &*value {
        Value::String(text) => contains_card_number(text),
        Value::Number(number) => contains_card_number(&number.to_string()),
        _ => false,
    };
    if found {
        at.push(path.clone());
        *value = Value::Null;
        return;
    }
    let here = path.len();
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                path.push_str(&format!("[{index}]"));
                drop_card_numbers(value, path, at);
                path.truncate(here);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if is_vendor_id(name, value) {
                    continue;
                }
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(if contains_card_number(name) { "?" } else { name });
                drop_card_numbers(value, path, at);
                path.truncate(here);
            }
        }
        _ => {}
    }
}

/// What keeps a row from being read; never its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit(pub String);

/// The fields of one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a>(&'a Map<String, Value>);

impl<'a> Row<'a> {
    pub fn of(value: &'a Value) -> Result<Self, Unfit> {
        value.as_object().map(Self).ok_or_else(|| Unfit("the row is not an object".into()))
    }

    pub fn row(self, name: &str) -> Option<Self> {
        self.0.get(name)?.as_object().map(Self)
    }

    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// A text. Numbers are taken as written, null and the empty text as not stated.
    pub fn text(self, name: &str) -> Result<Option<String>, Unfit> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(Unfit(format!("`{name}` is not a text"))),
        }
    }

    /// The first of several names that is stated.
    pub fn first_text(self, names: &[&str]) -> Result<Option<String>, Unfit> {
        for name in names {
            if let Some(text) = self.text(name)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// A whole number, also where it is written as a text (`"12"`); what is none is not known.
    pub fn number(self, name: &str) -> Result<Option<u32>, Unfit> {
        Ok(self.text(name)?.and_then(|text| text.trim().parse().ok()))
    }

    /// RFC 3339, or seconds since the epoch. Anything else is not known.
    pub fn time(self, name: &str) -> Option<Timestamp> {
        match self.0.get(name)? {
            Value::String(text) => Timestamp::parse_rfc3339(text),
            Value::Number(seconds) => seconds.as_i64().map(Timestamp::from_seconds),
            _ => None,
        }
    }
}

/// An unreadable row, with its id where that much could be read.
pub(crate) fn unreadable(value: &Value, ids: &[&str], unfit: Unfit) -> Unreadable {
    let id = Row::of(value).ok().and_then(|row| row.first_text(ids).ok().flatten());
    let fits = |id: &String| id.len() <= 255 && !id.chars().any(char::is_control);
    Unreadable { id: id.filter(fits), why: unfit.0 }
}

/// The vendor's own error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct VendorError {
    pub code: Option<String>,
    pub message: Option<String>,
    pub field: Option<String>,
}

/// Reads the vendor's own error body; `None` for everybody else's.
///
/// The vendor documents no error body, only codes (`insufficient_scope`, `already_confirmed`).
/// Adopted: JSON with a *code word* in `error.code`, `code`, `errors[0].code` or `error`. A
/// message alone is not enough: that is what gateways in front of an API answer
/// (`{"message":"Not Found"}`), and so is `{"status":404,"error":"Not Found"}`.
pub(crate) fn own_error(body: &[u8]) -> Option<VendorError> {
    let (value, _) = object(body).ok()?;
    let row = Row(value.as_object()?);
    let first = row.get("errors").and_then(Value::as_array).and_then(|all| all.first());
    let inner = row.row("error").or_else(|| first.and_then(|error| Row::of(error).ok()));
    let error = match inner {
        Some(inner) => error_row(inner),
        None => {
            let flat = error_row(row);
            match (&flat.code, row.get("error")) {
                (None, Some(Value::String(word))) if is_code(word) && is_lower(word) => {
                    VendorError { code: Some(word.clone()), ..flat }
                }
                _ => flat,
            }
        }
    };
    error.code.is_some().then_some(error)
}

/// The fields of an error object, wherever it stands.
pub(crate) fn error_row(row: Row<'_>) -> VendorError {
    let text = |name| row.get(name).and_then(Value::as_str).map(str::to_owned);
    VendorError {
        code: text("code").filter(|code| is_code(code)),
        message: text("message"),
        field: text("field").filter(|field| is_code(field)),
    }
}

/// The column of a file that a property of a request is made from, by its last name
/// (`credit.fingerprint`); any other property as the vendor names it.
fn column(field: String) -> String {
    let column = match field.rsplit('.').next().unwrap_or_default() {
        "fingerprint" => "token",
        "reference_id" => "reference",
        "payment_method_type" => "method",
        "card_brand" => "brand",
        "account_number_suffix" => "last4",
        "is_default" => "default",
        same @ ("name" | "email" | "last4" | "exp_month" | "exp_year" | "bin" | "holder_name"
        | "routing_number" | "account_type" | "bank_name") => same,
        _ => return field,
    };
    column.to_owned()
}

/// One word, as codes and names of fields are.
fn is_code(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    text.len() <= 64
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(inner)
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
        let row = Row::of(value).ok();
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

/// What a request said and no message may repeat: a vendor may echo a token, a reference or a
/// name in the text of its error.
#[derive(Default)]
pub(crate) struct Echo(Vec<String>);

impl Echo {
    /// Properties whose values are hidden wherever the vendor repeats them.
    const HIDDEN: &[&str] = &[
        "fingerprint",
        "reference_id",
        "name",
        "email",
        "holder_name",
        "last4",
        "bin",
        "routing_number",
        "account_number_suffix",
    ];

    /// Of the body of a request.
    pub fn of_body(body: &[u8]) -> Self {
        let mut echo = Self::default();
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            echo.take(&value);
        }
        echo
    }

    /// Of one text that a request held elsewhere.
    pub fn of_text(text: &str) -> Self {
        Self(vec![text.to_ascii_lowercase()])
    }

    fn take(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.take(value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if Self::HIDDEN.contains(&name.as_str()) => {
                            self.0.push(text.to_ascii_lowercase());
                        }
                        _ => self.take(value),
                    }
                }
            }
            _ => {}
        }
    }

    /// The vendor's words, without what we said, redacted and cut.
    pub fn refusal(&self, error: VendorError) -> Refusal {
        Refusal {
            code: error.code.filter(|code| self.hide(code) == *code),
            message: self.text(error.message.as_deref()),
            field: error.field.filter(|field| self.hide(field) == *field).map(column),
        }
    }

    /// The vendor's text, or that there is none.
    pub fn text(&self, text: Option<&str>) -> String {
        text.map_or_else(|| "no reason given".to_owned(), |text| vendor_text(&self.hide(text)))
    }

    /// Hides each value, whatever its case: long ones anywhere and in part, short ones where they
    /// stand as a word.
    fn hide(&self, text: &str) -> String {
        let folded = text.to_ascii_lowercase();
        let mut hidden = vec![false; text.len()];
        let mut mark = |from: usize, to: usize| {
            hidden.iter_mut().take(to).skip(from).for_each(|byte| *byte = true);
        };
        let beside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        for value in self.0.iter().filter(|value| !value.is_empty()) {
            for (from, found) in folded.match_indices(value.as_str()) {
                let to = from + found.len();
                let before = folded.get(..from).and_then(|text| text.chars().next_back());
                let after = folded.get(to..).and_then(|text| text.chars().next());
                if value.len() >= Self::LONG || !(beside(before) || beside(after)) {
                    mark(from, to);
                }
            }
        }
        // A piece of a token is still a piece of a token.
        let mut from = 0;
        for word in folded.split_inclusive(|c: char| !(c.is_alphanumeric() || "_-".contains(c))) {
            let piece = word.trim_end_matches(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
            let no_word =
                piece.bytes().any(|b| b.is_ascii_digit()) || piece.len() >= 2 * Self::LONG;
            let long = piece.len() >= Self::LONG;
            if long && no_word && self.0.iter().any(|value| value.contains(piece)) {
                mark(from, from + piece.len());
            }
            from += word.len();
        }
        let mut shown = String::with_capacity(text.len());
        let mut hiding = false;
        for (at, c) in text.char_indices() {
            let hide = hidden.get(at).copied().unwrap_or(false);
            match (hide, hiding) {
                (true, false) => shown.push_str("[hidden]"),
                (true, true) => {}
                (false, _) => shown.push(c),
            }
            hiding = hide;
        }
        shown
    }

    /// From this many bytes on a value is no word that occurs by chance.
    const LONG: usize = 8;
}

#[cfg(test)]
mod tests;
