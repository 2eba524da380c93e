//! Accounts, and how much is known of them.

use std::collections::HashMap;

use model::{AccountName, RemoteCustomerId, Timestamp};
use sqlx::PgConnection;

use super::PostgresStore;
use super::decode::{as_id, unsigned};
use crate::recompute::{ASK, CURSOR, FILE_RANK, ORDER, is_another};
use crate::{AccountRow, Identity, MirrorStats, StoreError};

type Bound = (String, String, String, String, String);

const RANK_FILE: &str = "INSERT INTO meta (key, value) VALUES ('file_rank', $1) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE meta.value <> excluded.value";
const BOUND: &str = "SELECT name, kind, host, merchant, environment FROM accounts \
     WHERE name = ANY($1) ORDER BY name FOR UPDATE";
const HAS_DATA: &str = "SELECT EXISTS (SELECT 1 FROM remote_customers WHERE account = $1) \
     OR EXISTS (SELECT 1 FROM effects WHERE account = $1) \
     OR EXISTS (SELECT 1 FROM token_links WHERE account = $1) \
     OR EXISTS (SELECT 1 FROM statements WHERE account = $1)";
const BIND: &str = "INSERT INTO accounts \
     (name, kind, host, merchant, environment, namespace, rank, match_by_email, bound_at) \
     SELECT u.*, $9 FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], \
     $6::text[], $7::bigint[], $8::bigint[]) u ON CONFLICT (name) DO UPDATE SET kind = EXCLUDED.kind, \
     host = EXCLUDED.host, merchant = EXCLUDED.merchant, environment = EXCLUDED.environment, \
     namespace = EXCLUDED.namespace, rank = EXCLUDED.rank, \
     match_by_email = EXCLUDED.match_by_email";
const REBIND: &str = "UPDATE accounts SET kind = $2, host = $3, merchant = $4, environment = $5, \
     token_identity = COALESCE(token_identity, $6) WHERE name = $1";
const TOKEN_IDENTITIES: &str =
    "SELECT name, token_identity FROM accounts WHERE token_identity IS NOT NULL";
// Nobody links or recomputes beside it; one such page at a time.
const HOLD_ALL: &str = "SELECT name FROM accounts ORDER BY name FOR NO KEY UPDATE";
const CUSTOMER_STATS: &str = "SELECT count(*), min(as_of), max(as_of) FROM remote_customers \
     WHERE account = $1 AND state = 'live'";
const METHOD_STATS: &str =
    "SELECT count(*) FROM remote_methods WHERE account = $1 AND state = 'live'";
/// Ids are picked out of so many that were read last.
const SPREAD: i64 = 1000;
const LIVE_IDS: &str = "SELECT remote_id FROM remote_customers \
     WHERE account = $1 AND state = 'live' ORDER BY as_of DESC, remote_id LIMIT $2";

fn known((name, kind, host, merchant, environment): Bound) -> (String, Identity) {
    (name, Identity { kind, host, merchant, environment })
}

crate::recompute::page!(PgConnection);

impl PostgresStore {
    pub(super) async fn recompute_next(&self, most: u32) -> Result<Option<u64>, StoreError> {
        // Nearly always there is nothing to do.
        let asked: Option<String> = sqlx::query_scalar(CURSOR).fetch_optional(&self.pool).await?;
        if asked.is_none() {
            return Ok(None);
        }
        let mut tx = self.begin().await?;
        sqlx::query(HOLD_ALL).execute(&mut *tx).await?;
        let done = recompute_page(&mut tx, self.now(), most).await?;
        tx.commit().await?;
        Ok(done)
    }

    pub(super) async fn rebind(&self, account: &AccountRow) -> Result<Identity, StoreError> {
        let mut tx = self.begin().await?;
        let bound: Option<Bound> = sqlx::query_as(BOUND)
            .bind([account.name.as_str()].as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        let (_, before) = bound.map(known).ok_or(StoreError::NotFound("account"))?;
        sqlx::query(REBIND)
            .bind(account.name.as_str())
            .bind(account.kind.as_str())
            .bind(account.host.as_str())
            .bind(account.merchant.as_str())
            .bind(account.environment.as_str())
            .bind(before.text())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(before)
    }

    pub(super) async fn read_token_identities(
        &self,
    ) -> Result<Vec<(AccountName, String)>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as(TOKEN_IDENTITIES).fetch_all(&self.pool).await?;
        rows.into_iter().map(|(name, identity)| Ok((as_id(name)?, identity))).collect()
    }

