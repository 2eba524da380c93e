//! `onfile import --inbox`: each file once, and none lost.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};

use super::World;
use super::canary::run_of;
use super::resume::{called, cards, expire};
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const INBOX: [&str; 5] = ["import", "gov", "--inbox", "in", "--json"];

/// Puts a file there, as one that was written a while ago.
pub fn put(world: &World, name: &str, text: &str) -> Result {
    put_at(world, name, text, Duration::from_secs(120))
}

#[expect(clippy::disallowed_methods, reason = "files have the machine's time")]
fn put_at(world: &World, name: &str, text: &str, ago: Duration) -> Result {
    let folder = world.db.folder().join("in");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), text)?;
    let file = File::options().write(true).open(folder.join(name))?;
    file.set_modified(SystemTime::now() - ago)?;
    Ok(())
}

/// Every file beneath the inbox, sorted; runs are called RUN.
pub fn files(world: &World) -> anyhow::Result<Vec<String>> {
    fn walk(folder: &Path, all: &mut Vec<PathBuf>) -> Result {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { walk(&path, all)? } else { all.push(path) }
        }
        Ok(())
    }
    let inbox = world.db.folder().join("in");
    let mut all = Vec::new();
    walk(&inbox, &mut all)?;
    let mut names = Vec::new();
    for path in all {
        let name = path.strip_prefix(&inbox)?.to_string_lossy().into_owned();
        if name == "work/.lock" {
            continue;
        }
        let parts: Vec<&str> = name.split('/').collect();
        names.push(match parts.as_slice() {
            [folder, _, file] => format!("{folder}/RUN/{file}"),
            _ => name,
        });
    }
    names.sort();
    Ok(names)
}

/// File and word of each.
fn words(ran: &Ran) -> anyhow::Result<Vec<String>> {
    let document = ran.json()?;
    let files =
        document.pointer("/files").and_then(|files| files.as_array()).context("no files")?;
    let text = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|word| word.as_str()).unwrap_or("-").to_owned()
    };
    Ok(files.iter().map(|file| format!("{} {}", text(file, "file"), text(file, "what"))).collect())
}

pub async fn takes_what_is_complete(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    put_at(&world, "b.csv", &cards(3), Duration::from_secs(60))?;
    put(&world, "a.csv", "reference,name\nA-1,Ada\n")?;
    put(&world, "later.csv.part", &cards(9))?;
    put(&world, ".hidden.csv", &cards(9))?;
    put(&world, "notes.txt", "hello")?;
    put_at(&world, "growing.csv", &cards(9), Duration::ZERO)?;
    let ran = world.onfile.run(&INBOX).await?.expect(0)?;
    // The oldest first.
    ensure!(words(&ran)? == ["a.csv imported", "b.csv imported"], "{ran:?}");
    ensure!(world.sizes() == (4, 3), "{:#?}", world.held());
    let left = [".hidden.csv", "growing.csv", "later.csv.part", "notes.txt"];
    let done = ["done/RUN/a.csv", "done/RUN/b.csv", "done/RUN/rows.csv", "done/RUN/rows.csv"];
    let mut wanted: Vec<&str> = left.into_iter().chain(done).collect();
    wanted.sort_unstable();
    ensure!(files(&world)? == wanted, "{:?}", files(&world)?);
    let folder =
        ran.json()?.pointer("/files/1/folder").and_then(|at| at.as_str()).map(str::to_owned);
    let rows =
        fs::read_to_string(world.db.folder().join(folder.context("no folder")?).join("rows.csv"))?;
    ensure!(rows.lines().count() == 4 && rows.matches(",created,").count() == 3, "{rows}");
    let ran = world.onfile.run(&INBOX[..4]).await?.expect(0)?;
    ensure!(ran.stdout.contains("no complete file in in"), "{ran:?}");
    Ok(())
}

pub async fn knows_bytes_that_it_has_imported(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    put(&world, "monday.csv", &cards(2))?;
    let first = world.onfile.run(&INBOX).await?.expect(0)?;
    let calls = world.provider.counters();
    put(&world, "monday (1).csv", &cards(2))?;
    let again = world.onfile.run(&INBOX).await?.expect(0)?;
    ensure!(words(&again)? == ["monday (1).csv imported_before"], "{again:?}");
    let run = |ran: &Ran| ran.json().map(|j| j.pointer("/files/0/run").cloned());
    ensure!(run(&first)? == run(&again)?, "{first:?} {again:?}");
    ensure!(world.provider.counters() == calls, "it called the provider");
    ensure!(files(&world)?.contains(&"done/RUN/note.txt".to_owned()), "{:?}", files(&world)?);
    Ok(())
}

