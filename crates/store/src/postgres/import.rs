//! Staged rows: written, planned, finished, counted.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountName, Outcome, RunId};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::decode::{get, opt_word, signed, unsigned};
use super::runs::hold;
use super::{Growing, PostgresStore, mirror};
use crate::canonical::{Guard, to_json};
use crate::records::CountedSubjects;
use crate::staged::{self, stated, unfit};
use crate::{
    Fence, FinishRows, Join, RowPlan, RowRecord, RowResult, RowTally, SealedToken, StagedRow,
    Statement, StoreError, Subjects, TokenLink, Verdict,
};

const STAGE: &str = "INSERT INTO staged_rows (run, line, part, head, tail, row_id, reference, \
     stated, token_kind, token, token_fp, unfit, plan, outcome, code, message, field) \
     SELECT $1, u.* FROM UNNEST($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
     $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bytea[], $12::text[], \
     $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]) u \
     ON CONFLICT (run, line) DO NOTHING";
/// The references are compared here: whoever looks for clusters may go by less than the whole text.
const JOIN: &str = "INSERT INTO staged_joins (run, first, part, last, head) \
     SELECT s.run, s.line, s.part, s.tail, h.line \
     FROM UNNEST($2::bigint[], $3::bigint[]) AS u (first, head) \
     JOIN staged_rows s ON s.run = $1 AND s.line = u.first \
     JOIN staged_rows h ON h.run = $1 AND h.line = u.head \
     WHERE s.reference = h.reference ON CONFLICT (run, first) DO NOTHING";
/// A token of a row that is decided goes.
const PLAN: &str = "UPDATE staged_rows s SET plan = u.plan, outcome = u.outcome, code = u.code, \
     message = u.message, field = u.field, token = CASE WHEN u.outcome IS NULL THEN s.token END \
     FROM UNNEST($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) \
     AS u (line, plan, outcome, code, message, field) WHERE s.run = $1 AND s.line = u.line";
const FINISH: &str = "UPDATE staged_rows s SET outcome = u.outcome, code = u.code, \
     message = u.message, field = u.field, \
     customer_id = COALESCE(u.customer, c.customer_id), remote_customer_id = u.remote_customer, \
     method_id = COALESCE(u.method, m.method_id), remote_method_id = u.remote_method, \
     done = u.done FROM UNNEST($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], \
     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]) AS u (line, outcome, code, \
     message, field, customer, remote_customer, method, remote_method, done) \
     LEFT JOIN remote_customers c ON c.account = $2 AND c.remote_id = u.remote_customer \
     LEFT JOIN remote_methods m ON m.account = $2 \
     AND m.remote_customer_id = u.remote_customer AND m.remote_id = u.remote_method \
     WHERE s.run = $1 AND s.line = u.line";
const STATE: &str = "INSERT INTO statements (account, reference, token_fp, fields, run, at) \
     SELECT $1, u.reference, u.fp, u.fields, $2, $3 \
     FROM UNNEST($4::text[], $5::bytea[], $6::text[]) AS u (reference, fp, fields) \
     ON CONFLICT (account, reference, token_fp) DO UPDATE SET fields = EXCLUDED.fields, \
     run = EXCLUDED.run, at = EXCLUDED.at";
const LINK: &str = "INSERT INTO token_links (account, reference, token_fp, remote_customer_id, \
     remote_method_id, how, run, at) SELECT $1, u.*, $2, $3 FROM UNNEST($4::text[], $5::bytea[], \
     $6::text[], $7::text[], $8::text[]) u ON CONFLICT (account, reference, token_fp) DO UPDATE \
     SET remote_customer_id = EXCLUDED.remote_customer_id, \
     remote_method_id = EXCLUDED.remote_method_id, how = EXCLUDED.how, run = EXCLUDED.run, \
     at = EXCLUDED.at";
