//! Known-bad variants: each leaves one precaution out, and must be caught. They are wrappers round
//! what the engine is given; the engine itself is the true one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backend::{
    CallCtx, CustomerBackend, FindBy, ItemOutcome, Permit, Prepared, SendOutcome, SettleCreate,
    Timing, Traffic,
};
use model::{
    AccountName, Clock as _, CustomerId, EffectId, MethodId, RemoteCustomerId, RemoteMethodId,
    RunId, SystemClock, Timestamp,
};
use store::{
    AccountRow, Changed, ClaimedPart, CommittedEffect, CustomerHistory, CustomersApplied,
    CustomersWrite, Due, EffectOutcome, EffectQuery, EffectRecord, EffectRow, EffectState,
    ExportedCustomer, ExportedLink, ExportedMethod, Fence, FinishRows, Group, GroupPage, Identity,
    Intent, IntentAnswer, Join, Keys, Lease, LinkMove, LinkMoved, LinkRefused, MatchFinding,
    MethodHistory, MethodsApplied, MethodsUnread, MethodsWrite, MirrorStats, NewRun, NewScan,
    Owner, PageKey, PlannedRow, RowPlan, RowRecord, RowTally, RunEnd, RunRecord, RunState,
    ScanState, Schedules, SharedToken, StagedRow, Store, StoreError, StoreInfo, Subjects, UnderWay,
    Unsettled, Which,
};

use super::seed::{End, Plan};
use super::target::Target;
use crate::around::{Around, Wrapped, copy};

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// An effect is written down when its outcome is known, not before.
    NoJournal,
    /// What was sent and not heard of counts as not sent.
    NoSettling,
    /// A changing call without an answer is made once more.
    Retries,
    /// Whoever was taken for dead may go on writing.
    NoFence,
    /// What is not there at once is taken to be absent, however late the provider may be.
    NoQuarantine,
    /// Nobody is taken to be there, where the provider takes a reference twice: its list is not read
    /// before the first create.
    NoBaseline,
    /// A create is sent again with another key than the one that nothing has answered.
    NewKey,
}

impl Twin {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::NoJournal,
        Self::NoSettling,
        Self::Retries,
        Self::NoFence,
        Self::NoQuarantine,
        Self::NoBaseline,
        Self::NewKey,
    ];

    /// Whether a provider needs what is left out: without it something can be doubled there.
    pub fn is_caught_at(self, target: &Target) -> bool {
        let can = &target.capabilities;
        let customers = match can.settle_create {
            SettleCreate::UniqueReference => false,
            SettleCreate::IdempotencyKey | SettleCreate::Scan => true,
        };
        let sent_twice_is_two = customers || target.saves_twice();
        match self {
            Self::NoJournal => sent_twice_is_two,
            // The same key goes with what is sent again.
            Self::NoSettling | Self::Retries | Self::NoFence | Self::NoQuarantine => {
                sent_twice_is_two && !can.idempotency_keys
            }
            Self::NoBaseline => match can.find {
                FindBy::UniqueReference => false,
                FindBy::Nothing | FindBy::Search => true,
            },
            Self::NewKey => sent_twice_is_two && can.idempotency_keys,
        }
    }

    /// The word in a trial's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoJournal => "no_journal",
            Self::NoSettling => "no_settling",
            Self::Retries => "retries",
            Self::NoFence => "no_fence",
            Self::NoQuarantine => "no_quarantine",
            Self::NoBaseline => "no_baseline",
            Self::NewKey => "new_key",
        }
    }

    /// The plan, with what shows it sooner.
    pub fn plan(self, mut plan: Plan) -> Plan {
        match self {
            Self::NoQuarantine => {
                // Longer than a busy machine takes to look for it and to send it again.
                plan.latest = 1500;
                for endpoint in plan.target.writes() {
                    let late = format!("late-{endpoint}@{endpoint}:20%=late_execution_ms(1500)");
                    plan.faults = format!("{late},{}", plan.faults);
                }
                plan.rows.truncate(8);
            }
            // Nobody dies: whoever is taken for dead goes on beside the next one.
            Self::NoFence => {
                for (no, stint) in (0..).zip(&mut plan.stints) {
                    if let End::Crash { point, nth, .. } = stint.end {
                        stint.end = End::Pause { point, nth, for_ms: 200 + 300 * no };
                    }
                }
            }
            Self::NoJournal
            | Self::NoSettling
            | Self::Retries
            | Self::NoBaseline
            | Self::NewKey => {}
        }
        plan
    }

    pub const fn timing(self, timing: Timing) -> Timing {
        match self {
            Self::NoQuarantine => Timing { quarantine: Duration::ZERO, ..timing },
            _ => timing,
        }
    }

    pub fn backend(
        self,
        inner: Arc<dyn CustomerBackend>,
        traffic: Arc<dyn Traffic>,
    ) -> Arc<dyn CustomerBackend> {
        match self {
            Self::Retries => Arc::new(Wrapped(Retrying { inner, traffic })),
            _ => inner,
        }
    }

    pub fn store(self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {
            Self::Retries | Self::NoQuarantine => inner,
            twin => Arc::new(Careless { inner, twin, unwritten: Mutex::default() }),
        }
    }
}

