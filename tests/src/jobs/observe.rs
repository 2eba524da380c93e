//! `import --dry-run --observe`: it reads what applying would read, and changes nothing there.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use sandbox::{FaultPlan, NewMethod};
use tokio::time::{Duration, Instant, sleep};

use super::World;
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const HEADER: &str = "reference,name,email,method,token,token_kind,last4,exp_month,exp_year\n";
const OBSERVE: [&str; 2] = ["--dry-run", "--observe"];

async fn import(world: &World, rows: &str, more: &[&str]) -> anyhow::Result<Ran> {
    world.file("rows.csv", &format!("{HEADER}{rows}"))?;
    let args = ["import", "gov", "rows.csv", "--json", "--max-rejected", "9"];
    world.onfile.run(&[&args[..], more].concat()).await
}

fn card(reference: &str, token: usize, last4: &str) -> String {
    format!("{reference},Ann,a@b.c,card,tok_{token},processor,{last4},12,2030\n")
}

/// Changing calls that the vendor has counted.
fn changing(world: &World) -> u64 {
    let counters = world.provider.counters();
    let endpoints =
        ["create_customer", "bulk_import", "add_method", "set_default", "remove_method"];
    endpoints.iter().map(|endpoint| counters.calls(endpoint)).sum()
}

pub async fn plans_on_what_is_there(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let make =
        |reference| world.provider.create_customer("pa_main", Some(reference), "Ann", "a@b.c");
    let (held, other) = (make("R-1")?, make("R-2")?);
    make("R-3")?;
    let visa = |last4| NewMethod::card("VISA", last4, 12, 2030);
    world.provider.add_method("pa_main", &held, visa("4242"), false)?;
    world.provider.add_method("pa_main", &other, visa("9999"), false)?;
    make("R-5")?;
    world.provider.add_faults(FaultPlan::parse("find_customer[R-5]=case_find")?)?;
    let rows = [
        card("R-1", 1, "4242"),
        card("R-2", 2, "1881"),
        "R-3,Ann,a@b.c,,,,,,\n".to_owned(),
        card("R-4", 4, "1117"),
        card("R-5", 5, "5100"),
    ]
    .concat();
    let ran = import(&world, &rows, &OBSERVE).await?.expect(0)?;
    ensure!(changing(&world) == 0 && ran.count("/calls/changing")? == 0, "{ran:?}");
    // A card that is there, and a customer alone that is there.
    ensure!(ran.count("/rows/linked")? == 2, "{ran:?}");
    ensure!(ran.count("/codes/matched_by_facts")? == 1, "{ran:?}");
    ensure!(ran.count("/codes/already_there")? == 1, "{ran:?}");
    ensure!(ran.count("/planned/import_method")? == 1, "{ran:?}");
    ensure!(ran.count("/planned/create_customer+import_method")? == 1, "{ran:?}");
    ensure!(ran.count("/planned/reference_collision")? == 1, "{ran:?}");
    ensure!(ran.count("/unverified")? == 0, "{ran:?}");
    let counters = world.provider.counters();
    ensure!(counters.calls("find_customer") == 5, "{counters:?}");
    ensure!(counters.calls("list_customers") == 0, "{counters:?}");
    ensure!(counters.calls("list_methods") == 2, "{counters:?}");
    world.all_fired()?;
    // What was read is in the mirror.
    ensure!(ran.count("/mirror/customers")? == 3 && ran.count("/mirror/methods")? == 2, "{ran:?}");
    let again = import(&world, &rows, &["--dry-run"]).await?.expect(0)?;
    ensure!(again.count("/calls/total")? == 0, "{again:?}");
    ensure!(again.count("/planned/nothing")? == 2, "{again:?}");
    let text = world.onfile.run(&["import", "gov", "rows.csv", "--dry-run", "--observe"]).await?;
    // Of these it reads nothing: the mirror has the customer, and its row has no method.
    ensure!(text.stdout.contains("1 row is unverified: what they rest on"), "{}", text.stdout);
    Ok(())
}

