//! The canary: the first rows that do something at the provider go alone, are read back, and the
//! rest waits for a person (rule 7).

use std::collections::{BTreeMap, BTreeSet};

use model::{EffectKind, MethodKind};
use store::{EffectState, PlannedRow};

use super::apply::settle;
use super::args::Args;
use super::{GROUPS, effects_in, read_back, with_effects};
use crate::EngineError;
use crate::apply::{Applier, Tally};

/// Planned rows looked at together.
const PAGE: u32 = 5000;

/// What a canary must have one of, if the plan has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Effect(EffectKind),
    Method(MethodKind),
    CustomerAlone,
}

/// The choice, made from the planned rows in the file's order.
#[derive(Debug, Default)]
struct Choice {
    most: u64,
    rows: u64,
    /// References, by their first line.
    heads: BTreeSet<u64>,
    /// What the chosen references bring.
    covered: BTreeSet<Kind>,
    /// The first row of the plan that brings it.
    first: BTreeMap<Kind, u64>,
}

impl Choice {
    fn of(most: u64) -> Self {
        Self { most, ..Self::default() }
    }

    /// Takes the next row in: the first `most` that have an effect are chosen, each with the
    /// whole of its reference, since the order within a customer is kept.
    fn take(&mut self, row: &PlannedRow) {
        let mut kinds: Vec<Kind> = effects_in(&row.plan).map(Kind::Effect).collect();
        if kinds.is_empty() {
            return;
        }
        kinds.push(row.method.map_or(Kind::CustomerAlone, Kind::Method));
        for kind in &kinds {
            self.first.entry(*kind).or_insert(row.head);
        }
        if self.rows < self.most {
            self.rows += 1;
            self.heads.insert(row.head);
        }
        if self.heads.contains(&row.head) {
            self.covered.extend(kinds);
        }
    }

    /// The references of the canary: those chosen, and for each kind that none of them has, that
    /// of the first row that has it. Not all rows up to that one: it may be the last of the file.
    fn finish(mut self) -> Vec<u64> {
        for (kind, head) in self.first {
            if !self.covered.contains(&kind) {
                self.heads.insert(head);
            }
        }
        self.heads.into_iter().collect()
    }
}

/// Applies the canary and reads it back. What it is was chosen once and is kept with the run's
/// options before anything is sent: the plan of a run that stopped on the way says something else
/// of the rows that were sent, and would choose other ones.
///
/// # Errors
/// [`EngineError::AwaitingApproval`] when it went well and there is more to be sent;
/// [`EngineError::CanaryFailed`] when it did not. If it was all, nothing more may be sent.
pub(super) async fn first(
    applier: &mut Applier<'_>,
    args: &Args,
    most: u64,
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let engine = applier.engine;
    let heads = match &args.canary_heads {
        Some(kept) => kept.clone(),
        None => {
            let heads = choose(applier, most).await?;
            let chosen = args.with_canary(heads.clone());
            engine.store.keep_args(&applier.run.fence, &chosen.text()?).await?;
            heads
        }
    };
    // What an earlier stint of the run left so fails the canary: nothing more of it is sent.
    let failed = args.canary_heads.is_some() && has_failed(applier, &heads).await?;
    applier.may_send = !failed;
    loop {
        for some in heads.chunks(GROUPS as usize) {
            engine.stop.check()?;
            let mut groups =
                engine.store.load_heads(&applier.run.fence, &engine.account.name, some).await?;
            groups.retain(|group| group.rows.iter().any(|row| row.outcome.is_none()));
            match applier.apply(groups, None, tally).await {
                Err(EngineError::AwaitingApproval { .. }) if failed => {}
                applied => applied?,
            }
        }
        if applier.parked.is_empty() {
            break;
        }
        settle(applier, tally).await?;
    }
    read_back::check(applier, &heads).await?;
    let waiting = with_effects(&engine.store.tally(&applier.run.id).await?.planned);
    if waiting > 0 {
        return Err(EngineError::AwaitingApproval { waiting });
    }
    applier.may_send = false;
    Ok(())
}

/// Whether an effect of the canary was refused, or waits for a person.
async fn has_failed(applier: &Applier<'_>, heads: &[u64]) -> Result<bool, EngineError> {
    let engine = applier.engine;
    for some in heads.chunks(GROUPS as usize) {
        engine.stop.check()?;
        let groups =
            engine.store.load_heads(&applier.run.fence, &engine.account.name, some).await?;
        let failed = groups.iter().flat_map(|group| &group.effects).any(|effect| {
            // What is not known is settled before it is judged.
            let failed = matches!(effect.state, EffectState::Refused | EffectState::Unresolved);
            effect.run == applier.run.id && failed
        });
        if failed {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The references of a canary by their first line, of the plan as it stands.
pub(super) async fn choose(applier: &Applier<'_>, most: u64) -> Result<Vec<u64>, EngineError> {
    let mut choice = Choice::of(most);
    let mut after = 0;
    loop {
        applier.engine.stop.check()?;
        let rows = applier.engine.store.planned_rows(&applier.run.fence, after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(choice.finish()) };
        after = last.line;
        for row in &rows {
            choice.take(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, head: u64, plan: &str, method: Option<MethodKind>) -> PlannedRow {
        PlannedRow { line, head, plan: plan.into(), method }
    }

    fn chosen(most: u64, rows: &[PlannedRow]) -> Vec<u64> {
        let mut choice = Choice::of(most);
        for row in rows {
            choice.take(row);
        }
        choice.finish()
    }

    const CARD: Option<MethodKind> = Some(MethodKind::Card);
    const BANK: Option<MethodKind> = Some(MethodKind::BankAccount);

    #[test]
    fn the_first_rows_that_do_something() {
        let rows = [
            row(2, 2, "not_updatable", CARD),
            row(3, 3, "create_customer+import_method", CARD),
            row(4, 4, "create_customer+import_method", CARD),
            row(5, 3, "import_method", CARD),
            row(6, 6, "create_customer+import_method", CARD),
        ];
        assert_eq!(chosen(1, &rows), [3]);
        assert_eq!(chosen(2, &rows), [3, 4]);
        // The row of a reference that is chosen already is one of the first, too.
        assert_eq!(chosen(3, &rows), [3, 4]);
        assert_eq!(chosen(4, &rows), [3, 4, 6]);
        assert_eq!(chosen(9, &rows), [3, 4, 6]);
    }

    #[test]
    fn each_kind_of_effect_and_of_method_is_in_it() {
        let rows = [
            row(2, 2, "create_customer+import_method", CARD),
            row(3, 3, "create_customer+import_method", CARD),
            row(4, 4, "import_method", BANK),
            row(5, 5, "import_method", BANK),
            row(6, 6, "set_default", CARD),
            row(7, 7, "create_customer", None),
            row(8, 8, "token_changed", Some(MethodKind::CryptoWallet)),
        ];
        assert_eq!(chosen(1, &rows), [2, 4, 6, 7]);
        // What a later row of a chosen reference brings needs no other.
        let mut more = rows.to_vec();
        more.push(row(9, 2, "set_default", BANK));
        assert_eq!(chosen(1, &more), [2, 7]);
    }

    #[test]
    fn nothing_to_do_is_no_canary() {
        assert!(chosen(3, &[row(2, 2, "not_updatable", CARD)]).is_empty());
        assert!(chosen(3, &[]).is_empty());
    }
}
