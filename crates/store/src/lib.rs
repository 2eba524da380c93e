//! The canonical store: one [`Store`] trait, one implementation for SQLite and one for PostgreSQL.
//!
//! Each method is one transaction, named by what the engine does; there is no CRUD and no
//! transaction handle. A method that writes for a run takes that run's [`Fence`] and fails with
//! [`StoreError::Fenced`] when another worker has taken the part over. No network call is ever
//! made inside a transaction. Only this crate says SQL. Both implementations pass one suite
//! (`tests/`). Start at [`open`].

mod baseline;
mod bucket;
mod canonical;
mod changes;
mod decode;
mod due;
mod effects;
mod error;
mod export;
mod history;
mod keys;
mod links;
mod open;
mod postgres;
mod recompute;
mod records;
mod schedules;
mod sqlite;
mod staged;
mod writes;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use model::{
    AccountName, CustomerId, EffectId, MethodId, RemoteCustomerId, RemoteMethodId, RunId, Timestamp,
};

pub use baseline::APART;
pub use changes::Changed;
pub use effects::KEY_LIVES;
pub use error::StoreError;
pub use export::{ExportedCustomer, ExportedLink, ExportedMethod, FieldSource, PageKey};
pub use history::{CustomerHistory, Happened, History, MethodHistory, Shown, What};
pub use keys::{Keys, TokenFp, WrapKey};
pub use links::{
    LinkMove, LinkMoved, LinkRefused, LinkTo, MatchCategory, MatchFinding, MethodMoved,
};
pub use open::{StoreOptions, open};
pub use records::{
    AccountRow, ClaimedPart, EffectQuery, EffectRecord, EffectRow, EffectState, Fence, Group,
    GroupPage, Identity, KnownCustomer, KnownMethod, MirrorStats, Owner, PlannedRow, RowRecord,
    RowTally, RunRecord, RunState, ScanState, SealedToken, SharedToken, StagedMethod, StagedRow,
    Statement, StoreInfo, Subjects, TokenLink, UnderWay, Unsettled, Which,
};
pub use schedules::{
    Alert, AlertKind, DueSlots, Fire, FireEnd, FireRow, FireState, Left, ScheduleRow, Schedules,
    SkipReason, Taken,
};
pub use writes::{
    Applied, CommittedEffect, CustomersApplied, CustomersWrite, Due, EffectOutcome, FinishRows,
    Intent, IntentAnswer, Join, KeptFields, Lease, MethodCounts, MethodList, MethodsApplied,
    MethodsUnread, MethodsWrite, NewRun, NewScan, Overlap, RowPlan, RowResult, RunEnd, SentChange,
    Verdict,
};

