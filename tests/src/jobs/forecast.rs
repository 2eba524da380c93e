//! What an import says that it will call, and what it calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use model::{Clock as _, SystemClock};

use super::World;
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const HEADER: &str =
    "reference,name,email,method,token,token_kind,last4,exp_month,exp_year,default\n";

/// A row of a card with a token that is this row's own.
fn card(reference: usize, token: usize, default: &str) -> String {
    format!(
        "R-{reference},Ann,a@b.c,card,tok_{token},processor,{:04},12,2030,{default}\n",
        token % 10_000
    )
}

async fn import(world: &World, rows: &str, more: &[&str]) -> anyhow::Result<Ran> {
    world.file("rows.csv", &format!("{HEADER}{rows}"))?;
    let args = ["import", "gov", "rows.csv", "--json", "--max-rejected", "9"];
    world.onfile.run(&[&args[..], more].concat()).await
}

/// The forecast's calls by endpoint.
fn said(ran: &Ran, bound: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let document = ran.json()?;
    let by_endpoint = document.pointer("/forecast/calls/by_endpoint").context("no forecast")?;
    let by_endpoint = by_endpoint.as_object().context("no endpoints")?;
    let calls = by_endpoint.iter().map(|(endpoint, span)| {
        let calls = span.get(bound).and_then(serde_json::Value::as_u64).context("no bound")?;
        Ok((endpoint.clone(), calls))
    });
    calls.filter(|call| call.as_ref().map_or(true, |(_, calls)| *calls > 0)).collect()
}

/// The calls that were made, by endpoint.
fn made(ran: &Ran) -> anyhow::Result<BTreeMap<String, u64>> {
    let document = ran.json()?;
    let by_endpoint = document.pointer("/calls/by_endpoint").context("no calls")?.clone();
    Ok(serde_json::from_value(by_endpoint)?)
}

/// The forecast's least is what was called, endpoint by endpoint, and the vendor counted as many
/// changing calls.
fn is_exact(world: &World, ran: &Ran) -> Result {
    ensure!(said(ran, "least")? == made(ran)?, "{:#?}\n{:#?}", said(ran, "least")?, made(ran)?);
    ensure!(ran.count("/forecast/calls/total_least")? == ran.count("/calls/total")?, "{ran:?}");
    let changing = ran.count("/forecast/calls/changing_least")?;
    ensure!(changing == ran.count("/calls/changing")?, "{ran:?}");
    let counters = world.provider.counters();
    let endpoints = ["create_customer", "bulk_import", "add_method", "set_default"];
    let counted: u64 = endpoints.iter().map(|endpoint| counters.calls(endpoint)).sum();
    ensure!(changing == counted, "{changing}: {counters:?}");
    Ok(())
}

/// What was called is within the forecast, endpoint by endpoint.
fn is_within(ran: &Ran) -> Result {
    let (least, most, made) = (said(ran, "least")?, said(ran, "most")?, made(ran)?);
    for endpoint in made.keys().chain(least.keys()) {
        let of = |calls: &BTreeMap<String, u64>| calls.get(endpoint).copied().unwrap_or(0);
        let within = (of(&least)..=of(&most)).contains(&of(&made));
        ensure!(within, "{endpoint}: {} {} {}", of(&least), of(&made), of(&most));
    }
    Ok(())
}

pub async fn of_a_fresh_file_is_exact(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.configure("import_batch = 40")?;
    let now = SystemClock.now().micros() / 1_000_000;
    // More references than one page of them, more rows than one page of those, tokens that go one
    // by one, of which every second is a default that is set afterwards, and customers alone.
    let mut rows = String::new();
    for reference in 0..540 {
        rows += &card(reference, reference, "true");
    }
    for reference in 600..760 {
        (0..7).for_each(|place| rows += &card(reference, reference * 7 + place, ""));
    }
    for reference in 800..810 {
        let default = if reference % 2 == 0 { "true" } else { "" };
        rows += &format!(
            "R-{reference},Ann,a@b.c,card,pxt_{now}_{reference},proxynized,4242,12,2030,{default}\n"
        );
    }
    rows += "R-900,Ann,a@b.c,,,,,,,\n";
    let dry = import(&world, &rows, &["--dry-run"]).await?.expect(0)?;
    ensure!(world.provider.log().is_empty(), "a dry run called");
    let ran = import(&world, &rows, &[]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == ran.count("/rows/read")?, "{ran:?}");
    is_exact(&world, &ran)?;
    let forecast = |ran: &Ran| Ok::<_, anyhow::Error>(ran.json()?.pointer("/forecast").cloned());
    ensure!(forecast(&dry)? == forecast(&ran)?, "{dry:?}");
    Ok(())
}

