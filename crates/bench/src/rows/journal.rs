//! The journal of effects.

use anyhow::Result;

use super::{Bench, Pairs, Row};
use crate::home::temporary;
use crate::numbers::{Aim, Of, count};
use crate::process;
use crate::report::Line;

pub(super) async fn measure(bench: &Bench) -> Result<Line> {
    let effects = bench.sizes.effects;
    let text = effects.to_string();
    let run = async |work: &str| {
        let folder = temporary(&bench.dir)?;
        let database = folder.path().join("journal.db").display().to_string();
        process::measure(process::bare(&[work, &database, &text])?).await
    };
    let (peer, ours) = (async || run("journal").await, async || run("store-journal").await);
    let pairs = Pairs::take(Row::Journal, bench.pairs, peer, ours).await?;
    Ok(pairs
        .throughput(Row::Journal, format!("{} effects", count(effects)), "effects/s", effects)
        .aim(Aim::at_least(Of::Ratio, 0.7))
        .note(
            "batches of 50: a commit of the intents, one of the outcomes, each with \
             synchronous=FULL; the peer's table has onfile's columns and no index but its key",
        ))
}