pub async fn says_what_was_removed(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let rows = |email: &str| format!("A-1,Ann,{email},,,,,,\nB-1,Bob,{email},,,,,,\n");
    import(&world, &rows("a@b.c"), &[]).await?.expect(0)?;
    let of = |reference| world.provider.customer_by_reference("pa_main", reference);
    world.provider.delete_customer("pa_main", &of("A-1").context("imported")?.id)?;
    let customer = of("B-1").context("imported")?.id;
    let email = Some("payer@b.c".to_owned());
    let edit = sandbox::Change::EditCustomer {
        customer,
        reference: None,
        name: None,
        email,
        fields: BTreeMap::new(),
    };
    world.provider.change("pa_main", edit)?;
    let before = changing(&world);
    // What is not read, since nothing new is stated, is not called verified.
    let kept = import(&world, &rows("a@b.c"), &OBSERVE).await?.expect(0)?;
    ensure!(kept.count("/rows/unchanged")? == 2 && kept.count("/unverified")? == 2, "{kept:?}");
    // The mirror knows neither of it; a plain dry run goes by the mirror.
    let dry = import(&world, &rows("new@b.c"), &["--dry-run"]).await?.expect(2)?;
    ensure!(dry.count("/codes/not_updatable")? == 2 && dry.count("/unverified")? == 2, "{dry:?}");
    let ran = import(&world, &rows("new@b.c"), &OBSERVE).await?.expect(2)?;
    ensure!(ran.count("/codes/removed_at_provider")? == 1, "{ran:?}");
    ensure!(ran.count("/codes/changed_at_provider")? == 1, "{ran:?}");
    ensure!(ran.count("/unverified")? == 0 && changing(&world) == before, "{ran:?}");
    // The customers with a wish are read when it is imported, as the forecast says.
    let applied = import(&world, &rows("new@b.c"), &[]).await?.expect(2)?;
    let gets = "GET /api/customers/{uid}";
    let said = |ran: &Ran| -> anyhow::Result<_> {
        let document = ran.json()?;
        let calls = document.pointer("/forecast/calls/by_endpoint").context("no forecast")?;
        Ok(calls.get(gets).and_then(|span| span.get("least")).cloned())
    };
    ensure!(said(&ran)? == said(&applied)? || said(&ran)? == Some(2.into()), "{ran:?}{applied:?}");
    Ok(())
}

pub async fn lists_when_many_are_unknown(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 230, "").await?;
    let there: Vec<String> = world
        .provider
        .customers("pa_main")
        .into_iter()
        .filter_map(|customer| customer.reference)
        .collect();
    ensure!(there.len() > 60, "{}", there.len());
    let mut rows: String =
        there.iter().take(60).map(|reference| format!("{reference},,,,,,,,\n")).collect();
    (0..150).for_each(|place| rows += &card(&format!("NEW-{place}"), place, "4242"));
    let ran = import(&world, &rows, &OBSERVE).await?.expect(0)?;
    let counters = world.provider.counters();
    ensure!(counters.calls("find_customer") == 0, "{counters:?}");
    ensure!((3..20).contains(&counters.calls("list_customers")), "{counters:?}");
    ensure!(ran.count("/rows/linked")? == 60, "{ran:?}");
    ensure!(ran.count("/planned/create_customer+import_method")? == 150, "{ran:?}");
    ensure!(ran.count("/unverified")? == 0 && changing(&world) == 0, "{ran:?}");
    let coverage = ran.json()?.pointer("/coverage").context("no coverage")?.clone();
    let flag = |name| coverage.get(name).and_then(serde_json::Value::as_bool);
    ensure!(flag("complete") == Some(true) && flag("confirmed") == Some(false), "{coverage}");
    // The list cannot be read: they are found one by one.
    world.provider.add_faults(FaultPlan::parse("list_customers=status(400)")?)?;
    let fresh = rows.replace("NEW-", "NEWER-");
    let ran = import(&world, &fresh, &OBSERVE).await?.expect(0)?;
    ensure!(world.provider.counters().calls("find_customer") == 150, "{ran:?}");
    // The mirror has them of before, and this run has not read them.
    ensure!(ran.count("/unverified")? == 60, "{ran:?}");
    let gaps = ran.json()?.pointer("/coverage/gaps").map(ToString::to_string).unwrap_or_default();
    ensure!(gaps.contains("was not read to its end"), "{gaps}");
    Ok(())
}

