//! What the store answers.

mod states;

use std::collections::BTreeMap;
use std::time::Duration;

use model::{
    AccountName, Address, Code, ContentHash, CustomerId, EffectId, EffectKind, Ledger, MethodFacts,
    MethodId, MethodKind, Origin, Outcome, Profile, Reference, RemoteCustomerId, RemoteMethodId,
    RunId, Timestamp, Token, TokenKind,
};

pub(crate) use self::states::words;
pub use self::states::{EffectState, RunState, ScanState};
use crate::decode::unsigned;
use crate::{SentChange, StoreError, TokenFp, Verdict};

/// Which database, for people.
#[derive(Debug, Clone)]
pub struct StoreInfo {
    /// Such as `SQLite 3.50.4` or `PostgreSQL 15.18`.
    pub engine: String,
    /// The number of the newest migration.
    pub schema: i64,
    /// Drawn when the store was made; a restored backup gets another.
    pub incarnation: String,
}

/// The identity of an account (rule 1), and where it stands among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its name in config.
    pub name: AccountName,
    /// The provider style.
    pub kind: String,
    /// The host it is reached at.
    pub host: String,
    /// Which merchant: proxy-token's uid, v2's authenticity token, noderails' app id; may be empty.
    pub merchant: String,
    /// `live` or `test`.
    pub environment: String,
    /// Accounts that share one numbering of customers share a namespace.
    pub namespace: String,
    /// Whether customers that no reference links are linked by their e-mail address (rule 8).
    pub match_by_email: bool,
    /// Whose value wins: 0 first (`precedence`, then the order in config).
    pub rank: u32,
}

/// Whose account it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in AccountRow")]
pub struct Identity {
    pub kind: String,
    pub host: String,
    pub merchant: String,
    pub environment: String,
}

impl Identity {
    pub(crate) fn text(&self) -> String {
        [&self.kind, &self.host, &self.merchant, &self.environment]
            .map(|part| format!("{}:{part}", part.len()))
            .concat()
    }

    /// What another one has otherwise: name, value here, value there.
    #[must_use]
    pub fn changed<'a>(&'a self, to: &'a Self) -> Vec<(&'static str, &'a str, &'a str)> {
        [
            ("kind", &self.kind, &to.kind),
            ("host", &self.host, &to.host),
            ("merchant", &self.merchant, &to.merchant),
            ("environment", &self.environment, &to.environment),
        ]
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| (what, before.as_str(), now.as_str()))
        .collect()
    }
}

impl AccountRow {
    /// Whose account it is.
    #[must_use]
    pub fn who(&self) -> Identity {
        let Self { kind, host, merchant, environment, .. } = self.clone();
        Identity { kind, host, merchant, environment }
    }

    /// The identity as one text, part of every token fingerprint: renaming the account in config
    /// changes nothing, another merchant does.
    #[must_use]
    pub fn identity(&self) -> String {
        self.who().text()
    }
}

/// A worker: host, process and a ULID of this start, in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(pub String);

/// The right to write for a part of a run: void once another worker has a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The run.
    pub run: RunId,
    /// The part.
    pub part: u32,
    /// The epoch of the claim.
    pub epoch: i64,
}

/// A part that was claimed.
#[derive(Debug, Clone)]
pub struct ClaimedPart {
    /// The right to write for it.
    pub fence: Fence,
    /// Where its work goes on; `None` at its beginning.
    pub cursor: Option<String>,
    /// How often it has been handed out, this time included.
    pub deliveries: i64,
}

/// A run, as the store has it.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// The job: `import`, `pull`, …
    pub job: String,
    /// Where.
    pub account: AccountName,
    /// Why: `person`, `schedule NAME`, `event ID`.
    pub cause: String,
    /// Where it stands.
    pub state: RunState,
    /// Its options, as JSON.
    pub args: String,
    /// The file's name, without its folder.
    pub input_name: Option<String>,
    /// SHA-256 of the file, in hex.
    pub input_hash: Option<String>,
    /// SHA-256 of the configuration that decided meaning when it was made, in hex.
    pub config_hash: Option<String>,
    /// The summary written at its end, as JSON.
    pub summary: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What a run has under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// Its effects by state.
    pub effects: BTreeMap<EffectState, u64>,
    /// How long its worker's lease lasts, unless it is renewed; none where nobody holds the run.
    pub lease: Option<Duration>,
}

