//! The calls of [`Store`], each handed to the file that carries it out.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use model::{
    AccountName, CustomerId, EffectId, MethodId, RemoteCustomerId, RemoteMethodId, RunId, Timestamp,
};

use crate::{
    AccountRow, Changed, ClaimedPart, CommittedEffect, CustomerHistory, CustomersApplied,
    CustomersWrite, Due, EffectOutcome, EffectQuery, EffectRecord, EffectRow, ExportedCustomer,
    ExportedLink, ExportedMethod, Fence, FinishRows, Group, GroupPage, Identity, Intent,
    IntentAnswer, Join, Keys, Lease, LinkMove, LinkMoved, LinkRefused, MatchFinding, MethodHistory,
    MethodsApplied, MethodsUnread, MethodsWrite, MirrorStats, NewRun, NewScan, Owner, PageKey,
    PlannedRow, RowPlan, RowRecord, RowTally, RunEnd, RunRecord, RunState, ScanState, Schedules,
    SharedToken, StagedRow, Store, StoreError, StoreInfo, Subjects, UnderWay, Unsettled, Which,
};

use super::PostgresStore;

const INFO: &str = "SELECT current_setting('server_version'), \
     (SELECT max(version) FROM _sqlx_migrations), \
     (SELECT value FROM meta WHERE key = 'incarnation')";

#[async_trait]
impl Store for PostgresStore {
    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn schedules(&self) -> &dyn Schedules {
        self
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let (version, schema, incarnation): (String, Option<i64>, Option<String>) =
            sqlx::query_as(INFO).fetch_one(&self.pool).await?;
        let version = version.split(' ').next().unwrap_or_default();
        Ok(StoreInfo {
            engine: format!("PostgreSQL {version}"),
            schema: schema.unwrap_or_default(),
            incarnation: incarnation.unwrap_or_default(),
        })
    }

    async fn bind_accounts(&self, accounts: &[AccountRow]) -> Result<(), StoreError> {
        self.bind_all(accounts).await
    }

    async fn rebind_account(&self, account: &AccountRow) -> Result<Identity, StoreError> {
        self.rebind(account).await
    }

    async fn token_identities(&self) -> Result<Vec<(AccountName, String)>, StoreError> {
        self.read_token_identities().await
    }

    async fn recompute(&self, most: u32) -> Result<Option<u64>, StoreError> {
        self.recompute_next(most).await
    }

    async fn rank_file(&self, rank: u32) -> Result<(), StoreError> {
        self.write_file_rank(rank).await
    }

    async fn mirror_stats(&self, account: &AccountName) -> Result<MirrorStats, StoreError> {
        self.stats_of(account).await
    }

    async fn live_customer_ids(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        self.live_ids(account, most).await
    }

    async fn begin_run(
        &self,
        run: &NewRun,
        owner: &Owner,
        lease: Duration,
    ) -> Result<(), StoreError> {
        self.make_run(run, owner, lease).await
    }

    async fn claim_part(
        &self,
        run: &RunId,
        owner: &Owner,
        lease: Duration,
    ) -> Result<Option<ClaimedPart>, StoreError> {
        self.take_part(run, owner, lease).await
    }

    async fn heartbeat(&self, fence: &Fence, lease: Duration) -> Result<(), StoreError> {
        self.hold_on(fence, lease).await
    }

    async fn end_run(&self, fence: &Fence, end: &RunEnd) -> Result<(), StoreError> {
        self.write_end(fence, end).await
    }

    async fn input_read(&self, fence: &Fence, sha256: &str) -> Result<(), StoreError> {
        self.put_input(fence, sha256).await
    }

    async fn keep_args(&self, fence: &Fence, args: &str) -> Result<(), StoreError> {
        self.put_args(fence, args).await
    }

    async fn reopen_run(
        &self,
        run: &RunId,
        from: &[RunState],
        args: &str,
        owner: &Owner,
        lease: Duration,
    ) -> Result<ClaimedPart, StoreError> {
        self.take_up_run(run, from, args, owner, lease).await
    }

    async fn cancel_run(&self, run: &RunId, summary: &str) -> Result<(), StoreError> {
        self.write_cancelled(run, summary).await
    }

    async fn cancel_rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Option<u64>, StoreError> {
        self.write_cancelled_rows(run, after_line, most).await
    }

