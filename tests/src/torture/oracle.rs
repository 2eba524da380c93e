//! What became of it all: the provider's own state against the file, and against what onfile says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use model::{Outcome, Reference};
use sandbox::{CustomerView, Handle, MethodKind, MethodView};
use store::{EffectRow, EffectState, RowRecord, RunRecord, Store};

use crate::inproc::MERCHANT;

use super::seed::{Plan, Row};

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
        MethodKind::Wallet => format!("wallet {:?} {:?}", method.chain_id, method.wallet_address),
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

    /// How often the subject of a row is there.
    fn times(&self, row: &Row) -> usize {
        row.method.as_ref().map_or(self.customers.len(), |method| self.methods(&method.facts()))
    }
}

/// Compares, once everything is done. The last run is an import of the whole file.
pub async fn judge(plan: &Plan, provider: &Handle, store: &dyn Store) -> anyhow::Result<Judgement> {
    let mut found = Judgement::default();
    let customers = provider.customers(MERCHANT);
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
                let what = format!("{} {}", effect.kind.as_str(), effect.state.as_str());
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
        if waits(outcome) {
            waiting.insert(row.reference.clone());
            let code = record.code.clone().unwrap_or_else(|| outcome.as_str().to_owned());
            *found.unresolved.entry(code).or_default() += 1;
            continue;
        }
        if held(&row.reference).times(row) == 0 {
            found.lost.push(format!("{} is not there at the end: {record:?}", row.reference));
        } else if !is_there(outcome) {
            found
                .unaccounted
                .push(format!("{} is there, and said not to be: {record:?}", row.reference));
        }
    }
    doubles(plan, &customers, &mut found);
    for customer in &customers {
        let reference = customer.reference.clone().unwrap_or_default();
        let there = plan.present.iter().find(|there| there.reference == reference);
        for method in &customer.methods {
            let facts = facts(method);
            let was_there = there.is_some_and(|t| t.methods.iter().any(|m| m.facts() == facts));
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

fn doubles(plan: &Plan, customers: &[CustomerView], found: &mut Judgement) {
    let references: BTreeSet<&str> = plan.rows.iter().map(|row| row.reference.as_str()).collect();
    for reference in references {
        let all: Vec<_> =
            customers.iter().filter(|c| c.reference.as_deref() == Some(reference)).collect();
        if all.len() > 1 {
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