    pub(super) async fn write_file_rank(&self, rank: u32) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let before: Option<String> = sqlx::query_scalar(FILE_RANK).fetch_optional(&mut *tx).await?;
        let rank = rank.to_string();
        sqlx::query(RANK_FILE).bind(rank.as_str()).execute(&mut *tx).await?;
        if before.is_some_and(|before| before != rank) {
            sqlx::query(ASK).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn bind_all(&self, accounts: &[AccountRow]) -> Result<(), StoreError> {
        let mut sorted: Vec<&AccountRow> = accounts.iter().collect();
        sorted.sort_by_key(|row| &row.name);
        sorted.dedup_by_key(|row| &row.name);
        let names: Vec<&str> = sorted.iter().map(|row| row.name.as_str()).collect();
        let mut tx = self.begin().await?;
        let before: Vec<String> = sqlx::query_scalar(ORDER).fetch_all(&mut *tx).await?;
        let bound: Vec<Bound> = sqlx::query_as(BOUND).bind(&names).fetch_all(&mut *tx).await?;
        let bound: HashMap<String, Identity> = bound.into_iter().map(known).collect();
        for row in &sorted {
            let Some(before) = bound.get(row.name.as_str()) else { continue };
            let now = row.who();
            let Some((what, before, now)) = before.changed(&now).into_iter().next() else {
                continue;
            };
            let has_data: bool =
                sqlx::query_scalar(HAS_DATA).bind(row.name.as_str()).fetch_one(&mut *tx).await?;
            if has_data {
                return Err(StoreError::AccountChanged {
                    account: row.name.clone(),
                    what,
                    before: before.to_owned(),
                    now: now.to_owned(),
                });
            }
        }
        let column = |of: fn(&AccountRow) -> &str| sorted.iter().map(|r| of(r)).collect::<Vec<_>>();
        let ranks: Vec<i64> = sorted.iter().map(|row| i64::from(row.rank)).collect();
        let by_email: Vec<i64> = sorted.iter().map(|row| i64::from(row.match_by_email)).collect();
        sqlx::query(BIND)
            .bind(&names)
            .bind(column(|row| &row.kind))
            .bind(column(|row| &row.host))
            .bind(column(|row| &row.merchant))
            .bind(column(|row| &row.environment))
            .bind(column(|row| &row.namespace))
            .bind(ranks)
            .bind(by_email)
            .bind(self.now().micros())
            .execute(&mut *tx)
            .await?;
        let order: Vec<String> = sqlx::query_scalar(ORDER).fetch_all(&mut *tx).await?;
        if is_another(&before, &order) {
            sqlx::query(ASK).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn stats_of(&self, account: &AccountName) -> Result<MirrorStats, StoreError> {
        let mut tx = self.snapshot().await?;
        let (customers, oldest, newest): (i64, Option<i64>, Option<i64>) =
            sqlx::query_as(CUSTOMER_STATS).bind(account.as_str()).fetch_one(&mut *tx).await?;
        let methods: i64 =
            sqlx::query_scalar(METHOD_STATS).bind(account.as_str()).fetch_one(&mut *tx).await?;
        Ok(MirrorStats {
            customers: unsigned(customers),
            methods: unsigned(methods),
            oldest: oldest.map(Timestamp::from_micros),
            newest: newest.map(Timestamp::from_micros),
        })
    }

    pub(super) async fn live_ids(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(LIVE_IDS)
            .bind(account.as_str())
            .bind(SPREAD)
            .fetch_all(&self.pool)
            .await?;
        // The latest read of all may stand together, and be gone together.
        let step = ids.len().div_ceil(most.max(1) as usize).max(1);
        ids.into_iter().step_by(step).map(as_id).collect()
    }
}
