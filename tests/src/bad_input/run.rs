//! Carries a line of the table out, and looks at all that was said.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use model::{Clock, SystemClock};
use sqlx::Connection as _;

use super::{At, By, Line};
use crate::binary::{Onfile, Ran};
use crate::env::TestDb;
use crate::jobs::World;

type Result<T = ()> = anyhow::Result<T>;

const FILE: &str = "bad.csv";
/// The good row that stands on line 2.
const GOOD: &[(&str, &str)] = &[
    ("row_id", "good"),
    ("reference", "G-1"),
    ("name", "Gus"),
    ("method", "card"),
    ("token", "tok_good"),
    ("token_kind", "processor"),
    ("token_created_at", ""),
    ("last4", "4242"),
    ("exp_month", "12"),
    ("exp_year", "2030"),
    ("default", ""),
    ("chain_id", ""),
    ("wallet_address", ""),
    ("metadata.note", ""),
];
/// What the row on line 3 has otherwise, before the line of the table changes it.
const OTHER: &[(&str, &str)] = &[
    ("row_id", "bad"),
    ("reference", "B-1"),
    ("name", "Bob"),
    ("token", "tok_b"),
    ("last4", "1881"),
];
/// Rows that fill a disk of two megabytes, whichever unit a shell counts its blocks in.
const MANY: usize = 15_000;

/// What a line gives to the import, made in the folder of its trial.
#[derive(Debug)]
pub(super) struct Given {
    onfile: Onfile,
    /// The largest file that the process may write, in blocks of 512 bytes.
    blocks: Option<u32>,
}

fn csv(rows: &[Vec<(String, String)>]) -> String {
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let header: Vec<&str> = GOOD.iter().map(|(name, _)| *name).collect();
    let mut text = header.join(",");
    for row in rows {
        let cells: Vec<String> = row.iter().map(|(_, cell)| quoted(cell)).collect();
        text += &format!("\n{}", cells.join(","));
    }
    text + "\n"
}

fn changed(row: &[(String, String)], change: &[(String, String)]) -> Vec<(String, String)> {
    let mut row = row.to_vec();
    for (name, value) in change {
        let cell = row.iter_mut().find(|(known, _)| known == name);
        cell.unwrap_or_else(|| panic!("no column {name}")).1.clone_from(value);
    }
    row
}

fn owned(cells: &[(&str, &str)]) -> Vec<(String, String)> {
    cells.iter().map(|(name, cell)| ((*name).to_owned(), (*cell).to_owned())).collect()
}

/// The cells that a row of the table states: `name=value, name=value`.
fn stated(text: &str) -> Vec<(String, String)> {
    text.split(", ")
        .filter(|cell| !cell.trim().is_empty())
        .map(|cell| {
            let (name, value) = cell.split_once('=').expect("name=value");
            (name.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}

/// A file of the good row and the rows that the table states.
fn rows(text: &str) -> String {
    let good = owned(GOOD);
    let other = changed(&good, &owned(OTHER));
    let mut rows = vec![good];
    rows.extend(text.split('/').map(|row| changed(&other, &stated(row))));
    csv(&rows)
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend(c.to_string().bytes());
            continue;
        }
        match rest.next().expect("what is escaped") {
            'n' => bytes.push(b'\n'),
            '0' => bytes.push(0),
            'x' => {
                let hex: String = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&hex, 16).expect("two hex digits"));
            }
            other => panic!("\\{other} means nothing"),
        }
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// Whether a file that nobody may read can be read by this user all the same.
pub(super) fn may_read_all() -> bool {
    let Ok(file) = tempfile::NamedTempFile::new() else { return false };
    lock(file.path()).is_ok() && std::fs::File::open(file.path()).is_ok()
}

fn lock(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000))
}

impl Given {
    async fn make(world: &World, line: &Line) -> Result<Self> {
        let path = world.db.folder().join(FILE);
        let mut given = Self { onfile: world.onfile.clone(), blocks: None };
        let head = "reference,name\nG-1,Gus\n";
        let wide = "x".repeat(10 << 20);
        let bytes: Vec<u8> = match line.given.as_str() {
            "@a wide cell" => format!("{head}B-1,{wide}\n").into(),
            "@a wide cell in quotes" => format!("{head}B-1,\"{wide}\"\n").into(),
            "@two members" => [gzip(head.as_bytes()), gzip(b"G-2,Gil\n")].concat(),
            "@a bomb" => gzip(&[b"reference\n".to_vec(), vec![b'x'; 70 << 20]].concat()),
            "@a cut archive" => {
                let mut whole = gzip(head.as_bytes());
                whole.truncate(whole.len() - 9);
                whole
            }
            "@a full disk" => {
                given.blocks = Some(2048);
                let mut text = head.to_owned();
                for n in 0..MANY {
                    text += &format!("M-{n},somebody of a name that takes its room {n}\n");
                }
                text.into()
            }
            "@no secret" => {
                given.onfile = given.onfile.without_env("GOV_SECRET");
                head.into()
            }
            "@another key" => {
                import_first(world, head.as_bytes()).await?;
                let key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
                given.onfile = given.onfile.with_env("ONFILE_KEY", key);
                head.into()
            }
            "@a folder" => {
                std::fs::create_dir(&path)?;
                return Ok(given);
            }
            "@nothing" => return Ok(given),
            "@a locked file" => {
                std::fs::write(&path, head)?;
                lock(&path)?;
                return Ok(given);
            }
            "@a pipe" => {
                let made = tokio::process::Command::new("mkfifo").arg(&path).status().await?;
                ensure!(made.success(), "mkfifo failed");
                return Ok(given);
            }
            text => match (text.strip_prefix("file"), text.split_once("=>")) {
                (Some(text), _) => unescaped(text.trim()),
                (None, Some((first, second))) => {
                    import_first(world, rows(first).as_bytes()).await?;
                    rows(second).into()
                }
                (None, None) => rows(text).into(),
            },
        };
        std::fs::write(path, bytes)?;
        Ok(given)
    }
}

