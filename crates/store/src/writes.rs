//! What the store is told.

use std::time::Duration;

use model::{
    AccountName, Code, CustomerId, EffectId, EffectKind, Expiry, MethodId, Origin, Outcome,
    Profile, Reference, RemoteCustomer, RemoteCustomerId, RemoteMethod, RemoteMethodId, RunId,
    Timestamp,
};

use serde::{Deserialize, Serialize};

use crate::{EffectState, RunState, Statement, TokenFp, TokenLink};

/// What a row says that had something on its way when its run was cancelled.
pub(crate) const UNKNOWN: &str =
    "something was sent for this row before the run was cancelled, and its outcome is not known";
/// What an effect says whose sender is gone.
pub(crate) const TAKEN_OVER: &str = "the process that sent it ended before the answer was written";
/// What a row says whose subject was created when its run was cancelled.
pub(crate) const HALF_WAY: &str = "what took place before the run was cancelled is in `done`";
/// What a row says that waited when its run was cancelled.
pub(crate) const CANCELLED: &str = "the run was cancelled before this row's turn";

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// The job: `import`, `pull`, …
    pub job: String,
    /// Where.
    pub account: AccountName,
    /// Why: `person`, `schedule NAME`, `event ID`.
    pub cause: String,
    /// Whether it changes anything at the provider.
    pub writing: bool,
    /// Its options, as JSON; no secret.
    pub args: String,
    /// The file's name, without its folder.
    pub input_name: Option<String>,
    /// SHA-256 of the file, in hex.
    pub input_hash: Option<String>,
    /// SHA-256 of the configuration that decides meaning, in hex.
    pub config_hash: Option<String>,
    /// How many parts it has, at least 1.
    pub parts: u32,
}

/// How a run ended, or where it rests.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// The state.
    pub state: RunState,
    /// The summary, as JSON.
    pub summary: Option<String>,
    /// Why it failed; redacted.
    pub error: Option<String>,
}

/// An outcome with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which of the eight.
    pub outcome: Outcome,
    /// Why, from the published list.
    pub code: Option<Code>,
    /// For a person; no value of a token or a card number.
    pub message: Option<String>,
    /// The column at fault.
    pub field: Option<String>,
}

impl Verdict {
    /// An outcome that needs no reason.
    #[must_use]
    pub const fn plain(outcome: Outcome) -> Self {
        Self { outcome, code: None, message: None, field: None }
    }

    /// An outcome with its code.
    #[must_use]
    pub fn with(outcome: Outcome, code: Code, message: impl Into<String>) -> Self {
        Self { outcome, code: Some(code), message: Some(message.into()), field: None }
    }
}

/// A cluster of rows that belongs to an earlier one of the same reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// The first line of the cluster.
    pub first: u64,
    /// The first line of the first cluster of the reference.
    pub head: u64,
}

/// What is planned for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    /// The row.
    pub line: u64,
    /// What will be done, in the planner's words; `None` if nothing will.
    pub plan: Option<String>,
    /// Its outcome, where that is decided already.
    pub verdict: Option<Verdict>,
}

/// What became of a row, or took place for it so far.
#[derive(Debug, Clone)]
pub struct RowResult {
    /// The row.
    pub line: u64,
    /// Its outcome; `None` while the row is open.
    pub verdict: Option<Verdict>,
    /// Our customer.
    pub customer: Option<CustomerId>,
    /// The provider's customer.
    pub remote_customer: Option<RemoteCustomerId>,
    /// Our payment method.
    pub method: Option<MethodId>,
    /// The provider's payment method.
    pub remote_method: Option<RemoteMethodId>,
    /// What took place, such as `create_customer+import_method`; `kept` is a change that only our
    /// store can hold.
    pub done: Option<String>,
}

/// Fields of a customer that its account cannot hold (rule 8).
#[derive(Debug, Clone)]
pub struct KeptFields {
    /// Whose.
    pub customer: RemoteCustomerId,
    /// The first line of its reference.
    pub line: Option<u64>,
    /// These fields and no other.
    pub fields: Profile,
}

