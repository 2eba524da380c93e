//! Applying: the plan, batch by batch, within the budget of failures.

use std::time::Duration;

use model::Counts;
use store::{Subjects, Which};

use super::args::{Args, Limit};
use super::{GROUPS, canary};
use crate::EngineError;
use crate::apply::{Applier, Tally};
use crate::run::Findings;
use crate::settle::{self, Patience};

/// How long to wait for a lease to end.
const HELD: Duration = Duration::from_secs(1);

/// How many failures are allowed, and how far to go before they are counted again.
struct Budget {
    limit: Option<Limit>,
    /// Rows that had something to be sent when this stint began.
    planned: u64,
    /// The least batch: as many references as are in flight at once anyway.
    least: u32,
    /// References in the next batch.
    batch: u32,
    /// The failures that the last batch began with.
    before: u64,
}

/// As many references as are in flight at once anyway.
pub(super) fn least_batch(in_flight: usize) -> u32 {
    u32::try_from(in_flight).unwrap_or(GROUPS).clamp(1, GROUPS)
}

impl Budget {
    /// With a limit, it begins with a small batch, so that a provider that refuses everything
    /// costs hardly more rows than the limit.
    fn new(limit: Option<Limit>, planned: u64, in_flight: usize) -> Self {
        let least = least_batch(in_flight);
        let batch = if limit.is_some() { least } else { GROUPS };
        Self { limit, planned, least, batch, before: 0 }
    }

    /// Whether the failures so far are more than it allows.
    fn is_passed(&self, failed: u64) -> bool {
        self.limit.is_some_and(|limit| limit.is_passed(failed, self.planned))
    }

    /// The next batch: twice the last one while nothing fails, the least one again when it does.
    fn pace(&mut self, failed: u64) {
        if self.limit.is_some() {
            let calm = failed == self.before;
            self.batch = if calm { (self.batch * 2).min(GROUPS) } else { self.least };
            self.before = failed;
        }
    }
}

/// Carries the plan out; `planned` rows of it have something to be sent.
pub(super) async fn apply(
    applier: &mut Applier<'_>,
    args: &Args,
    rows: u64,
    planned: u64,
    found: &mut Findings,
) -> Result<(), EngineError> {
    let mut tally = Tally::default();
    let mut budget = Budget::new(args.max_failures, planned, applier.engine.account.in_flight());
    let mut applied = match args.canary() {
        Some(most) => canary::first(applier, args, most, &mut tally).await,
        None => Ok(()),
    };
    while applied.is_ok() {
        applied = apply_all(applier, rows, &mut budget, &mut tally).await;
        if applier.parked.is_empty() {
            break;
        }
        if applied.is_ok() {
            applied = settle(applier, &mut tally).await;
        }
    }
    found.kept = tally.kept;
    // By the rows: an earlier process of this run may have died before it could say anything.
    let counted = applier.engine.store.subjects(&applier.run.id).await;
    if let Ok(Subjects { customers, customers_created, methods, methods_created }) = counted {
        let counts = |seen, created| Some(Counts { seen, created, ..Counts::default() });
        found.customers = counts(customers, customers_created);
        found.methods = counts(methods, methods_created);
    }
    // What applying failed of comes first.
    applied.and(counted.map(drop).map_err(EngineError::from))
}

/// Settles what references wait for: they go on where they stopped.
pub(super) async fn settle(
    applier: &mut Applier<'_>,
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let (engine, fence) = (applier.engine, &applier.run.fence);
    tally.waiting = 0;
    settle::take_over(engine, fence).await?;
    let (ctx, unheard) = (&applier.ctx, &mut applier.unheard);
    let settled = settle::settle(engine, fence, ctx, unheard, Patience::UntilSettled).await?;
    if settled == settle::Settled::default() {
        // Somebody whose lease is not over has it on its way.
        let mut stop = engine.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(HELD) => {}
            () = stop.wanted() => return Err(EngineError::Stopped),
        }
    }
    Ok(())
}

async fn apply_all(
    applier: &mut Applier<'_>,
    rows: u64,
    budget: &mut Budget,
    tally: &mut Tally,
) -> Result<(), EngineError> {
    let engine = applier.engine;
    let mut after = 0;
    loop {
        engine.stop.check()?;
        let page = engine
            .store
            .load_groups(&applier.run.fence, &engine.account.name, after, Which::Open, budget.batch)
            .await?;
        if page.groups.is_empty() {
            return Ok(());
        }
        // Only while something is left: a budget protects what has not been sent.
        if budget.is_passed(tally.failed) {
            return Err(EngineError::TooManyFailures {
                failed: tally.failed,
                planned: budget.planned,
            });
        }
        // What waits may have failed: that is settled before more goes out.
        if budget.is_passed(tally.failed + tally.waiting) {
            return Ok(());
        }
        after = page.upto;
        applier.apply(page.groups, Some(after.to_string()), tally).await?;
        budget.pace(tally.failed + tally.waiting);
        engine.progress.at("applied", tally.rows, Some(rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_begins_small_and_falls_back() {
        let mut budget = Budget::new(Some(Limit::Percent(10.0)), 30, 8);
        assert_eq!(budget.batch, 8);
        for (failed, batch) in [(0, 16), (0, 32), (2, 8), (2, 16), (3, 8)] {
            budget.pace(failed);
            assert_eq!(budget.batch, batch, "after {failed}");
        }
        assert!(!budget.is_passed(3));
        assert!(budget.is_passed(4));
        for _ in 0..9 {
            budget.pace(3);
        }
        assert_eq!(budget.batch, GROUPS);
    }

    #[test]
    fn without_a_limit_batches_are_whole() {
        let mut budget = Budget::new(None, 30, 8);
        budget.pace(30);
        assert_eq!(budget.batch, GROUPS);
        assert!(!budget.is_passed(30));
    }
}
