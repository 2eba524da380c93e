//! References of a file with everything that bears on them.

use std::collections::{BTreeSet, HashMap};

use model::{
    AccountName, Code, EffectKind, Origin, Outcome, Reference, RemoteCustomerId, RunId, TokenKind,
};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::decode::{
    fp, get, id, list, opt_bool, opt_id, opt_time, opt_word, time, unsigned, word,
};
use crate::canonical::{from_json, hash_of};
use crate::{
    EffectRow, EffectState, Fence, Group, KnownCustomer, KnownMethod, SealedToken, StagedMethod,
    StagedRow, Statement, StoreError, TokenLink,
};

const REFERENCES: &str = "SELECT DISTINCT reference FROM staged_rows \
     WHERE run = ?1 AND part = ?2 AND reference > ?3 ORDER BY reference LIMIT ?4";
const OPEN_REFERENCES: &str = "SELECT DISTINCT reference FROM staged_rows \
     WHERE run = ?1 AND part = ?2 AND reference > ?3 AND outcome IS NULL \
     ORDER BY reference LIMIT ?4";
// Without statistics SQLite takes `account = ?` or `run = ?` on a primary key for ten rows and
// walks all of them, so the order (`CROSS JOIN`) and the index are said where it matters.
const ROWS: &str = "SELECT line, part, row_id, reference, profile, facts, billing, is_default, \
     token_kind, token, token_fp, token_created_at, plan, outcome, code, message, field \
     FROM json_each(?3) AS wanted CROSS JOIN staged_rows AS s \
     INDEXED BY staged_rows_by_reference ON s.reference = wanted.value \
     WHERE s.run = ?1 AND s.part = ?2 ORDER BY line";
const CUSTOMERS: &str = "SELECT remote_id, customer_id, profile, hash, as_of, methods_read_at, \
     reference FROM json_each(?2) AS wanted CROSS JOIN remote_customers AS c \
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
    REFERENCES,
    OPEN_REFERENCES,
    ROWS,
    CUSTOMERS,
    METHODS,
    LINKS,
    FILE_STATEMENTS,
    EFFECTS,
    EFFECTS_OF_RUN,
];

fn staged(row: &SqliteRow) -> Result<StagedRow, StoreError> {
    let facts: Option<&str> = get(row, 5)?;
    let method = facts
        .map(|facts| {
            let billing: Option<&str> = get(row, 6)?;
            let kind = opt_word(row, 8, "a token's kind", TokenKind::parse)?;
            let sealed: Option<Vec<u8>> = get(row, 9)?;
            let print: Option<&[u8]> = get(row, 10)?;
            let created_at = opt_time(row, 11)?;
            let sealed = kind
                .zip(print)
                .map(|(kind, print)| {
                    let print = fp(print)?;
                    // A forgotten token is empty: its fingerprint still decides.
                    let sealed = sealed.unwrap_or_default();
                    Ok::<_, StoreError>(SealedToken { kind, sealed, fp: print, created_at })
                })
                .transpose()?;
            Ok::<_, StoreError>(StagedMethod {
                facts: from_json("facts", facts)?,
                billing: from_json("an address", billing.unwrap_or("{}"))?,
                default: opt_bool(row, 7)?,
                token: None,
                sealed,
            })
        })
        .transpose()?;
    Ok(StagedRow {
        line: unsigned(get(row, 0)?),
        part: u32::try_from(unsigned(get(row, 1)?)).unwrap_or(u32::MAX),
        row_id: get(row, 2)?,
        reference: opt_id(row, 3)?,
        profile: from_json("a profile", get(row, 4)?)?,
        method,
        plan: get(row, 12)?,
        outcome: opt_word(row, 13, "an outcome", Outcome::parse)?,
        code: opt_word(row, 14, "a code", Code::parse)?,
        message: get(row, 15)?,
        field: get(row, 16)?,
    })
}

fn origin(text: &str) -> Option<Origin> {
    [Origin::Answered, Origin::Found].into_iter().find(|origin| origin.as_str() == text)
}

