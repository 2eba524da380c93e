//! The rows of a run: `rows.csv`, one line for each input row in the input's order, and the lines
//! that a person reads first.

use model::Code;
use store::RowRecord;

use crate::csv::{Cells, csv_cells};

/// The first line of `rows.csv`.
pub const HEADER: &str = "line,row_id,reference,outcome,code,message,field,customer_id,\
    remote_customer_id,method_id,remote_method_id,done,plan";

/// A plan's steps, and the codes that it says beside them: what the row will have, or why it looks
/// like being rejected.
fn apart(plan: &str) -> (Vec<&str>, Vec<&str>) {
    plan.split('+').partition(|word| Code::parse(word).is_none())
}

/// A plan for a person.
pub(crate) fn plan(plan: &str) -> String {
    let (steps, codes) = apart(plan);
    let steps = Some(steps.join(", then ")).filter(|steps| !steps.is_empty());
    let words: Vec<&str> = steps.as_deref().into_iter().chain(codes).collect();
    words.join("; ")
}

/// One line of `rows.csv`, without its end. A row without an outcome was not attempted; its code is
/// the one that its plan expects.
#[must_use]
pub fn csv_line(row: &RowRecord) -> String {
    let line = row.line.to_string();
    let (steps, codes) = row.plan.as_deref().map(apart).unwrap_or_default();
    let expected = codes.last().copied().filter(|_| row.outcome.is_none());
    let cells: [&str; 13] = [
        &line,
        &row.row_id,
        row.reference.as_deref().unwrap_or_default(),
        outcome(row),
        row.code.as_deref().or(expected).unwrap_or_default(),
        row.message.as_deref().unwrap_or_default(),
        row.field.as_deref().unwrap_or_default(),
        row.customer_id.as_deref().unwrap_or_default(),
        row.remote_customer_id.as_deref().unwrap_or_default(),
        row.method_id.as_deref().unwrap_or_default(),
        row.remote_method_id.as_deref().unwrap_or_default(),
        row.done.as_deref().unwrap_or_default(),
        &steps.join("+"),
    ];
    // This file is for machines.
    csv_cells(cells, Cells::Verbatim)
}

pub(crate) fn outcome(row: &RowRecord) -> &'static str {
    row.outcome.map_or("not_attempted", model::Outcome::as_str)
}

/// A line for a person, of a row that somebody must look at; none for a row that went well.
#[must_use]
pub fn bad_row(row: &RowRecord) -> Option<String> {
    use model::Outcome::{NotAttempted, Refused, Rejected, Unresolved};
    if !matches!(row.outcome, Some(Rejected | Refused | Unresolved | NotAttempted)) {
        return None;
    }
    let mut text = format!("line {}", row.line);
    if !row.row_id.is_empty() && row.row_id != row.line.to_string() {
        text += &format!(" ({})", row.row_id);
    }
    if let Some(reference) = &row.reference {
        text += &format!(", {reference}");
    }
    text += &format!(": {}", outcome(row));
    if let Some(field) = &row.field {
        text += &format!(", column {field}");
    }
    if let Some(code) = &row.code {
        text += &format!(" [{code}]");
    }
    if let Some(message) = &row.message {
        text += &format!(": {message}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use model::Outcome;

    use super::*;

    fn row() -> RowRecord {
        RowRecord {
            line: 3,
            row_id: "r2".into(),
            reference: Some("C,1".into()),
            outcome: Some(Outcome::Rejected),
            code: Some("bad_value".into()),
            message: Some("expected \"true\" or false".into()),
            field: Some("default".into()),
            ..RowRecord::default()
        }
    }

    #[test]
    fn a_line_has_every_cell_of_the_header() {
        assert_eq!(HEADER.split(',').count(), 13);
        assert_eq!(
            csv_line(&row()),
            "3,r2,\"C,1\",rejected,bad_value,\"expected \"\"true\"\" or false\",default,,,,,,"
        );
        let planned = RowRecord {
            plan: Some("create_customer+import_method".into()),
            ..RowRecord::default()
        };
        assert_eq!(csv_line(&planned), "0,,,not_attempted,,,,,,,,,create_customer+import_method");
        // What is only said is no step.
        let said = RowRecord {
            plan: Some("create_customer+field_omitted+import_method+card_expired".into()),
            ..RowRecord::default()
        };
        assert_eq!(
            csv_line(&said),
            "0,,,not_attempted,card_expired,,,,,,,,create_customer+import_method"
        );
        let done = RowRecord { outcome: Some(Outcome::Created), ..said };
        assert_eq!(csv_line(&done), "0,,,created,,,,,,,,,create_customer+import_method");
    }

    #[test]
    fn a_person_reads_line_column_and_reason() {
        assert_eq!(
            bad_row(&row()).as_deref(),
            Some(
                "line 3 (r2), C,1: rejected, column default [bad_value]: expected \"true\" or false"
            )
        );
        let nameless = RowRecord { row_id: String::new(), reference: None, ..row() };
        let shown = bad_row(&nameless).expect("shown");
        assert!(shown.starts_with("line 3: rejected"), "{shown}");
        let fine = RowRecord { outcome: Some(Outcome::Created), ..row() };
        assert_eq!(bad_row(&fine), None);
    }
}
