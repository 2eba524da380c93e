//! Applying: the plan, batch by batch.

use model::Counts;

use super::GROUPS;
use crate::EngineError;
use crate::apply::{Applier, Tally};
use crate::run::Findings;

/// Carries the plan out.
pub(super) async fn apply(
    applier: &mut Applier<'_>,
    rows: u64,
    found: &mut Findings,
) -> Result<(), EngineError> {
    let mut tally = Tally::default();
    let applied = apply_all(applier, rows, &mut tally).await;
    found.customers = Some(Counts {
        seen: tally.customers,
        created: tally.customers_created,
        ..Counts::default()
    });
    found.methods =
        Some(Counts { seen: tally.methods, created: tally.methods_created, ..Counts::default() });
    found.kept = tally.kept;
    applied
}

async fn apply_all(
    applier: &mut Applier<'_>,
    rows: u64,
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let engine = applier.engine;
    let mut after = None;
    loop {
        engine.stop.check()?;
        let groups = engine
            .store
            .load_groups(&applier.run.fence, &engine.account.name, after.as_ref(), true, GROUPS)
            .await?;
        let Some(last) = groups.last() else { return Ok(()) };
        after = Some(last.reference.clone());
        applier.apply(groups, tally).await?;
        engine.progress.at("applied", tally.rows, Some(rows));
    }
}
