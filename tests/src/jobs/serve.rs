//! `onfile serve` and `onfile schedules`, as processes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::World;
use super::inbox::{files, put};
use super::resume::{called, cards, expire};
use crate::env::{Database, TestDb};
use crate::serving::{Serving, until};

type Ended = anyhow::Result<()>;

/// What a schedule that is never due by itself says.
const NEVER: &str = "0 0 0 1 1 *";
const ALWAYS: &str = "* * * * * *";

/// Adds sections to the configuration.
fn add(world: &World, more: &str) -> Ended {
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    world.file(
        "onfile.toml",
        &format!("{config}\n[server]\nlisten = \"127.0.0.1:0\"\nstop_seconds = 2\n{more}"),
    )
}

fn schedule(name: &str, job: &str, cron: &str) -> String {
    format!("[[schedules]]\nname = \"{name}\"\njob = \"{job}\"\ncron = \"{cron}\"\n")
}

/// The latest slots of a schedule, the latest first.
async fn slots(world: &World, name: &str) -> anyhow::Result<Vec<Value>> {
    let ran = world.onfile.run(&["schedules", "show", name, "--json"]).await?.expect(0)?;
    let document = ran.json()?;
    Ok(document.pointer("/slots").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn word<'a>(slot: &'a Value, key: &str) -> &'a str {
    slot.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Waits until a slot of the schedule stands there.
async fn until_slot(world: &World, name: &str, state: &str) -> anyhow::Result<Value> {
    until(&format!("a slot of {name} is {state}"), || async {
        Ok(slots(world, name).await?.into_iter().find(|slot| word(slot, "state") == state))
    })
    .await
}

/// Lets every lease run out, as time does.
async fn leases_run_out(world: &World) -> Ended {
    expire(&world.db).await?;
    world
        .db
        .look("UPDATE fires SET lease_until = 1 WHERE lease_until > 0 RETURNING schedule")
        .await?;
    Ok(())
}

pub async fn does_what_is_due_and_answers(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 7, "").await?;
    add(&world, &schedule("each second", "pull gov", ALWAYS))?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    let slot = until_slot(&world, "each second", "done").await?;
    let run = world.onfile.run(&["runs", "show", word(&slot, "run"), "--json"]).await?.expect(0)?;
    ensure!(run.count("/customers/seen")? == 7, "{run:?}");
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?;
    ensure!(runs.stdout.contains("\"cause\":\"schedule each second 20"), "{runs:?}");
    ensure!(serving.get("/healthz").await? == (200, r#"{"status":"ok"}"#.to_owned()));
    ensure!(serving.get("/readyz").await? == (200, r#"{"status":"ready"}"#.to_owned()));
    let (status, body) = serving.get("/metrics").await?;
    ensure!(status == 200, "{body}");
    for wanted in [
        "onfile_slots_total{schedule=\"each second\",state=\"done\",reason=\"\"}",
        "onfile_calls_total{account=\"gov\",verb=\"GET\",outcome=\"ok\"}",
        "onfile_mirrored{account=\"gov\",what=\"customers\"} 7",
        "onfile_schedule_last_good_timestamp_seconds{schedule=\"each second\"}",
        "onfile_build_info{version=",
        "process_resident_memory_bytes",
    ] {
        ensure!(body.contains(wanted), "{wanted}: {body}");
    }
    let listed = world.onfile.run(&["schedules"]).await?.expect(0)?;
    ensure!(
        listed.stdout.contains("each second") && listed.stdout.contains("pull gov"),
        "{listed:?}"
    );
    let (code, said) = serving.stop("TERM").await?;
    ensure!(code == 0 && said.contains("stopped"), "{said}");
    Ok(())
}

pub async fn goes_on_after_a_kill(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(60000)").await?;
    put(&world, "a.csv", &cards(30))?;
    // Due once, and then not for a year: what is seen afterwards is the same slot.
    add(&world, &schedule("inbox", "import gov --inbox in", NEVER))?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    // As if the last slot had been before the last time it was due.
    serving.kill().await?;
    world.db.look("UPDATE schedules SET last_slot = 1700000000000000 RETURNING name").await?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    called(&world, "bulk_import", 1).await?;
    serving.kill().await?;
    let before = slots(&world, "inbox").await?;
    ensure!(word(&before[0], "state") == "running", "{before:?}");
    leases_run_out(&world).await?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    let done = until_slot(&world, "inbox", "done").await?;
    ensure!(word(&done, "slot") == word(&before[0], "slot"), "{done} {before:?}");
    ensure!(done.get("attempt").and_then(Value::as_i64) == Some(2), "{done}");
    ensure!(world.sizes() == (30, 30), "{:#?}", world.held());
    ensure!(files(&world)? == ["done/RUN/a.csv", "done/RUN/rows.csv"], "{:?}", files(&world)?);
    let (code, said) = serving.stop("TERM").await?;
    ensure!(code == 0, "{said}");
    Ok(())
}

pub async fn goes_on_after_a_stop(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 400, "").await?;
    // A pull that takes ten seconds or so.
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    let slow = config.replace("per_second = 2000, burst = 50", "per_second = 50, burst = 1");
    world.file("onfile.toml", &slow)?;
    add(&world, &schedule("pull", "pull gov", NEVER))?;
    world.onfile.run(&["schedules", "list"]).await?.expect(0)?;
    world.db.look("UPDATE schedules SET last_slot = 1700000000000000 RETURNING name").await?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    called(&world, "list_methods", 5).await?;
    let (code, said) = serving.stop("TERM").await?;
    ensure!(code == 0, "{said}");
    let stopped = &slots(&world, "pull").await?[0];
    ensure!(word(stopped, "state") == "stopped", "{stopped}");
    world.file(
        "onfile.toml",
        &std::fs::read_to_string(world.db.folder().join("onfile.toml"))?
            .replace("per_second = 50", "per_second = 2000"),
    )?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    let done = until_slot(&world, "pull", "done").await?;
    ensure!(word(&done, "slot") == word(stopped, "slot"), "{done} {stopped}");
    ensure!(
        word(&done, "run") == word(stopped, "run") || word(stopped, "run").is_empty(),
        "{done}"
    );
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
    ensure!(runs.pointer("/runs").and_then(|r| r.as_array()).map(Vec::len) == Some(1), "{runs}");
    serving.stop("INT").await?;
    Ok(())
}

/// Answers each POST with this status, and keeps the bodies.
async fn listener(status: u16) -> anyhow::Result<(String, tokio::sync::mpsc::Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook?secret=CANARY", listener.local_addr()?);
    let (sender, bodies) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut buffer = [0; 4096];
            while let Ok(read) = stream.read(&mut buffer).await {
                text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                if read == 0 || text.trim_end().ends_with('}') {
                    break;
                }
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
            let _ = sender.send(body.unwrap_or_default()).await;
        }
    });
    Ok((url, bodies))
}

pub async fn tells_people_once(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 0, "").await?;
    let (url, mut bodies) = listener(200).await?;
    put(&world, "bad.csv", "what,is,this\n")?;
    let told = world.db.folder().join("told");
    std::fs::create_dir(&told)?;
    let script = world.db.folder().join("tell.sh");
    // A file for each: two may be told at once.
    std::fs::write(&script, format!("#!/bin/sh\ncat > {}/$$\n", told.display()))?;
    let alerts = format!(
        "[alerts]\ncommand = \"/bin/sh {}\"\nwebhook = {{ env = \"ALERT_URL\" }}\n",
        script.display()
    );
    add(&world, &(alerts + &schedule("inbox", "import gov --inbox in", NEVER)))?;
    let onfile = world.onfile.clone().with_env("ALERT_URL", &url);
    onfile.run(&["schedules"]).await?.expect(0)?;
    world.db.look("UPDATE schedules SET last_slot = 1700000000000000 RETURNING name").await?;
    let serving = Serving::start(&onfile, &[]).await?;
    // The slot that is made up fails; and those before it had no good run either.
    let mut heard = std::collections::BTreeMap::new();
    for _ in 0..2 {
        let body = tokio::time::timeout(Duration::from_secs(60), bodies.recv()).await?;
        let body: Value = serde_json::from_str(&body.context("nothing was told")?)?;
        heard.insert(word(&body, "kind").to_owned(), body);
    }
    let failed = heard.get("failed").with_context(|| format!("{heard:?}"))?;
    ensure!(heard.contains_key("overdue") && word(failed, "schedule") == "inbox", "{heard:?}");
    ensure!(word(failed, "message").contains("bad.csv"), "{failed}");
    until("it is written down as heard", || async {
        let unsent = world.db.look("SELECT key FROM alerts WHERE sent_at IS NULL").await?;
        Ok(unsent.is_empty().then_some(()))
    })
    .await?;
    let mut said = Vec::new();
    for entry in std::fs::read_dir(&told)? {
        said.push(serde_json::from_str::<Value>(&std::fs::read_to_string(entry?.path())?)?);
    }
    ensure!(said.len() == 2 && said.contains(failed), "{said:?}");
    let (_, stderr) = serving.stop("TERM").await?;
    ensure!(!stderr.contains("CANARY"), "{stderr}");
    // What was heard is not told by the next process.
    let serving = Serving::start(&onfile, &[]).await?;
    until("it has looked for alerts", || async {
        let (_, body) = serving.get("/metrics").await?;
        Ok(body.contains("onfile_schedule_overdue{schedule=\"inbox\"}").then_some(()))
    })
    .await?;
    ensure!(bodies.try_recv().is_err(), "it was told again");
    serving.stop("TERM").await?;
    Ok(())
}

