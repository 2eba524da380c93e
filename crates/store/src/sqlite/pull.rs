//! Scans, and what reads bring into the mirror.

use std::collections::{HashMap, HashSet};

use model::{AccountName, RemoteCustomerId, RunId};
use sqlx::SqliteConnection;

use super::bulk::{Bound, Bulk};
use super::decode::{list, signed};
use super::mirror::{self, MethodsAtHand};
use super::{SqliteStore, check_fence, micros, server_now};
use crate::baseline;
use crate::canonical::{
    CustomerPlanner, Guard, ListsPlan, MethodNews, NewsOfMethod, OpenEffects, gone_with, plan_lists,
};
use crate::{
    CustomersApplied, CustomersWrite, Fence, MethodsApplied, MethodsWrite, NewScan, Overlap,
    ScanState, StoreError,
};

const ADD_SCAN: &str = "INSERT INTO scans (id, run, account, what, pass, page_size, rows_seen, \
     state, started_at, config) VALUES (?1, ?2, ?3, ?7, ?4, ?5, 0, 'running', ?6, ?8)";
const SAW: &str = "UPDATE scans SET rows_seen = rows_seen + ?3 WHERE id = ?1 AND run = ?2";
const END_SCAN: &str = "UPDATE scans SET state = ?3, ended_at = ?4 WHERE id = ?1 AND run = ?2";
const OPEN_EFFECTS: &str = "SELECT remote_customer_id, reference FROM effects \
     INDEXED BY effects_one_open WHERE account = ?1 \
     AND state IN ('planned', 'sending', 'unknown', 'unresolved') \
     AND state IN ('sending', 'unknown') AND sent_at > ?2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ADD_SCAN, SAW, END_SCAN, OPEN_EFFECTS];

#[cfg(test)]
pub(super) const BULKS: &[&Bulk] = &[&METHODS_READ];

static METHODS_READ: Bulk = Bulk::new(
    "WITH seen (customer, at) AS (VALUES ",
    "(?, ?)",
    ") UPDATE remote_customers SET methods_read_at = MAX(COALESCE(methods_read_at, seen.at), \
     seen.at) FROM seen WHERE account = ? AND remote_id = seen.customer",
);

impl SqliteStore {
    pub(super) async fn make_scan(
        &self,
        fence: &Fence,
        scan: &NewScan,
    ) -> Result<String, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let id = format!("s_{}", RunId::generate());
        sqlx::query(ADD_SCAN)
            .bind(id.as_str())
            .bind(fence.run.as_str())
            .bind(scan.account.as_str())
            .bind(i64::from(scan.pass))
            .bind(i64::from(scan.page_size))
            .bind(self.now().micros())
            .bind(if scan.top { baseline::TOP } else { baseline::WHOLE })
            .bind(scan.config.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(id)
    }