impl UnderWay {
    /// Of states in the database's words with their counts, and of the microseconds that are left
    /// of a lease.
    pub(crate) fn of(states: Vec<(String, i64)>, left: Option<i64>) -> Result<Self, StoreError> {
        let mut effects = BTreeMap::new();
        for (word, count) in states {
            let state = EffectState::parse(&word)
                .ok_or_else(|| StoreError::corrupt("an effect's state", "it is no word of ours"))?;
            effects.insert(state, unsigned(count));
        }
        let left = left.and_then(|left| u64::try_from(left).ok());
        Ok(Self { effects, lease: left.filter(|left| *left > 0).map(Duration::from_micros) })
    }
}

/// A token at rest: sealed, bound to its row.
#[derive(Debug, Clone)]
pub struct SealedToken {
    /// What sort.
    pub kind: TokenKind,
    /// Key id, nonce and ciphertext; opened by [`crate::Keys::open_token`].
    pub sealed: Vec<u8>,
    /// Its keyed fingerprint.
    pub fp: TokenFp,
    /// When it was made, if the file says so.
    pub created_at: Option<Timestamp>,
}

/// The payment-method half of a row.
#[derive(Debug, Clone)]
pub struct StagedMethod {
    /// What the file states.
    pub facts: MethodFacts,
    /// The billing address, where the file states one.
    pub billing: Address,
    /// Whether it is to be the default; `None` where the cell is empty.
    pub default: Option<bool>,
    /// The token in the clear: only between reading the file and sealing it; never stored.
    pub token: Option<Token>,
    /// The token as the store has it; its ciphertext is empty once it is forgotten, or where it
    /// is never to be sent.
    pub sealed: Option<SealedToken>,
}

/// One row of a file, staged.
#[derive(Debug, Clone)]
pub struct StagedRow {
    /// The line it begins on, from 1.
    pub line: u64,
    /// The part it belongs to.
    pub part: u32,
    /// The lines of the first and the last row of its cluster: rows of one reference that stand
    /// together. 0 for a row that could not be read: it belongs to none.
    pub head: u64,
    /// See `head`.
    pub tail: u64,
    /// The caller's echo key.
    pub row_id: String,
    /// `None` only for rows rejected for it.
    pub reference: Option<Reference>,
    /// What the row states of the customer. Boxed, as the method: a row is moved often.
    pub profile: Box<Profile>,
    /// What it states of a payment method; none for a customer alone.
    pub method: Option<Box<StagedMethod>>,
    /// Why the provider's adapter declines the payment method, whatever else is known; found when
    /// the row was staged.
    pub unfit: Option<Verdict>,
    /// What was planned for it, in the planner's words.
    pub plan: Option<String>,
    /// Its outcome, once it has one.
    pub outcome: Option<Outcome>,
    /// Why.
    pub code: Option<Code>,
    /// The message that goes with the code.
    pub message: Option<String>,
    /// The column at fault.
    pub field: Option<String>,
}

/// A row whose token stands under another reference of the same run as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedToken {
    /// The row.
    pub line: u64,
    /// The first line of its reference.
    pub head: u64,
    /// The first line with this token; none if its reference is the same.
    pub other: Option<u64>,
}

/// A row with a token that is shared.
pub(crate) struct SharedRow {
    pub fp: Vec<u8>,
    pub line: u64,
    pub head: u64,
    pub reference: String,
}

impl SharedToken {
    /// From the rows of shared tokens, sorted by fingerprint and line; sorted by line.
    pub(crate) fn of(rows: Vec<SharedRow>) -> Vec<Self> {
        let mut shared = Vec::with_capacity(rows.len());
        let mut owner: Option<SharedRow> = None;
        for row in rows {
            let owned = owner.as_ref().filter(|owner| owner.fp == row.fp);
            let other = owned.filter(|owner| owner.reference != row.reference);
            let other = other.map(|owner| owner.line);
            shared.push(Self { line: row.line, head: row.head, other });
            if owner.as_ref().is_none_or(|owner| owner.fp != row.fp) {
                owner = Some(row);
            }
        }
        shared.sort_unstable_by_key(|row| row.line);
        shared
    }
}

/// A row of a run for `rows.csv`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the column of `rows.csv` of the same name")]
pub struct RowRecord {
    pub line: u64,
    pub row_id: String,
    pub reference: Option<String>,
    pub outcome: Option<Outcome>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub field: Option<String>,
    pub customer_id: Option<String>,
    pub remote_customer_id: Option<String>,
    pub method_id: Option<String>,
    pub remote_method_id: Option<String>,
    pub done: Option<String>,
    pub plan: Option<String>,
}

