//! A run as a page of one file: no script, no network, fit for the screen and for paper.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use model::{Ledger, Outcome, Summary, Timestamp};
use sha2::{Digest as _, Sha256};
use store::{Changed, RowRecord, RunRecord};

use crate::mask::{MASKED, Mask};
use crate::verdict::{self, Verdict};
use crate::words::{self, grouped};
use crate::{forecast, rows};

/// So many rows that need somebody stand on a page; the others are in `rows.csv`.
pub const MOST_ROWS: u32 = 200;

/// So many changes stand on a page; the others are in `changes.csv`.
pub const MOST_CHANGES: u32 = 100;

const STYLE: &str = include_str!("../templates/report.css");
/// The width of a bar, and the least that a part of it has, so that one row in a million is seen.
const BAR: u64 = 1000;
const LEAST: u64 = 6;

/// What a page is made from.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The run's own words.
    pub summary: &'a Summary,
    /// Its row in the store.
    pub record: &'a RunRecord,
    /// Rows that need somebody, the most urgent first, [`MOST_ROWS`] at most.
    pub rows: &'a [RowRecord],
    /// What it changed of customers and payment methods that were known, [`MOST_CHANGES`] at most.
    pub changes: &'a [Changed],
    /// Whether there are more.
    pub more_changes: bool,
    /// E-mail addresses, phone numbers and address parts that these rows' customers have: they
    /// are hidden, and with them whatever looks like an e-mail address or a phone number. None
    /// shows everything.
    pub hidden: Option<&'a BTreeSet<String>>,
    /// When this is.
    pub now: Timestamp,
}

/// The page. It asks for nothing from anywhere, and its policy says so: its own style alone, known
/// by its hash.
///
/// # Errors
/// Never, as long as memory lasts: templates are checked when they are compiled.
pub fn html(report: &Report<'_>) -> Result<String, askama::Error> {
    Page::of(report).render()
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style: &'static str,
    style_hash: String,
    version: &'static str,
    made_at: String,
    heading: String,
    masked: Option<&'static str>,
    summary: &'a Summary,
    verdict: Verdict,
    facts: Vec<(&'static str, String)>,
    ledger: Option<Sums>,
    subjects: Vec<Subjects>,
    effects: Vec<(String, String)>,
    open: Vec<String>,
    coverage: Option<Read>,
    findings: Vec<Coded>,
    kept: Vec<(String, String)>,
    calls: Option<Vec<(String, String)>>,
    plan: Option<Plan>,
    rows: Vec<Row>,
    more_rows: Option<String>,
    changes: Vec<Change>,
    more_changes: bool,
    codes: Vec<Coded>,
}

/// The ledger.
struct Sums {
    read: String,
    sum: String,
    says: &'static str,
    balances: bool,
    outcomes: Vec<Part>,
}

/// One outcome: its word, its rows, and its part of the bar.
struct Part {
    word: String,
    class: &'static str,
    rows: u64,
    shown: String,
    share: String,
    x: u64,
    width: u64,
}

/// What of customers and payment methods: a word, and a count of each that was counted.
struct Subjects {
    word: &'static str,
    counts: Vec<String>,
}

/// What was read.
struct Read {
    how_far: &'static str,
    /// The page's class.
    class: &'static str,
    as_of: String,
    customers: String,
    methods: String,
    gaps: Vec<String>,
    notes: Vec<String>,
}

/// One change.
struct Change {
    reference: String,
    subject: &'static str,
    id: String,
    field: String,
    before: String,
    after: String,
}

impl Change {
    fn of(change: &Changed, mask: Mask<'_>) -> Self {
        let value = |value: &Option<String>| match value {
            None => "–".to_owned(),
            Some(_) if mask.is_on() && is_personal(&change.field) => MASKED.to_owned(),
            Some(value) if change.subject == "method" => value.clone(),
            Some(value) => mask.words(value),
        };
        Self {
            reference: change.reference.as_deref().map_or("–".to_owned(), |text| mask.name(text)),
            subject: if change.subject == "method" { "payment method" } else { "customer" },
            id: change.subject_id.clone(),
            field: change.field.clone(),
            before: value(&change.before),
            after: value(&change.after),
        }
    }
}

/// Whether a field holds an e-mail address, a phone number or a part of an address.
fn is_personal(field: &str) -> bool {
    matches!(field, "email" | "phone" | "line1" | "line2" | "city" | "postal_code")
}

/// A code with its rows.
struct Coded {
    code: String,
    rows: String,
    meaning: &'static str,
    hint: Option<String>,
}

/// What a dry run says of the import.
struct Plan {
    mirror: Option<String>,
    canary: Option<String>,
    forecast: Option<String>,
    at_most: Option<String>,
    endpoints: Vec<(String, String)>,
    planned: Vec<(String, String)>,
}

/// A row that needs somebody.
struct Row {
    line: String,
    id: Option<String>,
    reference: String,
    outcome: String,
    class: &'static str,
    code: String,
    field: String,
    message: String,
    hint: Option<String>,
}

impl<'a> Page<'a> {
    fn of(report: &Report<'a>) -> Self {
        let Report { summary, record, rows, changes, more_changes, hidden, now } = *report;
        let mask = Mask::new(hidden);
        let run = summary.run.as_str();
        let planned: u64 = summary.planned.values().sum();
        let bad = summary.rows.map_or(0, |rows| rows.declined(planned));
        let dry = if summary.dry_run { "dry run of the " } else { "" };
        Self {
            style: STYLE,
            style_hash: BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes())),
            version: env!("CARGO_PKG_VERSION"),
            made_at: utc(&now.to_string()),
            heading: format!("{dry}{} of {}", summary.job, summary.account),
            masked: mask.is_on().then_some(MASKED),
            summary,
            verdict: verdict::of(summary, record, mask),
            facts: facts(summary, record, mask),
            ledger: summary.rows.as_ref().map(sums),
            subjects: subjects(summary),
            effects: counts(&summary.effects, str::to_owned),
            open: words::unsettled(summary)
                .map(|(open, list)| format!("{open}: `{list}`"))
                .into_iter()
                .chain(words::held(summary))
                .collect(),
            coverage: summary.coverage.as_ref().map(|coverage| Read {
                how_far: words::read_how_far(coverage),
                class: match (coverage.complete && coverage.gaps.is_empty(), coverage.confirmed) {
                    (false, _) => "broken",
                    (true, false) => "plain",
                    (true, true) => "holds",
                },
                as_of: coverage.as_of.as_deref().map_or_else(|| "never".into(), utc),
                customers: grouped(coverage.customers_read),
                methods: grouped(coverage.methods_read),
                gaps: coverage.gaps.iter().map(|gap| mask.words(gap)).collect(),
                notes: unread(summary)
                    .into_iter()
                    .chain(coverage.notes.iter().map(|note| mask.words(note)))
                    .collect(),
            }),
            findings: coded(&summary.findings, run),
            kept: counts(&summary.kept_in_store, |field| mask.words(field)),
            calls: (!words::is_at_work(summary)).then(|| calls(summary)),
            plan: plan(summary),
            rows: rows.iter().map(|row| self::row(row, run, mask)).collect(),
            more_rows: match bad.saturating_sub(rows.len() as u64) {
                0 => None,
                more => Some(grouped(more)),
            },
            changes: changes.iter().map(|change| Change::of(change, mask)).collect(),
            more_changes,
            codes: coded(&summary.codes, run),
        }
    }
}

