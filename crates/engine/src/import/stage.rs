//! Staging: the file into the store, row by row, each with its plan as far as it shows by then.
//!
//! Three at work at once: a thread reads, checks and seals; the job plans; a task writes. Rows of
//! one reference that stand together are planned together. Those that stand apart are found at the
//! end, joined in the store, and planned again (`plan::replan`).

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use backend::{Account, TokenRoute};
use futures::{StreamExt, stream};
use model::{MethodFacts, Reference, RunId, Token, TokenKind};
use store::{Fence, Join, StagedRow, Store};
use tokio::sync::mpsc;

use super::{ImportOptions, plan};
use crate::apply::Applier;
use crate::file::{self, RowReader, Totals};
use crate::send::rejected;
use crate::{Engine, EngineError, Failpoint, FileError};

/// Rows staged in one transaction, about.
const ROWS: usize = 1000;
/// Batches that wait between two stages of the work: enough to go on while the disk is waited for.
const AHEAD: usize = 4;
/// The longest cluster: what is behind it is another one, joined later.
const CLUSTER: usize = 1000;
/// Joins written in one transaction.
const JOINS: usize = 5000;

/// Opens the file and reads its header, away from the runtime's own threads.
pub(super) async fn open(options: &ImportOptions) -> Result<RowReader, EngineError> {
    let (path, reading) = (options.path.clone(), options.reading.clone());
    let opened = tokio::task::spawn_blocking(move || file::open(&path, &reading)).await;
    Ok(opened.map_err(|_| EngineError::Broken("opening the file panicked"))??)
}

/// What staging came to.
pub(super) struct Staged {
    pub(super) totals: Totals,
    /// Whether references stand apart in the file: their rows are to be planned again.
    pub(super) joined: bool,
    /// Whether a token seems to stand under more than one reference.
    pub(super) shared: bool,
    /// Lines that are decided and whose token is kept until that is final.
    pub(super) decided: Vec<u64>,
}

/// Reads the file to its end, plans its rows and stages them on the way: nothing of it is sent
/// before.
pub(super) async fn stage(
    applier: &Applier<'_>,
    reader: RowReader,
    kept: &mut plan::Kept,
) -> Result<Staged, EngineError> {
    let Applier { engine, run, .. } = applier;
    let (read_out, mut read_in) = mpsc::channel::<Batch>(AHEAD);
    let checker = Checker::new(engine, &run.id, applier.dry_run);
    let reading = tokio::task::spawn_blocking(move || read(reader, &checker, &read_out));
    let (plan_out, plan_in) = mpsc::channel::<Vec<StagedRow>>(AHEAD);
    let (store, fence) = (Arc::clone(&engine.store), run.fence.clone());
    let writing = tokio::spawn(write(store, fence, plan_in));
    let mut decided = Vec::new();
    let planned = async {
        let mut staged = 0;
        // What the store knows of the next batches is looked up while this one is planned.
        let batches = stream::poll_fn(|cx| read_in.poll_recv(cx));
        let mut known = batches
            .map(async |Batch { clusters, declined }| {
                let groups = engine.store.know(&run.fence, &engine.account.name, clusters).await?;
                Ok::<_, EngineError>((groups, declined))
            })
            .buffered(2);
        while let Some(batch) = known.next().await {
            engine.stop.check()?;
            let (groups, mut rows) = batch?;
            plan::plan_rows(applier, groups, &mut rows, kept);
            staged += rows.len() as u64;
            let keeps_token = |row: &&StagedRow| {
                let token = row.method.as_ref().and_then(|method| method.sealed.as_ref());
                row.outcome.is_some() && token.is_some_and(|token| !token.sealed.is_empty())
            };
            decided.extend(rows.iter().filter(keeps_token).map(|row| row.line));
            // Nobody listens any more when writing has failed.
            if plan_out.send(rows).await.is_err() {
                break;
            }
            engine.progress.at("staged", staged, None);
            engine.reached(Failpoint::WhileStaging).await;
        }
        Ok::<(), EngineError>(())
    }
    .await;
    drop(read_in);
    drop(plan_out);
    writing.await.map_err(|_| EngineError::Broken("writing the rows panicked"))??;
    let read = reading.await.map_err(|_| EngineError::Broken("reading the file panicked"))?;
    planned?;
    let Read { totals, joins, shared } = read?;
    let joined = !joins.is_empty();
    for joins in joins.chunks(JOINS) {
        engine.stop.check()?;
        engine.store.join_rows(&run.fence, joins.to_vec()).await?;
    }
    Ok(Staged { totals, joined, shared, decided })
}