pub async fn a_failing_read_leaves_rows_unverified(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "list_methods:1=status(400)").await?;
    for reference in ["R-1", "R-2"] {
        world.provider.create_customer("pa_main", Some(reference), "Ann", "a@b.c")?;
    }
    let one = card("R-1", 1, "4242") + &card("R-1", 2, "1881");
    let rows = one + &card("R-2", 3, "4242") + &card("R-2", 4, "1881") + &card("R-3", 5, "1117");
    let ran = import(&world, &rows, &OBSERVE).await?.expect(0)?;
    world.all_fired()?;
    ensure!(ran.count("/unverified")? == 2, "{ran:?}");
    ensure!(changing(&world) == 0, "{ran:?}");
    // As the mirror had them: to be created.
    ensure!(ran.count("/planned/create_customer+import_method")? == 2, "{ran:?}");
    ensure!(ran.count("/planned/import_method")? == 3, "{ran:?}");
    let gaps = ran.json()?.pointer("/coverage/gaps").map(ToString::to_string).unwrap_or_default();
    ensure!(gaps.contains("1 customers could not be looked at"), "{gaps}");
    // What was read of it before is in the mirror.
    ensure!(ran.count("/mirror/customers")? == 2, "{ran:?}");
    Ok(())
}

pub async fn a_provider_that_is_away_is_left_alone(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "find_customer=status(400)").await?;
    let rows: String = (0..60).map(|place| card(&format!("R-{place}"), place, "4242")).collect();
    let ran = import(&world, &rows, &OBSERVE).await?.expect(0)?;
    ensure!(ran.count("/unverified")? == 60, "{ran:?}");
    // Not one for each: after so many it is left alone.
    let finds = world.provider.counters().calls("find_customer");
    ensure!((16..40).contains(&finds), "{finds}");
    Ok(())
}

pub async fn a_stop_ends_it(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "find_customer=delay_after_ms(300)").await?;
    let rows: String = (0..90).map(|place| card(&format!("R-{place}"), place, "4242")).collect();
    world.file("rows.csv", &format!("{HEADER}{rows}"))?;
    let args = ["import", "gov", "rows.csv", "--json", "--dry-run", "--observe"];
    let mut running = world.onfile.start(&args)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while world.provider.counters().calls("find_customer") == 0 {
        ensure!(Instant::now() < deadline, "nothing was looked for");
        sleep(Duration::from_millis(10)).await;
    }
    running.signal("INT").await?;
    let ran = running.end().await?.expect(3)?;
    ensure!(world.provider.counters().calls("find_customer") < 90, "{ran:?}");
    ensure!(changing(&world) == 0, "{ran:?}");
    Ok(())
}

pub async fn the_import_does_what_it_said(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    for reference in ["C-1001", "C-1005", "C-1007"] {
        world.provider.create_customer("pa_main", Some(reference), "Ann", "")?;
    }
    let args = ["import", "gov", "sample.csv", "--json"];
    let looked = world.onfile.run(&[&args[..], &OBSERVE].concat()).await?.expect(0)?;
    let applied = world.onfile.run(&args).await?.expect(0)?;
    let forecast = |ran: &Ran| Ok::<_, anyhow::Error>(ran.json()?.pointer("/forecast").cloned());
    let calls = |ran: &Ran, pointer: &str| {
        let document = ran.json()?;
        document.pointer(pointer).cloned().with_context(|| format!("no {pointer}: {ran:?}"))
    };
    // The look knew: nothing is found out on the way, and no more is called than it said.
    let by_endpoint = "/forecast/calls/by_endpoint";
    ensure!(calls(&looked, by_endpoint)? == calls(&applied, by_endpoint)?, "{looked:?}{applied:?}");
    ensure!(forecast(&looked)?.is_some());
    ensure!(
        applied.count("/forecast/calls/total_least")? == applied.count("/calls/total")?,
        "{applied:?}"
    );
    ensure!(looked.count("/rows/linked")? == applied.count("/rows/linked")?, "{applied:?}");
    Ok(())
}