/// A point in time as people read it; what is no point in time stays as it is.
fn utc(text: &str) -> String {
    let known = Timestamp::parse_rfc3339(text).map(|at| at.to_string());
    match known.as_deref().and_then(|text| Some((text.get(..10)?, text.get(11..19)?))) {
        Some((date, time)) => format!("{date} {time} UTC"),
        None => text.to_owned(),
    }
}

/// When, what, where, from what, why, and the run's id.
fn facts(summary: &Summary, record: &RunRecord, mask: Mask) -> Vec<(&'static str, String)> {
    let between = || {
        let ended = Timestamp::parse_rfc3339(&summary.ended_at)?;
        let began = Timestamp::parse_rfc3339(&summary.started_at)?;
        Some(forecast::took(ended.since(began).as_secs()))
    };
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let job = if summary.dry_run {
        format!("{}, dry run: nothing was sent", summary.job)
    } else {
        summary.job.clone()
    };
    let input = record.input_name.as_deref().map(|name| match name {
        "-" => "standard input".to_owned(),
        name => mask.name(name),
    });
    [
        ("Job", Some(job)),
        ("Account", Some(summary.account.clone())),
        ("State", Some(summary.state.replace('_', " "))),
        ("File", input),
        ("Began", some(utc(&summary.started_at))),
        ("Came to rest", some(utc(&summary.ended_at))),
        ("Took", between()),
        ("Started by", Some(mask.name(&record.cause))),
        ("Run", Some(summary.run.clone())),
        ("Why it stopped", summary.error.as_deref().map(|error| mask.words(error))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn sums(rows: &Ledger) -> Sums {
    let whole = rows.accounted().max(1);
    let mut outcomes: Vec<Part> = Outcome::ALL
        .into_iter()
        .map(|outcome| {
            let count = rows.of(outcome);
            let width = if count == 0 { 0 } else { (count * BAR / whole).max(LEAST) };
            Part {
                word: outcome.as_str().replace('_', " "),
                class: outcome.as_str(),
                rows: count,
                shown: grouped(count),
                share: share(count, whole),
                x: 0,
                width,
            }
        })
        .collect();
    // The widest part gives what the least ones took and what rounding left.
    let drawn: u64 = outcomes.iter().map(|part| part.width).sum();
    if let Some(widest) = outcomes.iter_mut().max_by_key(|part| part.width)
        && drawn > 0
    {
        widest.width = (widest.width + BAR).saturating_sub(drawn);
    }
    let mut x = 0;
    for part in &mut outcomes {
        part.x = x;
        x += part.width;
    }
    Sums {
        read: grouped(rows.read),
        sum: grouped(rows.accounted()),
        says: words::sum(rows),
        balances: rows.balances(),
        outcomes,
    }
}

/// A share in percent; what is not nothing is never shown as nothing, nor what is not all as all.
fn share(count: u64, whole: u64) -> String {
    match (count * 1000 + whole / 2) / whole {
        _ if count == 0 => "–".into(),
        0 => "< 0.1 %".into(),
        1000 if count < whole => "> 99.9 %".into(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

fn subjects(summary: &Summary) -> Vec<Subjects> {
    let all = [summary.customers, summary.methods];
    let mut lines = vec![Subjects {
        word: "seen",
        counts: all.iter().flatten().map(|counts| grouped(counts.seen)).collect(),
    }];
    let each: Vec<_> = all.iter().flatten().map(|counts| words::changes(*counts)).collect();
    let Some(first) = each.first() else { return Vec::new() };
    for (place, (word, _)) in first.iter().enumerate() {
        let counts = each.iter().filter_map(|changes| Some(grouped(changes.get(place)?.1)));
        lines.push(Subjects { word, counts: counts.collect() });
    }
    lines
}

fn counts(all: &BTreeMap<String, u64>, word: impl Fn(&str) -> String) -> Vec<(String, String)> {
    all.iter().map(|(name, count)| (word(name), grouped(*count))).collect()
}

fn unread(summary: &Summary) -> Option<String> {
    let unread = summary.coverage.as_ref()?.methods_unread.as_ref()?;
    Some(format!("not read on purpose: {}", words::unread_methods(unread)))
}

/// The codes that most rows have come first.
fn coded(all: &BTreeMap<String, u64>, run: &str) -> Vec<Coded> {
    let mut all: Vec<(&String, &u64)> = all.iter().collect();
    all.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
    all.into_iter()
        .map(|(code, rows)| {
            let (meaning, hint) = words::code(code, run);
            Coded { code: code.clone(), rows: grouped(*rows), meaning, hint }
        })
        .collect()
}

fn calls(summary: &Summary) -> Vec<(String, String)> {
    counts(&summary.calls.by_endpoint, str::to_owned)
}

/// What is still to come, and of a dry run what that rests on and what it would call.
fn plan(summary: &Summary) -> Option<Plan> {
    let forecast = summary.forecast.as_ref().filter(|_| summary.dry_run);
    let spans = forecast.map(|forecast| &forecast.calls.by_endpoint).into_iter().flatten();
    let plan = Plan {
        mirror: summary.mirror.as_ref().map(|mirror| forecast::mirror(mirror, summary)),
        canary: summary.canary.as_deref().map(forecast::canary),
        forecast: forecast.map(forecast::least),
        at_most: forecast.and_then(forecast::most),
        endpoints: spans.map(|(name, span)| (name.clone(), forecast::spanned(*span))).collect(),
        planned: counts(&summary.planned, rows::plan),
    };
    (plan.mirror.is_some() || forecast.is_some() || !plan.planned.is_empty()).then_some(plan)
}

fn row(row: &RowRecord, run: &str, mask: Mask) -> Row {
    let code = row.code.clone().unwrap_or_default();
    let line = row.line.to_string();
    Row {
        id: Some(&row.row_id).filter(|id| !id.is_empty() && **id != line).map(|id| mask.name(id)),
        line,
        reference: row.reference.as_deref().map(|name| mask.name(name)).unwrap_or_default(),
        outcome: rows::outcome(row).replace('_', " "),
        class: rows::outcome(row),
        field: row.field.as_deref().map(|field| mask.words(field)).unwrap_or_default(),
        message: row.message.as_deref().map(|message| mask.words(message)).unwrap_or_default(),
        hint: words::code(&code, run).1,
        code,
    }
}

/// A text in parts: words, and what stands in backticks to be typed.
fn parts(text: &str) -> impl Iterator<Item = (bool, &str)> {
    text.split('`').enumerate().map(|(place, part)| (place % 2 == 1, part))
}

#[cfg(test)]
mod tests;
