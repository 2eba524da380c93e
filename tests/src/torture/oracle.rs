//! What became of it all: the provider's own state against the file, and against what onfile says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use model::{Code, Outcome, Reference};
use sandbox::{CustomerView, Handle, MethodKind, MethodView};
use store::{EffectRow, EffectState, RowRecord, RunRecord, Store};

use super::seed::{self, Plan, Row, name};
use super::world::old_name;
use crate::providers::Method;

/// More rows or effects than a run has.
const ALL: u32 = 100_000;

/// What is wrong, each in a line of its own.
#[derive(Debug, Default)]
pub struct Judgement {
    /// A customer or a payment method more often than the file says.
    pub doubled: Vec<String>,
    /// Said to be there, or due at the end, and not there.
    pub lost: Vec<String>,
    /// A row without an outcome, a ledger that does not balance, a method that no row claims.
    pub unaccounted: Vec<String>,
    /// Rows that wait for a person, by code, and effects that nobody has settled.
    pub unresolved: BTreeMap<String, u64>,
    /// Effects in the journal.
    pub effects: u64,
    /// What the store tells of the references at fault.
    pub history: Vec<String>,
}

impl Judgement {
    pub fn is_clean(&self) -> bool {
        self.doubled.is_empty() && self.lost.is_empty() && self.unaccounted.is_empty()
    }
}

fn facts(method: &MethodView) -> String {
    match method.kind {
        MethodKind::Ach => format!("bank {}", method.last4),
        MethodKind::Wallet => format!(
            "wallet {} {}",
            method.chain_id.unwrap_or_default(),
            method.wallet_address.as_deref().unwrap_or_default()
        ),
        MethodKind::Card => format!(
            "card {} {}/{}",
            method.last4,
            method.exp_month.unwrap_or_default(),
            method.exp_year.unwrap_or_default()
        ),
    }
}

const fn is_there(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Created | Outcome::Linked | Outcome::Updated | Outcome::Unchanged)
}

/// Whether onfile says that it does not know, or has left the row alone because of that.
const fn waits(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Unresolved | Outcome::NotAttempted)
}

/// What the provider holds for a reference.
struct Held<'a> {
    customers: Vec<&'a CustomerView>,
}

impl Held<'_> {
    fn methods(&self, facts: &str) -> usize {
        let all = self.customers.iter().flat_map(|customer| &customer.methods);
        all.filter(|method| self::facts(method) == facts).count()
    }

    /// Whether the customer has as many payment methods as it can.
    fn is_full(&self, plan: &Plan) -> bool {
        let most = plan.target.most_methods();
        self.customers.iter().any(|customer| customer.methods.len() as u64 == most)
    }

    /// How often the subject of a row is there.
    fn times(&self, row: &Row) -> usize {
        row.method.as_ref().map_or(self.customers.len(), |method| self.methods(&method.facts()))
    }
}

