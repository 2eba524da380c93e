//! Staged references with everything that bears on them.

use std::collections::HashMap;

use model::{AccountName, Code, Outcome, Reference, RemoteCustomerId, TokenKind};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::decode::{as_id, fp, get, id, opt_bool, opt_id, opt_time, opt_word, time, unsigned};
use super::journal::{effect, effect_columns};
use crate::canonical::{from_json, hash_of};
use crate::{
    Fence, Group, KnownCustomer, KnownMethod, SealedToken, StagedMethod, StagedRow, Statement,
    StoreError, TokenLink,
};

const REFERENCES: &str = "SELECT reference FROM staged_rows WHERE run = $1 AND part = $2 \
     AND reference > $3 AND ($4 = 0 OR outcome IS NULL) \
     GROUP BY reference ORDER BY reference LIMIT $5";
const STAGED: &str = "SELECT reference, line, part, row_id, profile, facts, billing, is_default, \
     token_kind, token, token_fp, token_created_at, plan, outcome, code, message, field \
     FROM staged_rows WHERE run = $1 AND part = $2 AND reference = ANY($3) \
     ORDER BY reference, line";
const CUSTOMERS: &str = "SELECT reference, remote_id, customer_id, profile, hash, as_of, \
     methods_read_at FROM remote_customers WHERE account = $1 AND reference = ANY($2) \
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

fn staged_method(row: &PgRow) -> Result<Option<StagedMethod>, StoreError> {
    let Some(facts) = get::<Option<&str>>(row, 5)? else { return Ok(None) };
    let billing = get::<Option<&str>>(row, 6)?;
    let kind = opt_word(row, 8, "a token's kind", TokenKind::parse)?;
    let print = get::<Option<&[u8]>>(row, 10)?;
    let sealed = match (kind, print) {
        (Some(kind), Some(print)) => Some(SealedToken {
            kind,
            // Gone once its effect is final; the fingerprint stays.
            sealed: get::<Option<Vec<u8>>>(row, 9)?.unwrap_or_default(),
            fp: fp(print)?,
            created_at: opt_time(row, 11)?,
        }),
        _ => None,
    };
    Ok(Some(StagedMethod {
        facts: from_json("facts", facts)?,
        billing: billing.map(|text| from_json("an address", text)).transpose()?.unwrap_or_default(),
        default: opt_bool(row, 7)?,
        token: None,
        sealed,
    }))
}

fn staged(row: &PgRow) -> Result<StagedRow, StoreError> {
    Ok(StagedRow {
        reference: opt_id(row, 0)?,
        line: unsigned(get(row, 1)?),
        part: u32::try_from(unsigned(get(row, 2)?)).unwrap_or(u32::MAX),
        row_id: get(row, 3)?,
        profile: from_json("a profile", get(row, 4)?)?,
        method: staged_method(row)?,
        plan: get(row, 12)?,
        outcome: opt_word(row, 13, "an outcome", Outcome::parse)?,
        code: opt_word(row, 14, "a code", Code::parse)?,
        message: get(row, 15)?,
        field: get(row, 16)?,
    })
}

