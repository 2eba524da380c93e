//! Scans, and what reads bring into the mirror.

use std::collections::{HashMap, HashSet};

use model::{RemoteCustomerId, RunId};

use super::bulk::{Bound, Bulk};
use super::decode::{list, signed};
use super::mirror::{self, MethodsAtHand};
use super::{SqliteStore, check_fence};
use crate::canonical::{CustomerPlanner, Guard, MethodNews, MirrorState, NewsOfMethod, key_of};
use crate::{
    CustomersApplied, CustomersWrite, Fence, MethodList, MethodsApplied, MethodsWrite, NewScan,
    ScanState, StoreError,
};

const ADD_SCAN: &str = "INSERT INTO scans (id, run, account, what, pass, page_size, rows_seen, \
     state, started_at) VALUES (?1, ?2, ?3, 'customers', ?4, ?5, 0, 'running', ?6)";
const CHECKPOINT: &str = "UPDATE scans SET cursor = COALESCE(?3, cursor), \
     rows_seen = rows_seen + ?4 WHERE id = ?1 AND run = ?2";
const END_SCAN: &str = "UPDATE scans SET state = ?3, ended_at = ?4 WHERE id = ?1 AND run = ?2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ADD_SCAN, CHECKPOINT, END_SCAN];

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
        let CustomersWrite { account, scan, as_of, customers, checkpoint } = write;
        // What needs no database is done before anybody else is kept waiting.
        let (planner, inline) = CustomerPlanner::new(customers, as_of, Guard::Read);
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let context = mirror::context(&mut tx, fence, &account, self.now(), Guard::Read).await?;
        let plan =
            mirror::put_customers(&mut tx, &context, planner, as_of, scan.as_deref()).await?;
        let mut counts = plan.counts;
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
            let found = sqlx::query(CHECKPOINT)
                .bind(scan.as_str())
                .bind(fence.run.as_str())
                .bind(checkpoint.as_deref())
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
        let MethodsWrite { account, lists, second } = write;
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let context = mirror::context(&mut tx, fence, &account, self.now(), Guard::Read).await?;
        let ids: HashSet<_> = lists.iter().map(|list| &list.customer).collect();
        let customers = mirror::links_of(&mut tx, &account, ids).await?;
        let known = list(customers.keys().map(RemoteCustomerId::as_str));
        let mirror = mirror::mirror_methods(&mut tx, &account, known).await?;

        // The latest list of a customer says what it lacks.
        let mut latest: HashMap<&RemoteCustomerId, &MethodList> = HashMap::new();
        for list in lists.iter().filter(|list| customers.contains_key(&list.customer)) {
            let kept = latest.entry(&list.customer).or_insert(list);
            if kept.as_of <= list.as_of {
                *kept = list;
            }
        }
        let listed: HashSet<_> = latest
            .values()
            .flat_map(|list| list.methods.iter().map(|m| key_of(&list.customer, &m.id)))
            .collect();
        let mut missing: Vec<_> = mirror
            .iter()
            .filter(|(key, row)| {
                row.state == MirrorState::Live
                    && !listed.contains(*key)
                    // A row that is newer than the list cannot be missed by it.
                    && latest.get(&key.0).is_some_and(|list| row.as_of < list.as_of)
            })
            .map(|(key, _)| key.clone())
            .collect();
        missing.sort_unstable();
        let gone: Vec<_> = missing
            .iter()
            .filter(|_| second)
            .filter_map(|(customer, method)| {
                let as_of = latest.get(customer)?.as_of;
                let what = MethodNews::Removed(method.clone());
                Some(NewsOfMethod { customer: customer.clone(), as_of, what })
            })
            .collect();
        let removed = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        let read: Vec<_> = latest.values().map(|l| (l.customer.clone(), l.as_of)).collect();

        let mut ordered = lists;
        ordered.sort_by(|a, b| (&a.customer, a.as_of).cmp(&(&b.customer, b.as_of)));
        let news = ordered
            .into_iter()
            .flat_map(|MethodList { customer, as_of, methods }| {
                methods.into_iter().map(move |method| NewsOfMethod {
                    customer: customer.clone(),
                    as_of,
                    what: MethodNews::Seen(Box::new(method)),
                })
            })
            .chain(gone)
            .collect();
        let at_hand = MethodsAtHand { news, customers, fresh: HashSet::new(), mirror };
        let mut plan = mirror::put_methods(&mut tx, &self.keys, &context, at_hand).await?;
        let bind = |q: Bound, (customer, at): &(RemoteCustomerId, model::Timestamp)| {
            q.bind(customer.as_str()).bind(at.micros())
        };
        METHODS_READ.run(&mut tx, &read, bind, |q| q.bind(account.as_str())).await?;
        tx.commit().await?;
        plan.counts.seen = plan.counts.seen.saturating_sub(removed);
        plan.counts.updated = plan.counts.updated.saturating_sub(removed);
        Ok(MethodsApplied { counts: plan.counts, missing, removed })
    }
}