pub async fn of_a_known_mirror_is_exact(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let first: String = (0..60).map(|reference| card(reference, reference, "")).collect();
    import(&world, &first, &[]).await?.expect(0)?;
    // Of those that are known: ten with a card more, five with another e-mail, of which two have a
    // card more as well, three whose default is stated by now; and four that are new.
    let mut rows = String::new();
    for reference in 0..60 {
        let default = if (20..23).contains(&reference) { "true" } else { "" };
        rows += &card(reference, reference, default);
        if reference < 10 {
            rows += &card(reference, 1000 + reference, "");
        }
    }
    rows = (8..13).fold(rows, |rows, reference| {
        rows.replace(&format!("R-{reference},Ann,a@b.c"), &format!("R-{reference},Ann,new@b.c"))
    });
    (60..64).for_each(|reference| rows += &card(reference, reference, ""));
    let before = world.provider.counters();
    let ran = import(&world, &rows, &[]).await?.expect(2)?;
    ensure!(ran.count("/codes/not_updatable")? == 5, "{ran:?}");
    ensure!(said(&ran, "least")? == made(&ran)?, "{:#?}\n{ran:?}", said(&ran, "least")?);
    let after = world.provider.counters();
    let calls = |endpoint| after.calls(endpoint) - before.calls(endpoint);
    ensure!(calls("list_methods") == 13, "{after:?}");
    // Five that have a wish, and one to see that this is the account.
    ensure!(calls("get_customer") == 6, "{after:?}");
    ensure!(calls("create_customer") == 4 && calls("set_default") == 3, "{after:?}");
    // Within a budget of failures it begins with a few, so more calls are not full.
    let rows: String = (3000..3100).map(|reference| card(reference, reference, "")).collect();
    let ran = import(&world, &rows, &["--max-failures", "5"]).await?.expect(0)?;
    ensure!(said(&ran, "least")? == made(&ran)?, "{:#?}\n{ran:?}", said(&ran, "least")?);
    ensure!(made(&ran)?.get("POST /api/saved-payment-methods/import") == Some(&4), "{ran:?}");
    Ok(())
}

pub async fn bounds_what_is_there_already(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    for reference in 0..30 {
        let reference = format!("R-{reference}");
        world.provider.create_customer("pa_main", Some(&reference), "Ann", "a@b.c")?;
    }
    // All that it would create is there: the most comes true.
    let rows: String = (0..30).map(|reference| card(reference, reference, "")).collect();
    let ran = import(&world, &rows, &[]).await?.expect(0)?;
    is_within(&ran)?;
    let calls = made(&ran)?;
    let lists = "GET /api/customers/{uid}/payment-methods";
    for endpoint in ["GET /api/customers", lists] {
        ensure!(!said(&ran, "least")?.contains_key(endpoint), "{endpoint}");
        ensure!(said(&ran, "most")?.get(endpoint) == Some(&30), "{endpoint}");
        ensure!(calls.get(endpoint) == Some(&30), "{endpoint}: {calls:?}");
    }
    ensure!(ran.count("/forecast/calls/total_most")? >= ran.count("/calls/total")?, "{ran:?}");
    // Half of them: a bulk call for those that are made, one for those that are found.
    let rows: String = (15..45).map(|reference| card(reference, 100 + reference, "")).collect();
    is_within(&import(&world, &rows, &[]).await?.expect(0)?)
}

