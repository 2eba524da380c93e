//! References of a file with everything that bears on them.

use std::collections::{BTreeSet, HashMap};

use model::{
    AccountName, Code, EffectKind, Origin, Outcome, Reference, RemoteCustomerId, RunId, TokenKind,
};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::decode::{
    fp, get, id, list, opt_bool, opt_id, opt_time, opt_word, signed, time, unsigned, word,
};
use crate::canonical::{from_json, hash_of, to_json};
use crate::links::BY_PERSON;
use crate::staged::{Groups, Knows, OpenPage, Stated};
use crate::{
    EffectRow, EffectState, Fence, Group, GroupPage, KnownCustomer, KnownMethod, StagedRow,
    Statement, StoreError, TokenLink, Which,
};

const OPEN: &str = "SELECT s.line, s.tail, COALESCE(j.head, s.head) FROM staged_rows AS s \
     LEFT JOIN staged_joins AS j ON j.run = s.run AND j.first = s.head \
     WHERE s.run = ?1 AND s.line > ?2 AND s.part = ?3 AND s.outcome IS NULL AND s.head > 0 \
     ORDER BY s.line LIMIT ?4";
const JOINED: &str = "SELECT DISTINCT head FROM staged_joins INDEXED BY staged_joins_by_head \
     WHERE run = ?1 AND part = ?3 AND head > ?2 ORDER BY head LIMIT ?4";
// Without statistics SQLite takes `account = ?` or `run = ?` on a primary key for ten rows and
// walks all of them, so the order (`CROSS JOIN`) and the index are said where it matters.
const ROWS: &str = "WITH ranges (first, last) AS ( \
     SELECT h.line, h.tail FROM json_each(?3) AS wanted \
     CROSS JOIN staged_rows AS h ON h.run = ?1 AND h.line = wanted.value AND h.part = ?2 \
     UNION ALL SELECT j.first, j.last FROM json_each(?3) AS wanted \
     CROSS JOIN staged_joins AS j INDEXED BY staged_joins_by_head \
     ON j.run = ?1 AND j.part = ?2 AND j.head = wanted.value) \
     SELECT s.line, s.part, s.head, s.tail, s.row_id, s.reference, s.stated, s.token_kind, \
     s.token, s.token_fp, s.unfit, s.plan, s.outcome, s.code, s.message, s.field \
     FROM ranges CROSS JOIN staged_rows AS s \
     ON s.run = ?1 AND s.line BETWEEN ranges.first AND ranges.last WHERE s.head > 0";
const KNOWS: &str = "SELECT EXISTS (SELECT 1 FROM remote_customers WHERE account = ?1), \
     EXISTS (SELECT 1 FROM token_links WHERE account = ?1), \
     EXISTS (SELECT 1 FROM statements WHERE account = ?1), \
     EXISTS (SELECT 1 FROM effects WHERE account = ?1)";
const CUSTOMERS: &str = "SELECT remote_id, customer_id, profile, hash, as_of, methods_read_at, \
     reference, linked_by FROM json_each(?2) AS wanted CROSS JOIN remote_customers AS c \
     INDEXED BY remote_customers_by_reference ON c.reference = wanted.value \
     WHERE c.account = ?1 AND c.state = 'live' ORDER BY remote_id";
const METHODS: &str = "SELECT remote_customer_id, remote_id, method_id, facts, is_default, as_of \
     FROM remote_methods WHERE account = ?1 \
     AND remote_customer_id IN (SELECT value FROM json_each(?2)) AND state = 'live' \
     ORDER BY remote_customer_id, remote_id";
const LINKS: &str = "SELECT reference, token_fp, remote_customer_id, remote_method_id, how \
     FROM token_links WHERE account = ?1 AND reference IN (SELECT value FROM json_each(?2)) \
     UNION SELECT reference, token_fp, remote_customer_id, remote_method_id, how \
     FROM json_each(?3) AS wanted CROSS JOIN token_links AS t \
     INDEXED BY token_links_by_fp ON t.token_fp = unhex(wanted.value) WHERE t.account = ?1 ORDER BY 1, 2";