    pub(super) async fn close_scan(
        &self,
        fence: &Fence,
        scan: &str,
        state: ScanState,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let ended = (state != ScanState::Running).then(|| self.now().micros());
        let found = sqlx::query(END_SCAN)
            .bind(scan)
            .bind(fence.run.as_str())
            .bind(state.as_str())
            .bind(ended)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        if found == 0 {
            return Err(StoreError::NotFound("scan"));
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_customers(
        &self,
        fence: &Fence,
        write: CustomersWrite,
    ) -> Result<CustomersApplied, StoreError> {
        let CustomersWrite { account, scan, as_of, customers, overlap } = write;
        // What needs no database is done before anybody else is kept waiting.
        let (mut planner, mut inline) = CustomerPlanner::new(customers, as_of, Guard::Read);
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let open = open_effects(&mut tx, &account, overlap).await?;
        let overlapping = open.map_or(0, |open| planner.drop_open(&open, &mut inline));
        let context = mirror::context(&mut tx, fence, &account, self.now(), Guard::Read).await?;
        let plan =
            mirror::put_customers(&mut tx, &context, planner, as_of, scan.as_deref()).await?;
        let mut counts = CustomersApplied { overlapping, ..plan.counts };
        if !plan.removed.is_empty() {
            let ids = list(plan.removed.iter().map(RemoteCustomerId::as_str));
            let mirror = mirror::mirror_methods(&mut tx, &account, ids).await?;
            let customers = mirror::links_of(&mut tx, &account, &plan.removed).await?;
            let news = gone_with(&mirror, as_of);
            counts.methods_removed = news.len() as u64;
            let at_hand = MethodsAtHand { news, customers, fresh: HashSet::new(), mirror };
            mirror::put_methods(&mut tx, &self.keys, &context, at_hand).await?;
        }
        if !inline.is_empty() {
            let new: HashSet<&RemoteCustomerId> = plan.new.iter().collect();
            let known: Vec<_> = inline
                .iter()
                .map(|(customer, _)| customer)
                .filter(|customer| !new.contains(*customer))
                .map(RemoteCustomerId::as_str)
                .collect();
            let mirror = if known.is_empty() {
                HashMap::new()
            } else {
                mirror::mirror_methods(&mut tx, &account, list(known)).await?
            };
            let news = inline
                .into_iter()
                .flat_map(|(customer, methods)| {
                    methods.into_iter().map(move |method| NewsOfMethod {
                        customer: customer.clone(),
                        as_of,
                        what: MethodNews::Seen(Box::new(method)),
                    })
                })
                .collect();
            let customers = plan.links.into_iter().map(|(id, link)| (id, Some(link))).collect();
            let at_hand = MethodsAtHand { news, customers, fresh: plan.fresh, mirror };
            counts.methods =
                mirror::put_methods(&mut tx, &self.keys, &context, at_hand).await?.counts;
        }
        if let Some(scan) = &scan {
            let found = sqlx::query(SAW)
                .bind(scan.as_str())
                .bind(fence.run.as_str())
                .bind(signed(counts.seen))
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if found == 0 {
                return Err(StoreError::NotFound("scan"));
            }
        }
        tx.commit().await?;
        Ok(counts)
    }

    pub(super) async fn write_methods(
        &self,
        fence: &Fence,
        write: MethodsWrite,
    ) -> Result<MethodsApplied, StoreError> {
        let MethodsWrite { account, mut lists, absent, overlap } = write;
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let open = open_effects(&mut tx, &account, overlap).await?;
        let overlapping = open.map_or(0, |open| open.drop_lists(&mut lists));
        let context = mirror::context(&mut tx, fence, &account, self.now(), Guard::Read).await?;
        let ids: HashSet<_> = lists.iter().map(|list| &list.customer).collect();
        let customers = mirror::links_of(&mut tx, &account, ids).await?;
        let known = list(customers.keys().map(RemoteCustomerId::as_str));
        let mirror = mirror::mirror_methods(&mut tx, &account, known).await?;
        let ListsPlan { news, missing, removed, read } =
            plan_lists(lists, &absent, &customers, &mirror);
        let at_hand = MethodsAtHand { news, customers, fresh: HashSet::new(), mirror };
        let mut counts = mirror::put_methods(&mut tx, &self.keys, &context, at_hand).await?.counts;
        let bind = |q: Bound, (customer, at): &(RemoteCustomerId, model::Timestamp)| {
            q.bind(customer.as_str()).bind(at.micros())
        };
        METHODS_READ.run(&mut tx, &read, bind, |q| q.bind(account.as_str())).await?;
        tx.commit().await?;
        counts.without_removed(removed);
        Ok(MethodsApplied { counts, missing, removed, overlapping })
    }
}

/// The effects of an account that a read may overlap, if it is to be dropped then.
async fn open_effects(
    conn: &mut SqliteConnection,
    account: &AccountName,
    overlap: Overlap,
) -> Result<Option<OpenEffects>, StoreError> {
    let Overlap::Dropped(open) = overlap else { return Ok(None) };
    let rows = sqlx::query_as(OPEN_EFFECTS)
        .bind(account.as_str())
        .bind(server_now().saturating_sub(micros(open)))
        .fetch_all(conn)
        .await?;
    Ok(Some(OpenEffects::new(rows)))
}