pub async fn bounds_rows_that_stand_apart(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.configure("import_batch = 9")?;
    let mut rows: String = (0..700).map(|reference| card(reference, reference, "")).collect();
    (0..60).for_each(|place| rows += &card(place * 10, 1000 + place, ""));
    let ran = import(&world, &rows, &[]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 760, "{ran:?}");
    is_within(&ran)?;
    ensure!(said(&ran, "least")?.get("POST /api/customers") == Some(&700), "{ran:?}");
    // A canary: what it reads back is within the most.
    let rows: String = (2000..2030).map(|reference| card(reference, reference, "")).collect();
    let ran = import(&world, &rows, &["--canary", "3"]).await?.expect(3)?;
    ensure!(said(&ran, "least")?.get("POST /api/customers") == Some(&30), "{ran:?}");
    let run = ran.run_id()?;
    let ended = world.onfile.run(&["runs", "approve", &run, "--json"]).await?.expect(0)?;
    // Of what was left.
    ensure!(said(&ended, "least")?.get("POST /api/customers") == Some(&27), "{ended:?}");
    Ok(())
}

pub async fn says_how_old_the_mirror_is(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let args = ["import", "gov", "sample.csv", "--dry-run"];
    let dry = world.onfile.run(&args).await?.expect(0)?;
    ensure!(
        dry.stdout.contains("mirror: never read; 20 rows are unverified: --observe looks"),
        "{dry:?}"
    );
    let limit = "it would make 18 calls: under 1 s at the limit (burst 50)";
    ensure!(dry.stdout.contains(limit), "{}", dry.stdout);
    ensure!(dry.stdout.contains("at most 49 calls (under 1 s)"), "{}", dry.stdout);
    let json = world.onfile.run(&[&args[..], &["--json"]].concat()).await?.expect(0)?;
    ensure!(json.count("/unverified")? == 20 && json.count("/mirror/customers")? == 0, "{json:?}");
    ensure!(json.json()?.pointer("/mirror/oldest") == Some(&serde_json::Value::Null), "{json:?}");
    ensure!(json.json()?.pointer("/forecast/limit") == Some(&"burst 50".into()), "{json:?}");
    ensure!(json.count("/forecast/seconds_at_limit")? == 0, "{json:?}");
    world.onfile.run(&args[..3]).await?.expect(0)?;
    let json = world.onfile.run(&[&args[..], &["--json"]].concat()).await?.expect(0)?;
    ensure!(json.count("/mirror/customers")? == 16, "{json:?}");
    let read = json.json()?.pointer("/mirror/newest").and_then(|at| at.as_str()).map(str::to_owned);
    let read = read.and_then(|at| model::Timestamp::parse_rfc3339(&at)).context("no time")?;
    ensure!(SystemClock.now().since(read).as_secs() < 600, "{json:?}");
    ensure!(json.count("/forecast/calls/changing_least")? == 0, "{json:?}");
    // A row that is wrong by itself rests on nothing.
    world.file("one.csv", "reference,email\n,a@b.c\nC-1001,b@b.c\n")?;
    let more = ["import", "gov", "one.csv", "--dry-run", "--json", "--max-rejected", "9"];
    let json = world.onfile.run(&more).await?.expect(2)?;
    ensure!(json.count("/unverified")? == 1, "{json:?}");
    Ok(())
}

pub async fn is_said_before_anything_is_sent(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv"]).await?.expect(0)?;
    let said = "gov: this makes 18 calls: under 1 s at the limit (burst 50)";
    ensure!(ran.stderr.contains(said), "{}", ran.stderr);
    ensure!(ran.stderr.contains("16 × POST /api/customers"), "{}", ran.stderr);
    ensure!(!ran.stdout.contains("this makes"), "{}", ran.stdout);
    let quiet = world.onfile.run(&["import", "gov", "sample.csv", "-q"]).await?.expect(0)?;
    ensure!(quiet.stderr.is_empty(), "{}", quiet.stderr);
    // It is kept with the run.
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let run = ran.run_id()?;
    world.onfile.run(&["report", &run, "--out", "out"]).await?.expect(0)?;
    let kept = std::fs::read_to_string(world.db.folder().join("out/report.json"))?;
    let kept: serde_json::Value = serde_json::from_str(&kept)?;
    ensure!(kept.pointer("/forecast") == ran.json()?.pointer("/forecast"), "{kept}");
    // One read of a known customer, and the token for it.
    ensure!(kept.pointer("/forecast/calls/total_least") == Some(&2.into()), "{kept}");
    Ok(())
}
