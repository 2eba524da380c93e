//! Staged rows: in, planned, finished, counted.

use std::collections::{BTreeSet, HashMap};

use model::{
    AccountName, Code, CustomerId, MethodId, Outcome, RemoteCustomerId, RemoteMethodId, RunId,
    Timestamp,
};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::bulk::{Bound, Bulk};
use super::decode::{as_id, get, list, opt_word, signed, unsigned};
use super::{SqliteStore, check_fence, mirror};
use crate::canonical::{Guard, to_json};
use crate::records::{CountedRows, CountedSubjects};
use crate::staged::{self, stated, unfit};
use crate::{
    Fence, FinishRows, Join, RowPlan, RowRecord, RowResult, RowTally, StagedRow, Statement,
    StoreError, Subjects, TokenLink, Verdict,
};

const CHECKPOINT: &str = "UPDATE parts SET cursor = COALESCE(?4, cursor), \
     rows_done = rows_done + ?5 WHERE run = ?1 AND no = ?2 AND epoch = ?3";
const FORGET: &str = "UPDATE staged_rows SET token = NULL WHERE run = ?1 AND token IS NOT NULL \
     AND line IN (SELECT value FROM json_each(?2))";
const LINKS: &str = "SELECT remote_id, customer_id FROM remote_customers WHERE account = ?1 \
     AND customer_id IS NOT NULL AND remote_id IN (SELECT value FROM json_each(?2))";
const METHOD_LINKS: &str = "SELECT remote_customer_id, remote_id, method_id FROM remote_methods \
     WHERE account = ?1 AND method_id IS NOT NULL \
     AND remote_customer_id IN (SELECT value FROM json_each(?2))";
const LAST_LINE: &str = "SELECT max(line) FROM staged_rows WHERE run = ?1";
// SQLite groups by sorting, and one text is sorted several times as fast as a row of three. Some
// thousand lines at a time, since it sorts in memory.
const TALLY: &str = "SELECT NULL, NULL, plan, count(*) FROM staged_rows \
     WHERE run = ?1 AND line > ?2 AND line <= ?3 AND outcome IS NULL GROUP BY plan \
     UNION ALL SELECT outcome, NULL, NULL, count(*) FROM staged_rows \
     WHERE run = ?1 AND line > ?2 AND line <= ?3 AND outcome IS NOT NULL AND code IS NULL \
     GROUP BY outcome \
     UNION ALL SELECT outcome, code, NULL, count(*) FROM staged_rows \
     WHERE run = ?1 AND line > ?2 AND line <= ?3 AND outcome IS NOT NULL AND code IS NOT NULL \
     GROUP BY outcome, code";
const TALLY_LINES: i64 = 10_000;
const SUBJECTS: &str = "SELECT COUNT(DISTINCT remote_customer_id), \
     COUNT(CASE WHEN done LIKE '%create_customer%' THEN 1 END), COUNT(remote_method_id), \
     COUNT(CASE WHEN done LIKE '%add_method%' OR done LIKE '%import_method%' THEN 1 END) \
     FROM staged_rows WHERE run = ?1";
const ROWS: &str = "SELECT line, row_id, reference, outcome, code, message, field, customer_id, \
     remote_customer_id, method_id, remote_method_id, done, plan FROM staged_rows \
     WHERE run = ?1 AND line > ?2 ORDER BY line LIMIT ?3";
const BAD_ROWS: &str = "SELECT line, row_id, reference, outcome, code, message, field, customer_id, \
     remote_customer_id, method_id, remote_method_id, done, plan FROM staged_rows \
     WHERE run = ?1 AND outcome IN ('unresolved', 'refused', 'rejected', 'not_attempted') \
     ORDER BY CASE outcome WHEN 'unresolved' THEN 1 WHEN 'refused' THEN 2 WHEN 'rejected' THEN 3 \
     ELSE 4 END, line LIMIT ?2";
const STATED: &str = "SELECT stated FROM staged_rows WHERE run = ?1 AND reference IN (SELECT value FROM json_each(?2))";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[CHECKPOINT, FORGET, LINKS, METHOD_LINKS, LAST_LINE, TALLY, SUBJECTS, ROWS, BAD_ROWS, STATED];

#[cfg(test)]
pub(super) const BULKS: &[&Bulk] =
    &[&STAGE, &STAGE_DECIDED, &JOIN, &PLAN, &FINISH, &PUT_STATEMENTS, &PUT_TOKEN_LINKS];