/// A row of a run with what was planned for it, whatever has become of it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRow {
    /// The line it begins on, from 1.
    pub line: u64,
    /// The first line of its reference.
    pub head: u64,
    /// In the planner's words.
    pub plan: String,
    /// The kind of its payment method; none for a customer alone.
    pub method: Option<MethodKind>,
}

/// The rows of a run, counted from the rows alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowTally {
    /// By outcome; rows without one count as `not_attempted`.
    pub ledger: Ledger,
    /// By code, for the rows that have one.
    pub codes: BTreeMap<String, u64>,
    /// By what is planned, for the rows that have no outcome.
    pub planned: BTreeMap<String, u64>,
}

/// Outcome, code, plan, and how many rows have them.
pub(crate) type CountedRows = (Option<String>, Option<String>, Option<String>, i64);

impl RowTally {
    /// Adds counted groups of (outcome, code, plan).
    pub(crate) fn add(
        &mut self,
        groups: impl IntoIterator<Item = CountedRows>,
    ) -> Result<(), StoreError> {
        for (outcome, code, plan, rows) in groups {
            let rows = u64::try_from(rows)
                .map_err(|_| StoreError::corrupt("a count of rows", "it is negative"))?;
            let known = match &outcome {
                None => Outcome::NotAttempted,
                Some(word) => Outcome::parse(word)
                    .ok_or_else(|| StoreError::corrupt("an outcome", "it is no word of ours"))?,
            };
            self.ledger.read += rows;
            self.ledger.add(known, rows);
            if let Some(code) = code {
                *self.codes.entry(code).or_default() += rows;
            }
            if outcome.is_none() {
                *self.planned.entry(plan.unwrap_or_else(|| "nothing".into())).or_default() += rows;
            }
        }
        Ok(())
    }
}

/// How many customers and payment methods the rows of an import stand for, whichever process
/// carried them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subjects {
    /// Customers that are at the provider.
    pub customers: u64,
    /// Those of them that the run created.
    pub customers_created: u64,
    /// Payment methods that are at the provider.
    pub methods: u64,
    /// Those of them that the run created.
    pub methods_created: u64,
}

/// As the database counts them, in the same order.
pub(crate) type CountedSubjects = (i64, i64, i64, i64);

impl From<CountedSubjects> for Subjects {
    fn from((customers, customers_created, methods, methods_created): CountedSubjects) -> Self {
        let [customers, customers_created, methods, methods_created] =
            [customers, customers_created, methods, methods_created]
                .map(|count| u64::try_from(count).unwrap_or(0));
        Self { customers, customers_created, methods, methods_created }
    }
}

/// A customer in an account's mirror.
#[derive(Debug, Clone)]
pub struct KnownCustomer {
    /// The provider's id.
    pub id: RemoteCustomerId,
    /// Our id, where it is linked.
    pub customer: Option<CustomerId>,
    /// What the provider last said.
    pub profile: Profile,
    /// Its content hash.
    pub hash: ContentHash,
    /// The start of the request that said so.
    pub as_of: Timestamp,
    /// When its methods were last read; `None` if never.
    pub methods_read_at: Option<Timestamp>,
    /// Whether a person said who it is.
    pub by_person: bool,
}

/// A live payment method in an account's mirror.
#[derive(Debug, Clone)]
pub struct KnownMethod {
    /// Whose.
    pub customer: RemoteCustomerId,
    /// The provider's id.
    pub id: RemoteMethodId,
    /// Our id.
    pub method: Option<MethodId>,
    /// What the provider last said.
    pub facts: MethodFacts,
    /// Whether it is the default, where the provider shows it.
    pub default: Option<bool>,
    /// The start of the request that said so.
    pub as_of: Timestamp,
}

/// Which saved payment method a token became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLink {
    /// The reference it was imported under.
    pub reference: Reference,
    /// The token's fingerprint.
    pub fp: TokenFp,
    /// Whose.
    pub remote_customer: RemoteCustomerId,
    /// Which.
    pub remote_method: RemoteMethodId,
    /// `created`, `duplicate`, `matched_by_facts` or `found`.
    pub how: String,
}

