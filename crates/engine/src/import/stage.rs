//! Staging: the file into the store, row by row.

use super::ImportOptions;
use crate::file::{self, RowReader, Totals};
use crate::run::ActiveRun;
use crate::{Engine, EngineError, FileError};

/// Rows staged in one transaction.
const ROWS: usize = 1000;

/// Opens the file and reads its header, away from the runtime's own threads.
pub(super) async fn open(options: &ImportOptions) -> Result<RowReader, EngineError> {
    let (path, reading) = (options.path.clone(), options.reading.clone());
    let opened = tokio::task::spawn_blocking(move || file::open(&path, &reading)).await;
    Ok(opened.map_err(|_| EngineError::Broken("opening the file panicked"))??)
}

/// Reads the file to its end and stages its rows on the way: nothing of it is sent before.
pub(super) async fn stage(
    engine: &Engine,
    run: &ActiveRun,
    mut reader: RowReader,
) -> Result<Totals, EngineError> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
    let reading = tokio::task::spawn_blocking(move || -> Result<Totals, FileError> {
        loop {
            let mut batch = Vec::with_capacity(ROWS);
            while batch.len() < ROWS {
                match reader.next_row()? {
                    Some(row) => batch.push(row),
                    None => break,
                }
            }
            let last = batch.len() < ROWS;
            // Nobody listens any more when staging has failed.
            if sender.blocking_send(batch).is_err() || last {
                return Ok(reader.totals());
            }
        }
    });
    let mut staged = 0;
    while let Some(batch) = receiver.recv().await {
        engine.stop.check()?;
        staged += batch.len() as u64;
        engine.store.stage_rows(&run.fence, &engine.identity, batch).await?;
        engine.progress.at("staged", staged, None);
    }
    drop(receiver);
    Ok(reading.await.map_err(|_| EngineError::Broken("reading the file panicked"))??)
}