/// Rows that are finished, and what took place for those that are not.
#[derive(Debug, Clone, Default)]
pub struct FinishRows {
    /// What became of them. Where our ids are `None` but the provider's are given, the store fills ours
    /// in from the mirror's links.
    pub rows: Vec<RowResult>,
    /// What the file stated of them: replaces what it stated before.
    pub statements: Vec<Statement>,
    /// What only our store can keep of what the file stated.
    pub kept: Vec<KeptFields>,
    /// Token links that needed no effect.
    pub links: Vec<TokenLink>,
    /// Where the part's work goes on.
    pub cursor: Option<String>,
    /// Lines whose token is final: its ciphertext is destroyed, its fingerprint stays.
    pub forget_tokens: Vec<u64>,
}

/// An effect that is about to be sent.
#[derive(Debug, Clone)]
pub struct Intent {
    /// What it does.
    pub kind: EffectKind,
    /// To what; see [`crate::EffectRow::subject`].
    pub subject: String,
    /// Whose.
    pub reference: Option<Reference>,
    /// Of which token.
    pub fp: Option<TokenFp>,
    /// The row it is for.
    pub line: Option<u64>,
    /// The customer's id at the provider, where it is known.
    pub remote_customer: Option<RemoteCustomerId>,
    /// The payment method's id at the provider, where it is known.
    pub remote_method: Option<RemoteMethodId>,
    /// The ids known before the attempt, for settling an add.
    pub known_before: Option<Vec<RemoteMethodId>>,
    /// The key the provider takes.
    pub idempotency_key: Option<String>,
    /// What it changes of the customer's fields, for settling an update; of a create with a key, the
    /// hash of its whole body: the key is repeated for no other.
    pub changes: Option<Vec<SentChange>>,
    /// Whether it may be sent though nothing is known of an attempt before it: the provider makes
    /// nothing twice of it.
    pub repeats: bool,
}

/// A field that an effect changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentChange {
    /// As files show it: `email`, `metadata.tier`.
    pub field: String,
    /// The keyed hash of the value that the provider had; none where it had none.
    pub before: Option<String>,
    /// The keyed hash of ours.
    pub after: String,
}

/// Whether an intent was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentAnswer {
    /// Committed as `sending`.
    Accepted {
        /// The effect.
        effect: EffectId,
        /// Which attempt this is, from 1.
        attempt: i64,
        /// The idempotency key to send: that of the attempt before, if nothing answered that one.
        key: Option<String>,
    },
    /// Another effect is in the way.
    Held {
        /// Which.
        by: EffectId,
        /// Where it stands.
        state: EffectState,
    },
}

/// What follows for the mirror from an effect that took place.
#[derive(Debug, Clone)]
pub enum Applied {
    /// A customer as the provider answered it, linked by its reference.
    Customer(Box<RemoteCustomer>),
    /// A payment method under a customer.
    Method {
        /// Whose.
        customer: RemoteCustomerId,
        /// The method.
        method: Box<RemoteMethod>,
        /// The token it came from.
        link: Option<TokenLink>,
    },
    /// This payment method is now the customer's default.
    Default {
        /// Whose.
        customer: RemoteCustomerId,
        /// Which.
        method: RemoteMethodId,
    },
    /// This payment method is gone.
    MethodRemoved {
        /// Whose.
        customer: RemoteCustomerId,
        /// Which.
        method: RemoteMethodId,
    },
}

/// What became of an effect.
#[derive(Debug, Clone)]
pub struct EffectOutcome {
    /// Which.
    pub effect: EffectId,
    /// Where it stands now: never `sending`.
    pub state: EffectState,
    /// For `done`: how that is known.
    pub origin: Option<Origin>,
    /// Why.
    pub code: Option<String>,
    /// The message that goes with it; redacted.
    pub message: Option<String>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// What follows for the mirror; empty unless it took place.
    pub applied: Vec<Applied>,
}

/// The ids that an effect's outcome led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommittedEffect {
    /// Our customer.
    pub customer: Option<CustomerId>,
    /// Our payment method.
    pub method: Option<MethodId>,
}

/// A scan to be made.
#[derive(Debug, Clone)]
pub struct NewScan {
    /// Of which account.
    pub account: AccountName,
    /// Which pass over the list, from 1.
    pub pass: u32,
    /// The page size asked for.
    pub page_size: u32,
    /// Whether only its top is read, down to what the reading before it showed.
    pub top: bool,
    /// The hash of what decides the meaning of what it shows: which field is the reference.
    pub config: String,
}

