//! `changes.csv`: what a run changed of customers and payment methods that were known before it.

use store::Changed;

use crate::csv::{Cells, csv_cells};

/// The columns.
pub const CHANGES_HEADER: &str = "at,subject,customer_id,reference,method_id,field,before,after";

/// A line of it, verbatim: it is for machines.
#[must_use]
pub fn change_line(change: &Changed) -> String {
    let method = if change.subject == "method" { change.subject_id.as_str() } else { "" };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    csv_cells(
        [
            change.at.to_string(),
            change.subject.clone(),
            change.customer_id.clone(),
            text(&change.reference),
            method.to_owned(),
            change.field.clone(),
            text(&change.before),
            text(&change.after),
        ],
        Cells::Verbatim,
    )
}