pub async fn keeps_what_cannot_be_read_apart(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    put_at(&world, "no header.csv", "what,is,this\n1,2,3\n", Duration::from_secs(300))?;
    put_at(&world, "rejected.csv", "reference,name\n,Nobody\n", Duration::from_secs(200))?;
    put(&world, "good.csv", &cards(1))?;
    let ran = world.onfile.run(&INBOX).await?.expect(1)?;
    let wanted = ["no header.csv failed", "rejected.csv imported", "good.csv imported"];
    ensure!(words(&ran)? == wanted, "{ran:?}");
    let mut wanted = [
        "done/RUN/good.csv",
        "done/RUN/rows.csv",
        "failed/RUN/error.txt",
        "failed/RUN/no header.csv",
        "failed/RUN/error.txt",
        "failed/RUN/rejected.csv",
        "failed/RUN/rows.csv",
    ];
    wanted.sort_unstable();
    ensure!(files(&world)? == wanted, "{:?}", files(&world)?);
    // Mended, or sent again as it was: it is imported, not taken for known.
    put(&world, "rejected.csv", "reference,name\n,Nobody\n")?;
    let ran = world.onfile.run(&INBOX).await?.expect(2)?;
    ensure!(words(&ran)? == ["rejected.csv imported"], "{ran:?}");
    Ok(())
}

pub async fn goes_on_with_what_was_left(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(60000)").await?;
    put(&world, "a.csv", &cards(40))?;
    put(&world, "b.csv", "reference,name\nB-1,Bob\n")?;
    let mut killed = world.onfile.start(&INBOX)?;
    called(&world, "bulk_import", 1).await?;
    killed.kill().await?;
    ensure!(files(&world)? == ["b.csv", "work/a.csv"], "{:?}", files(&world)?);
    expire(&world.db).await?;
    let ran = world.onfile.run(&INBOX).await?.expect(0)?;
    ensure!(words(&ran)? == ["a.csv imported", "b.csv imported"], "{ran:?}");
    // The run that was killed went on: there is no other.
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
    ensure!(runs.pointer("/runs").and_then(|r| r.as_array()).map(Vec::len) == Some(2), "{runs}");
    ensure!(world.sizes() == (41, 40), "{:#?}", world.held());
    Ok(())
}

pub async fn waits_for_a_person(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    put(&world, "a.csv", &cards(5))?;
    let canary = [&INBOX[..], &["--canary", "1"]].concat();
    let ran = world.onfile.run(&canary).await?.expect(3)?;
    ensure!(words(&ran)? == ["a.csv awaiting_approval"], "{ran:?}");
    ensure!(files(&world)? == ["work/a.csv"], "{:?}", files(&world)?);
    let run = ran.json()?.pointer("/files/0/run").and_then(|run| run.as_str()).map(str::to_owned);
    let run = run.context("no run")?;
    let approved = world.onfile.run(&["runs", "approve", &run, "--json"]).await?.expect(0)?;
    ensure!(run_of(&approved)? == run);
    let ran = world.onfile.run(&canary).await?.expect(0)?;
    ensure!(words(&ran)? == ["a.csv imported"], "{ran:?}");
    ensure!(files(&world)? == ["done/RUN/a.csv", "done/RUN/rows.csv"], "{:?}", files(&world)?);
    ensure!(world.sizes() == (5, 5), "{:#?}", world.held());
    Ok(())
}

pub async fn is_one_process_s_alone(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(2500)").await?;
    put(&world, "a.csv", &cards(3))?;
    let first = world.onfile.start(&INBOX)?;
    called(&world, "bulk_import", 1).await?;
    let second = world.onfile.run(&INBOX).await?.expect(1)?;
    ensure!(second.stderr.contains("another process works on this inbox"), "{second:?}");
    first.end().await?.expect(0)?;
    world.all_fired()
}

pub async fn keeps_what_the_provider_holds_up(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    put(&world, "a.csv", &cards(3))?;
    put(&world, "b.csv", "reference,name\nB-1,Bob\n")?;
    let config = fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    let base = world.provider.base_url().to_string();
    // Nobody listens there.
    world.file("onfile.toml", &config.replace(base.trim_end_matches('/'), "http://127.0.0.1:9"))?;
    let ran = world.onfile.run(&INBOX).await?;
    ensure!(ran.code == 3 || ran.code == 1, "{ran:?}");
    ensure!(files(&world)? == ["b.csv", "work/a.csv"], "{:?}", files(&world)?);
    Ok(())
}
