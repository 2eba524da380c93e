//! What a read or an effect's answer means for the mirror and for the canonical records: pure, so
//! that both databases behave alike by construction (rules 2 and 8).
//!
//! A database fetches the rows that bear on a write, asks [`CustomerPlanner`] and
//! [`MethodPlanner`], and writes what they answer. A planner asks for rows in two steps: the
//! mirror rows of the ids at hand, then the canonical records that [`CustomerPlanner::needs`] and
//! [`MethodPlanner::needs`] name.

pub(crate) mod attributes;
mod customers;
mod kept;
mod links;
mod matching;
mod merge;
mod methods;
mod reads;

use model::{AccountName, ContentHash, RemoteCustomerId, RunId, Timestamp};

pub(crate) use customers::{
    CanonicalCustomer, CustomerNeeds, CustomerPlan, CustomerPlanner, CustomerRow, MirrorCustomer,
    MirrorCustomerRow,
};
pub(crate) use kept::{FileFields, Stated, keep, recomputed_customers};
pub(crate) use links::{LinkPlan, LinkRows, OwnerCells, PersonCells, link};
pub(crate) use merge::names_of;
pub(crate) use methods::{
    CanonicalMethod, Key, MethodNews, MethodPlan, MethodPlanner, MethodRow, MirrorMethod,
    NewsOfMethod, key_of, recomputed_method,
};
pub(crate) use reads::{ListsPlan, OpenEffects, gone_with, plan_lists};

/// The state of a mirror row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MirrorState {
    Live,
    Removed,
    /// Not seen by a complete scan; nothing has proven it gone.
    Unseen,
}

impl MirrorState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Removed => "removed",
            Self::Unseen => "unseen",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Removed, Self::Unseen].into_iter().find(|s| s.as_str() == text)
    }
}

/// Where news comes from, which decides what the `as_of` guard does with it (rule 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A read: written only if it began after the row's `as_of`.
    Read,
    /// An effect's answer: always written, and never moves `as_of` back.
    Answer,
}

/// What all rows of one write have in common.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub account: AccountName,
    pub namespace: String,
    /// Whether a customer that no reference links may be linked by its e-mail address.
    pub match_by_email: bool,
    pub rank: u32,
    /// Where the file stands among the accounts.
    pub file_rank: u32,
    /// The run's job, or `person`: why a change took place.
    pub cause: String,
    /// None where a person did it.
    pub run: Option<RunId>,
    /// The injected clock.
    pub now: Timestamp,
    pub guard: Guard,
}

/// What one live mirror row has to say on a canonical record.
#[derive(Debug, Clone)]
pub(crate) struct Vote<T> {
    pub rank: u32,
    pub account: AccountName,
    /// Whose row it is; with `method` empty, the customer's own.
    pub customer: RemoteCustomerId,
    /// The provider's id of the payment method; empty for a customer's vote.
    pub method: String,
    pub as_of: Timestamp,
    pub content: T,
}

/// A row of `changes`, but for what [`Context`] says of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub subject: &'static str,
    pub subject_id: String,
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// The row of the run's file that says so.
    pub line: Option<u64>,
}

/// How news stands against the mirror row it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Stale,
    /// The same content: at most `as_of` moves.
    Same,
    Changed,
}

fn standing(guard: Guard, row: Timestamp, news: Timestamp, same: bool) -> Standing {
    match (guard, same) {
        (Guard::Read, _) if news < row => Standing::Stale,
        // The very same read again is no news; another answer of the same instant is not newer.
        (Guard::Read, false) if news == row => Standing::Stale,
        (_, true) => Standing::Same,
        (_, false) => Standing::Changed,
    }
}

/// The hash columns hold 16 bytes; anything else was not written by us.
pub(crate) fn hash_of(bytes: &[u8]) -> Result<ContentHash, crate::StoreError> {
    ContentHash::from_bytes(bytes)
        .ok_or_else(|| crate::StoreError::corrupt("a content hash", "it is not 16 bytes"))
}

/// JSON of a type of ours: its maps have text keys, so it cannot fail.
pub(crate) fn to_json(value: &impl serde::Serialize) -> String {
    const WHY: &str = "maps with text keys and texts are always JSON";
    let mut text = Vec::with_capacity(256);
    serde_json::to_writer(&mut text, value).expect(WHY);
    String::from_utf8(text).expect(WHY)
}

/// JSON back from the database.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, crate::StoreError> {
    // serde's message may repeat a value; its place in the text is enough.
    serde_json::from_str(text).map_err(|error| {
        crate::StoreError::corrupt(what, format_args!("bad JSON at column {}", error.column()))
    })
}