/// What the engine asks of a database. Both databases behave alike; a suite holds them to it.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The store's keys: sealing tokens, fingerprints, keyed hashes. No I/O.
    fn keys(&self) -> &Keys;

    /// The same store, for the scheduler. No I/O.
    fn schedules(&self) -> &dyn Schedules;

    /// Which database this is, for people.
    async fn info(&self) -> Result<StoreInfo, StoreError>;

    // --- accounts -----------------------------------------------------------------------------

    /// Writes the identity of each configured account, or checks it against the one written
    /// before: a changed kind, host, merchant or environment of an account that has data is
    /// [`StoreError::AccountChanged`], and nothing is written. Namespace and rank may change.
    async fn bind_accounts(&self, accounts: &[AccountRow]) -> Result<(), StoreError>;

    /// Writes another identity for an account that is known, whatever data it has; says the one
    /// before. Its token fingerprints stay what they were.
    async fn rebind_account(&self, account: &AccountRow) -> Result<Identity, StoreError>;

    /// The identity that each account's token fingerprints are made with, where it was rebound
    /// since; of the others it is [`AccountRow::identity`].
    async fn token_identities(&self) -> Result<Vec<(AccountName, String)>, StoreError>;

    /// Makes the next canonical records anew, if accounts were bound in another order than before;
    /// how many. None once all are.
    async fn recompute(&self, most: u32) -> Result<Option<u64>, StoreError>;

    /// Writes where the file stands among the accounts' ranks: whose value of a field wins. Until
    /// it is written, the file comes last.
    async fn rank_file(&self, rank: u32) -> Result<(), StoreError>;

    /// How much the mirror of an account holds, and how old it is.
    async fn mirror_stats(&self, account: &AccountName) -> Result<MirrorStats, StoreError>;

    /// Up to `most` ids that are live in the mirror, spread over the thousand that were read last.
    async fn live_customer_ids(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError>;

    // --- runs and parts -----------------------------------------------------------------------

    /// Creates a run with its parts (numbered from 0). A writing run also takes the account's
    /// writer lease; [`StoreError::AccountBusy`] names the holder when somebody else's is alive.
    async fn begin_run(
        &self,
        run: &NewRun,
        owner: &Owner,
        lease: Duration,
    ) -> Result<(), StoreError>;

    /// Takes a part that nobody holds: one more epoch, one more delivery. `None` when every part
    /// of the run is done, parked or held.
    async fn claim_part(
        &self,
        run: &RunId,
        owner: &Owner,
        lease: Duration,
    ) -> Result<Option<ClaimedPart>, StoreError>;

    /// Holds on to a part, and to the account's writer lease if the run has it.
    async fn heartbeat(&self, fence: &Fence, lease: Duration) -> Result<(), StoreError>;

    /// Writes how a run ended, and gives its writer lease back. With a run that is done, so are the
    /// parts that were at work. Ended runs stay as they are, and
    /// so does one that another worker has taken up.
    async fn end_run(&self, fence: &Fence, end: &RunEnd) -> Result<(), StoreError>;

    /// The run's input has been read to its end, and is wholly in the store: its SHA-256 in hex.
    async fn input_read(&self, fence: &Fence, sha256: &str) -> Result<(), StoreError>;

    /// Writes `args` in place of the run's options, while it is at work.
    async fn keep_args(&self, fence: &Fence, args: &str) -> Result<(), StoreError>;

    /// Takes up a run that rests in one of the states of `from`, or whose worker is gone: claims
    /// a free part of it, takes the account's writer lease again if it writes, and writes `args`
    /// in place of its options. [`StoreError::RunState`] when it stands elsewhere or is held,
    /// [`StoreError::AccountBusy`] when another run writes to the account; nothing is written then.
    async fn reopen_run(
        &self,
        run: &RunId,
        from: &[RunState],
        args: &str,
        owner: &Owner,
        lease: Duration,
    ) -> Result<ClaimedPart, StoreError>;

    /// Ends a run that nobody works at as cancelled, with this summary: no part of it is handed
    /// out any more, and what a worker still held of it is void. Rows that wait for a further
    /// effect keep in `done` what took place. A run that failed stays failed, with its error.
    /// [`StoreError::RunState`] when it has ended otherwise or is held.
    async fn cancel_run(&self, run: &RunId, summary: &str) -> Result<(), StoreError>;

    /// Of a run that [`Store::cancel_run`] ended: of the next `most` rows after a line, those
    /// without an outcome get one. With an effect of this run that is not settled, it is
    /// `unresolved: outcome_unknown`; if their own subject was created, `created`; else
    /// `not_attempted: run_cancelled`. Every token is destroyed, but those of effects that are not
    /// settled. The last of these lines; `None` when there is none left.
    async fn cancel_rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Option<u64>, StoreError>;

    /// Writes the summary of a run that was cancelled or failed.
    async fn sum_up(&self, run: &RunId, summary: &str) -> Result<(), StoreError>;

    /// The latest runs first.
    async fn runs(&self, most: u32) -> Result<Vec<RunRecord>, StoreError>;

    /// The runs of an account that stand there, the oldest first.
    async fn runs_in(
        &self,
        account: &AccountName,
        state: RunState,
    ) -> Result<Vec<RunRecord>, StoreError>;

    /// One run.
    async fn run(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError>;

    /// The effects of a run by state, and its worker's lease, by the database's clock.
    async fn under_way(&self, run: &RunId) -> Result<UnderWay, StoreError>;

    // --- import -------------------------------------------------------------------------------

    /// Stages rows with what is planned for them. Tokens come sealed ([`Keys::seal`]); one in the
    /// clear is not looked at. Rows that are staged already stay as they are.
    async fn stage_rows(&self, fence: &Fence, rows: Vec<StagedRow>) -> Result<(), StoreError>;

    /// Joins clusters that stand apart in the file and have the same reference; a pair whose
    /// references differ is left alone.
    async fn join_rows(&self, fence: &Fence, joins: Vec<Join>) -> Result<(), StoreError>;

    /// The references of rows that are at hand, with everything the store knows that bears on
    /// them.
    async fn know(
        &self,
        fence: &Fence,
        account: &AccountName,
        rows: Vec<StagedRow>,
    ) -> Result<Vec<Group>, StoreError>;

    /// The next staged references of the fence's part behind the line `after`, in the file's
    /// order, each with all its rows and everything the store knows that bears on them.
    async fn load_groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        after: u64,
        which: Which,
        most: u32,
    ) -> Result<GroupPage, StoreError>;

    /// The references of the fence's part that begin on these lines, as [`Store::load_groups`]
    /// loads them; those that it does not have are left out.
    async fn load_heads(
        &self,
        fence: &Fence,
        account: &AccountName,
        heads: &[u64],
    ) -> Result<Vec<Group>, StoreError>;

    /// The rows of the fence's part after a line for which something is or was planned, in order.
    async fn planned_rows(
        &self,
        fence: &Fence,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<PlannedRow>, StoreError>;

    /// The rows of the fence's run whose token stands under another reference of the run as well,
    /// by line. One pass over the run's rows, for all its parts.
    async fn shared_tokens(&self, fence: &Fence) -> Result<Vec<SharedToken>, StoreError>;

    /// Writes what is planned for rows, in place of what was planned before. The token of a row
    /// that is decided is destroyed; its fingerprint stays.
    async fn commit_plan(&self, fence: &Fence, rows: Vec<RowPlan>) -> Result<(), StoreError>;

    /// Writes the outcome of rows, what the file stated of them, what of it only our store keeps
    /// (a customer that has no canonical record is left out), and token links that need no effect;
    /// moves the part's cursor.
    async fn finish_rows(
        &self,
        fence: &Fence,
        account: &AccountName,
        finish: FinishRows,
    ) -> Result<(), StoreError>;

    /// The rows of a run by outcome, by code and by plan, counted from the rows alone.
    async fn tally(&self, run: &RunId) -> Result<RowTally, StoreError>;

    /// Counts the customers and payment methods of a run's rows.
    async fn subjects(&self, run: &RunId) -> Result<Subjects, StoreError>;

    /// Rows of a run after a line, in order.
    async fn rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<RowRecord>, StoreError>;

    /// Rows of a run that did not go well, those that a person must act on first: unresolved, then
    /// refused, rejected and not attempted, each in the file's order.
    async fn bad_rows(&self, run: &RunId, most: u32) -> Result<Vec<RowRecord>, StoreError>;

    /// The e-mail addresses, phone numbers and address parts, without countries, that the rows of
    /// these references state in a run. One pass over the run's rows.
    async fn personal_values(
        &self,
        run: &RunId,
        references: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError>;

    // --- the journal --------------------------------------------------------------------------

    /// Commits intents as `sending`, durably (SQLite `synchronous=FULL`). One answer for each, in
    /// order: accepted with its effect id, or held up. `sent_at` is the database's clock.
    ///
    /// What was of the same subject before, and what it becomes:
    /// - nothing open: a new effect, attempt 1, with the intent's own key;
    /// - `planned` (never sent, or proven to have had no effect): `sending`, one attempt more; with the
    ///   key that it had if nothing answered that, it lives ([`KEY_LIVES`]) and it was of the same
    ///   [body](Intent::changes), else with the new one;
    /// - `unknown`, and the intent [repeats](Intent::repeats) it: `sending`, one attempt more, with the
    ///   key that it had. Where the intent has a key and that one was answered, lives no more or was of
    ///   another body, it is held. The attempt before may still take effect: see [`Store::commit_outcomes`];
    /// - anything else that is open: held by it.
    ///
    /// Held is also what has an unsettled effect of another subject of the same reference: `unknown`,
    /// `unresolved`, or `sending` under another epoch.
    async fn commit_intents(
        &self,
        fence: &Fence,
        account: &AccountName,
        intents: Vec<Intent>,
    ) -> Result<Vec<IntentAnswer>, StoreError>;

    /// Commits what became of effects, durably, with the mirror rows, canonical records and token
    /// links that follow from them, all in one transaction. One answer for each, in order.
    ///
    /// - `sending` becomes `planned`: this attempt was not sent, or not taken, and does not count; there
    ///   was none before it that may take effect. Of a repeat, `unknown` without a code says the same of
    ///   the attempt, and that the one before is as unknown as it was.
    /// - `unknown` and `unresolved` become `planned`: it is proven, or a person says, that no attempt had
    ///   an effect.
    /// - `done` and `refused` are final: they stay, whatever is said.
    async fn commit_outcomes(
        &self,
        fence: &Fence,
        account: &AccountName,
        outcomes: Vec<EffectOutcome>,
    ) -> Result<Vec<CommittedEffect>, StoreError>;

    /// Marks effects of an account as `unknown` that were being sent by a worker that is gone: its
    /// part has another epoch, or its lease has run out (rule 6). The run must hold the account's
    /// writer lease. Some thousands at once; 0 when none is left.
    async fn take_over(&self, fence: &Fence, account: &AccountName) -> Result<u64, StoreError>;

    /// The next effects of an account whose outcome is not known, behind one, by id.
    async fn unsettled(
        &self,
        account: &AccountName,
        after: Option<&EffectId>,
        most: u32,
    ) -> Result<Vec<Unsettled>, StoreError>;

    /// Effects, by id.
    async fn effects(&self, query: &EffectQuery) -> Result<Vec<EffectRecord>, StoreError>;

    /// One effect.
    async fn effect(&self, id: &EffectId) -> Result<Option<Unsettled>, StoreError>;

    /// The effects of a run, oldest first.
    async fn effects_of_run(&self, run: &RunId, most: u32) -> Result<Vec<EffectRow>, StoreError>;

    // --- pull ---------------------------------------------------------------------------------

    /// Begins a scan and says its id.
    async fn begin_scan(&self, fence: &Fence, scan: &NewScan) -> Result<String, StoreError>;

    /// Writes customers that were read: mirror, links, canonical records, changes, and which scan saw
    /// them. A row whose mirror is as new as the read (`as_of`), or newer, is left alone and counted
    /// as stale. Customers with inline methods have those written too; the payment methods of one
    /// that is gone are gone with it.
    async fn apply_customers(
        &self,
        fence: &Fence,
        write: CustomersWrite,
    ) -> Result<CustomersApplied, StoreError>;

    /// Writes whole method lists of customers that were read. Methods that the mirror has and a
    /// list lacks are named in the answer, not marked: absence is proven elsewhere (rule 3).
    async fn apply_methods(
        &self,
        fence: &Fence,
        write: MethodsWrite,
    ) -> Result<MethodsApplied, StoreError>;

    /// Ends a scan.
    async fn end_scan(&self, fence: &Fence, scan: &str, state: ScanState)
    -> Result<(), StoreError>;

    /// Live customers of a scan's account that the scan has not seen, that nothing else has read
    /// since it began, and of whom no effect was written down since `settled`: by id, behind `after`.
    async fn unseen_customers(
        &self,
        scan: &str,
        settled: Timestamp,
        after: Option<&RemoteCustomerId>,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError>;

    /// When the last reading of an account's customer list began that was read to its end and
    /// confirmed, under this configuration: see [`NewScan::config`].
    async fn last_complete_scan(
        &self,
        account: &AccountName,
        config: &str,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Those of these customers that the last complete reading of the list, or of its top, showed, or
    /// that were known before it began: in a list of which the newest come first, nobody unknown
    /// comes behind a page of them. One that our own create has made known is none of them: somebody
    /// else's may come behind it.
    async fn listed(
        &self,
        account: &AccountName,
        ids: &[RemoteCustomerId],
    ) -> Result<BTreeSet<RemoteCustomerId>, StoreError>;

    /// Those of these customers that the mirror had before a moment, removed ones included.
    async fn known_before(
        &self,
        account: &AccountName,
        ids: &[RemoteCustomerId],
        before: Timestamp,
    ) -> Result<BTreeSet<RemoteCustomerId>, StoreError>;

    /// Live customers whose payment methods are due to be read: by id, behind `after`.
    async fn due_customers(
        &self,
        account: &AccountName,
        due: &Due,
        after: Option<&RemoteCustomerId>,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError>;

    /// When the payment methods of a customer were read of whom `before_it` others were read longer
    /// ago; none if all but so many were read since then, or never.
    async fn read_longest_ago(
        &self,
        account: &AccountName,
        since: Timestamp,
        before_it: u64,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Payment methods that are live in the mirror and not in their customer's list, which was read
    /// since then, of customers of whom no effect was written down since `settled`: by customer and
    /// id, behind `after`.
    async fn unlisted_methods(
        &self,
        account: &AccountName,
        since: Timestamp,
        settled: Timestamp,
        after: Option<&(RemoteCustomerId, RemoteMethodId)>,
        most: u32,
    ) -> Result<Vec<(RemoteCustomerId, RemoteMethodId)>, StoreError>;

    /// How many customers of an account, and how many payment methods of those that are live, were
    /// marked as removed since then.
    async fn removed_since(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<(u64, u64), StoreError>;

    /// Live customers whose payment methods were not read since then.
    async fn methods_unread(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<MethodsUnread, StoreError>;

    // --- links --------------------------------------------------------------------------------

    /// What there is to say of how the live customers of an account were matched (rule 8), with so
    /// many examples of each at most. Reads the account's mirror from end to end.
    async fn matching(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<MatchFinding>, StoreError>;

    /// Links customers of an account, and their payment methods, as a person says: one answer for
    /// each, in order. If one is refused nothing is written, nor if it is a `dry` run. Each is judged
    /// by the links as they are before any of these.
    async fn move_links(
        &self,
        account: &AccountName,
        moves: Vec<LinkMove>,
        dry: bool,
    ) -> Result<Vec<Result<LinkMoved, LinkRefused>>, StoreError>;

    // --- export and history -------------------------------------------------------------------

    /// The next customers after a place: our records that a live customer of some account is linked
    /// to, by our id; or the live customers of an account as it shows them, by the provider's.
    async fn export_customers(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedCustomer>, StoreError>;

    /// The next payment methods after a place, as [`Store::export_customers`] has customers; those
    /// of one customer stand together.
    async fn export_methods(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedMethod>, StoreError>;

    /// The next links of an account's live customers, and of their live payment methods.
    async fn export_links(
        &self,
        account: &AccountName,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedLink>, StoreError>;

    /// Our customers of this id, ours or a provider's, or of this reference.
    async fn find_customers(&self, id: &str) -> Result<Vec<CustomerId>, StoreError>;

    /// Our payment methods of this id, ours or a provider's.
    async fn find_methods(&self, id: &str) -> Result<Vec<MethodId>, StoreError>;

    /// What happened to a customer of ours.
    async fn customer_history(
        &self,
        id: &CustomerId,
    ) -> Result<Option<CustomerHistory>, StoreError>;

    /// What happened to a payment method of ours.
    async fn method_history(&self, id: &MethodId) -> Result<Option<MethodHistory>, StoreError>;

    /// What a run changed of customers and payment methods that were known before it, in order, behind
    /// `after`.
    async fn changes_of_run(
        &self,
        run: &RunId,
        after: i64,
        most: u32,
    ) -> Result<Vec<Changed>, StoreError>;

    // --- traffic ------------------------------------------------------------------------------

    /// Takes `want` permits (at least one) from the account's shared token bucket. Answers in
    /// durations, by the database's clock. The row's transaction holds nothing else and need not
    /// be durable.
    async fn lease_permits(
        &self,
        account: &AccountName,
        per_second: f64,
        want: u32,
    ) -> Result<Lease, StoreError>;

    /// Nobody calls for this long; leases of older epochs are void.
    async fn close_gate(&self, account: &AccountName, pause: Duration) -> Result<(), StoreError>;

    /// Closes every connection; on SQLite the log is folded into the file.
    async fn close(&self);
}