/// An import before the one that is looked at; what it called is forgotten.
async fn import_first(world: &World, bytes: &[u8]) -> Result {
    std::fs::write(world.db.folder().join(FILE), bytes)?;
    world.onfile.run(&["import", "gov", FILE]).await?.expect(0)?;
    world.provider.clear_log();
    Ok(())
}

/// What the provider holds: `REFERENCE:LAST4,LAST4`.
fn held(world: &World) -> Vec<String> {
    let mut held: Vec<String> = world
        .provider
        .customers("pa_main")
        .into_iter()
        .map(|customer| {
            let methods: Vec<String> = customer.methods.into_iter().map(|m| m.last4).collect();
            format!("{}:{}", customer.reference.unwrap_or_default(), methods.join(","))
        })
        .collect();
    held.sort();
    held
}

pub(super) async fn check(mut line: Line, db: Arc<TestDb>) -> Result {
    // The simulated provider reads a token's age in it; both files of a line have the same one.
    let now = SystemClock.now().micros() / 1_000_000;
    line.given = line.given.replace("@now", &now.to_string());
    let world = World::new(db, 0, "").await?;
    let given = Given::make(&world, &line).await?;
    let before = held(&world);
    let mut args = vec!["import", "gov", FILE, "--max-rejected", "100%", "-vv"];
    args.extend(line.options.iter().map(String::as_str));
    let ran = match given.blocks {
        Some(blocks) => given.onfile.run_with_largest_file(blocks, &args).await?,
        None => given.onfile.run(&args).await?,
    };
    let mut said = vec![ran.stdout.clone(), ran.stderr.clone()];
    ensure!(ran.code == line.exit, "expected exit {}: {ran:#?}", line.exit);
    match line.by {
        By::Row(outcome) => said.push(row_says(&world, &line, outcome, &ran).await?),
        By::File | By::Warning => file_says(&line, &ran)?,
        By::Config | By::Store => other_says(&line, &ran)?,
    }
    if line.provider.is_empty() {
        ensure!(world.provider.log().is_empty(), "it was called: {:?}", world.provider.log());
        ensure!(held(&world) == before, "it holds {:?}", held(&world));
    } else {
        ensure!(held(&world) == line.provider, "it holds {:?}", held(&world));
        // It was sent nothing that it had to refuse.
        let log = world.provider.log();
        ensure!(
            log.iter().all(|call| call.status.is_some_and(|s| (200..300).contains(&s))),
            "refused: {log:?}"
        );
    }
    if line.given == "@another key" {
        let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
        let runs = runs.pointer("/runs").and_then(|runs| runs.as_array()).map(Vec::len);
        ensure!(runs == Some(1), "a run was begun: {runs:?}");
    }
    if given.blocks.is_some() {
        // Where there is room again, the store is as good as before.
        let args = ["import", "gov", FILE, "--dry-run", "--json"];
        let planned = world.onfile.run(&args).await?.expect(0)?;
        ensure!(planned.count("/rows/read")? == MANY as u64 + 1, "{planned:?}");
    }
    nothing_is_repeated(&line, &said)
}

/// Tokens, and whatever was taken for a card number.
fn nothing_is_repeated(line: &Line, said: &[String]) -> Result {
    let mut secrets = vec!["tok_".to_owned(), "pxt_".to_owned(), "1111111".to_owned()];
    let given = Some(&line.given).filter(|given| !given.starts_with(['@', 'f']));
    let rows = given.into_iter().flat_map(|given| given.split("=>")).flat_map(|f| f.split('/'));
    for row in rows {
        let cells = stated(row);
        let found = line.at.iter().filter_map(|at| at.column.as_deref());
        let found: Vec<&str> = match line.code.as_deref() {
            Some("pan_found") => found.collect(),
            _ => Vec::new(),
        };
        secrets.extend(
            cells
                .into_iter()
                .filter(|(name, value)| !value.is_empty() && found.contains(&name.as_str()))
                .map(|(_, value)| value),
        );
    }
    for secret in secrets {
        for text in said {
            ensure!(!text.contains(&secret), "{secret} is repeated:\n{text}");
        }
    }
    Ok(())
}

