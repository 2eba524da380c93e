//! Time and memory as the size grows: a line is linear if its ratio stays at 1, and flat if its
//! memory does.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Pairs, Row, import, pull};
use crate::files;
use crate::home::{Home, temporary};
use crate::numbers::{Spread, count};
use crate::process::Sample;
use crate::provider::Provider;
use crate::report::Line;

/// A customer and two payment methods.
const ROWS_OF_A_CUSTOMER: u64 = 3;

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for &rows in &bench.sizes.growth {
        let folder = temporary(&bench.dir)?;
        let file = folder.path().join("rows.csv");
        files::write(&file, rows)?;
        let home = Home::new(&bench.dir, import::NOBODY, None, bench.in_flight)?;
        let sample = import::plan(&home, &file, rows).await?;
        lines.push(line(format!("dry run of {} rows", count(rows)), rows, sample));
    }
    let mut pulls = Vec::new();
    for &rows in &bench.sizes.growth {
        let customers = rows / ROWS_OF_A_CUSTOMER;
        let provider = Provider::start(customers, Duration::ZERO).await?;
        let home = Home::new(&bench.dir, &provider.base_url, None, bench.in_flight)?;
        let sample = pull::onfile(&home, customers).await?;
        pulls.push(line(format!("pull of {} rows", count(rows)), rows, sample));
    }
    beside_the_first(&mut lines);
    beside_the_first(&mut pulls);
    lines.extend(pulls);
    Ok(lines)
}

fn line(size: String, rows: u64, sample: Sample) -> Line {
    crate::say(&format!("growth: {size}: {} s", crate::numbers::shown(sample.seconds)));
    let pairs = Pairs { peer: Vec::new(), onfile: vec![sample] };
    pairs.throughput(Row::Growth, size, "rows/s", rows)
}

/// The ratio is that of a size's rate to the smallest one's.
fn beside_the_first(lines: &mut [Line]) {
    let Some(first) = lines.first().and_then(|line| line.onfile) else { return };
    for line in lines.iter_mut() {
        line.ratio = line.onfile.and_then(|o| Spread::of_ratios(&[o.median], &[first.median]));
    }
    if let Some(line) = lines.first_mut() {
        line.notes.push("the ratio is to the rate at this size, the smallest".to_owned());
    }
}