/// Rows staged again after a crash are there already. What is the same for all rows is bound once,
/// and what most rows do not have is not bound at all.
static STAGE: Bulk = Bulk::new(
    "WITH new (line, part, head, tail, row_id, reference, stated, token_kind, token, token_fp, \
     plan) AS (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ") INSERT OR FAIL INTO staged_rows (run, line, part, head, tail, row_id, reference, stated, \
     token_kind, token, token_fp, plan) SELECT ?, new.* FROM new WHERE TRUE \
     ON CONFLICT (run, line) DO NOTHING",
);
static STAGE_DECIDED: Bulk = Bulk::new(
    "WITH new (line, part, head, tail, row_id, reference, stated, token_kind, token, token_fp, \
     plan, unfit, outcome, code, message, field) AS (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ") INSERT OR FAIL INTO staged_rows (run, line, part, head, tail, row_id, reference, stated, \
     token_kind, token, token_fp, plan, unfit, outcome, code, message, field) \
     SELECT ?, new.* FROM new WHERE TRUE ON CONFLICT (run, line) DO NOTHING",
);
/// The references are compared here: whoever looks for clusters may go by less than the whole text.
static JOIN: Bulk = Bulk::new(
    "WITH new (first, head) AS (VALUES ",
    "(?, ?)",
    ") INSERT OR FAIL INTO staged_joins (run, first, part, last, head) \
     SELECT s.run, s.line, s.part, s.tail, h.line FROM new \
     CROSS JOIN staged_rows AS s ON s.line = new.first \
     CROSS JOIN staged_rows AS h ON h.run = s.run AND h.line = new.head \
     WHERE s.run = ? AND s.reference = h.reference ON CONFLICT (run, first) DO NOTHING",
);
/// A token of a row that is decided goes.
static PLAN: Bulk = Bulk::new(
    "WITH new (line, plan, outcome, code, message, field) AS (VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    ") UPDATE staged_rows SET plan = new.plan, outcome = new.outcome, code = new.code, \
     message = new.message, field = new.field, \
     token = CASE WHEN new.outcome IS NULL THEN staged_rows.token END \
     FROM new WHERE staged_rows.run = ? AND staged_rows.line = new.line",
);
static FINISH: Bulk = Bulk::new(
    "WITH new (line, outcome, code, message, field, customer, remote_customer, method, \
     remote_method, done) AS (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ") UPDATE staged_rows SET outcome = new.outcome, code = new.code, message = new.message, \
     field = new.field, customer_id = new.customer, remote_customer_id = new.remote_customer, \
     method_id = new.method, remote_method_id = new.remote_method, done = new.done \
     FROM new WHERE staged_rows.run = ? AND staged_rows.line = new.line",
);
static PUT_STATEMENTS: Bulk = Bulk::new(
    "INSERT OR FAIL INTO statements (account, run, at, reference, token_fp, fields) VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (account, reference, token_fp) DO UPDATE SET fields = excluded.fields, \
     run = excluded.run, at = excluded.at",
);
static PUT_TOKEN_LINKS: Bulk = Bulk::new(
    "INSERT OR FAIL INTO token_links (account, run, at, reference, token_fp, \
     remote_customer_id, remote_method_id, how) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (account, reference, token_fp) DO UPDATE SET \
     remote_customer_id = excluded.remote_customer_id, \
     remote_method_id = excluded.remote_method_id, how = excluded.how, run = excluded.run, \
     at = excluded.at",
);

/// Writes token links; what a token became last counts.
pub(super) async fn put_token_links(
    conn: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
    now: Timestamp,
    links: &[TokenLink],
) -> Result<(), StoreError> {
    let bind = |q: Bound, link: &TokenLink| {
        q.bind(account.as_str())
            .bind(fence.run.as_str())
            .bind(now.micros())
            .bind(link.reference.as_str())
            .bind(link.fp.as_bytes().as_slice())
            .bind(link.remote_customer.as_str())
            .bind(link.remote_method.as_str())
            .bind(link.how.as_str())
    };
    PUT_TOKEN_LINKS.run(conn, links, bind, |q| q).await?;
    Ok(())
}

fn bind_verdict(q: Bound, verdict: Option<&Verdict>) -> Bound {
    q.bind(verdict.map(|v| v.outcome.as_str()))
        .bind(verdict.and_then(|v| v.code).map(Code::as_str))
        .bind(verdict.and_then(|v| v.message.as_deref()))
        .bind(verdict.and_then(|v| v.field.as_deref()))
}

