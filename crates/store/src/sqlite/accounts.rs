//! Who the accounts are, and how much is known of them.

use model::{AccountName, RemoteCustomerId, Timestamp};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::decode::{as_id, unsigned};
use crate::recompute::{ASK, CURSOR, FILE_RANK, ORDER, is_another};
use crate::{AccountRow, Identity, MirrorStats, StoreError};

const RANK_FILE: &str = "INSERT INTO meta (key, value) VALUES ('file_rank', ?1) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE meta.value <> excluded.value";
const ACCOUNT: &str = "SELECT kind, host, merchant, environment FROM accounts WHERE name = ?1";
const HAS_DATA: &str = "SELECT EXISTS (SELECT 1 FROM remote_customers WHERE account = ?1) \
     OR EXISTS (SELECT 1 FROM token_links WHERE account = ?1) \
     OR EXISTS (SELECT 1 FROM effects WHERE account = ?1)";
const PUT_ACCOUNT: &str = "INSERT INTO accounts \
     (name, kind, host, merchant, environment, namespace, rank, bound_at, match_by_email) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
     ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, host = excluded.host, \
     merchant = excluded.merchant, environment = excluded.environment, \
     namespace = excluded.namespace, rank = excluded.rank, \
     match_by_email = excluded.match_by_email";
const REBIND: &str = "UPDATE accounts SET kind = ?2, host = ?3, merchant = ?4, environment = ?5, \
     token_identity = COALESCE(token_identity, ?6) WHERE name = ?1";
const TOKEN_IDENTITIES: &str =
    "SELECT name, token_identity FROM accounts WHERE token_identity IS NOT NULL";
const COUNT_CUSTOMERS: &str = "SELECT COUNT(*), MIN(as_of), MAX(as_of) FROM remote_customers \
     WHERE account = ?1 AND state = 'live'";
const COUNT_METHODS: &str =
    "SELECT COUNT(*) FROM remote_methods WHERE account = ?1 AND state = 'live'";
/// Ids are picked out of so many that were read last.
const SPREAD: i64 = 1000;
const LIVE_IDS: &str = "SELECT remote_id FROM remote_customers \
     WHERE account = ?1 AND state = 'live' ORDER BY as_of DESC, remote_id LIMIT ?2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    ACCOUNT,
    HAS_DATA,
    PUT_ACCOUNT,
    REBIND,
    TOKEN_IDENTITIES,
    COUNT_CUSTOMERS,
    COUNT_METHODS,
    LIVE_IDS,
];

/// Refuses another identity for an account that has data.
async fn check(conn: &mut SqliteConnection, account: &AccountRow) -> Result<(), StoreError> {
    let Some(known) = bound(conn, account).await? else { return Ok(()) };
    let now = account.who();
    let Some((what, before, now)) = known.changed(&now).into_iter().next() else { return Ok(()) };
    let has_data: i64 =
        sqlx::query_scalar(HAS_DATA).bind(account.name.as_str()).fetch_one(conn).await?;
    if has_data == 0 {
        return Ok(());
    }
    Err(StoreError::AccountChanged {
        account: account.name.clone(),
        what,
        before: before.to_owned(),
        now: now.to_owned(),
    })
}

/// Whose account it is known to be.
async fn bound(
    conn: &mut SqliteConnection,
    account: &AccountRow,
) -> Result<Option<Identity>, StoreError> {
    let known: Option<(String, String, String, String)> =
        sqlx::query_as(ACCOUNT).bind(account.name.as_str()).fetch_optional(conn).await?;
    Ok(known.map(|(kind, host, merchant, environment)| Identity {
        kind,
        host,
        merchant,
        environment,
    }))
}

crate::recompute::page!(SqliteConnection);

impl SqliteStore {
    pub(super) async fn bind_accounts_now(
        &self,
        accounts: &[AccountRow],
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let now = self.now().micros();
        let before: Vec<String> = sqlx::query_scalar(ORDER).fetch_all(&mut *tx).await?;
        for account in accounts {
            check(&mut tx, account).await?;
            sqlx::query(PUT_ACCOUNT)
                .bind(account.name.as_str())
                .bind(account.kind.as_str())
                .bind(account.host.as_str())
                .bind(account.merchant.as_str())
                .bind(account.environment.as_str())
                .bind(account.namespace.as_str())
                .bind(i64::from(account.rank))
                .bind(now)
                .bind(i64::from(account.match_by_email))
                .execute(&mut *tx)
                .await?;
        }
        let order: Vec<String> = sqlx::query_scalar(ORDER).fetch_all(&mut *tx).await?;
        if is_another(&before, &order) {
            sqlx::query(ASK).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn recompute_next(&self, most: u32) -> Result<Option<u64>, StoreError> {
        // Nearly always there is nothing to do.
        let asked: Option<String> =
            sqlx::query_scalar(CURSOR).fetch_optional(&self.readers).await?;
        if asked.is_none() {
            return Ok(None);
        }
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let done = recompute_page(&mut tx, self.now(), most).await?;
        tx.commit().await?;
        Ok(done)
    }

    pub(super) async fn rebind(&self, account: &AccountRow) -> Result<Identity, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let before = bound(&mut tx, account).await?.ok_or(StoreError::NotFound("account"))?;
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
            sqlx::query_as(TOKEN_IDENTITIES).fetch_all(&self.readers).await?;
        rows.into_iter().map(|(name, identity)| Ok((as_id(name)?, identity))).collect()
    }

    pub(super) async fn count_mirror(
        &self,
        account: &AccountName,
    ) -> Result<MirrorStats, StoreError> {
        let (customers, oldest, newest): (i64, Option<i64>, Option<i64>) =
            sqlx::query_as(COUNT_CUSTOMERS).bind(account.as_str()).fetch_one(&self.readers).await?;
        let methods: i64 = sqlx::query_scalar(COUNT_METHODS)
            .bind(account.as_str())
            .fetch_one(&self.readers)
            .await?;
        Ok(MirrorStats {
            customers: unsigned(customers),
            methods: unsigned(methods),
            oldest: oldest.map(Timestamp::from_micros),
            newest: newest.map(Timestamp::from_micros),
        })
    }

    pub(super) async fn write_file_rank(&self, rank: u32) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        let before: Option<String> = sqlx::query_scalar(FILE_RANK).fetch_optional(&mut *tx).await?;
        let rank = rank.to_string();
        sqlx::query(RANK_FILE).bind(rank.as_str()).execute(&mut *tx).await?;
        if before.is_some_and(|before| before != rank) {
            sqlx::query(ASK).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn some_live_ids(
        &self,
        account: &AccountName,
        most: u32,
    ) -> Result<Vec<RemoteCustomerId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(LIVE_IDS)
            .bind(account.as_str())
            .bind(SPREAD)
            .fetch_all(&self.readers)
            .await?;
        // The latest read of all may stand together, and be gone together.
        let step = ids.len().div_ceil(most.max(1) as usize).max(1);
        ids.into_iter().step_by(step).map(as_id).collect()
    }
}
