//! Requests as this vendor reads them: unknown properties, nulls and card numbers are refused.

use super::Refused;
use super::merchant::{Ach, Card, Facts};
use crate::pan;
use crate::vendor::Call;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCustomer {
    pub(super) reference_id: String,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddMethod {
    pub(super) payment_method: PaymentMethod,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetDefault {
    pub(super) saved_payment_method_uid: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    pub(super) saved_payment_methods: Vec<ImportRow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportRow {
    pub(super) customer_uid: String,
    pub(super) payment_method: PaymentMethod,
    #[serde(default)]
    pub(super) is_default: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentMethod {
    payment_method_type: String,
    credit: Option<Credit>,
    ach: Option<AchAccount>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credit {
    fingerprint: String,
    last4: String,
    exp_month: i64,
    exp_year: i64,
    bin: Option<String>,
    card_brand: Option<String>,
    holder_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AchAccount {
    fingerprint: String,
    account_number_suffix: String,
    routing_number: Option<String>,
    account_type: Option<String>,
    bank_name: Option<String>,
    holder_name: Option<String>,
}

fn bad(code: &'static str, message: impl Into<String>) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, code, message)
}

/// Reads a JSON body strictly.
pub(super) fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refused> {
    let json = call.header("content-type").is_some_and(|t| t.starts_with("application/json"));
    if !json {
        return Err(bad("json_expected", "expected Content-Type: application/json"));
    }
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|_| bad("malformed_json", "the body is no valid JSON"))?;
    if let Some(path) = null(&body, "") {
        return Err(bad("null_not_allowed", "a property must not be null").at(path));
    }
    if let Some(path) = pan::find(&body) {
        return Err(bad("pan_not_allowed", "card numbers are not accepted").at(path));
    }
    serde_path_to_error::deserialize(body).map_err(|e| {
        let path = e.path().to_string();
        let text = e.inner().to_string();
        // serde tells its kinds of errors apart only by their text; no value is repeated here.
        if let Some(name) = quoted(&text, "unknown field `") {
            let path = joined(&path, name);
            bad("unknown_property", format!("unknown property `{name}`")).at(path)
        } else if let Some(name) = quoted(&text, "missing field `") {
            let path = joined(&path, name);
            bad("missing_property", format!("`{name}` is required")).at(path)
        } else {
            bad("invalid_property", "the value has the wrong type").at(path)
        }
    })
}

fn quoted<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    text.strip_prefix(before)?.split('`').next()
}

fn joined(path: &str, name: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or_default();
    match path {
        "." | "" => name.to_owned(),
        _ if last == name => path.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

fn null(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Null => Some(path.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, item)| null(item, &format!("{path}[{i}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, item)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            null(item, &path)
        }),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

impl PaymentMethod {
    /// The method's facts and the token it came with.
    pub(super) fn checked(self) -> Result<(Facts, String), Refused> {
        let prefix = format!("payment_method.{}", self.payment_method_type);
        let wrong = |field: &str, expected: &str| {
            let path = format!("{prefix}.{field}");
            bad("invalid_field", format!("expected {expected}")).at(path)
        };
        let digits = |text: &str, allowed: &[usize]| {
            allowed.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        match (self.payment_method_type.as_str(), self.credit, self.ach) {
            ("credit", Some(credit), None) => {
                if !digits(&credit.last4, &[4]) {
                    return Err(wrong("last4", "four digits"));
                }
                if !(1..=12).contains(&credit.exp_month) {
                    return Err(wrong("exp_month", "a month from 1 to 12"));
                }
                if !(2000..=2099).contains(&credit.exp_year) {
                    return Err(wrong("exp_year", "a year of four digits"));
                }
                if credit.bin.as_deref().is_some_and(|bin| !digits(bin, &[6, 8])) {
                    return Err(wrong("bin", "six or eight digits"));
                }
                if credit.fingerprint.is_empty() {
                    return Err(wrong("fingerprint", "a token"));
                }
                let facts = Facts::Card(Card {
                    last4: credit.last4,
                    exp_month: credit.exp_month,
                    exp_year: credit.exp_year,
                    bin: credit.bin,
                    brand: credit.card_brand,
                    holder: credit.holder_name,
                });
                Ok((facts, credit.fingerprint))
            }
            ("ach", None, Some(ach)) => {
                if !digits(&ach.account_number_suffix, &[4]) {
                    return Err(wrong("account_number_suffix", "four digits"));
                }
                if ach.routing_number.as_deref().is_some_and(|routing| !digits(routing, &[9])) {
                    return Err(wrong("routing_number", "nine digits"));
                }
                let kinds = ["checking", "savings"];
                if ach.account_type.as_deref().is_some_and(|kind| !kinds.contains(&kind)) {
                    return Err(wrong("account_type", "`checking` or `savings`"));
                }
                if ach.fingerprint.is_empty() {
                    return Err(wrong("fingerprint", "a token"));
                }
                let facts = Facts::Ach(Ach {
                    suffix: ach.account_number_suffix,
                    routing: ach.routing_number,
                    account_type: ach.account_type,
                    bank: ach.bank_name,
                    holder: ach.holder_name,
                });
                Ok((facts, ach.fingerprint))
            }
            ("credit" | "ach", _, _) => {
                let message = "expected exactly the object that payment_method_type names";
                Err(bad("invalid_field", message).at("payment_method"))
            }
            _ => {
                let message = "expected `credit` or `ach`";
                Err(bad("invalid_field", message).at("payment_method.payment_method_type"))
            }
        }
    }
}
