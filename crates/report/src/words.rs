//! Words that the terminal and the page share.

use model::{Calls, Code, Counts, Coverage, Ledger, Summary, Unread};
use store::RunState;

/// Says that calls of a process that died are missing.
pub(crate) const CALLS_LOST: &str = "those of a process of this run that died are not counted";

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 row`, `2,000 rows`.
pub(crate) fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { more })
}

/// What the sum of a ledger says.
pub(crate) fn sum(rows: &Ledger) -> &'static str {
    if rows.balances() {
        "balanced: every row has one outcome"
    } else {
        "NOT BALANCED: please report this"
    }
}

/// What became of customers or payment methods in the store, each with its count.
pub(crate) const fn changes(counts: Counts) -> [(&'static str, u64); 4] {
    [
        ("new", counts.created),
        ("changed", counts.updated),
        ("unchanged", counts.unchanged),
        ("removed", counts.removed),
    ]
}

/// What a code means, and what to do about it in this run.
pub(crate) fn code(code: &str, run: &str) -> (&'static str, Option<String>) {
    let known = Code::parse(code);
    (known.map_or("", Code::meaning), known.and_then(|code| code.hint_in(run)))
}

/// How far a list was read.
pub(crate) const fn read_how_far(coverage: &Coverage) -> &'static str {
    match (coverage.complete, coverage.confirmed) {
        (false, _) => "incomplete",
        (true, false) => "read to the end, unconfirmed by a second pass",
        (true, true) => "complete",
    }
}

/// How many customers' payment methods were left unread, and how old what the store has of them is.
pub(crate) fn unread_methods(unread: &Unread) -> String {
    let age = match unread.oldest.as_deref() {
        Some(oldest) => format!("the oldest read at {oldest}"),
        None => "some of them never read".to_owned(),
    };
    let Unread { customers, of, .. } = unread;
    format!("the payment methods of {} of {} customers, {age}", grouped(*customers), grouped(*of))
}

/// How many calls were made.
pub(crate) fn calls(calls: &Calls) -> String {
    format!(
        "{} in all, {} of them changing something; {} throttled, {} reads repeated",
        grouped(calls.total),
        grouped(calls.changing),
        grouped(calls.throttled),
        grouped(calls.retried)
    )
}

/// Whether a worker has the run.
pub(crate) fn is_at_work(summary: &Summary) -> bool {
    summary.state == RunState::Running.as_str()
}

/// What is open of a run, and the command that lists it.
pub(crate) fn unsettled(summary: &Summary) -> Option<(String, String)> {
    let Summary { run, unsettled, .. } = summary;
    let open = counted(*unsettled, "effect is", "effects are");
    let list = format!("onfile effects list --run {run}");
    (*unsettled > 0).then(|| (format!("{open} not settled yet"), list))
}

/// Who could go on with a run that is at work.
pub(crate) fn held(summary: &Summary) -> Option<String> {
    let Summary { run, .. } = summary;
    let again = match summary.job.as_str() {
        "import" | "pull" => format!("`onfile runs resume {run}` goes on, "),
        _ => String::new(),
    };
    is_at_work(summary).then(|| match summary.lease_seconds {
        Some(left) => format!(
            "a worker holds it; if its process died, its lease runs out in {left} s: then \
             {again}`onfile runs cancel {run}` ends it"
        ),
        None => format!("nobody works at it: {again}`onfile runs cancel {run}` ends it"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(2000, "row", "rows"), "2,000 rows");
    }
}