    async fn sum_up(&self, run: &RunId, summary: &str) -> Result<(), StoreError> {
        self.write_summary(run, summary).await
    }

    async fn load_heads(
        &self,
        fence: &Fence,
        account: &AccountName,
        heads: &[u64],
    ) -> Result<Vec<Group>, StoreError> {
        self.groups_of(fence, account, heads).await
    }

    async fn planned_rows(
        &self,
        fence: &Fence,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<PlannedRow>, StoreError> {
        self.read_planned(fence, after_line, most).await
    }

    async fn runs(&self, most: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.latest_runs(most).await
    }

    async fn runs_in(
        &self,
        account: &AccountName,
        state: RunState,
    ) -> Result<Vec<RunRecord>, StoreError> {
        self.runs_standing(account, state).await
    }

    async fn under_way(&self, run: &RunId) -> Result<UnderWay, StoreError> {
        self.read_under_way(run).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        self.one_run(run).await
    }

    async fn stage_rows(&self, fence: &Fence, rows: Vec<StagedRow>) -> Result<(), StoreError> {
        self.stage(fence, rows).await
    }

    async fn join_rows(&self, fence: &Fence, joins: Vec<Join>) -> Result<(), StoreError> {
        self.join(fence, joins).await
    }

    async fn know(
        &self,
        fence: &Fence,
        account: &AccountName,
        rows: Vec<StagedRow>,
    ) -> Result<Vec<Group>, StoreError> {
        self.known_groups(fence, account, rows).await
    }

    async fn load_groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        after: u64,
        which: Which,
        most: u32,
    ) -> Result<GroupPage, StoreError> {
        self.groups(fence, account, after, which, most).await
    }

    async fn shared_tokens(&self, fence: &Fence) -> Result<Vec<SharedToken>, StoreError> {
        self.read_shared_tokens(fence).await
    }

    async fn commit_plan(&self, fence: &Fence, rows: Vec<RowPlan>) -> Result<(), StoreError> {
        self.write_plan(fence, rows).await
    }

    async fn finish_rows(
        &self,
        fence: &Fence,
        account: &AccountName,
        finish: FinishRows,
    ) -> Result<(), StoreError> {
        self.finish(fence, account, finish).await
    }

    async fn tally(&self, run: &RunId) -> Result<RowTally, StoreError> {
        self.count_rows(run).await
    }

    async fn subjects(&self, run: &RunId) -> Result<Subjects, StoreError> {
        self.count_subjects(run).await
    }

    async fn rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<RowRecord>, StoreError> {
        self.row_records(run, after_line, most).await
    }

    async fn bad_rows(&self, run: &RunId, most: u32) -> Result<Vec<RowRecord>, StoreError> {
        self.bad_row_records(run, most).await
    }

    async fn personal_values(
        &self,
        run: &RunId,
        references: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        self.stated_personally(run, references).await
    }

    async fn commit_intents(
        &self,
        fence: &Fence,
        account: &AccountName,
        intents: Vec<Intent>,
    ) -> Result<Vec<IntentAnswer>, StoreError> {
        self.intend(fence, account, intents).await
    }

    async fn commit_outcomes(
        &self,
        fence: &Fence,
        account: &AccountName,
        outcomes: Vec<EffectOutcome>,
    ) -> Result<Vec<CommittedEffect>, StoreError> {
        self.settle(fence, account, outcomes).await
    }

    async fn take_over(&self, fence: &Fence, account: &AccountName) -> Result<u64, StoreError> {
        self.mark_unknown(fence, account).await
    }

    async fn unsettled(
        &self,
        account: &AccountName,
        after: Option<&EffectId>,
        most: u32,
    ) -> Result<Vec<Unsettled>, StoreError> {
        self.read_unsettled(account, after, most).await
    }

    async fn effects(&self, query: &EffectQuery) -> Result<Vec<EffectRecord>, StoreError> {
        self.list_effects(query).await
    }

    async fn effect(&self, id: &EffectId) -> Result<Option<Unsettled>, StoreError> {
        self.read_effect(id).await
    }

    async fn effects_of_run(&self, run: &RunId, most: u32) -> Result<Vec<EffectRow>, StoreError> {
        self.run_effects(run, most).await
    }

    async fn begin_scan(&self, fence: &Fence, scan: &NewScan) -> Result<String, StoreError> {
        self.make_scan(fence, scan).await
    }

