//! Staged references with everything that bears on them.

use std::collections::HashMap;

use model::{AccountName, Code, Outcome, RemoteCustomerId, TokenKind};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::decode::{fp, get, id, opt_bool, opt_id, opt_time, opt_word, signed, time, unsigned};
use super::journal::{effect, effect_columns};
use crate::canonical::{from_json, hash_of};
use crate::links::BY_PERSON;
use crate::staged::{Groups, Knows, OpenPage, Stated};
use crate::{
    Fence, Group, GroupPage, KnownCustomer, KnownMethod, StagedRow, Statement, StoreError,
    TokenLink, Which,
};

const OPEN: &str = "SELECT s.line, s.tail, COALESCE(j.head, s.head) FROM staged_rows s \
     LEFT JOIN staged_joins j ON j.run = s.run AND j.first = s.head \
     WHERE s.run = $1 AND s.line > $2 AND s.part = $3 AND s.outcome IS NULL AND s.head > 0 \
     ORDER BY s.line LIMIT $4";
const JOINED: &str = "SELECT DISTINCT head FROM staged_joins \
     WHERE run = $1 AND part = $3 AND head > $2 ORDER BY head LIMIT $4";
const STAGED: &str = "WITH ranges (first, last) AS ( \
     SELECT line, tail FROM staged_rows WHERE run = $1 AND part = $2 AND line = ANY($3) \
     UNION ALL SELECT first, last FROM staged_joins \
     WHERE run = $1 AND part = $2 AND head = ANY($3)) \
     SELECT s.line, s.part, s.head, s.tail, s.row_id, s.reference, s.stated, s.token_kind, \
     s.token, s.token_fp, s.unfit, s.plan, s.outcome, s.code, s.message, s.field \
     FROM ranges JOIN staged_rows s \
     ON s.run = $1 AND s.line BETWEEN ranges.first AND ranges.last WHERE s.head > 0";
const KNOWS: &str = "SELECT EXISTS (SELECT 1 FROM remote_customers WHERE account = $1), \
     EXISTS (SELECT 1 FROM token_links WHERE account = $1), \
     EXISTS (SELECT 1 FROM statements WHERE account = $1), \
     EXISTS (SELECT 1 FROM effects WHERE account = $1)";
const CUSTOMERS: &str = "SELECT reference, remote_id, customer_id, profile, hash, as_of, \
     methods_read_at, linked_by FROM remote_customers WHERE account = $1 AND reference = ANY($2) \
     AND state = 'live' ORDER BY reference, remote_id";
const METHODS: &str = "SELECT remote_customer_id, remote_id, method_id, facts, is_default, as_of \
     FROM remote_methods WHERE account = $1 AND remote_customer_id = ANY($2) \
     AND state = 'live' ORDER BY remote_customer_id, remote_id";
const LINKS: &str = "SELECT reference, token_fp, remote_customer_id, remote_method_id, how \
     FROM token_links WHERE account = $1 AND reference = ANY($2) \
     UNION SELECT reference, token_fp, remote_customer_id, remote_method_id, how \
     FROM token_links WHERE account = $1 AND token_fp = ANY($3) ORDER BY reference, token_fp";
const STATEMENTS: &str = "SELECT reference, token_fp, fields FROM statements \
     WHERE account = $1 AND reference = ANY($2) ORDER BY reference, token_fp";
const EFFECTS: &str = concat!(
    effect_columns!(),
    " WHERE account = $1 AND reference = ANY($2) \
     AND (state IN ('planned', 'sending', 'unknown', 'unresolved') OR run = $3) \
     ORDER BY created_at, id"
);

fn staged(row: &PgRow) -> Result<StagedRow, StoreError> {
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

fn customer(row: &PgRow) -> Result<KnownCustomer, StoreError> {
    Ok(KnownCustomer {
        id: id(row, 1)?,
        customer: opt_id(row, 2)?,
        profile: from_json("a profile", get(row, 3)?)?,
        hash: hash_of(get(row, 4)?)?,
        as_of: time(row, 5)?,
        methods_read_at: opt_time(row, 6)?,
        by_person: get::<Option<&str>>(row, 7)? == Some(BY_PERSON),
    })
}

fn method(row: &PgRow) -> Result<KnownMethod, StoreError> {
    Ok(KnownMethod {
        customer: id(row, 0)?,
        id: id(row, 1)?,
        method: opt_id(row, 2)?,
        facts: from_json("facts", get(row, 3)?)?,
        default: opt_bool(row, 4)?,
        as_of: time(row, 5)?,
    })
}

fn link(row: &PgRow) -> Result<TokenLink, StoreError> {
    Ok(TokenLink {
        reference: id(row, 0)?,
        fp: fp(get(row, 1)?)?,
        remote_customer: id(row, 2)?,
        remote_method: id(row, 3)?,
        how: get(row, 4)?,
    })
}

fn statement(row: &PgRow) -> Result<Statement, StoreError> {
    let print: &[u8] = get(row, 1)?;
    Ok(Statement {
        reference: id(row, 0)?,
        // Empty: of the customer itself.
        fp: if print.is_empty() { None } else { Some(fp(print)?) },
        fields: from_json("a statement", get(row, 2)?)?,
    })
}

async fn fill_customers(
    tx: &mut PgConnection,
    account: &str,
    references: &[&str],
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let rows = sqlx::query(CUSTOMERS).bind(account).bind(references).fetch_all(&mut *tx).await?;
    let mut whose: HashMap<RemoteCustomerId, String> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (reference, known) = (get::<&str>(row, 0)?, customer(row)?);
        whose.insert(known.id.clone(), reference.to_owned());
        if let Some(group) = groups.get(reference) {
            group.customers.push(known);
        }
    }
    if whose.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = whose.keys().map(RemoteCustomerId::as_str).collect();
    for row in &sqlx::query(METHODS).bind(account).bind(ids).fetch_all(tx).await? {
        let known = method(row)?;
        if let Some(group) = whose.get(&known.customer).and_then(|who| groups.get(who)) {
            group.methods.push(known);
        }
    }
    Ok(())
}