/// Compares, once everything is done. The last run is an import of the whole file.
pub async fn judge(plan: &Plan, provider: &Handle, store: &dyn Store) -> anyhow::Result<Judgement> {
    let mut found = Judgement::default();
    let mut customers = provider.customers(plan.target.provider.seeded());
    customers.retain(|customer| !customer.deleted);
    let held = |reference: &str| Held {
        customers: customers.iter().filter(|c| c.reference.as_deref() == Some(reference)).collect(),
    };
    let runs = store.runs(1000).await?;
    let mut claimed = BTreeSet::new();
    let mut waiting = BTreeSet::new();
    let mut last: Option<BTreeMap<String, RowRecord>> = None;
    for run in &runs {
        for effect in store.effects_of_run(&run.id, ALL).await? {
            found.effects += 1;
            if effect.state.is_open() && effect.state != EffectState::Planned {
                let why = effect.message.as_deref().unwrap_or_default();
                // Without the ids that it names.
                let why = why.split(": ").next().unwrap_or_default();
                let what = format!("{} {}: {why}", effect.kind.as_str(), effect.state.as_str());
                *found.unresolved.entry(what).or_default() += 1;
                waiting.extend(effect.reference.map(String::from));
            }
        }
        let rows = store.rows(&run.id, 0, ALL).await?;
        let ledger = store.tally(&run.id).await?.ledger;
        if !ledger.balances() || ledger.read != rows.len() as u64 {
            found.unaccounted.push(format!("run {} does not balance: {ledger:?}", run.id));
        }
        for row in &rows {
            claimed.extend(row.remote_method_id.clone());
            let Some(of_file) = plan.rows.iter().find(|of_file| of_file.id == row.row_id) else {
                continue;
            };
            let says_so = row.outcome.is_some_and(is_there);
            if says_so && held(&of_file.reference).times(of_file) == 0 {
                found.lost.push(format!("{} is not there: {row:?}", of_file.reference));
            }
        }
        let rows = rows.into_iter().map(|row| (row.row_id.clone(), row)).collect();
        last.get_or_insert(rows);
    }
    let last = last.context("there is no run")?;
    for row in &plan.rows {
        let Some((record, outcome)) = last.get(&row.id).and_then(|r| Some((r, r.outcome?))) else {
            found.unaccounted.push(format!("{} {} has no outcome", row.reference, row.id));
            continue;
        };
        if cannot_be(plan, &row.reference) {
            if is_there(outcome) {
                found.unaccounted.push(format!("{} cannot be there: {record:?}", row.reference));
            }
            continue;
        }
        if waits(outcome) {
            waiting.insert(row.reference.clone());
            let code = record.code.clone().unwrap_or_else(|| outcome.as_str().to_owned());
            *found.unresolved.entry(code).or_default() += 1;
            continue;
        }
        if is_vague(plan, row, record) {
            *found.unresolved.entry(Code::FactsNeeded.to_string()).or_default() += 1;
            continue;
        }
        let held = held(&row.reference);
        let times = held.times(row);
        if times == 0 && is_full(plan, record) && held.is_full(plan) {
            continue;
        }
        if times == 0 {
            found.lost.push(format!("{} is not there at the end: {record:?}", row.reference));
        } else if !is_there(outcome) {
            found
                .unaccounted
                .push(format!("{} is there, and said not to be: {record:?}", row.reference));
        }
    }
    doubles(plan, &customers, &mut found);
    let references = plan.references();
    for customer in &customers {
        let reference = customer.reference.clone().unwrap_or_default();
        if !references.contains(reference.as_str()) || cannot_be(plan, &reference) {
            continue;
        }
        let there = plan.there(&reference);
        if !waiting.contains(&reference) {
            found.lost.extend(fields(plan, customer, &reference));
        }
        for method in &customer.methods {
            let facts = facts(method);
            let was_there =
                there.is_some_and(|t| t.methods.iter().any(|m| seed::facts(m) == facts));
            if !was_there && !claimed.contains(&method.id) && !waiting.contains(&reference) {
                found
                    .unaccounted
                    .push(format!("{reference} has {}, and no row claims it", method.id));
            }
        }
        let wished = plan.rows.iter().filter(|row| row.reference == reference);
        let wished = wished.filter_map(|row| row.method.as_ref()).find(|m| m.default);
        let default = customer.methods.iter().find(|m| m.is_default).map(facts);
        if let Some(wished) = wished
            && there.is_none()
            && !waiting.contains(&reference)
            && default.as_ref() != Some(&wished.facts())
        {
            let wished = wished.facts();
            found.lost.push(format!("{reference} has the default {default:?}, not {wished}"));
        }
    }
    let said = [&found.doubled, &found.lost, &found.unaccounted];
    let at_fault: BTreeSet<String> = plan
        .rows
        .iter()
        .map(|row| &row.reference)
        .filter(|r| {
            said.iter().any(|said| said.iter().any(|line| line.starts_with(&format!("{r} "))))
        })
        .cloned()
        .collect();
    found.history = history(store, &runs, &at_fault).await?;
    Ok(found)
}