const FORGET: &str = "UPDATE staged_rows SET token = NULL WHERE run = $1 AND line = ANY($2)";
const ADVANCE: &str = "UPDATE parts SET cursor = COALESCE($3, cursor), rows_done = rows_done + $4 \
     WHERE run = $1 AND no = $2";
const TALLY: &str = "SELECT outcome, code, plan, count(*) FROM staged_rows \
     WHERE run = $1 GROUP BY outcome, code, plan";
const SUBJECTS: &str = "SELECT COUNT(DISTINCT remote_customer_id), \
     COUNT(CASE WHEN done LIKE '%create_customer%' THEN 1 END), COUNT(remote_method_id), \
     COUNT(CASE WHEN done LIKE '%add_method%' OR done LIKE '%import_method%' THEN 1 END) \
     FROM staged_rows WHERE run = $1";
const ROWS: &str = "SELECT line, row_id, reference, outcome, code, message, field, customer_id, \
     remote_customer_id, method_id, remote_method_id, done, plan FROM staged_rows \
     WHERE run = $1 AND line > $2 ORDER BY line LIMIT $3";
const BAD_ROWS: &str = "SELECT line, row_id, reference, outcome, code, message, field, customer_id, \
     remote_customer_id, method_id, remote_method_id, done, plan FROM staged_rows \
     WHERE run = $1 AND outcome IN ('unresolved', 'refused', 'rejected', 'not_attempted') \
     ORDER BY CASE outcome WHEN 'unresolved' THEN 1 WHEN 'refused' THEN 2 WHEN 'rejected' THEN 3 \
     ELSE 4 END, line LIMIT $2";
const STATED: &str = "SELECT stated FROM staged_rows WHERE run = $1 AND reference = ANY($2)";

/// The columns of a verdict.
#[derive(Default)]
struct Verdicts {
    outcomes: Vec<Option<&'static str>>,
    codes: Vec<Option<&'static str>>,
    messages: Vec<Option<String>>,
    fields: Vec<Option<String>>,
}

impl Verdicts {
    fn push(&mut self, verdict: Option<Verdict>) {
        let (outcome, code, message, field) = verdict.map_or((None, None, None, None), |verdict| {
            let code = verdict.code.map(model::Code::as_str);
            (Some(verdict.outcome.as_str()), code, verdict.message, verdict.field)
        });
        self.outcomes.push(outcome);
        self.codes.push(code);
        self.messages.push(message);
        self.fields.push(field);
    }
}

