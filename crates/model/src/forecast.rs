//! What a job says before it begins: the calls that it will make, and how long they take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// From so many calls to so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Span {
    /// If everything is as the store has it.
    pub least: u64,
    /// If every customer that is to be created is there already.
    pub most: u64,
}

/// The calls of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ForecastCalls {
    /// All of them, if everything is as the store has it.
    pub total_least: u64,
    /// All of them, if every customer that is to be created is there already.
    pub total_most: u64,
    /// Of the least, those that may change something at the provider.
    pub changing_least: u64,
    /// By endpoint, without ids: the same words as in the calls that were made.
    pub by_endpoint: BTreeMap<String, Span>,
}

/// The calls that a job will make, and the time that takes at the account's limit. Calls that are
/// made again (throttled, or without an answer) come on top, and so does a second fetch of
/// credentials in a long job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Forecast {
    /// Calls.
    pub calls: ForecastCalls,
    /// Seconds that the least calls take at the limit, rounded up.
    pub seconds_at_limit: u64,
    /// Seconds that the most calls take at the limit, rounded up.
    pub seconds_at_limit_most: u64,
    /// The limit that binds the least calls: `rate 10/s`, `in_flight 8 at 900 ms a call`,
    /// `burst 5`, or `none` where nothing is called.
    pub limit: String,
}

/// How much the mirror of an account holds, and how old it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MirrorAge {
    /// Live customers in it.
    pub customers: u64,
    /// Live payment methods in it.
    pub methods: u64,
    /// When the customer whose read is the longest ago was read, RFC 3339; none if it is empty.
    pub oldest: Option<String>,
    /// When the latest was.
    pub newest: Option<String>,
}