/// A store without one of its precautions.
#[derive(Debug)]
struct Careless {
    inner: Arc<dyn Store>,
    twin: Twin,
    /// Intents that are in this process's memory alone.
    unwritten: Mutex<HashMap<EffectId, Intent>>,
}

impl Careless {
    /// Without a fence nobody is told that another worker has the run or the account.
    fn forgive<T: Default>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match result {
            Err(StoreError::Fenced { .. } | StoreError::AccountBusy { .. })
                if self.twin == Twin::NoFence =>
            {
                Ok(T::default())
            }
            result => result,
        }
    }

    fn accept(&self, intents: Vec<Intent>) -> Vec<IntentAnswer> {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = intents.into_iter().map(|intent| {
            let effect = EffectId::generate();
            unwritten.insert(effect.clone(), intent);
            IntentAnswer::Accepted { effect, attempt: 1, key: None }
        });
        accepted.collect()
    }

    fn unwritten(&self, effect: &EffectId) -> Option<Intent> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).remove(effect)
    }

    /// What had no intent in the journal is written down now, if it is known to have ended.
    async fn write_late(
        &self,
        fence: &Fence,
        account: &AccountName,
        intent: Intent,
        outcome: EffectOutcome,
    ) -> Result<CommittedEffect, StoreError> {
        if !matches!(outcome.state, EffectState::Done | EffectState::Refused) {
            return Ok(CommittedEffect::default());
        }
        let answers = self.inner.commit_intents(fence, account, vec![intent]).await?;
        let Some(IntentAnswer::Accepted { effect, .. }) = answers.into_iter().next() else {
            return Ok(CommittedEffect::default());
        };
        let outcome = EffectOutcome { effect, ..outcome };
        let committed = self.inner.commit_outcomes(fence, account, vec![outcome]).await?;
        Ok(committed.into_iter().next().unwrap_or_default())
    }
}

/// Hands every method on; what is `fenced` may be forgiven.
macro_rules! store {
    (
        plain { $($plain:ident($($a:ident: $at:ty),*) -> $ao:ty;)* }
        fenced { $($fenced:ident($($b:ident: $bt:ty),*) -> $bo:ty;)* }
        $($own:item)*
    ) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl Store for Careless {
            fn keys(&self) -> &Keys {
                self.inner.keys()
            }

            fn schedules(&self) -> &dyn Schedules {
                self.inner.schedules()
            }

            async fn close(&self) {
                self.inner.close().await;
            }

            $(async fn $plain(&self, $($a: $at),*) -> Result<$ao, StoreError> {
                self.inner.$plain($($a),*).await
            })*

            $(async fn $fenced(&self, fence: &Fence, $($b: $bt),*) -> Result<$bo, StoreError> {
                self.forgive(self.inner.$fenced(fence, $($b),*).await)
            })*

            $($own)*
        }
    };
}

