//! What a person linked elsewhere.

use std::fmt::Write as _;

use serde_json::{Value, json};
use store::LinkMoved;

/// What became of a customer's link, or in a dry run would.
#[must_use]
pub fn link_moved(moved: &LinkMoved, dry: bool) -> String {
    let mut text = format!("{}: ", moved.remote_customer);
    let reference = moved.reference.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
    let is = if dry { "would be linked to" } else { "linked to" };
    let _ = match &moved.before {
        Some(before) if *before == moved.after => {
            write!(text, "is linked to {before}{reference} already")
        }
        Some(before) => write!(text, "{is} {}{reference}, before to {before}", moved.after),
        None => write!(text, "{is} {}{reference}", moved.after),
    };
    for method in &moved.methods {
        let _ = write!(text, "\n  payment method {}: ", method.remote_method);
        let _ = match (&method.before, &method.after) {
            (Some(before), Some(after)) if before == after => write!(text, "{after} goes along"),
            (Some(before), Some(after)) => write!(text, "{is} {after}, before to {before}"),
            (None, Some(after)) => write!(text, "{is} {after}"),
            (_, None) => write!(text, "is gone there, and linked to nothing"),
        };
    }
    text
}

/// The same as an entry of a document.
#[must_use]
pub fn link_moved_json(moved: &LinkMoved) -> Value {
    let methods: Vec<Value> = moved
        .methods
        .iter()
        .map(|method| {
            json!({
                "remote_method_id": method.remote_method,
                "before": method.before,
                "after": method.after,
            })
        })
        .collect();
    json!({
        "remote_customer_id": moved.remote_customer,
        "before": moved.before,
        "after": moved.after,
        "reference": moved.reference,
        "methods": methods,
    })
}