/// What the file last stated: keyed hashes by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whose.
    pub reference: Reference,
    /// Of which token; `None` for the customer itself.
    pub fp: Option<TokenFp>,
    /// Field name → keyed hash in hex.
    pub fields: BTreeMap<String, String>,
}

/// An effect in the journal.
#[derive(Debug, Clone)]
pub struct EffectRow {
    /// Its id.
    pub id: EffectId,
    /// The run that made it.
    pub run: RunId,
    /// What it does.
    pub kind: EffectKind,
    /// To what: a reference, or a reference and a fingerprint, or a provider's id.
    pub subject: String,
    /// Whose.
    pub reference: Option<Reference>,
    /// Of which token.
    pub fp: Option<TokenFp>,
    /// The row it is for.
    pub line: Option<u64>,
    /// Where it stands.
    pub state: EffectState,
    /// How often it was sent and may have taken effect.
    pub attempt: i64,
    /// How it is known to have taken place.
    pub origin: Option<Origin>,
    /// The customer's id at the provider.
    pub remote_customer: Option<RemoteCustomerId>,
    /// The payment method's id at the provider.
    pub remote_method: Option<RemoteMethodId>,
    /// Why it ended so.
    pub code: Option<String>,
    /// The message that goes with the code.
    pub message: Option<String>,
}

/// An effect with its history, for people and for settling.
#[derive(Debug, Clone)]
pub struct EffectRecord {
    /// What it is and where it stands.
    pub effect: EffectRow,
    /// Where.
    pub account: AccountName,
    /// When it was last sent, by the database's clock.
    pub sent_at: Option<Timestamp>,
    /// When it was first meant.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The payment methods the customer had before it was sent; of a default, the one before.
    pub known_before: Option<Vec<RemoteMethodId>>,
    /// The provider's id of the last request.
    pub request_id: Option<String>,
    /// The HTTP status of the last answer.
    pub status: Option<i64>,
    /// The idempotency key it was sent with.
    pub idempotency_key: Option<String>,
    /// What it changes of the customer's fields.
    pub changes: Option<Vec<SentChange>>,
}

/// Which effects.
#[derive(Debug, Clone, Default)]
pub struct EffectQuery {
    /// Of this account.
    pub account: Option<AccountName>,
    /// Of this run.
    pub run: Option<RunId>,
    /// In one of these states.
    pub states: Vec<EffectState>,
    /// Behind this one, by id: effects are numbered as they were first meant.
    pub after: Option<EffectId>,
    /// So many at most.
    pub most: u32,
}

/// An effect with what settling it needs (rule 5).
#[derive(Debug, Clone)]
pub struct Unsettled {
    /// The effect.
    pub record: EffectRecord,
    /// Since it was last sent, by the database's clock; none where that clock was set back.
    pub age: Duration,
    /// What the row states of the payment method that was to be saved.
    pub facts: Option<MethodFacts>,
    /// Payment methods of this customer that came from other tokens.
    pub tied: Vec<RemoteMethodId>,
}

/// A reference of a file, with everything that bears on what is to be done for it.
#[derive(Debug, Clone)]
pub struct Group {
    /// The reference.
    pub reference: Reference,
    /// All its rows, in file order.
    pub rows: Vec<StagedRow>,
    /// The live customers of this reference in the account's mirror.
    pub customers: Vec<KnownCustomer>,
    /// Their live payment methods.
    pub methods: Vec<KnownMethod>,
    /// Tokens imported before under this reference, and under any other reference of the account
    /// if one of the rows has the same token.
    pub links: Vec<TokenLink>,
    /// What the file last stated.
    pub statements: Vec<Statement>,
    /// The open effects of this reference at the account, and all of this run.
    pub effects: Vec<EffectRow>,
}

/// Which references of a run are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that have a row without an outcome.
    Open,
    /// Those whose rows stand apart in the file: their clusters were joined.
    Joined,
}

/// References of a run, in the file's order.
#[derive(Debug, Clone)]
pub struct GroupPage {
    /// The references; none at the end.
    pub groups: Vec<Group>,
    /// The line to go on after.
    pub upto: u64,
}

/// How much the mirror of an account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MirrorStats {
    /// Live customers.
    pub customers: u64,
    /// Live payment methods.
    pub methods: u64,
    /// The oldest read among them.
    pub oldest: Option<Timestamp>,
    /// The newest read among them.
    pub newest: Option<Timestamp>,
}