store! {
    plain {
        info() -> StoreInfo;
        bind_accounts(accounts: &[AccountRow]) -> ();
        rebind_account(account: &AccountRow) -> Identity;
        recompute(most: u32) -> Option<u64>;
        token_identities() -> Vec<(AccountName, String)>;
        rank_file(rank: u32) -> ();
        mirror_stats(account: &AccountName) -> MirrorStats;
        live_customer_ids(account: &AccountName, most: u32) -> Vec<RemoteCustomerId>;
        begin_run(run: &NewRun, owner: &Owner, lease: Duration) -> ();
        claim_part(run: &RunId, owner: &Owner, lease: Duration) -> Option<ClaimedPart>;
        reopen_run(
            run: &RunId,
            from: &[RunState],
            args: &str,
            owner: &Owner,
            lease: Duration
        ) -> ClaimedPart;
        load_groups(
            fence: &Fence,
            account: &AccountName,
            after: u64,
            which: Which,
            most: u32
        ) -> GroupPage;
        cancel_run(run: &RunId, summary: &str) -> ();
        cancel_rows(run: &RunId, after_line: u64, most: u32) -> Option<u64>;
        sum_up(run: &RunId, summary: &str) -> ();
        runs(most: u32) -> Vec<RunRecord>;
        runs_in(account: &AccountName, state: RunState) -> Vec<RunRecord>;
        run(run: &RunId) -> Option<RunRecord>;
        under_way(run: &RunId) -> UnderWay;
        tally(run: &RunId) -> RowTally;
        subjects(run: &RunId) -> Subjects;
        rows(run: &RunId, after_line: u64, most: u32) -> Vec<RowRecord>;
        bad_rows(run: &RunId, most: u32) -> Vec<RowRecord>;
        personal_values(run: &RunId, references: &BTreeSet<String>) -> BTreeSet<String>;
        unsettled(
            account: &AccountName,
            after: Option<&EffectId>,
            most: u32
        ) -> Vec<Unsettled>;
        effects(query: &EffectQuery) -> Vec<EffectRecord>;
        effect(id: &EffectId) -> Option<Unsettled>;
        effects_of_run(run: &RunId, most: u32) -> Vec<EffectRow>;
        unseen_customers(
            scan: &str,
            settled: Timestamp,
            after: Option<&RemoteCustomerId>,
            most: u32
        ) -> Vec<RemoteCustomerId>;
        known_before(
            account: &AccountName,
            ids: &[RemoteCustomerId],
            before: Timestamp
        ) -> BTreeSet<RemoteCustomerId>;
        due_customers(
            account: &AccountName,
            due: &Due,
            after: Option<&RemoteCustomerId>,
            most: u32
        ) -> Vec<RemoteCustomerId>;
        read_longest_ago(
            account: &AccountName,
            since: Timestamp,
            before_it: u64
        ) -> Option<Timestamp>;
        unlisted_methods(
            account: &AccountName,
            since: Timestamp,
            settled: Timestamp,
            after: Option<&(RemoteCustomerId, RemoteMethodId)>,
            most: u32
        ) -> Vec<(RemoteCustomerId, RemoteMethodId)>;
        changes_of_run(run: &RunId, after: i64, most: u32) -> Vec<Changed>;
        removed_since(account: &AccountName, since: Timestamp) -> (u64, u64);
        methods_unread(account: &AccountName, since: Timestamp) -> MethodsUnread;
        matching(account: &AccountName, most: u32) -> Vec<MatchFinding>;
        move_links(account: &AccountName, moves: Vec<LinkMove>, dry: bool)
            -> Vec<std::result::Result<LinkMoved, LinkRefused>>;
        export_customers(account: Option<&AccountName>, after: &PageKey, most: u32)
            -> Vec<ExportedCustomer>;
        export_methods(account: Option<&AccountName>, after: &PageKey, most: u32)
            -> Vec<ExportedMethod>;
        export_links(account: &AccountName, after: &PageKey, most: u32) -> Vec<ExportedLink>;
        find_customers(id: &str) -> Vec<CustomerId>;
        find_methods(id: &str) -> Vec<MethodId>;
        customer_history(id: &CustomerId) -> Option<CustomerHistory>;
        method_history(id: &MethodId) -> Option<MethodHistory>;
        lease_permits(account: &AccountName, per_second: f64, want: u32) -> Lease;
        close_gate(account: &AccountName, pause: Duration) -> ();
    }
    fenced {
        heartbeat(lease: Duration) -> ();
        end_run(end: &RunEnd) -> ();
        input_read(sha256: &str) -> ();
        keep_args(args: &str) -> ();
        stage_rows(rows: Vec<StagedRow>) -> ();
        join_rows(joins: Vec<Join>) -> ();
        know(account: &AccountName, rows: Vec<StagedRow>) -> Vec<Group>;
        load_heads(account: &AccountName, heads: &[u64]) -> Vec<Group>;
        planned_rows(after_line: u64, most: u32) -> Vec<PlannedRow>;
        shared_tokens() -> Vec<SharedToken>;
        commit_plan(rows: Vec<RowPlan>) -> ();
        finish_rows(account: &AccountName, finish: FinishRows) -> ();
        begin_scan(scan: &NewScan) -> String;
        apply_methods(write: MethodsWrite) -> MethodsApplied;
        end_scan(scan: &str, state: ScanState) -> ();
    }

    async fn take_over(&self, fence: &Fence, account: &AccountName) -> Result<u64, StoreError> {
        // Not forgiven: whoever cannot see that the account is another's would wait for ever.
        let marked = self.inner.take_over(fence, account).await?;
        if self.twin == Twin::NoSettling {
            let unsettled = self.inner.unsettled(account, None, 10_000).await?;
            let planned = unsettled.into_iter().map(|one| planned(one.record.effect.id));
            self.inner.commit_outcomes(fence, account, planned.collect()).await?;
        }
        Ok(marked)
    }

    async fn last_complete_scan(
        &self,
        account: &AccountName,
        config: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        match self.twin {
            Twin::NoBaseline => Ok(Some(SystemClock.now())),
            _ => self.inner.last_complete_scan(account, config).await,
        }
    }

    async fn listed(
        &self,
        account: &AccountName,
        ids: &[RemoteCustomerId],
    ) -> Result<BTreeSet<RemoteCustomerId>, StoreError> {
        match self.twin {
            Twin::NoBaseline => Ok(ids.iter().cloned().collect()),
            _ => self.inner.listed(account, ids).await,
        }
    }

    async fn apply_customers(
        &self,
        fence: &Fence,
        write: CustomersWrite,
    ) -> Result<CustomersApplied, StoreError> {
        if self.twin == Twin::NoBaseline {
            return Ok(CustomersApplied::default());
        }
        self.forgive(self.inner.apply_customers(fence, write).await)
    }

    async fn commit_intents(
        &self,
        fence: &Fence,
        account: &AccountName,
        intents: Vec<Intent>,
    ) -> Result<Vec<IntentAnswer>, StoreError> {
        if self.twin == Twin::NoJournal {
            return Ok(self.accept(intents));
        }
        let answers = self.inner.commit_intents(fence, account, intents.clone()).await;
        let mut answers = self.forgive(answers)?;
        if self.twin == Twin::NewKey {
            for (answer, intent) in answers.iter_mut().zip(&intents) {
                if let IntentAnswer::Accepted { key, .. } = answer {
                    key.clone_from(&intent.idempotency_key);
                }
            }
        }
        Ok(if answers.is_empty() { self.accept(intents) } else { answers })
    }

    async fn commit_outcomes(
        &self,
        fence: &Fence,
        account: &AccountName,
        outcomes: Vec<EffectOutcome>,
    ) -> Result<Vec<CommittedEffect>, StoreError> {
        let mut committed = Vec::with_capacity(outcomes.len());
        for mut outcome in outcomes {
            if self.twin == Twin::NoSettling && outcome.state == EffectState::Unknown {
                outcome = planned(outcome.effect);
            }
            match self.unwritten(&outcome.effect) {
                Some(intent) => {
                    let written = self.write_late(fence, account, intent, outcome).await;
                    committed.push(self.forgive(written)?);
                }
                None => {
                    let written = self.inner.commit_outcomes(fence, account, vec![outcome]).await;
                    committed.push(self.forgive(written)?.pop().unwrap_or_default());
                }
            }
        }
        Ok(committed)
    }
}

/// As if it had not been sent.
fn planned(effect: EffectId) -> EffectOutcome {
    EffectOutcome {
        effect,
        state: EffectState::Planned,
        origin: None,
        code: None,
        message: None,
        request_id: None,
        status: None,
        applied: Vec::new(),
    }
}

/// An adapter that repeats what it has no answer to.
#[derive(Debug)]
struct Retrying {
    inner: Arc<dyn CustomerBackend>,
    traffic: Arc<dyn Traffic>,
}

#[async_trait]
impl Around for Retrying {
    fn inner(&self) -> &dyn CustomerBackend {
        &*self.inner
    }

    async fn execute(&self, ctx: &CallCtx, prepared: Prepared, permit: Permit) -> SendOutcome {
        let again = copy(&prepared);
        let outcome = self.inner.execute(ctx, prepared, permit).await;
        if !outcome.items.iter().any(|item| matches!(item, ItemOutcome::Unknown(_))) {
            return outcome;
        }
        match self.traffic.reserve(ctx.lane, 1).await.ok().and_then(|mut permits| permits.pop()) {
            Some(permit) => self.inner.execute(ctx, again, permit).await,
            None => outcome,
        }
    }
}