    async fn apply_customers(
        &self,
        fence: &Fence,
        write: CustomersWrite,
    ) -> Result<CustomersApplied, StoreError> {
        self.write_customers(fence, write).await
    }

    async fn apply_methods(
        &self,
        fence: &Fence,
        write: MethodsWrite,
    ) -> Result<MethodsApplied, StoreError> {
        self.write_methods(fence, write).await
    }

    async fn end_scan(
        &self,
        fence: &Fence,
        scan: &str,
        state: ScanState,
    ) -> Result<(), StoreError> {
        self.write_scan_end(fence, scan, state).await
    }

    async fn unseen_customers(
        &self,
        scan: &str,
        settled: Timestamp,
        after: Option<&RemoteCustomerId>,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        self.read_unseen(scan, settled, after, most).await
    }

    async fn last_complete_scan(
        &self,
        account: &AccountName,
        config: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.find_last_complete(account, config).await
    }

    async fn listed(
        &self,
        account: &AccountName,
        ids: &[RemoteCustomerId],
    ) -> Result<BTreeSet<RemoteCustomerId>, StoreError> {
        self.find_listed(account, ids).await
    }

    async fn known_before(
        &self,
        account: &AccountName,
        ids: &[RemoteCustomerId],
        before: Timestamp,
    ) -> Result<BTreeSet<RemoteCustomerId>, StoreError> {
        self.find_known(account, ids, before).await
    }

    async fn due_customers(
        &self,
        account: &AccountName,
        due: &Due,
        after: Option<&RemoteCustomerId>,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        self.read_due(account, due, after, most).await
    }

    async fn read_longest_ago(
        &self,
        account: &AccountName,
        since: Timestamp,
        before_it: u64,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.find_longest_ago(account, since, before_it).await
    }

    async fn unlisted_methods(
        &self,
        account: &AccountName,
        since: Timestamp,
        settled: Timestamp,
        after: Option<&(RemoteCustomerId, RemoteMethodId)>,
        most: u32,
    ) -> Result<Vec<(RemoteCustomerId, RemoteMethodId)>, StoreError> {
        self.read_unlisted(account, since, settled, after, most).await
    }

    async fn removed_since(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        self.count_removed(account, since).await
    }

    async fn methods_unread(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<MethodsUnread, StoreError> {
        self.count_unread(account, since).await
    }

    async fn matching(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<MatchFinding>, StoreError> {
        self.read_matching(account, most).await
    }

    async fn move_links(
        &self,
        account: &AccountName,
        moves: Vec<LinkMove>,
        dry: bool,
    ) -> Result<Vec<Result<LinkMoved, LinkRefused>>, StoreError> {
        self.write_links_moved(account, moves, dry).await
    }

    async fn export_customers(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedCustomer>, StoreError> {
        self.page_of_customers(account, after, most).await
    }

    async fn export_methods(
        &self,
        account: Option<&AccountName>,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedMethod>, StoreError> {
        self.page_of_methods(account, after, most).await
    }

    async fn export_links(
        &self,
        account: &AccountName,
        after: &PageKey,
        most: u32,
    ) -> Result<Vec<ExportedLink>, StoreError> {
        self.page_of_links(account, after, most).await
    }

    async fn find_customers(&self, id: &str) -> Result<Vec<CustomerId>, StoreError> {
        self.customers_called(id).await
    }

    async fn find_methods(&self, id: &str) -> Result<Vec<MethodId>, StoreError> {
        self.methods_called(id).await
    }

    async fn customer_history(
        &self,
        id: &CustomerId,
    ) -> Result<Option<CustomerHistory>, StoreError> {
        self.history_of_customer(id).await
    }

    async fn method_history(&self, id: &MethodId) -> Result<Option<MethodHistory>, StoreError> {
        self.history_of_method(id).await
    }

    async fn changes_of_run(
        &self,
        run: &RunId,
        after: i64,
        most: u32,
    ) -> Result<Vec<Changed>, StoreError> {
        self.read_changes(run, after, most).await
    }

    async fn lease_permits(
        &self,
        account: &AccountName,
        per_second: f64,
        want: u32,
    ) -> Result<Lease, StoreError> {
        self.reserve(account, per_second, want).await
    }

    async fn close_gate(&self, account: &AccountName, pause: Duration) -> Result<(), StoreError> {
        self.shut(account, pause).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
