//! What a job says of itself at its end: the document behind `--json`, the terminal and
//! `report.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Forecast, Ledger, MirrorAge};

/// How many subjects of one sort were seen and what became of them in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Read from the provider; of an import, those of its rows that are there.
    pub seen: u64,
    /// New.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// The same as before.
    pub unchanged: u64,
    /// Proven gone.
    pub removed: u64,
}

/// The calls that a job made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// Every attempt, credentials included.
    pub total: u64,
    /// Answered 429 or 503.
    pub throttled: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// By endpoint: `POST /api/customers` and the like, without ids.
    pub by_endpoint: BTreeMap<String, u64>,
    /// Of them, calls that may change something at the provider.
    pub changing: u64,
    /// Whether a process that worked on the run before died: its calls are not among these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

/// What was read, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Whether the customer list was read to its end, and everything else that was to be read.
    pub complete: bool,
    /// Whether a second pass with other page boundaries confirmed it (rule 3).
    pub confirmed: bool,
    /// Customers read.
    pub customers_read: u64,
    /// Payment methods read.
    pub methods_read: u64,
    /// Nothing said here is true of an earlier time (RFC 3339).
    pub as_of: Option<String>,
    /// What was not read, and why.
    pub gaps: Vec<String>,
    /// What else bears on these figures: what the provider does not promise, what was met on the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Customers whose payment methods this run left unread on purpose (`methods_max_age`,
    /// `calls_budget`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods_unread: Option<Unread>,
}

/// Customers whose payment methods were not read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Unread {
    /// How many.
    pub customers: u64,
    /// Of how many that are live.
    pub of: u64,
    /// The oldest of what the store has of them was read then (RFC 3339); none if one was never read.
    pub oldest: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The whole summary. A job has the parts that make sense for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The run.
    pub run: String,
    /// The job.
    pub job: String,
    /// The account.
    pub account: String,
    /// The state the run ended in.
    pub state: String,
    /// Whether only a plan was made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub ended_at: String,
    /// Rows of the input file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Ledger>,
    /// Rows by code, for the rows that have one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub codes: BTreeMap<String, u64>,
    /// Rows that have no outcome yet, by what is planned for them: of a dry run, and of a run that
    /// rests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub planned: BTreeMap<String, u64>,
    /// The run's effects by where they stand: `done`, `refused`, `unknown`, …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<String, u64>,
    /// Of them, those that may have taken place, and nobody knows yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub unsettled: u64,
    /// Of a run at work: so many seconds its worker's lease lasts, unless it is renewed. None when
    /// the worker is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
    /// Customers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customers: Option<Counts>,
    /// Payment methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Counts>,
    /// Calls.
    pub calls: Calls,
    /// Findings by category.
    pub findings: BTreeMap<String, u64>,
    /// Customers by the fields of theirs that only our store keeps: the account cannot hold them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_in_store: BTreeMap<String, u64>,
    /// What was said before anything was sent, of the rows that were open then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// Of a dry run: what its plan rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorAge>,
    /// Of a dry run: whether it looked at the provider.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
    /// Of a dry run: rows whose plan rests on something that this run has not read at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified: Option<u64>,
    /// Of a dry run: the customers that its canary would take, by the line of their first row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Vec<u64>>,
    /// What was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Why it stopped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same in a word of the published list ([`crate::Code`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}