/// Rows that were read.
#[derive(Default)]
struct Batch {
    /// Whole clusters.
    clusters: Vec<StagedRow>,
    /// Rows that could not be understood: they belong to no reference.
    declined: Vec<StagedRow>,
}

/// Writes batches: two at a time, so that one is made ready while the other is written.
async fn write(
    store: Arc<dyn Store>,
    fence: Fence,
    mut batches: mpsc::Receiver<Vec<StagedRow>>,
) -> Result<(), EngineError> {
    let (store, fence) = (&store, &fence);
    let batches = stream::poll_fn(|cx| batches.poll_recv(cx));
    let mut writes = batches.map(|rows| store.stage_rows(fence, rows)).buffered(2);
    while let Some(written) = writes.next().await {
        written?;
    }
    Ok(())
}

/// What reading came to.
struct Read {
    totals: Totals,
    /// Which clusters belong together.
    joins: Vec<Join>,
    /// Whether a token seems to stand under more than one reference.
    shared: bool,
}

/// Reads rows in clusters, checks them and hands them on.
fn read(
    mut reader: RowReader,
    checker: &Checker,
    out: &mpsc::Sender<Batch>,
) -> Result<Read, FileError> {
    let mut clusters = Clusters::default();
    let mut batch = Batch::default();
    loop {
        let row = reader.next_row()?;
        let last = row.is_none();
        match row {
            Some(mut row) if row.outcome.is_none() => {
                checker.check(&mut row);
                clusters.push(row, &mut batch.clusters);
            }
            Some(row) => batch.declined.push(row),
            None => clusters.end(&mut batch.clusters),
        }
        let full = batch.clusters.len() + batch.declined.len() >= ROWS;
        if (full || last) && out.blocking_send(std::mem::take(&mut batch)).is_err() {
            // Somebody else says why.
            return Ok(Read { totals: reader.totals(), joins: Vec::new(), shared: false });
        }
        if last {
            let shared = clusters.shares_tokens();
            return Ok(Read { totals: reader.totals(), joins: clusters.joins(), shared });
        }
    }
}

/// Rows of one reference that stand together, and where each such cluster began.
#[derive(Default)]
struct Clusters {
    now: Vec<StagedRow>,
    hasher: RandomState,
    /// The hash of a reference and the first line of a cluster of it: 16 bytes a cluster.
    begun: Vec<(u64, u64)>,
    /// The beginning of a token's fingerprint and the hash of a reference it stands under: 16 bytes
    /// a row.
    tokens: Vec<(u64, u64)>,
}

impl Clusters {
    fn push(&mut self, row: StagedRow, batch: &mut Vec<StagedRow>) {
        let goes_on = self.now.last().is_some_and(|last| last.reference == row.reference);
        if !goes_on || self.now.len() >= CLUSTER {
            self.end(batch);
        }
        self.now.push(row);
    }

    fn end(&mut self, batch: &mut Vec<StagedRow>) {
        let (Some(first), Some(last)) = (self.now.first(), self.now.last()) else { return };
        let (head, tail) = (first.line, last.line);
        let reference = self.hasher.hash_one(first.reference.as_ref().map(Reference::as_str));
        self.begun.push((reference, head));
        for row in &mut self.now {
            (row.head, row.tail) = (head, tail);
            let token = row.method.as_ref().and_then(|method| method.sealed.as_ref());
            self.tokens.extend(token.map(|token| (token.fp.short(), reference)));
        }
        batch.append(&mut self.now);
    }

    /// Whether a token seems to stand under more than one reference; the store tells for sure.
    fn shares_tokens(&mut self) -> bool {
        self.tokens.sort_unstable();
        let shares = self.tokens.windows(2).any(|pair| match pair {
            [(a, one), (b, other)] => a == b && one != other,
            _ => false,
        });
        self.tokens = Vec::new();
        shares
    }