fn effect(row: &SqliteRow) -> Result<EffectRow, StoreError> {
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

/// The groups at hand, by their reference.
struct Groups {
    groups: Vec<Group>,
    places: HashMap<Reference, usize>,
}

impl Groups {
    fn of(references: Vec<Reference>) -> Self {
        let places = references.iter().cloned().enumerate().map(|(n, r)| (r, n)).collect();
        let groups = references
            .into_iter()
            .map(|reference| Group {
                reference,
                rows: Vec::new(),
                customers: Vec::new(),
                methods: Vec::new(),
                links: Vec::new(),
                statements: Vec::new(),
                effects: Vec::new(),
            })
            .collect();
        Self { groups, places }
    }

    fn get(&mut self, reference: &Reference) -> Option<&mut Group> {
        self.places.get(reference).and_then(|place| self.groups.get_mut(*place))
    }

    /// The references in one bound value.
    fn list(&self) -> String {
        list(self.groups.iter().map(|group| group.reference.as_str()))
    }
}

async fn fill_rows(
    conn: &mut SqliteConnection,
    fence: &Fence,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let rows = sqlx::query(ROWS)
        .bind(fence.run.as_str())
        .bind(i64::from(fence.part))
        .bind(groups.list())
        .fetch_all(conn)
        .await?;
    for row in &rows {
        let row = staged(row)?;
        let group = row.reference.clone().and_then(|reference| groups.get(&reference));
        if let Some(group) = group {
            group.rows.push(row);
        }
    }
    Ok(())
}

async fn fill_mirror(
    conn: &mut SqliteConnection,
    account: &AccountName,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let rows = sqlx::query(CUSTOMERS)
        .bind(account.as_str())
        .bind(groups.list())
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
        };
        let reference: Reference = id(row, 6)?;
        whose.insert(customer.id.clone(), reference.clone());
        if let Some(group) = groups.get(&reference) {
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
        let group = whose.get(&method.customer).and_then(|reference| groups.get(reference));
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
    let prints_of = |group: &Group| -> BTreeSet<_> {
        let methods = group.rows.iter().filter_map(|row| row.method.as_ref());
        methods.filter_map(|method| method.sealed.as_ref()).map(|sealed| sealed.fp).collect()
    };
    let prints: Vec<BTreeSet<_>> = groups.groups.iter().map(prints_of).collect();
    let hex = list(prints.iter().flatten().map(|fp| fp.to_hex()));
    let rows = sqlx::query(LINKS)
        .bind(account.as_str())
        .bind(groups.list())
        .bind(hex)
        .fetch_all(conn)
        .await?;
    // The groups that have a row with a token, so that a link reaches them from elsewhere.
    let mut users: HashMap<crate::TokenFp, Vec<usize>> = HashMap::new();
    for (place, prints) in prints.iter().enumerate() {
        for print in prints {
            users.entry(*print).or_default().push(place);
        }
    }
    for row in &rows {
        let link = TokenLink {
            reference: id(row, 0)?,
            fp: fp(get(row, 1)?)?,
            remote_customer: id(row, 2)?,
            remote_method: id(row, 3)?,
            how: get(row, 4)?,
        };
        let own = groups.places.get(&link.reference).copied();
        let others = users.get(&link.fp).into_iter().flatten().copied();
        let places: BTreeSet<usize> = own.into_iter().chain(others).collect();
        for place in places {
            if let Some(group) = groups.groups.get_mut(place) {
                group.links.push(link.clone());
            }
        }
    }
    Ok(())
}

async fn fill_history(
    conn: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    let references = groups.list();
    let rows = sqlx::query(FILE_STATEMENTS)
        .bind(account.as_str())
        .bind(references.as_str())
        .fetch_all(&mut *conn)
        .await?;
    for row in &rows {
        let statement = statement(row)?;
        if let Some(group) = groups.get(&statement.reference) {
            group.statements.push(statement);
        }
    }
    let rows = sqlx::query(EFFECTS)
        .bind(account.as_str())
        .bind(references)
        .bind(fence.run.as_str())
        .fetch_all(conn)
        .await?;
    for row in &rows {
        let effect = effect(row)?;
        let group = effect.reference.clone().and_then(|reference| groups.get(&reference));
        if let Some(group) = group {
            group.effects.push(effect);
        }
    }
    Ok(())
}

/// These references with everything that bears on them.
async fn fill(
    tx: &mut SqliteConnection,
    fence: &Fence,
    account: &AccountName,
    references: Vec<Reference>,
) -> Result<Vec<Group>, StoreError> {
    let mut groups = Groups::of(references);
    fill_rows(tx, fence, &mut groups).await?;
    fill_mirror(tx, account, &mut groups).await?;
    fill_links(tx, account, &mut groups).await?;
    fill_history(tx, fence, account, &mut groups).await?;
    Ok(groups.groups)
}

impl SqliteStore {
    pub(super) async fn read_groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        after: Option<&Reference>,
        only_open: bool,
        most: u32,
    ) -> Result<Vec<Group>, StoreError> {
        // One transaction that reads: all of it is of one moment.
        let mut tx = self.readers.begin().await?;
        let text = if only_open { OPEN_REFERENCES } else { REFERENCES };
        let references: Vec<String> = sqlx::query_scalar(text)
            .bind(fence.run.as_str())
            .bind(i64::from(fence.part))
            .bind(after.map_or("", Reference::as_str))
            .bind(i64::from(most))
            .fetch_all(&mut *tx)
            .await?;
        if references.is_empty() {
            return Ok(Vec::new());
        }
        let references: Result<Vec<Reference>, _> =
            references.into_iter().map(super::decode::as_id).collect();
        let groups = fill(&mut tx, fence, account, references?).await?;
        tx.commit().await?;
        Ok(groups)
    }

    pub(super) async fn read_references(
        &self,
        fence: &Fence,
        account: &AccountName,
        references: &[Reference],
    ) -> Result<Vec<Group>, StoreError> {
        let mut tx = self.readers.begin().await?;
        let mut groups = fill(&mut tx, fence, account, references.to_vec()).await?;
        tx.commit().await?;
        groups.retain(|group| !group.rows.is_empty());
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