pub async fn is_not_ready_without_its_store(db: Arc<TestDb>) -> Ended {
    if db.database == Database::Sqlite {
        // A file that is open cannot go away.
        return Ok(());
    }
    let world = World::new(db, 0, "").await?;
    add(&world, "")?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    ensure!(serving.get("/readyz").await?.0 == 200);
    world.db.look("ALTER TABLE meta RENAME TO gone").await?;
    let (status, body) = serving.get("/readyz").await?;
    ensure!(status == 503 && body.contains("not_ready"), "{body}");
    ensure!(serving.get("/healthz").await?.0 == 200);
    world.db.look("ALTER TABLE gone RENAME TO meta").await?;
    ensure!(serving.get("/readyz").await?.0 == 200);
    serving.stop("TERM").await?;
    Ok(())
}

pub async fn refuses_a_configuration_that_is_wrong(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 0, "").await?;
    let wrong = [
        schedule("one", "pull gvo", NEVER),
        schedule("two", "reconsile gov", NEVER),
        schedule("three", "import gov -", NEVER),
        schedule("four", "pull gov", "0 0 0 30 2 *"),
        "[alerts]\non = [\"failure\"]\n".to_owned(),
    ];
    add(&world, &wrong.concat())?;
    let ran = world.onfile.run(&["serve"]).await?.expect(4)?;
    for said in [
        "error[unknown_account]: schedules[0].job names gvo, which is no account of this file",
        "hint: did you mean \"gov\"?",
        "error[bad_value]: schedules[1].job = \"reconsile gov\" is no job: unrecognized subcommand",
        "error[bad_value]: schedules[2].job = \"import gov -\" is no job: a schedule has no standard \
         input",
        "error[bad_value]: schedules[3].cron = \"0 0 0 30 2 *\" cannot be used: it is never due",
        "error[bad_value]: alerts.on[0] = \"failure\" is nothing that is told",
    ] {
        ensure!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    Ok(())
}