/// Writes token links; the last of a kind wins.
pub(super) async fn write_links(
    tx: &mut PgConnection,
    account: &str,
    run: &RunId,
    at: i64,
    links: Vec<TokenLink>,
) -> Result<(), StoreError> {
    if links.is_empty() {
        return Ok(());
    }
    let links: BTreeMap<_, _> =
        links.into_iter().map(|link| ((link.reference.clone(), link.fp), link)).collect();
    let text = |of: fn(&TokenLink) -> &str| links.values().map(of).collect::<Vec<_>>();
    sqlx::query(LINK)
        .bind(account)
        .bind(run.as_str())
        .bind(at)
        .bind(text(|link| link.reference.as_str()))
        .bind(links.values().map(|link| link.fp.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(text(|link| link.remote_customer.as_str()))
        .bind(text(|link| link.remote_method.as_str()))
        .bind(text(|link| &link.how))
        .execute(tx)
        .await?;
    Ok(())
}

async fn write_statements(
    tx: &mut PgConnection,
    account: &str,
    run: &RunId,
    at: i64,
    statements: Vec<Statement>,
) -> Result<(), StoreError> {
    if statements.is_empty() {
        return Ok(());
    }
    let statements: BTreeMap<_, _> = statements
        .into_iter()
        .map(|statement| ((statement.reference, statement.fp), to_json(&statement.fields)))
        .collect();
    // An empty fingerprint stands for the customer itself: it is part of the key.
    let fp_of = |fp: &Option<crate::TokenFp>| fp.map(|fp| fp.as_bytes().to_vec());
    sqlx::query(STATE)
        .bind(account)
        .bind(run.as_str())
        .bind(at)
        .bind(statements.keys().map(|(reference, _)| reference.as_str()).collect::<Vec<_>>())
        .bind(statements.keys().map(|(_, fp)| fp_of(fp).unwrap_or_default()).collect::<Vec<_>>())
        .bind(statements.values().map(String::as_str).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

async fn write_results(
    tx: &mut PgConnection,
    run: &RunId,
    account: &str,
    rows: Vec<RowResult>,
) -> Result<(), StoreError> {
    let rows: BTreeMap<u64, RowResult> = rows.into_iter().map(|row| (row.line, row)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut verdicts = Verdicts::default();
    for row in rows.values() {
        verdicts.push(row.verdict.clone());
    }
    let text = |of: fn(&RowResult) -> Option<&str>| rows.values().map(of).collect::<Vec<_>>();
    sqlx::query(FINISH)
        .bind(run.as_str())
        .bind(account)
        .bind(rows.keys().map(|line| signed(*line)).collect::<Vec<_>>())
        .bind(verdicts.outcomes)
        .bind(verdicts.codes)
        .bind(verdicts.messages)
        .bind(verdicts.fields)
        .bind(text(|row| row.customer.as_ref().map(model::CustomerId::as_str)))
        .bind(text(|row| row.remote_customer.as_ref().map(model::RemoteCustomerId::as_str)))
        .bind(text(|row| row.method.as_ref().map(model::MethodId::as_str)))
        .bind(text(|row| row.remote_method.as_ref().map(model::RemoteMethodId::as_str)))
        .bind(text(|row| row.done.as_deref()))
        .execute(tx)
        .await?;
    Ok(())
}

impl PostgresStore {
    pub(super) async fn stage(
        &self,
        fence: &Fence,
        mut rows: Vec<StagedRow>,
    ) -> Result<(), StoreError> {
        rows.sort_by_key(|row| row.line);
        rows.dedup_by_key(|row| row.line);
        let tokens: Vec<Option<&SealedToken>> =
            rows.iter().map(|row| row.method.as_ref().and_then(|m| m.sealed.as_ref())).collect();
        let numbers = |of: fn(&StagedRow) -> u64| -> Vec<i64> {
            rows.iter().map(|row| signed(of(row))).collect()
        };
        let text = |of: fn(&StagedRow) -> Option<&str>| rows.iter().map(of).collect::<Vec<_>>();
        let sealed = |t: &SealedToken| (!t.sealed.is_empty()).then(|| t.sealed.clone());
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        if !rows.is_empty() {
            sqlx::query(STAGE)
                .bind(fence.run.as_str())
                .bind(numbers(|row| row.line))
                .bind(numbers(|row| u64::from(row.part)))
                .bind(numbers(|row| row.head))
                .bind(numbers(|row| row.tail))
                .bind(text(|row| Some(&row.row_id)))
                .bind(text(|row| row.reference.as_ref().map(model::Reference::as_str)))
                .bind(rows.iter().map(stated).collect::<Vec<_>>())
                .bind(tokens.iter().map(|t| t.map(|t| t.kind.as_str())).collect::<Vec<_>>())
                .bind(tokens.iter().map(|t| t.and_then(sealed)).collect::<Vec<_>>())
                .bind(
                    tokens.iter().map(|t| t.map(|t| t.fp.as_bytes().to_vec())).collect::<Vec<_>>(),
                )
                .bind(rows.iter().map(unfit).collect::<Vec<_>>())
                .bind(text(|row| row.plan.as_deref()))
                .bind(text(|row| row.outcome.map(Outcome::as_str)))
                .bind(text(|row| row.code.map(model::Code::as_str)))
                .bind(text(|row| row.message.as_deref()))
                .bind(text(|row| row.field.as_deref()))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.wrote(Growing::Staging, rows.len());
        Ok(())
    }

    pub(super) async fn join(&self, fence: &Fence, joins: Vec<Join>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        sqlx::query(JOIN)
            .bind(fence.run.as_str())
            .bind(joins.iter().map(|join| signed(join.first)).collect::<Vec<_>>())
            .bind(joins.iter().map(|join| signed(join.head)).collect::<Vec<_>>())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn write_plan(
        &self,
        fence: &Fence,
        rows: Vec<RowPlan>,
    ) -> Result<(), StoreError> {
        let rows: BTreeMap<u64, RowPlan> = rows.into_iter().map(|row| (row.line, row)).collect();
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        if !rows.is_empty() {
            let lines: Vec<i64> = rows.keys().map(|line| signed(*line)).collect();
            let mut plans = Vec::with_capacity(rows.len());
            let mut verdicts = Verdicts::default();
            for row in rows.into_values() {
                plans.push(row.plan);
                verdicts.push(row.verdict);
            }
            sqlx::query(PLAN)
                .bind(fence.run.as_str())
                .bind(lines)
                .bind(plans)
                .bind(verdicts.outcomes)
                .bind(verdicts.codes)
                .bind(verdicts.messages)
                .bind(verdicts.fields)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn finish(
        &self,
        fence: &Fence,
        account: &AccountName,
        finish: FinishRows,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.begin().await?;
        hold(&mut tx, fence).await?;
        if !finish.kept.is_empty() {
            let context = mirror::context(&mut tx, fence, account, now, Guard::Answer).await?;
            mirror::keep_fields(&mut tx, &context, finish.kept).await?;
        }
        let (run, account, now) = (&fence.run, account.as_str(), now.micros());
        let rows = finish.rows.iter().filter(|row| row.verdict.is_some()).count();
        let rows = signed(rows as u64);
        write_results(&mut tx, run, account, finish.rows).await?;
        write_statements(&mut tx, account, run, now, finish.statements).await?;
        write_links(&mut tx, account, run, now, finish.links).await?;
        if !finish.forget_tokens.is_empty() {
            let lines: Vec<i64> = finish.forget_tokens.iter().map(|line| signed(*line)).collect();
            sqlx::query(FORGET).bind(run.as_str()).bind(lines).execute(&mut *tx).await?;
        }
        sqlx::query(ADVANCE)
            .bind(run.as_str())
            .bind(i64::from(fence.part))
            .bind(finish.cursor)
            .bind(rows)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn count_rows(&self, run: &RunId) -> Result<RowTally, StoreError> {
        let groups: Vec<_> = sqlx::query_as(TALLY).bind(run.as_str()).fetch_all(&self.pool).await?;
        let mut tally = RowTally::default();
        tally.add(groups)?;
        Ok(tally)
    }

    pub(super) async fn count_subjects(&self, run: &RunId) -> Result<Subjects, StoreError> {
        let counted: CountedSubjects =
            sqlx::query_as(SUBJECTS).bind(run.as_str()).fetch_one(&self.pool).await?;
        Ok(counted.into())
    }

    pub(super) async fn row_records(
        &self,
        run: &RunId,
        after_line: u64,
        most: u32,
    ) -> Result<Vec<RowRecord>, StoreError> {
        let rows = sqlx::query(ROWS)
            .bind(run.as_str())
            .bind(signed(after_line))
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn bad_row_records(
        &self,
        run: &RunId,
        most: u32,
    ) -> Result<Vec<RowRecord>, StoreError> {
        let rows = sqlx::query(BAD_ROWS)
            .bind(run.as_str())
            .bind(i64::from(most))
            .fetch_all(&self.pool)
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
            .bind(references.iter().map(String::as_str).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let mut values = BTreeSet::new();
        for stated in &rows {
            values.extend(staged::personal(stated)?);
        }
        Ok(values)
    }
}

fn record(row: &PgRow) -> Result<RowRecord, StoreError> {
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