/// What every staged row has.
fn bind_staged(q: Bound, (row, stated): &(&StagedRow, String)) -> Bound {
    let token = row.method.as_ref().and_then(|method| method.sealed.as_ref());
    let sealed = token.map(|token| token.sealed.as_slice());
    q.bind(signed(row.line))
        .bind(i64::from(row.part))
        .bind(signed(row.head))
        .bind(signed(row.tail))
        .bind(row.row_id.as_str())
        .bind(row.reference.as_ref().map(model::Reference::as_str))
        .bind(stated.as_str())
        .bind(token.map(|token| token.kind.as_str()))
        .bind(sealed.filter(|sealed| !sealed.is_empty()))
        .bind(token.map(|token| token.fp.as_bytes().as_slice()))
        .bind(row.plan.as_deref())
}

fn record(row: &SqliteRow) -> Result<RowRecord, StoreError> {
    Ok(RowRecord {
        line: unsigned(get(row, 0)?),
        row_id: get(row, 1)?,
        reference: get(row, 2)?,
        outcome: opt_word(row, 3, "an outcome", Outcome::parse)?,
        code: get(row, 4)?,
        message: get(row, 5)?,
        field: get(row, 6)?,
        customer_id: get(row, 7)?,
        remote_customer_id: get(row, 8)?,
        method_id: get(row, 9)?,
        remote_method_id: get(row, 10)?,
        done: get(row, 11)?,
        plan: get(row, 12)?,
    })
}

/// Fills our ids in where only the provider's are given.
async fn fill_ids(
    conn: &mut SqliteConnection,
    account: &AccountName,
    rows: &mut [RowResult],
) -> Result<(), StoreError> {
    let wanted: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.customer.is_none() || row.method.is_none())
        .filter_map(|row| row.remote_customer.as_ref().map(RemoteCustomerId::as_str))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted = list(wanted);
    let customers: Vec<(String, String)> = sqlx::query_as(LINKS)
        .bind(account.as_str())
        .bind(wanted.as_str())
        .fetch_all(&mut *conn)
        .await?;
    let customers: HashMap<String, String> = customers.into_iter().collect();
    let methods: Vec<(String, String, String)> =
        sqlx::query_as(METHOD_LINKS).bind(account.as_str()).bind(wanted).fetch_all(conn).await?;
    let methods: HashMap<(String, String), String> =
        methods.into_iter().map(|(customer, method, link)| ((customer, method), link)).collect();
    for row in rows {
        let Some(customer) = row.remote_customer.as_ref().map(RemoteCustomerId::as_str) else {
            continue;
        };
        if row.customer.is_none() {
            row.customer = customers.get(customer).cloned().map(as_id).transpose()?;
        }
        if let (None, Some(method)) = (&row.method, &row.remote_method) {
            let key = (customer.to_owned(), method.as_str().to_owned());
            row.method = methods.get(&key).cloned().map(as_id).transpose()?;
        }
    }
    Ok(())
}

