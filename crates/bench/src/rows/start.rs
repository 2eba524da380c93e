//! How soon onfile is there.

use anyhow::Result;

use super::{Bench, Pairs, Row, import};
use crate::files;
use crate::home::{Home, temporary};
use crate::numbers::{Aim, Of, count};
use crate::process;
use crate::report::Line;

/// Short processes are started more often.
const TIMES: u32 = 7;

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let rows = bench.sizes.dry_run_rows;
    let folder = temporary(&bench.dir)?;
    let file = folder.path().join("rows.csv");
    files::write(&file, rows)?;
    let home = Home::new(&bench.dir, import::NOBODY, None, bench.in_flight)?;
    import::plan(&home, &file, rows).await?;

    // A process that is over so soon is not seen at its peak.
    let milliseconds = |pairs: Pairs, size: String| Line {
        peer_cpu: None,
        onfile_cpu: None,
        peer_peak_mb: None,
        onfile_peak_mb: None,
        ..pairs.line(Row::Start, size, "ms", |seconds| seconds * 1000.0)
    };
    let peer = async || process::measure(process::bare(&["nothing"])?).await;
    let ours = async || home.onfile(&["--version"]).await;
    let version = Pairs::take(Row::Start, bench.pairs * TIMES, peer, ours).await?;
    let version = milliseconds(version, "--version".to_owned())
        .aim(Aim::at_most(Of::Onfile, 10.0))
        .note("the peer is a process that ends at once");

    let store = home.store().display().to_string();
    let peer = async || process::measure(process::bare(&["runs", &store])?).await;
    let ours = async || home.onfile(&["runs"]).await;
    let runs = Pairs::take(Row::Start, bench.pairs * TIMES, peer, ours).await?;
    let runs = milliseconds(runs, format!("runs, {} staged rows", count(rows)))
        .aim(Aim::at_most(Of::Onfile, 50.0))
        .note("the peer is a process that opens the same file and reads the same table");
    Ok(vec![version, runs])
}