/// Customers that were read.
#[derive(Debug, Clone)]
pub struct CustomersWrite {
    /// Of which account.
    pub account: AccountName,
    /// The scan they belong to; `None` for a single find or get.
    pub scan: Option<String>,
    /// The start of the request that read them.
    pub as_of: Timestamp,
    /// What was read.
    pub customers: Vec<RemoteCustomer>,
    /// See [`Overlap`].
    pub overlap: Overlap,
}

/// What becomes of a read of a customer that overlaps an open effect of that customer (rule 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is written: whoever reads knows what is on its way.
    Written,
    /// It is dropped, and named in the answer: it is to be made again. An effect is open while it is
    /// being sent, and without an answer for so long after it was sent.
    Dropped(Duration),
}

/// What writing customers did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CustomersApplied {
    /// Rows handed in, repeats within the write counted once, without those of `overlapping`.
    pub seen: u64,
    /// New to the mirror.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// The same as before.
    pub unchanged: u64,
    /// Left alone: the mirror is newer than this read.
    pub stale: u64,
    /// Dropped: an effect of theirs is open.
    pub overlapping: u64,
    /// Newly removed. They are among `updated`.
    pub removed: u64,
    /// Payment methods that came inline.
    pub methods: MethodCounts,
    /// Payment methods that are gone with their customer.
    pub methods_removed: u64,
}

/// Counts of payment methods written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MethodCounts {
    /// Rows handed in.
    pub seen: u64,
    /// New to the mirror.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// The same as before.
    pub unchanged: u64,
    /// Left alone: the mirror is newer than this read.
    pub stale: u64,
}

impl MethodCounts {
    /// Without what is counted as removed elsewhere.
    pub(crate) const fn without_removed(&mut self, removed: u64) {
        self.seen = self.seen.saturating_sub(removed);
        self.updated = self.updated.saturating_sub(removed);
    }
}

/// The whole list of one customer's payment methods.
#[derive(Debug, Clone)]
pub struct MethodList {
    /// Whose.
    pub customer: RemoteCustomerId,
    /// The start of the request that read it.
    pub as_of: Timestamp,
    /// The methods.
    pub methods: Vec<RemoteMethod>,
}

/// Method lists that were read.
#[derive(Debug, Clone)]
pub struct MethodsWrite {
    /// Of which account.
    pub account: AccountName,
    /// The lists. A customer that the mirror does not have is skipped and counted as stale.
    pub lists: Vec<MethodList>,
    /// Payment methods that an earlier list of their customer lacked: those that this one lacks too
    /// are marked as removed (rule 3).
    pub absent: Vec<(RemoteCustomerId, RemoteMethodId)>,
    /// See [`Overlap`].
    pub overlap: Overlap,
}

/// Whose payment methods a pull reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Not those that were read since then.
    pub since: Timestamp,
    /// Only customers that were seen since then.
    pub seen: Timestamp,
    /// Of the others, those that were read before this. Those that were never read, that an effect
    /// has touched since, or of whom a card expires are due anyway.
    pub before: Timestamp,
    /// From this month to that a card expires soon.
    pub expires: (Expiry, Expiry),
}

/// Customers whose payment methods a pull did not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodsUnread {
    /// How many.
    pub customers: u64,
    /// Those of them that were never read.
    pub never: u64,
    /// When the longest ago of the others was read.
    pub oldest: Option<Timestamp>,
}

/// What writing method lists did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MethodsApplied {
    /// Counts over all lists.
    pub counts: MethodCounts,
    /// Live in the mirror and absent from the list.
    pub missing: Vec<(RemoteCustomerId, RemoteMethodId)>,
    /// Lists that were dropped: an effect of their customer is open.
    pub overlapping: u64,
    /// How many of these are marked as removed now; they are not among `counts`.
    pub removed: u64,
}

/// Permits taken from an account's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// How many.
    pub granted: u32,
    /// Until the first may be used.
    pub wait: Duration,
    /// Between two of them.
    pub spacing: Duration,
    /// Void once the account's epoch is another.
    pub epoch: i64,
}
