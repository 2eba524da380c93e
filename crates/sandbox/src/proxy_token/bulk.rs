//! Bulk import of processor tokens. Only its path is documented; the rest is the contract's adopted
//! shape.

use super::calls::{Desk, no_customer, proxynized_at};
use super::{Refused, list, wire};
use crate::seeded::{self, Rng};
use crate::vendor::{Answer, Call, Twist};
use http::StatusCode;
use serde_json::{Value, json};

/// Imports the rows one by one; a row that is refused does not stop the others.
pub(super) fn import(
    desk: &mut Desk<'_>,
    call: &Call,
    twist: Option<Twist>,
) -> Result<Answer, Refused> {
    let import: wire::Import = list::body(call)?;
    let rows = import.saved_payment_methods;
    let count = rows.len();
    if rows.is_empty() {
        let refused = Refused::new(StatusCode::BAD_REQUEST, "empty_batch", "there is no row");
        return Err(refused.at("saved_payment_methods"));
    }
    if count > desk.config.import_batch {
        let message = format!("at most {} rows in one call", desk.config.import_batch);
        let refused = Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", message);
        return Err(refused.at("saved_payment_methods"));
    }
    let mut results: Vec<Value> = rows
        .into_iter()
        .enumerate()
        .map(|(index, row)| match row_result(desk, row) {
            Ok((status, uid)) => {
                json!({"index": index, "status": status, "saved_payment_method_uid": uid})
            }
            Err(refused) => {
                json!({"index": index, "status": "rejected", "error": refused.error()})
            }
        })
        .collect();
    // The order depends on what was sent, not on which call came first.
    let text = String::from_utf8_lossy(&call.body);
    let mut rng = Rng::new(seeded::hash(desk.seed, &["bulk"]), &[&text]);
    rng.shuffle(&mut results);
    let twisted = spoil(&mut results, twist, count);
    let mut answer = Answer::json(StatusCode::OK, &json!({"results": results}));
    answer.twisted = twisted;
    Ok(answer)
}

fn row_result(
    desk: &mut Desk<'_>,
    row: wire::ImportRow,
) -> Result<(&'static str, String), Refused> {
    let (facts, token) = row.payment_method.checked()?;
    let uid = row.customer_uid;
    if desk.merchant.get(&uid).is_none() {
        return Err(no_customer());
    }
    if token.starts_with("bad_") || proxynized_at(&token).is_some() {
        let message = "the processor does not know this token";
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_token", message));
    }
    let (own, others) = desk.merchant.saved_with(&uid, &token);
    let known = match (own, others) {
        (Some(own), _) if desk.config.import_dedupes => Some(own),
        (None, Some(other)) if desk.config.duplicate_across_customers => Some(other),
        _ => None,
    };
    if let Some(known) = known {
        return Ok(("duplicate", known.to_owned()));
    }
    let saved = desk.merchant.save(&uid, facts, Some(token), row.is_default);
    Ok(("imported", saved.ok_or_else(no_customer)?.uid))
}

/// Makes the answer wrong in the way that was asked for; says whether it could.
fn spoil(results: &mut Vec<Value>, twist: Option<Twist>, count: usize) -> bool {
    match twist {
        Some(Twist::MissingIndex) => results.pop().is_some(),
        Some(Twist::RepeatIndex) => match results.first().cloned() {
            Some(first) => {
                results.push(first);
                true
            }
            None => false,
        },
        Some(Twist::ForeignIndex) => match results.last_mut().and_then(|r| r.get_mut("index")) {
            Some(index) => {
                *index = json!(count + 7);
                true
            }
            None => false,
        },
        _ => false,
    }
}