const FILE_STATEMENTS: &str = "SELECT reference, token_fp, fields FROM statements \
     WHERE account = ?1 AND reference IN (SELECT value FROM json_each(?2)) ORDER BY 1, 2";
const EFFECTS: &str = "SELECT id, run, kind, subject, reference, token_fp, line, state, attempt, \
     origin, remote_customer_id, remote_method_id, code, message FROM effects \
     WHERE account = ?1 AND reference IN (SELECT value FROM json_each(?2)) \
     AND (run = ?3 OR state IN ('planned', 'sending', 'unknown', 'unresolved')) \
     ORDER BY created_at, id";
const EFFECTS_OF_RUN: &str = "SELECT id, run, kind, subject, reference, token_fp, line, state, \
     attempt, origin, remote_customer_id, remote_method_id, code, message FROM effects \
     WHERE run = ?1 ORDER BY created_at, id LIMIT ?2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    OPEN,
    JOINED,
    ROWS,
    KNOWS,
    CUSTOMERS,
    METHODS,
    LINKS,
    FILE_STATEMENTS,
    EFFECTS,
    EFFECTS_OF_RUN,
];

fn staged(row: &SqliteRow) -> Result<StagedRow, StoreError> {
    let mut staged = StagedRow {
        line: unsigned(get(row, 0)?),
        part: u32::try_from(unsigned(get(row, 1)?)).unwrap_or(u32::MAX),
        head: unsigned(get(row, 2)?),
        tail: unsigned(get(row, 3)?),
        row_id: get(row, 4)?,
        reference: opt_id(row, 5)?,
        profile: Box::default(),
        method: None,
        unfit: None,
        plan: get(row, 11)?,
        outcome: opt_word(row, 12, "an outcome", Outcome::parse)?,
        code: opt_word(row, 13, "a code", Code::parse)?,
        message: get(row, 14)?,
        field: get(row, 15)?,
    };
    let stated = Stated {
        stated: get(row, 6)?,
        token_kind: opt_word(row, 7, "a token's kind", TokenKind::parse)?,
        token: get(row, 8)?,
        token_fp: get::<Option<&[u8]>>(row, 9)?.map(fp).transpose()?,
        unfit: get(row, 10)?,
    };
    stated.fill(&mut staged)?;
    Ok(staged)
}

fn origin(text: &str) -> Option<Origin> {
    [Origin::Answered, Origin::Found].into_iter().find(|origin| origin.as_str() == text)
}

pub(super) fn effect(row: &SqliteRow) -> Result<EffectRow, StoreError> {
    Ok(EffectRow {
        id: id(row, 0)?,
        run: id(row, 1)?,
        kind: word(row, 2, "an effect's kind", EffectKind::parse)?,
        subject: get(row, 3)?,
        reference: opt_id(row, 4)?,
        fp: get::<Option<&[u8]>>(row, 5)?.map(fp).transpose()?,
        line: get::<Option<i64>>(row, 6)?.map(unsigned),
        state: word(row, 7, "an effect's state", EffectState::parse)?,
        attempt: get(row, 8)?,
        origin: opt_word(row, 9, "an effect's origin", origin)?,
        remote_customer: opt_id(row, 10)?,
        remote_method: opt_id(row, 11)?,
        code: get(row, 12)?,
        message: get(row, 13)?,
    })
}

fn statement(row: &SqliteRow) -> Result<Statement, StoreError> {
    let print: &[u8] = get(row, 1)?;
    Ok(Statement {
        reference: id(row, 0)?,
        fp: (!print.is_empty()).then(|| fp(print)).transpose()?,
        fields: from_json("a statement", get(row, 2)?)?,
    })
}