fn customer(row: &PgRow) -> Result<KnownCustomer, StoreError> {
    Ok(KnownCustomer {
        id: id(row, 1)?,
        customer: opt_id(row, 2)?,
        profile: from_json("a profile", get(row, 3)?)?,
        hash: hash_of(get(row, 4)?)?,
        as_of: time(row, 5)?,
        methods_read_at: opt_time(row, 6)?,
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

/// The groups at hand, by their reference.
struct Groups {
    all: Vec<Group>,
    places: HashMap<String, usize>,
}

impl Groups {
    fn of(&mut self, reference: &str) -> Option<&mut Group> {
        self.places.get(reference).and_then(|place| self.all.get_mut(*place))
    }
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
        if let Some(group) = groups.of(reference) {
            group.customers.push(known);
        }
    }
    if whose.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = whose.keys().map(RemoteCustomerId::as_str).collect();
    for row in &sqlx::query(METHODS).bind(account).bind(ids).fetch_all(tx).await? {
        let known = method(row)?;
        if let Some(group) = whose.get(&known.customer).and_then(|who| groups.of(who)) {
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
    let mut tokens: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    for (place, group) in groups.all.iter().enumerate() {
        for sealed in group.rows.iter().filter_map(|row| row.method.as_ref()?.sealed.as_ref()) {
            let places = tokens.entry(sealed.fp.as_bytes().to_vec()).or_default();
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
    }
    let fps: Vec<&[u8]> = tokens.keys().map(Vec::as_slice).collect();
    let rows = sqlx::query(LINKS).bind(account).bind(references).bind(fps).fetch_all(tx).await?;
    for row in &rows {
        let link = link(row)?;
        let own = groups.places.get(link.reference.as_str()).copied();
        let same = tokens.get(link.fp.as_bytes().as_slice()).into_iter().flatten().copied();
        let places: Vec<usize> = own.into_iter().chain(same.filter(|p| Some(*p) != own)).collect();
        for place in places {
            if let Some(group) = groups.all.get_mut(place) {
                group.links.push(link.clone());
            }
        }
    }
    Ok(())
}

/// These references with everything that bears on them.
async fn fill(
    tx: &mut PgConnection,
    fence: &Fence,
    account: &str,
    texts: &[String],
) -> Result<Vec<Group>, StoreError> {
    let (run, part) = (fence.run.as_str(), i64::from(fence.part));
    let references: Vec<&str> = texts.iter().map(String::as_str).collect();
    let references = references.as_slice();
    let mut groups = Groups { all: Vec::new(), places: HashMap::new() };
    for text in texts {
        groups.places.insert(text.clone(), groups.all.len());
        groups.all.push(Group {
            reference: as_id(text.clone())?,
            rows: Vec::new(),
            customers: Vec::new(),
            methods: Vec::new(),
            links: Vec::new(),
            statements: Vec::new(),
            effects: Vec::new(),
        });
    }
    if groups.all.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(STAGED).bind(run).bind(part).bind(references);
    for row in &rows.fetch_all(&mut *tx).await? {
        if let Some(group) = groups.of(get(row, 0)?) {
            group.rows.push(staged(row)?);
        }
    }
    fill_customers(tx, account, references, &mut groups).await?;
    fill_links(tx, account, references, &mut groups).await?;
    let rows = sqlx::query(STATEMENTS).bind(account).bind(references);
    for row in &rows.fetch_all(&mut *tx).await? {
        if let Some(group) = groups.of(get(row, 0)?) {
            group.statements.push(statement(row)?);
        }
    }
    let rows = sqlx::query(EFFECTS).bind(account).bind(references).bind(run);
    for row in &rows.fetch_all(&mut *tx).await? {
        let effect = effect(row)?;
        let whose = effect.reference.clone();
        if let Some(group) = whose.and_then(|whose| groups.of(whose.as_str())) {
            group.effects.push(effect);
        }
    }
    Ok(groups.all)
}

impl PostgresStore {
    pub(super) async fn groups(
        &self,
        fence: &Fence,
        account: &AccountName,
        after: Option<&Reference>,
        only_open: bool,
        most: u32,
    ) -> Result<Vec<Group>, StoreError> {
        let (run, part, account) = (fence.run.as_str(), i64::from(fence.part), account.as_str());
        let mut tx = self.snapshot().await?;
        let texts: Vec<String> = sqlx::query_scalar(REFERENCES)
            .bind(run)
            .bind(part)
            .bind(after.map_or("", Reference::as_str))
            .bind(i64::from(only_open))
            .bind(i64::from(most))
            .fetch_all(&mut *tx)
            .await?;
        fill(&mut tx, fence, account, &texts).await
    }

    pub(super) async fn groups_of(
        &self,
        fence: &Fence,
        account: &AccountName,
        references: &[Reference],
    ) -> Result<Vec<Group>, StoreError> {
        let mut tx = self.snapshot().await?;
        let texts: Vec<String> = references.iter().map(Reference::to_string).collect();
        let mut groups = fill(&mut tx, fence, account.as_str(), &texts).await?;
        groups.retain(|group| !group.rows.is_empty());
        Ok(groups)
    }
}