impl SqliteStore {
    pub(super) async fn write_staged(
        &self,
        fence: &Fence,
        mut rows: Vec<StagedRow>,
    ) -> Result<(), StoreError> {
        // In order, and as text, before anybody else is kept waiting.
        rows.sort_by_key(|row| row.line);
        let (decided, plain): (Vec<_>, Vec<_>) = rows
            .iter()
            .map(|row| (row, stated(row)))
            .partition(|(row, _)| row.outcome.is_some() || row.unfit.is_some());
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let run = |q: Bound| q.bind(fence.run.as_str());
        STAGE.run(&mut tx, &plain, bind_staged, run).await?;
        let bind = |q: Bound, pair: &(&StagedRow, String)| {
            let row = pair.0;
            bind_staged(q, pair)
                .bind(unfit(row))
                .bind(row.outcome.map(Outcome::as_str))
                .bind(row.code.map(Code::as_str))
                .bind(row.message.as_deref())
                .bind(row.field.as_deref())
        };
        STAGE_DECIDED.run(&mut tx, &decided, bind, run).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_joins(
        &self,
        fence: &Fence,
        mut joins: Vec<Join>,
    ) -> Result<(), StoreError> {
        joins.sort_unstable_by_key(|join| join.first);
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let bind = |q: Bound, join: &Join| q.bind(signed(join.first)).bind(signed(join.head));
        JOIN.run(&mut tx, &joins, bind, |q| q.bind(fence.run.as_str())).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_plan(
        &self,
        fence: &Fence,
        mut rows: Vec<RowPlan>,
    ) -> Result<(), StoreError> {
        rows.sort_unstable_by_key(|row| row.line);
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        let bind = |q: Bound, row: &RowPlan| {
            bind_verdict(q.bind(signed(row.line)).bind(row.plan.as_deref()), row.verdict.as_ref())
        };
        PLAN.run(&mut tx, &rows, bind, |q| q.bind(fence.run.as_str())).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_finished(
        &self,
        fence: &Fence,
        account: &AccountName,
        finish: FinishRows,
    ) -> Result<(), StoreError> {
        let FinishRows { mut rows, statements, kept, links, cursor, forget_tokens } = finish;
        rows.sort_unstable_by_key(|row| row.line);
        let now = self.now();
        let mut writer = self.writer().await?;
        let mut tx = writer.begin().await?;
        check_fence(&mut tx, fence).await?;
        if !kept.is_empty() {
            let context = mirror::context(&mut tx, fence, account, now, Guard::Answer).await?;
            mirror::keep_fields(&mut tx, &context, kept).await?;
        }
        fill_ids(&mut tx, account, &mut rows).await?;
        let bind = |q: Bound, row: &RowResult| {
            bind_verdict(q.bind(signed(row.line)), row.verdict.as_ref())
                .bind(row.customer.as_ref().map(CustomerId::as_str))
                .bind(row.remote_customer.as_ref().map(RemoteCustomerId::as_str))
                .bind(row.method.as_ref().map(MethodId::as_str))
                .bind(row.remote_method.as_ref().map(RemoteMethodId::as_str))
                .bind(row.done.as_deref())
        };
        FINISH.run(&mut tx, &rows, bind, |q| q.bind(fence.run.as_str())).await?;

        let bind = |q: Bound, statement: &Statement| {
            let fp = statement.fp.as_ref().map_or(&[][..], |fp| fp.as_bytes().as_slice());
            q.bind(account.as_str())
                .bind(fence.run.as_str())
                .bind(now.micros())
                .bind(statement.reference.as_str())
                .bind(fp)
                .bind(to_json(&statement.fields))
        };
        PUT_STATEMENTS.run(&mut tx, &statements, bind, |q| q).await?;
        put_token_links(&mut tx, fence, account, now, &links).await?;

        if !forget_tokens.is_empty() {
            sqlx::query(FORGET)
                .bind(fence.run.as_str())
                .bind(to_json(&forget_tokens))
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query(CHECKPOINT)
            .bind(fence.run.as_str())
            .bind(i64::from(fence.part))
            .bind(fence.epoch)
            .bind(cursor)
            .bind(signed(rows.iter().filter(|row| row.verdict.is_some()).count() as u64))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn count_rows(&self, run: &RunId) -> Result<RowTally, StoreError> {
        let mut tx = self.snapshot().await?;
        let last: Option<i64> =
            sqlx::query_scalar(LAST_LINE).bind(run.as_str()).fetch_one(&mut *tx).await?;
        let last = last.unwrap_or(0);
        let mut tally = RowTally::default();
        let mut after = 0;
        while after < last {
            let upto = after + TALLY_LINES;
            let groups: Vec<CountedRows> = sqlx::query_as(TALLY)
                .bind(run.as_str())
                .bind(after)
                .bind(upto)
                .fetch_all(&mut *tx)
                .await?;
            after = upto;
            tally.add(groups)?;
        }
        tx.commit().await?;
        Ok(tally)
    }

    pub(super) async fn count_subjects(&self, run: &RunId) -> Result<Subjects, StoreError> {
        let counted: CountedSubjects =
            sqlx::query_as(SUBJECTS).bind(run.as_str()).fetch_one(&self.readers).await?;
        Ok(counted.into())
    }

    pub(super) async fn read_rows(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<RowRecord>, StoreError> {
        let rows = sqlx::query(ROWS)
            .bind(run.as_str())
            .bind(signed(after_line))
            .bind(i64::from(most))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn read_bad_rows(
        &self,
        run: &RunId,
        most: u32,
    ) -> Result<Vec<RowRecord>, StoreError> {
        let rows = sqlx::query(BAD_ROWS)
            .bind(run.as_str())
            .bind(i64::from(most))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn stated_personally(
        &self,
        run: &RunId,
        references: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let rows: Vec<String> = sqlx::query_scalar(STATED)
            .bind(run.as_str())
            .bind(to_json(references))
            .fetch_all(&self.readers)
            .await?;
        let mut values = BTreeSet::new();
        for stated in &rows {
            values.extend(staged::personal(stated)?);
        }
        Ok(values)
    }
}