/// The references in one bound value.
fn references(groups: &Groups) -> String {
    list(groups.references())
}

async fn fill_mirror(
    conn: &mut SqliteConnection,
    account: &AccountName,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let rows = sqlx::query(CUSTOMERS)
        .bind(account.as_str())
        .bind(references(groups))
        .fetch_all(&mut *conn)
        .await?;
    let mut whose: HashMap<RemoteCustomerId, Reference> = HashMap::new();
    for row in &rows {
        let customer = KnownCustomer {
            id: id(row, 0)?,
            customer: opt_id(row, 1)?,
            profile: from_json("a profile", get(row, 2)?)?,
            hash: hash_of(get(row, 3)?)?,
            as_of: time(row, 4)?,
            methods_read_at: opt_time(row, 5)?,
            by_person: get::<Option<&str>>(row, 7)? == Some(BY_PERSON),
        };
        let reference: Reference = id(row, 6)?;
        whose.insert(customer.id.clone(), reference.clone());
        if let Some(group) = groups.get(reference.as_str()) {
            group.customers.push(customer);
        }
    }
    if whose.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(METHODS)
        .bind(account.as_str())
        .bind(list(whose.keys().map(RemoteCustomerId::as_str)))
        .fetch_all(conn)
        .await?;
    for row in &rows {
        let method = KnownMethod {
            customer: id(row, 0)?,
            id: id(row, 1)?,
            method: opt_id(row, 2)?,
            facts: from_json("facts", get(row, 3)?)?,
            default: opt_bool(row, 4)?,
            as_of: time(row, 5)?,
        };
        let group =
            whose.get(&method.customer).and_then(|reference| groups.get(reference.as_str()));
        if let Some(group) = group {
            group.methods.push(method);
        }
    }
    Ok(())
}

async fn fill_links(
    conn: &mut SqliteConnection,
    account: &AccountName,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    // The groups that have a row with a token, so that a link reaches them from elsewhere.
    let users = groups.tokens();
    let hex = list(users.keys().map(|fp| fp.to_hex()));
    let rows = sqlx::query(LINKS)
        .bind(account.as_str())
        .bind(references(groups))
        .bind(hex)
        .fetch_all(conn)
        .await?;
    for row in &rows {
        let link = TokenLink {
            reference: id(row, 0)?,
            fp: fp(get(row, 1)?)?,
            remote_customer: id(row, 2)?,
            remote_method: id(row, 3)?,
            how: get(row, 4)?,
        };
        let own = groups.place(link.reference.as_str());
        let others = users.get(&link.fp).into_iter().flatten().copied();
        let places: BTreeSet<usize> = own.into_iter().chain(others).collect();
        for place in places {
            if let Some(group) = groups.all.get_mut(place) {
                group.links.push(link.clone());
            }
        }
    }
    Ok(())
}

async fn fill_statements(
    conn: &mut SqliteConnection,
    account: &AccountName,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let rows = sqlx::query(FILE_STATEMENTS)
        .bind(account.as_str())
        .bind(references(groups))
        .fetch_all(conn)
        .await?;
    for row in &rows {
        let statement = statement(row)?;
        if let Some(group) = groups.get(statement.reference.as_str()) {
            group.statements.push(statement);
        }
    }
    Ok(())
}

async fn fill_effects(
    conn: &mut SqliteConnection,
    run: &RunId,
    account: &AccountName,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let rows = sqlx::query(EFFECTS)
        .bind(account.as_str())
        .bind(references(groups))
        .bind(run.as_str())
        .fetch_all(conn)
        .await?;
    for row in &rows {
        let effect = effect(row)?;
        let whose = effect.reference.clone();
        if let Some(group) = whose.and_then(|reference| groups.get(reference.as_str())) {
            group.effects.push(effect);
        }
    }
    Ok(())
}