async fn fill_links(
    tx: &mut PgConnection,
    account: &str,
    references: &[&str],
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let tokens = groups.tokens();
    let fps: Vec<&[u8]> = tokens.keys().map(|fp| fp.as_bytes().as_slice()).collect();
    let rows = sqlx::query(LINKS).bind(account).bind(references).bind(fps).fetch_all(tx).await?;
    for row in &rows {
        let link = link(row)?;
        let own = groups.place(link.reference.as_str());
        let same = tokens.get(&link.fp).into_iter().flatten().copied();
        let places: Vec<usize> = own.into_iter().chain(same.filter(|p| Some(*p) != own)).collect();
        for place in places {
            if let Some(group) = groups.all.get_mut(place) {
                group.links.push(link.clone());
            }
        }
    }
    Ok(())
}

/// Adds what the store knows.
async fn fill(
    tx: &mut PgConnection,
    run: &str,
    account: &str,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let texts: Vec<String> = groups.references().map(str::to_owned).collect();
    let references: Vec<&str> = texts.iter().map(String::as_str).collect();
    let references = references.as_slice();
    let row = sqlx::query(KNOWS).bind(account).fetch_one(&mut *tx).await?;
    let knows = Knows {
        customers: get(&row, 0)?,
        links: get(&row, 1)?,
        statements: get(&row, 2)?,
        effects: get(&row, 3)?,
    };
    if knows.customers {
        fill_customers(tx, account, references, groups).await?;
    }
    if knows.links {
        fill_links(tx, account, references, groups).await?;
    }
    if knows.statements {
        let rows = sqlx::query(STATEMENTS).bind(account).bind(references);
        for row in &rows.fetch_all(&mut *tx).await? {
            if let Some(group) = groups.get(get(row, 0)?) {
                group.statements.push(statement(row)?);
            }
        }
    }
    if knows.effects {
        let rows = sqlx::query(EFFECTS).bind(account).bind(references).bind(run);
        for row in &rows.fetch_all(&mut *tx).await? {
            let effect = effect(row)?;
            let whose = effect.reference.clone();
            if let Some(group) = whose.and_then(|whose| groups.get(whose.as_str())) {
                group.effects.push(effect);
            }
        }
    }
    Ok(())
}

/// The references that begin on these lines.
async fn of_heads(
    tx: &mut PgConnection,
    fence: &Fence,
    account: &AccountName,
    heads: &[u64],
) -> Result<Vec<Group>, StoreError> {
    let lines: Vec<i64> = heads.iter().copied().map(signed).collect();
    let (run, part) = (fence.run.as_str(), i64::from(fence.part));
    let rows = sqlx::query(STAGED).bind(run).bind(part).bind(lines).fetch_all(&mut *tx).await?;
    let rows: Result<Vec<StagedRow>, StoreError> = rows.iter().map(staged).collect();
    let mut rows = rows?;
    rows.sort_by_key(|row| row.line);
    let mut groups = Groups::of(rows);
    fill(tx, run, account.as_str(), &mut groups).await?;
    Ok(groups.all)
}

impl PostgresStore {
    pub(super) async fn known_groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        rows: Vec<StagedRow>,
    ) -> Result<Vec<Group>, StoreError> {
        let mut groups = Groups::of(rows);
        let mut tx = self.snapshot().await?;
        fill(&mut tx, fence.run.as_str(), account.as_str(), &mut groups).await?;
        Ok(groups.all)
    }

    pub(super) async fn groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        after: u64,
        which: Which,
        most: u32,
    ) -> Result<GroupPage, StoreError> {
        let (run, part, after) = (fence.run.as_str(), i64::from(fence.part), signed(after));
        let mut tx = self.snapshot().await?;
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
        Ok(GroupPage { groups: of_heads(&mut tx, fence, account, &heads).await?, upto })
    }

    pub(super) async fn groups_of(
        &self,
        fence: &Fence,
        account: &AccountName,
        heads: &[u64],
    ) -> Result<Vec<Group>, StoreError> {
        let mut tx = self.snapshot().await?;
        of_heads(&mut tx, fence, account, heads).await
    }
}