    /// The clusters that seem to belong to an earlier one; the store compares their references.
    fn joins(mut self) -> Vec<Join> {
        self.begun.sort_unstable();
        let mut joins: Vec<Join> = self
            .begun
            .chunk_by(|(a, _), (b, _)| a == b)
            .filter_map(|alike| alike.split_first())
            .flat_map(|((_, head), rest)| {
                rest.iter().map(|(_, first)| Join { first: *first, head: *head })
            })
            .collect();
        joins.sort_unstable_by_key(|join| join.first);
        joins
    }
}

/// Looks at each row by itself while its token is in the clear.
struct Checker {
    account: Account,
    store: Arc<dyn Store>,
    identity: String,
    run: RunId,
    /// A dry run never sends a token, so it keeps none.
    keep_tokens: bool,
}

impl Checker {
    fn new(engine: &Engine, run: &RunId, dry_run: bool) -> Self {
        Self {
            account: engine.account.clone(),
            store: Arc::clone(&engine.store),
            identity: engine.identity.clone(),
            run: run.clone(),
            keep_tokens: !dry_run,
        }
    }

    fn check(&self, row: &mut StagedRow) {
        let Some(method) = &mut row.method else { return };
        let token = method.token.take();
        let address = address_of(&method.facts).filter(|_| token.is_none());
        // What is public needs no sealing: it is in the facts.
        let keep = self.keep_tokens && address.is_none();
        method.sealed = token
            .as_ref()
            .or(address.as_ref())
            .map(|token| self.store.keys().seal(&self.run, row.line, &self.identity, token, keep));
        let route = token
            .as_ref()
            .and_then(|token| self.account.capabilities().token(token.kind))
            .map_or(TokenRoute::Add, |rule| rule.route);
        let accepted = self.account.accepts(route, &method.facts, token.as_ref(), &method.billing);
        row.unfit = accepted.err().map(|rejection| rejected(&rejection));
    }
}

/// What stands for a wallet's token: its address, so that it is known again.
fn address_of(facts: &MethodFacts) -> Option<Token> {
    let MethodFacts::CryptoWallet(wallet) = facts else { return None };
    Some(Token {
        kind: TokenKind::Address,
        value: format!("{}:{}", wallet.chain_id, wallet.address).into(),
        created_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, reference: &str) -> StagedRow {
        StagedRow {
            line,
            part: 0,
            head: 0,
            tail: 0,
            row_id: line.to_string(),
            reference: Some(Reference::new(reference).expect("valid")),
            profile: Box::default(),
            method: None,
            unfit: None,
            plan: None,
            outcome: None,
            code: None,
            message: None,
            field: None,
        }
    }

    #[test]
    fn clusters_end_where_another_reference_begins_and_join_those_of_the_same() {
        let mut clusters = Clusters::default();
        let mut rows = Vec::new();
        for (line, reference) in [(2, "a"), (3, "a"), (5, "b"), (6, "a"), (9, "b"), (10, "c")] {
            clusters.push(row(line, reference), &mut rows);
        }
        clusters.end(&mut rows);
        let seen: Vec<_> = rows.iter().map(|row| (row.line, row.head, row.tail)).collect();
        assert_eq!(seen, [(2, 2, 3), (3, 2, 3), (5, 5, 5), (6, 6, 6), (9, 9, 9), (10, 10, 10)]);
        let joins = clusters.joins();
        assert_eq!(joins, [Join { first: 6, head: 2 }, Join { first: 9, head: 5 }]);
    }

    #[test]
    fn a_reference_without_end_is_cut_and_joined() {
        let mut clusters = Clusters::default();
        let mut rows = Vec::new();
        for line in 1..=2 * CLUSTER as u64 + 1 {
            clusters.push(row(line, "a"), &mut rows);
            assert!(clusters.now.len() <= CLUSTER);
        }
        clusters.end(&mut rows);
        let heads: std::collections::BTreeSet<u64> = rows.iter().map(|row| row.head).collect();
        let cut = CLUSTER as u64;
        assert_eq!(heads.into_iter().collect::<Vec<_>>(), [1, cut + 1, 2 * cut + 1]);
        assert_eq!(clusters.joins().iter().map(|join| join.head).collect::<Vec<_>>(), [1, 1]);
    }
}
