//! Effects whose outcome is not known: taken over from workers that are gone, and read back with
//! what settling them needs.

use std::collections::{BTreeSet, HashMap};

use model::{AccountName, Code, EffectId, Reference, RemoteMethodId};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::decode::{fp, get, id, list, opt_time, time};
use super::groups::effect;
use super::journal::check_writer;
use super::{SqliteStore, check_fence, server_now};
use crate::canonical::from_json;
use crate::effects::age;
use crate::staged::method_facts;
use crate::writes::TAKEN_OVER;
use crate::{EffectQuery, EffectRecord, EffectState, Fence, StoreError, TokenFp, Unsettled};

/// Marked in one transaction.
const AT_ONCE: i64 = 2000;
// The partial index is named by its own condition, or SQLite walks all effects of the account.
const TAKE_OVER: &str = "UPDATE effects SET state = 'unknown', code = ?2, message = ?3, \
     updated_at = ?4 \
     WHERE state = 'sending' AND id IN (SELECT e.id FROM effects AS e INDEXED BY effects_one_open \
     WHERE e.account = ?1 AND e.state IN ('planned', 'sending', 'unknown', 'unresolved') \
     AND e.state = 'sending' AND NOT EXISTS (SELECT 1 FROM parts AS p WHERE p.run = e.run \
     AND p.no = e.part AND p.epoch = e.epoch AND p.owner IS NOT NULL AND p.lease_until >= ?5) \
     LIMIT ?6)";
macro_rules! record {
    () => {
        "SELECT e.id, e.run, e.kind, e.subject, e.reference, e.token_fp, e.line, e.state, \
         e.attempt, e.origin, e.remote_customer_id, e.remote_method_id, e.code, e.message, \
         e.account, e.sent_at, e.created_at, e.updated_at, e.known_before, e.request_id, e.status, \
         e.idempotency_key, e.changes"
    };
}
const UNSETTLED: &str = concat!(
    record!(),
    ", s.stated FROM effects AS e INDEXED BY effects_one_open \
     LEFT JOIN staged_rows AS s ON s.run = e.run AND s.line = e.line \
     WHERE e.account = ?1 AND e.state IN ('planned', 'sending', 'unknown', 'unresolved') \
     AND e.state = 'unknown' AND e.id > ?2 ORDER BY e.id LIMIT ?3"
);
const TIED: &str = "SELECT reference, token_fp, remote_method_id FROM token_links \
     WHERE account = ?1 AND reference IN (SELECT value FROM json_each(?2))";
const EFFECTS: &str = concat!(
    record!(),
    " FROM effects AS e WHERE (?1 IS NULL OR e.account = ?1) AND (?2 IS NULL OR e.run = ?2) \
     AND e.state IN (SELECT value FROM json_each(?3)) AND e.id > ?4 ORDER BY e.id LIMIT ?5"
);
const EFFECT: &str = concat!(
    record!(),
    ", s.stated FROM effects AS e LEFT JOIN staged_rows AS s ON s.run = e.run AND s.line = e.line \
     WHERE e.id = ?1"
);

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[TAKE_OVER, UNSETTLED, TIED, EFFECTS, EFFECT];

fn record(row: &SqliteRow) -> Result<EffectRecord, StoreError> {
    let known: Option<&str> = get(row, 18)?;
    let changes: Option<&str> = get(row, 22)?;
    Ok(EffectRecord {
        effect: effect(row)?,
        account: id(row, 14)?,
        sent_at: opt_time(row, 15)?,
        created_at: time(row, 16)?,
        updated_at: time(row, 17)?,
        known_before: known.map(|known| from_json("known payment methods", known)).transpose()?,
        request_id: get(row, 19)?,
        status: get(row, 20)?,
        idempotency_key: get(row, 21)?,
        changes: changes.map(|changes| from_json("changed fields", changes)).transpose()?,
    })
}

/// The payment methods that tokens of these references became.
async fn ties(
    conn: &mut SqliteConnection,
    account: &AccountName,
    references: BTreeSet<&str>,
) -> Result<HashMap<Reference, Vec<(TokenFp, RemoteMethodId)>>, StoreError> {
    let rows =
        sqlx::query(TIED).bind(account.as_str()).bind(list(references)).fetch_all(conn).await?;
    let mut ties: HashMap<Reference, Vec<(TokenFp, RemoteMethodId)>> = HashMap::new();
    for row in &rows {
        ties.entry(id(row, 0)?).or_default().push((fp(get(row, 1)?)?, id(row, 2)?));
    }
    Ok(ties)
}

/// Effects as rows say them, with the ties of their references.
async fn unsettled(
    conn: &mut SqliteConnection,
    account: &AccountName,
    rows: &[SqliteRow],
) -> Result<Vec<Unsettled>, StoreError> {
    let now = server_now();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let stated: Option<&str> = get(row, 23)?;
        let record = record(row)?;
        found.push(Unsettled {
            age: age(record.sent_at, now),
            facts: stated.map(method_facts).transpose()?.flatten(),
            tied: Vec::new(),
            record,
        });
    }
    let references =
        found.iter().filter_map(|one| one.record.effect.reference.as_ref()).map(Reference::as_str);
    let ties = ties(conn, account, references.collect()).await?;
    for one in &mut found {
        one.keep_ties(&ties);
    }
    Ok(found)
}

impl SqliteStore {
    pub(super) async fn mark_unknown(
        &self,
        fence: &Fence,
        account: &AccountName,
    ) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin_durable().await?;
        check_fence(&mut tx, fence).await?;
        check_writer(&mut tx, fence, account).await?;
        let marked = sqlx::query(TAKE_OVER)
            .bind(account.as_str())
            .bind(Code::OutcomeUnknown.as_str())
            .bind(TAKEN_OVER)
            .bind(self.now().micros())
            .bind(server_now())
            .bind(AT_ONCE)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        tx.commit().await?;
        Ok(marked)
    }

    pub(super) async fn read_unsettled(
        &self,
        account: &AccountName,
        after: Option<&EffectId>,
        most: u32,
    ) -> Result<Vec<Unsettled>, StoreError> {
        // One transaction that reads: all of it is of one moment.
        let mut tx = self.snapshot().await?;
        let rows = sqlx::query(UNSETTLED)
            .bind(account.as_str())
            .bind(after.map_or("", EffectId::as_str))
            .bind(i64::from(most))
            .fetch_all(&mut *tx)
            .await?;
        let found = unsettled(&mut tx, account, &rows).await?;
        tx.commit().await?;
        Ok(found)
    }

    pub(super) async fn list_effects(
        &self,
        query: &EffectQuery,
    ) -> Result<Vec<EffectRecord>, StoreError> {
        let rows = sqlx::query(EFFECTS)
            .bind(query.account.as_ref().map(AccountName::as_str))
            .bind(query.run.as_ref().map(model::RunId::as_str))
            .bind(list(query.states.iter().map(|state| EffectState::as_str(*state))))
            .bind(query.after.as_ref().map_or("", EffectId::as_str))
            .bind(i64::from(query.most))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn read_effect(&self, id: &EffectId) -> Result<Option<Unsettled>, StoreError> {
        let mut tx = self.snapshot().await?;
        let rows = sqlx::query(EFFECT).bind(id.as_str()).fetch_all(&mut *tx).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let account = record(row)?.account;
        let found = unsettled(&mut tx, &account, &rows).await?.pop();
        tx.commit().await?;
        Ok(found)
    }
}