/// Adds what the store knows.
async fn fill(
    conn: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let row = sqlx::query(KNOWS).bind(account.as_str()).fetch_one(&mut *conn).await?;
    let knows = Knows {
        customers: get(&row, 0)?,
        links: get(&row, 1)?,
        statements: get(&row, 2)?,
        effects: get(&row, 3)?,
    };
    if knows.customers {
        fill_mirror(conn, account, groups).await?;
    }
    if knows.links {
        fill_links(conn, account, groups).await?;
    }
    if knows.statements {
        fill_statements(conn, account, groups).await?;
    }
    if knows.effects {
        fill_effects(conn, &fence.run, account, groups).await?;
    }
    Ok(())
}

/// The references that begin on these lines.
async fn of_heads(
    conn: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
    heads: &[u64],
) -> Result<Vec<Group>, StoreError> {
    let rows = sqlx::query(ROWS)
        .bind(fence.run.as_str())
        .bind(i64::from(fence.part))
        .bind(to_json(&heads))
        .fetch_all(&mut *conn)
        .await?;
    let rows: Result<Vec<StagedRow>, StoreError> = rows.iter().map(staged).collect();
    let mut groups = Groups::of(rows?);
    fill(conn, fence, account, &mut groups).await?;
    Ok(groups.all)
}

impl SqliteStore {
    pub(super) async fn known_groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        rows: Vec<StagedRow>,
    ) -> Result<Vec<Group>, StoreError> {
        let mut groups = Groups::of(rows);
        // One transaction that reads: all of it is of one moment.
        let mut tx = self.snapshot().await?;
        fill(&mut tx, fence, account, &mut groups).await?;
        tx.commit().await?;
        Ok(groups.all)
    }

    pub(super) async fn read_groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        after: u64,
        which: Which,
        most: u32,
    ) -> Result<GroupPage, StoreError> {
        // One transaction that reads: all of it is of one moment.
        let mut tx = self.snapshot().await?;
        let (run, part, after) = (fence.run.as_str(), i64::from(fence.part), signed(after));
        let OpenPage { heads, upto } = match which {
            Which::Open => {
                // Most references have few rows.
                let rows: Vec<(i64, i64, i64)> = sqlx::query_as(OPEN)
                    .bind(run)
                    .bind(after)
                    .bind(part)
                    .bind(i64::from(most) * 2)
                    .fetch_all(&mut *tx)
                    .await?;
                let rows =
                    rows.into_iter().map(|(a, b, c)| (unsigned(a), unsigned(b), unsigned(c)));
                OpenPage::of(rows, most as usize)
            }
            Which::Joined => {
                let heads: Vec<i64> = sqlx::query_scalar(JOINED)
                    .bind(run)
                    .bind(after)
                    .bind(part)
                    .bind(i64::from(most))
                    .fetch_all(&mut *tx)
                    .await?;
                let heads: Vec<u64> = heads.into_iter().map(unsigned).collect();
                OpenPage { upto: heads.last().copied().unwrap_or(0), heads }
            }
        };
        if heads.is_empty() {
            return Ok(GroupPage { groups: Vec::new(), upto });
        }
        let groups = of_heads(&mut tx, fence, account, &heads).await?;
        tx.commit().await?;
        Ok(GroupPage { groups, upto })
    }

    pub(super) async fn groups_of(
        &self,
        fence: &Fence,
        account: &AccountName,
        heads: &[u64],
    ) -> Result<Vec<Group>, StoreError> {
        let mut tx = self.snapshot().await?;
        let groups = of_heads(&mut tx, fence, account, heads).await?;
        tx.commit().await?;
        Ok(groups)
    }

    pub(super) async fn read_effects(
        &self,
        run: &RunId,
        most: u32,
    ) -> Result<Vec<EffectRow>, StoreError> {
        let rows = sqlx::query(EFFECTS_OF_RUN)
            .bind(run.as_str())
            .bind(i64::from(most))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(effect).collect()
    }
}