/// Looks at what a row is said to be: to a person, and in `rows.csv`, which is returned.
async fn row_says(world: &World, line: &Line, outcome: &str, ran: &Ran) -> Result<String> {
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
    let run = runs.pointer("/runs/0/run").and_then(|run| run.as_str()).context("no run")?;
    world.onfile.run(&["report", run, "--out", "out"]).await?.expect(0)?;
    let rows = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    let code = line.code.as_deref().unwrap_or_default();
    for At { line: number, column } in &line.at {
        let number = number.context("a row has a line")?;
        let column = column.as_deref().unwrap_or_default();
        let row = rows
            .lines()
            .find(|row| row.starts_with(&format!("{number},")))
            .with_context(|| format!("no line {number}: {rows}"))?;
        ensure!(row.contains(&format!(",{outcome},{code},")), "{row}");
        ensure!(row.contains(&line.message), "the message is not {:?}: {row}", line.message);
        ensure!(column.is_empty() || row.contains(&format!(",{column},")), "{row}");
        if outcome == "rejected" {
            let place =
                if column.is_empty() { String::new() } else { format!(", column {column}") };
            let shown = ran.stdout.lines().map(str::trim).find(|shown| {
                shown.starts_with(&format!("line {number}"))
                    && shown.contains(&format!(": rejected{place} [{code}]: "))
                    && shown.contains(&line.message)
            });
            ensure!(shown.is_some(), "not shown: {number} {column}\n{}", ran.stdout);
        }
    }
    ensure!(has_hint(&ran.stdout, &line.hint), "no hint {:?}:\n{}", line.hint, ran.stdout);
    // Every row that was not meant is fine.
    let is_fine = |row: &&str| row.contains(",created,") || row.contains(",unchanged,");
    let bad = rows.lines().skip(1).filter(|row| !is_fine(row)).count();
    let meant = if outcome == "created" { 0 } else { line.at.len() };
    ensure!(bad == meant, "{rows}");
    Ok(rows)
}

fn has_hint(text: &str, hint: &str) -> bool {
    hint.is_empty() || text.lines().any(|l| l.trim().starts_with("hint: ") && l.contains(hint))
}

fn file_says(line: &Line, ran: &Ran) -> Result {
    let level = if line.by == By::Warning { "warning" } else { "error" };
    let code = line.code.as_deref().context("a file has a code")?;
    let mut wanted = format!("{level}[{code}]: {FILE}");
    if let Some(At { line, column }) = line.at.first() {
        wanted += &line.map(|line| format!(":{line}")).unwrap_or_default();
        wanted += &column.as_ref().map(|name| format!(": column {name}")).unwrap_or_default();
    }
    let shown = ran.stderr.lines().find(|shown| shown.starts_with(&format!("{wanted}: ")));
    let shown = shown.with_context(|| format!("not said: {wanted}\n{}", ran.stderr))?;
    ensure!(shown.contains(&line.message), "the message is not {:?}: {shown}", line.message);
    ensure!(has_hint(&ran.stderr, &line.hint), "no hint {:?}:\n{}", line.hint, ran.stderr);
    Ok(())
}

fn other_says(line: &Line, ran: &Ran) -> Result {
    let code = line.code.as_deref().context("it has a code")?;
    let shown = ran.stderr.split("error[").find(|shown| shown.starts_with(code));
    let shown = shown.with_context(|| format!("not said: {code}\n{}", ran.stderr))?;
    ensure!(shown.contains(&line.message), "the message is not {:?}: {shown}", line.message);
    for key in line.at.iter().filter_map(|at| at.column.as_deref()) {
        ensure!(shown.contains(key), "the key is not {key}: {shown}");
    }
    ensure!(has_hint(&ran.stderr, &line.hint), "no hint {:?}:\n{}", line.hint, ran.stderr);
    Ok(())
}

pub(super) async fn not_pan_is_recorded(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file(FILE, &rows("metadata.note=4111111111111111"))?;
    let args = ["import", "gov", FILE, "--not-pan", "metadata.note", "--not-pan", "name"];
    world.onfile.run(&args).await?.expect(0)?;
    let mut connection = sqlx::SqliteConnection::connect(world.db.url()).await?;
    let recorded: String =
        sqlx::query_scalar("SELECT args FROM runs").fetch_one(&mut connection).await?;
    let recorded: serde_json::Value = serde_json::from_str(&recorded)?;
    ensure!(
        recorded.pointer("/not_pan") == Some(&serde_json::json!(["metadata.note", "name"])),
        "{recorded}"
    );
    // Nothing is exempt from one run to the next.
    world.onfile.run(&["import", "gov", FILE, "--max-rejected", "1"]).await?.expect(2)?;
    Ok(())
}
