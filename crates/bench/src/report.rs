//! What was measured, as a table for people and as JSON.

use std::fmt::Write as _;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::numbers::{Aim, Of, Spread, shown};
use crate::process::Sample;
use crate::rows::{Bench, Sizes};

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) row: String,
    pub(crate) size: String,
    /// Of `peer` and `onfile`.
    pub(crate) unit: &'static str,
    pub(crate) peer: Option<Spread>,
    pub(crate) onfile: Option<Spread>,
    /// Of onfile's number by the peer's, unless a note says otherwise.
    pub(crate) ratio: Option<Spread>,
    /// Seconds of all threads. What others do on the machine changes them less than time.
    pub(crate) peer_cpu: Option<Spread>,
    pub(crate) onfile_cpu: Option<Spread>,
    pub(crate) peer_peak_mb: Option<f64>,
    pub(crate) onfile_peak_mb: Option<f64>,
    pub(crate) aims: Vec<Aim>,
    pub(crate) notes: Vec<String>,
    /// In turn, from the first pair on.
    pub(crate) peer_samples: Vec<Sample>,
    pub(crate) onfile_samples: Vec<Sample>,
}

impl Line {
    /// A row that cannot be measured here, and why.
    pub(crate) fn missing(row: &str, why: &str) -> Self {
        Self {
            row: row.to_owned(),
            size: "missing".to_owned(),
            unit: "",
            peer: None,
            onfile: None,
            ratio: None,
            peer_cpu: None,
            onfile_cpu: None,
            peer_peak_mb: None,
            onfile_peak_mb: None,
            aims: Vec::new(),
            notes: vec![why.to_owned()],
            peer_samples: Vec::new(),
            onfile_samples: Vec::new(),
        }
    }

    pub(crate) fn aim(mut self, aim: Aim) -> Self {
        self.aims.push(aim);
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Whether an aim is met; `None` where it was not measured.
    fn meets(&self, aim: &Aim) -> Option<bool> {
        let value = match aim.of {
            Of::Ratio => self.ratio.map(|ratio| ratio.median),
            Of::Onfile => self.onfile.map(|onfile| onfile.median),
            Of::PeakMb => self.onfile_peak_mb,
        };
        value.map(|value| aim.is_met_by(value))
    }
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    rustc: Option<String>,
    /// The one in onfile.
    sqlite: Option<String>,
    sqlite_cli: Option<String>,
    postgres: Option<String>,
    /// Processes that wanted a core over the last minute, fifteen minutes: these and others'.
    load: Option<String>,
}

impl Machine {
    pub(crate) async fn here() -> Self {
        let says = async |program: &str| {
            let said =
                tokio::process::Command::new(program).arg("--version").output().await.ok()?;
            Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
        };
        let words = |text: Option<String>, from: usize| {
            text.and_then(|text| text.split_whitespace().nth(from).map(str::to_owned))
        };
        let postgres = match crate::postgres::programs() {
            Some(folder) => says(&folder.join("postgres").display().to_string()).await,
            None => None,
        };
        let load = std::fs::read_to_string("/proc/loadavg").ok();
        Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            rustc: words(says("rustc").await, 1),
            sqlite: embedded().await.ok(),
            sqlite_cli: words(says("sqlite3").await, 0),
            postgres: words(postgres, 2),
            load: load.map(|load| load.split(' ').take(3).collect::<Vec<_>>().join(" ")),
        }
    }

    fn said(&self) -> String {
        let mut parts = vec![format!("{} cores", self.cores)];
        let known = [
            ("rustc", &self.rustc),
            ("SQLite", &self.sqlite),
            ("sqlite3", &self.sqlite_cli),
            ("PostgreSQL", &self.postgres),
            ("load at the end", &self.load),
        ];
        parts.extend(known.into_iter().filter_map(|(what, version)| {
            version.as_ref().map(|version| format!("{what} {version}"))
        }));
        parts.join(", ")
    }
}

async fn embedded() -> sqlx::Result<String> {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await?;
    sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await
}

/// Everything.
pub(crate) fn json(machine: &Machine, bench: &Bench, lines: &[Line]) -> Value {
    json!({
        "machine": machine,
        "sizes": bench.sizes,
        "pairs": bench.pairs,
        "in_flight": bench.in_flight,
        "lines": lines,
    })
}

/// The table and what is to be said of its rows.
pub(crate) fn page(machine: &Machine, sizes: &Sizes, lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["row", "size", "peer", "onfile", "ratio", "aim", "CPU s", "peak MB"]);
    for line in lines {
        let number = |spread: Option<Spread>| {
            spread.map_or("-".to_owned(), |s| format!("{} {}", shown(s.median), line.unit))
        };
        let ratio = line.ratio.map_or("-".to_owned(), |r| {
            format!("{} ({}–{})", shown(r.median), shown(r.least), shown(r.most))
        });
        let aims: Vec<String> = line
            .aims
            .iter()
            .map(|aim| match line.meets(aim).filter(|_| sizes.is_full()) {
                Some(true) => format!("{aim}: met"),
                Some(false) => format!("{aim}: short"),
                None => aim.to_string(),
            })
            .collect();
        let both = |peer: Option<f64>, onfile: Option<f64>| match (peer, onfile) {
            (None, None) => "-".to_owned(),
            (None, Some(onfile)) => shown(onfile),
            (peer, onfile) => {
                let [peer, onfile] = [peer, onfile].map(|n| n.map_or("-".to_owned(), shown));
                format!("{peer} / {onfile}")
            }
        };
        table.add_row([
            line.row.clone(),
            line.size.clone(),
            number(line.peer),
            number(line.onfile),
            ratio,
            aims.join(", "),
            both(line.peer_cpu.map(|cpu| cpu.median), line.onfile_cpu.map(|cpu| cpu.median)),
            both(line.peer_peak_mb, line.onfile_peak_mb),
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut page = format!("{}\n", machine.said());
    if !sizes.is_full() {
        page += "Small sizes, to try it: the aims are about --full.\n";
    }
    let _infallible = write!(page, "\n{table}\n");
    for line in lines {
        for note in &line.notes {
            let _infallible = write!(page, "\n- {}, {}: {note}", line.row, line.size);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_missing_says_why() {
        let machine = Machine {
            cores: 2,
            rustc: None,
            sqlite: Some("3.1".to_owned()),
            sqlite_cli: None,
            postgres: None,
            load: None,
        };
        let measured = Line {
            onfile: Spread::of([2.0]),
            ratio: Spread::of([0.25, 0.5, 0.75]),
            ..Line::missing("b", "a note")
        };
        let lines = [
            Line::missing("a", "no program"),
            measured.aim(Aim::at_least(Of::Ratio, 0.6)).aim(Aim::at_most(Of::PeakMb, 60.0)),
        ];
        let page = page(&machine, &Sizes::full(), &lines);
        for part in [
            "2 cores, SQLite 3.1\n",
            "- a, missing: no program",
            "0.50 (0.25–0.75)",
            "ratio ≥ 0.6: short, MB ≤ 60 ",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}