pub async fn leaves_a_paused_schedule_alone(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 1, "").await?;
    add(&world, &schedule("each second", "pull gov", ALWAYS))?;
    world.onfile.run(&["schedules", "pause", "each second"]).await?.expect(0)?;
    let serving = Serving::start(&world.onfile, &[]).await?;
    let skipped = until_slot(&world, "each second", "skipped").await?;
    ensure!(word(&skipped, "reason") == "paused", "{skipped}");
    world.onfile.run(&["schedules", "resume", "each second"]).await?.expect(0)?;
    until_slot(&world, "each second", "done").await?;
    serving.stop("TERM").await?;
    let unknown = world.onfile.run(&["schedules", "pause", "each secund"]).await?.expect(1)?;
    ensure!(unknown.stderr.contains("did you mean `each second`?"), "{unknown:?}");
    Ok(())
}

pub async fn runs_a_schedule_by_hand(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 3, "list_customers:1=delay_after_ms(3000)").await?;
    add(&world, &schedule("pull", "pull gov", NEVER))?;
    let first = world.onfile.start(&["schedules", "run", "pull", "--json"])?;
    called(&world, "list_customers", 1).await?;
    let beside = world.onfile.run(&["schedules", "run", "pull"]).await?.expect(1)?;
    ensure!(beside.stderr.contains("a run of pull is at work"), "{beside:?}");
    let first = first.end().await?.expect(0)?;
    ensure!(first.stdout.contains("\"by_hand\":true"), "{first:?}");
    world.all_fired()?;
    let slots = slots(&world, "pull").await?;
    ensure!(slots.len() == 1 && word(&slots[0], "state") == "done", "{slots:?}");
    Ok(())
}

pub async fn logs_json(db: Arc<TestDb>) -> Ended {
    let world = World::new(db, 2, "").await?;
    add(&world, &schedule("each second", "pull gov", ALWAYS))?;
    let serving = Serving::start(&world.onfile, &["--log-format", "json"]).await?;
    until_slot(&world, "each second", "done").await?;
    let (_, said) = serving.stop("TERM").await?;
    let mut ended = 0;
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(!word(&line, "level").is_empty() && !word(&line, "timestamp").is_empty(), "{line}");
        let is_end = word(&line, "message") == "a scheduled job ended";
        ended += usize::from(is_end && word(&line, "schedule") == "each second");
    }
    ensure!(ended > 0, "{said}");
    Ok(())
}