/// Whether nobody can be sure of this reference: it is a deleted customer's, or two customers'.
fn cannot_be(plan: &Plan, reference: &str) -> bool {
    plan.there(reference).is_some_and(|there| there.deleted || there.times > 1)
}

/// Whether a row says that its customer has no room for it.
fn is_full(plan: &Plan, record: &RowRecord) -> bool {
    let full = record.code.as_deref() == Some(Code::WalletFull.as_str());
    full && plan.target.capabilities.methods_per_customer.is_some()
}

/// Whether a row says that it cannot be told from a bank account that was there, of which the provider
/// may show too little.
fn is_vague(plan: &Plan, row: &Row, record: &RowRecord) -> bool {
    let there = plan.there(&row.reference).map_or(&[][..], |there| &there.methods);
    let is_bank = |method: &Method| matches!(method, Method::Bank { .. });
    record.code.as_deref() == Some(Code::FactsNeeded.as_str()) && there.iter().any(is_bank)
}

/// What of a customer's fields is not as it must be: the file's, or as they were.
fn fields(plan: &Plan, customer: &CustomerView, reference: &str) -> Vec<String> {
    let there = plan.there(reference).is_some();
    let (expected, tier) = match there && !plan.updates {
        true => (old_name(reference), "silver"),
        false => (name(reference), "gold"),
    };
    let mut wrong = Vec::new();
    let mut check = |field: &str, now: Option<&str>, expected: &str| {
        if now != Some(expected) {
            wrong.push(format!("{reference} has the {field} {now:?}, not {expected}"));
        }
    };
    check("name", customer.name.as_deref(), &expected);
    if plan.target.metadata() {
        let now = |key: &str| customer.fields.get(key).map(String::as_str);
        check("tier", now("metadata.tier"), tier);
        if there {
            check("own metadata", now("metadata.own"), "kept");
        }
    }
    wrong
}

fn doubles(plan: &Plan, customers: &[CustomerView], found: &mut Judgement) {
    for reference in plan.references() {
        let all: Vec<_> =
            customers.iter().filter(|c| c.reference.as_deref() == Some(reference)).collect();
        let there = plan.there(reference);
        let most = there.map_or(1, |there| if there.deleted { 0 } else { there.times });
        if all.len() > most {
            found.doubled.push(format!("{reference} is {} customers", all.len()));
        }
        let mut times: BTreeMap<String, u64> = BTreeMap::new();
        for method in all.iter().flat_map(|customer| &customer.methods) {
            *times.entry(facts(method)).or_default() += 1;
        }
        for (facts, times) in times.into_iter().filter(|(_, times)| *times > 1) {
            found.doubled.push(format!("{reference} has {facts} {times} times"));
        }
    }
}

/// Every row and effect of these references, the oldest run first.
async fn history(
    store: &dyn Store,
    runs: &[RunRecord],
    references: &BTreeSet<String>,
) -> anyhow::Result<Vec<String>> {
    let is_at_fault = |reference: Option<&str>| reference.is_some_and(|r| references.contains(r));
    let mut told = Vec::new();
    for run in runs.iter().rev() {
        told.push(format!("run {} is {}: {:?}", run.id, run.state.as_str(), run.error));
        for row in store.rows(&run.id, 0, ALL).await? {
            if is_at_fault(row.reference.as_deref()) {
                let RowRecord { row_id, reference, outcome, code, remote_method_id, done, .. } =
                    row;
                let reference = reference.unwrap_or_default();
                told.push(format!(
                    "  {reference} {row_id} {outcome:?} {code:?} {remote_method_id:?} {done:?}"
                ));
            }
        }
        for effect in store.effects_of_run(&run.id, ALL).await? {
            if is_at_fault(effect.reference.as_ref().map(Reference::as_str)) {
                let EffectRow { kind, line, state, attempt, origin, message, .. } = effect;
                told.push(format!(
                    "  {kind:?} of line {line:?}: {state:?} {attempt} {origin:?} {message:?}"
                ));
            }
        }
    }
    Ok(told)
}
