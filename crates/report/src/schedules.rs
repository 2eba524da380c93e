//! Schedules and their slots.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use model::Timestamp;
use serde_json::{Value, json};
use store::{FireRow, FireState};

/// A schedule, and where it stands.
#[derive(Debug, Clone)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// Its job.
    pub job: String,
    /// Its cron line and time zone.
    pub when: String,
    /// Whether somebody paused it.
    pub paused: bool,
    /// The slot that was begun last.
    pub last: Option<FireRow>,
    /// Its last good run.
    pub last_good: Option<FireRow>,
    /// When its next slot starts.
    pub next: Option<Timestamp>,
    /// From the next slot to the one behind it.
    pub interval: Option<Duration>,
    /// Since when it has had no good run for too long.
    pub overdue_since: Option<Timestamp>,
}

impl Scheduled {
    /// How long its last good run took.
    fn takes(&self) -> Option<Duration> {
        let good = self.last_good.as_ref()?;
        Some(good.ended_at?.since(good.started_at?))
    }

    /// What a person should know of.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(since) = self.overdue_since {
            warnings.push(format!("{}: no good run in time since {since}", self.name));
        }
        if let (Some(takes), Some(interval)) = (self.takes(), self.interval)
            && takes > interval
        {
            warnings.push(format!(
                "{}: its last good run took {} s, and the next two slots are {} s apart: slots will be \
                 skipped",
                self.name,
                takes.as_secs(),
                interval.as_secs()
            ));
        }
        warnings
    }
}

/// Schedules for people.
#[must_use]
pub fn schedules(all: &[Scheduled]) -> String {
    if all.is_empty() {
        return "no [[schedules]] in the configuration".into();
    }
    let mut table = blank();
    table.set_header(["schedule", "job", "last", "last good", "next"]);
    for one in all {
        let last = one.last.as_ref().map_or_else(|| "never".to_owned(), standing);
        let good =
            one.last_good.as_ref().map_or_else(|| "never".to_owned(), |r| r.slot.to_string());
        let next = match (one.paused, one.next) {
            (true, _) => "paused".to_owned(),
            (false, Some(next)) => next.to_string(),
            (false, None) => "never".to_owned(),
        };
        table.add_row([one.name.clone(), one.job.clone(), last, good, next]);
    }
    let mut text = format!("{table}\n");
    for warning in all.iter().flat_map(Scheduled::warnings) {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    text
}

fn blank() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table
}

/// Where a slot stands, in a word or two.
fn standing(row: &FireRow) -> String {
    match (row.state, row.alive) {
        (FireState::Running, false) => "its process is gone".to_owned(),
        (state, _) => state.as_str().to_owned(),
    }
}

/// Slots for people; `local` shows a time as a clock of the schedule's time zone does.
#[must_use]
pub fn fires(rows: &[FireRow], local: impl Fn(Timestamp) -> String) -> String {
    if rows.is_empty() {
        return "no slot yet".into();
    }
    let mut table = blank();
    table.set_header(["slot", "state", "took", "run", "why"]);
    for row in rows {
        let took = match (row.started_at, row.ended_at) {
            (Some(began), Some(ended)) => format!("{:.1} s", ended.since(began).as_secs_f64()),
            _ => String::new(),
        };
        let hand = if row.by_hand { " (by hand)" } else { "" };
        let why = match (&row.message, &row.reason) {
            (Some(message), _) => message.clone(),
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        };
        table.add_row([
            format!("{}{hand}", local(row.slot)),
            standing(row),
            took,
            row.run.as_ref().map(ToString::to_string).unwrap_or_default(),
            why,
        ]);
    }
    table.to_string()
}

/// A schedule as JSON.
#[must_use]
pub fn scheduled_json(one: &Scheduled) -> Value {
    json!({
        "schedule": one.name,
        "job": one.job,
        "when": one.when,
        "paused": one.paused,
        "last": one.last.as_ref().map(fire_json),
        "last_good": one.last_good.as_ref().map(fire_json),
        "next": one.next.map(|at| at.to_string()),
        "overdue_since": one.overdue_since.map(|at| at.to_string()),
        "warnings": one.warnings(),
    })
}

/// A slot as JSON.
#[must_use]
pub fn fire_json(row: &FireRow) -> Value {
    json!({
        "slot": row.slot.to_string(),
        "by_hand": row.by_hand,
        "state": row.state.as_str(),
        "alive": row.alive,
        "reason": row.reason,
        "message": row.message,
        "run": row.run.as_ref().map(ToString::to_string),
        "attempt": row.attempt,
        "started_at": row.started_at.map(|at| at.to_string()),
        "ended_at": row.ended_at.map(|at| at.to_string()),
    })
}
