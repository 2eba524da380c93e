//! What became of effects whose answer was lost, as a person asks for it and says it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sandbox::NewMethod;
use tokio::time::Instant;

use super::World;
use super::canary::{run_of, text};
use super::resume::{called, expire, killed};
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const IMPORT: [&str; 4] = ["import", "gov", "sample.csv", "--json"];

pub async fn a_second_stop_gives_up_what_is_in_flight(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(60000)").await?;
    let mut child = world.onfile.start(&IMPORT)?;
    called(&world, "bulk_import", 1).await?;
    let began = Instant::now();
    child.signal("INT").await?;
    // The first one waits for the answer.
    tokio::time::sleep(Duration::from_millis(300)).await;
    child.signal("INT").await?;
    let ran = child.end().await?.expect(3)?;
    ensure!(began.elapsed() < Duration::from_secs(4), "it was held up: {:?}", began.elapsed());
    world.all_fired()?;
    ensure!(text(&ran, "/state")? == "paused", "{ran:?}");
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    // Nobody says that it was finished.
    ensure!(!ran.stderr.contains("was finished"), "{ran:?}");
    ensure!(ran.count("/unsettled")? == 18, "{ran:?}");
    let shown = world.onfile.run(&["report", &run_of(&ran)?]).await?.expect(0)?;
    let list = format!("onfile effects list --run {}", run_of(&ran)?);
    ensure!(shown.stdout.contains(&format!("18 effects are not settled yet: {list}")), "{shown:?}");
    // The account is free at once, and the run goes on where it was left.
    let run = run_of(&ran)?;
    let ran = world.runs("resume", &run, 0).await?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/codes/found_later")? == 18, "{ran:?}");
    ensure!(world.sizes() == (16, 18), "{:#?}", world.held());
    ensure!(world.provider.counters().calls("bulk_import") == 1);
    Ok(())
}

pub async fn what_a_killed_import_sent_is_settled_when_asked_for(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(60000)").await?;
    killed(&world, world.onfile.start(&IMPORT)?, 1).await?;
    let effects = ["effects", "--json"];
    let open = world.onfile.run(&effects).await?.expect(0)?.json()?;
    let sending = |list: &serde_json::Value, state: &str| {
        let all = list.pointer("/effects").and_then(|all| all.as_array()).cloned();
        all.unwrap_or_default().iter().filter(|one| one["state"] == state).count()
    };
    ensure!(sending(&open, "sending") == 18, "{open}");
    // What the store knows of it is said, though it came to no end.
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?;
    let run = text(&runs, "/runs/0/run")?;
    for args in [["runs", "show", &run, "--json"], ["report", &run, "--json", "-q"]] {
        let ran = world.onfile.run(&args).await?.expect(0)?;
        ensure!(text(&ran, "/state")? == "running", "{ran:?}");
        ensure!(ran.count("/rows/read")? == 20, "{ran:?}");
        ensure!(ran.count("/effects/done")? == 16, "{ran:?}");
        ensure!(ran.count("/effects/sending")? == 18, "{ran:?}");
        ensure!((1..=60).contains(&ran.count("/lease_seconds")?), "{ran:?}");
    }
    let shown = world.onfile.run(&["runs", "show", &run]).await?.expect(0)?;
    let list = format!("18 effects are not settled yet: onfile effects list --run {run}");
    ensure!(shown.stdout.contains(&list), "{shown:?}");
    ensure!(shown.stdout.contains("a worker holds it"), "{shown:?}");
    expire(&world.db).await?;
    let shown = world.onfile.run(&["report", &run]).await?.expect(0)?;
    ensure!(shown.stdout.contains(&list), "{shown:?}");
    let hint = format!("nobody works at it: `onfile runs resume {run}` goes on");
    ensure!(shown.stdout.contains(&hint), "{shown:?}");
    let (held, sent) = (world.held(), world.changing());
    let ran = world.onfile.run(&["effects", "settle", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/done")? == 18, "{ran:?}");
    ensure!(ran.stderr.contains("18 effects of a process that is gone: settled first"), "{ran:?}");
    ensure!(!ran.stderr.contains("WARN"), "a log among messages: {ran:?}");
    ensure!(world.changing() == sent && world.held() == held, "something was sent");
    let open = world.onfile.run(&["effects"]).await?.expect(0)?;
    ensure!(open.stdout.contains("nothing is open"), "{open:?}");
    let all = ["effects", "list", "gov", "--all", "--json"];
    let all = world.onfile.run(&all).await?.expect(0)?.json()?;
    ensure!(sending(&all, "done") == 16 + 18, "{all}");
    let again = world.onfile.run(&IMPORT).await?.expect(0)?;
    ensure!(again.count("/rows/unchanged")? + again.count("/rows/linked")? == 20, "{again:?}");
    ensure!(again.count("/calls/changing")? == 0, "{again:?}");
    // With nothing open there is nothing to ask.
    let ran = world.onfile.run(&["effects", "settle", "gov"]).await?.expect(0)?;
    ensure!(ran.stdout.contains("nothing to settle"), "{ran:?}");
    Ok(())
}

/// An import whose one effect only a person can settle: before its answer is lost, a payer saves the
/// same card. The effect's id, and that of the payer's card.
async fn twin(world: &World) -> anyhow::Result<(Ran, String, String)> {
    world.soon()?;
    let importing = world.onfile.start(&IMPORT)?;
    called(world, "bulk_import", 1).await?;
    let ada = world.provider.customer_by_reference("pa_main", "C-1001").context("no such")?;
    let card = NewMethod::card("VISA", "4242", 12, 2030);
    let payers = world.provider.add_method("pa_main", &ada.id, card, false)?;
    let ran = importing.end().await?.expect(2)?;
    world.all_fired()?;
    ensure!(ran.stderr.contains(" s to settle 1 effect without an answer"), "{ran:?}");
    ensure!(ran.count("/rows/created")? == 19, "{ran:?}");
    ensure!(ran.count("/rows/unresolved")? == 1, "{ran:?}");
    ensure!(ran.count("/codes/outcome_unknown")? == 1, "{ran:?}");
    let effects = world.onfile.run(&["effects", "list", "--json"]).await?.expect(0)?;
    let id = text(&effects, "/effects/0/effect")?;
    ensure!(text(&effects, "/effects/0/state")? == "unresolved", "{effects:?}");
    Ok((ran, id, payers))
}

const LOST: &str = "bulk_import:1=delay_after_ms(2500)";

pub async fn what_reading_cannot_tell_blocks_its_customer_until_a_person_does(
    db: Arc<TestDb>,
) -> Result {
    let world = World::new(db, 0, LOST).await?;
    let (first, id, payers) = twin(&world).await?;
    let report = ["report", &run_of(&first)?];
    let ran = world.onfile.run(&report).await?.expect(0)?;
    ensure!(ran.stdout.contains("1 effect is not settled yet"), "{ran:?}");
    // Nothing is sent for her until somebody has looked.
    let again = world.onfile.run(&IMPORT).await?.expect(2)?;
    ensure!(again.count("/calls/changing")? == 0, "{again:?}");
    ensure!(again.count("/rows/unresolved")? == 1, "{again:?}");
    // Asked for by itself, it is still hers to tell.
    let ran = world.onfile.run(&["effects", "settle", "gov"]).await?.expect(2)?;
    ensure!(ran.stdout.contains("1 wait for a person: onfile effects list gov"), "{ran:?}");
    ensure!(!ran.stdout.contains("nothing to settle"), "{ran:?}");
    let person = world.onfile.run(&IMPORT[..3]).await?.expect(2)?;
    ensure!(person.stdout.contains("reading the provider does not tell"), "{person:?}");
    ensure!(person.stdout.contains("onfile effects list"), "{person:?}");
    let shown = world.onfile.run(&["effects", "show", &id]).await?.expect(0)?;
    ensure!(shown.stdout.contains("VISA ending in 4242, expires 12/2030"), "{shown:?}");
    ensure!(shown.stdout.contains(&payers), "what may be it is not named: {shown:?}");
    ensure!(shown.stdout.contains(&format!("onfile effects resolve {id} --as")), "{shown:?}");
    // Which of the two it is must be said.
    let resolve = ["effects", "resolve", &id, "--as", "done"];
    let ran = world.onfile.run(&resolve).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[not_shown]") && ran.stderr.contains(&payers), "{ran:?}");
    let ada = world.provider.customer_by_reference("pa_main", "C-1001").context("no such")?;
    let ours = ada.methods.iter().find(|method| method.last4 == "4242" && method.id != payers);
    let ours = ours.context("no such card")?.id.clone();
    // Nor can it be the card of another row.
    let other =
        ada.methods.iter().find(|method| method.last4 != "4242").context("no other card")?;
    let wrong = [&resolve[..], &["--remote-id", &other.id]].concat();
    let ran = world.onfile.run(&wrong).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[not_shown]"), "{ran:?}");
    let named = [&resolve[..], &["--remote-id", &ours, "--note", "seen in the dashboard"]].concat();
    let ran = world.onfile.run(&named).await?.expect(0)?;
    ensure!(ran.stdout.contains("seen in the dashboard"), "{ran:?}");
    let ran = world.onfile.run(&report).await?.expect(0)?;
    ensure!(!ran.stdout.contains("not settled yet"), "{ran:?}");
    let ran = world.onfile.run(&named).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[effect_state]"), "{ran:?}");
    let again = world.onfile.run(&IMPORT).await?.expect(0)?;
    ensure!(again.count("/rows/unresolved")? == 0, "{again:?}");
    ensure!(again.count("/calls/changing")? == 0, "{again:?}");
    Ok(())
}

pub async fn what_a_person_saw_absent_is_sent_again(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, LOST).await?;
    let (_, id, payers) = twin(&world).await?;
    // Both are taken away at the provider: hers and what we had saved.
    let ada = world.provider.customer_by_reference("pa_main", "C-1001").context("no such")?;
    for method in ada.methods.iter().filter(|method| method.last4 == "4242") {
        world.provider.remove_method("pa_main", &ada.id, &method.id)?;
    }
    let ran = world.onfile.run(&["effects", "resolve", &id, "--as", "absent"]).await?.expect(0)?;
    ensure!(ran.stdout.contains("planned"), "{ran:?}");
    let again = world.onfile.run(&IMPORT).await?.expect(0)?;
    ensure!(again.count("/rows/created")? == 1, "{again:?}");
    ensure!(world.provider.counters().calls("bulk_import") == 2);
    let ada = world.provider.customer_by_reference("pa_main", "C-1001").context("no such")?;
    let cards: Vec<_> = ada.methods.iter().filter(|method| method.last4 == "4242").collect();
    ensure!(cards.len() == 1 && cards[0].id != payers, "{cards:?}");
    Ok(())
}

pub async fn absent_is_not_believed_of_what_is_shown(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, LOST).await?;
    let (_, id, payers) = twin(&world).await?;
    let ada = world.provider.customer_by_reference("pa_main", "C-1001").context("no such")?;
    let ours = ada.methods.iter().find(|method| method.last4 == "4242" && method.id != payers);
    let ours = ours.context("no such card")?.id.clone();
    let absent = ["effects", "resolve", &id, "--as", "absent"];
    let done = ["effects", "resolve", &id, "--as", "done", "--remote-id", &ours];
    // An id goes with what is done, force with what is absent.
    for args in
        [[&absent[..], &["--remote-id", &ours]].concat(), [&done[..], &["--force"]].concat()]
    {
        let ran = world.onfile.run(&args).await?.expect(1)?;
        ensure!(ran.stderr.contains("error[usage]"), "{ran:?}");
    }
    let ran = world.onfile.run(&absent).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[still_shown]"), "{ran:?}");
    ensure!(ran.stderr.contains(&ours) && ran.stderr.contains(&payers), "{ran:?}");
    let open = world.onfile.run(&["effects"]).await?.expect(0)?;
    ensure!(open.stdout.contains("unresolved"), "it was written: {open:?}");
    // A person's word against it: it is settled, and not for ever.
    world.onfile.run(&[&absent[..], &["--force"]].concat()).await?.expect(0)?;
    let open = world.onfile.run(&["effects"]).await?.expect(0)?;
    ensure!(open.stdout.contains("nothing is open"), "{open:?}");
    let all = world.onfile.run(&["effects", "list", "--all"]).await?.expect(0)?;
    ensure!(all.stdout.contains("planned"), "{all:?}");
    let ran = world.onfile.run(&done).await?.expect(0)?;
    ensure!(ran.stdout.contains("done (found)"), "{ran:?}");
    let again = world.onfile.run(&IMPORT).await?.expect(0)?;
    ensure!(again.count("/calls/changing")? == 0, "{again:?}");
    Ok(())
}

pub async fn what_there_is_not_is_not_shown(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    for what in ["show", "resolve"] {
        let mut args = vec!["effects", what, "01ARZ3NDEKTSV4RRFFQ69G5FAV"];
        if what == "resolve" {
            args.extend(["--as", "absent"]);
        }
        let ran = world.onfile.run(&args).await?.expect(1)?;
        ensure!(ran.stderr.contains("error[no_such_effect]"), "{ran:?}");
    }
    // Nothing is open at what there is not, either.
    let ran = world.onfile.run(&["effects", "list", "gvo"]).await?.expect(4)?;
    ensure!(ran.stderr.contains("error[unknown_account]"), "{ran:?}");
    ensure!(ran.stderr.contains("did you mean `gov`?"), "{ran:?}");
    let run = ["effects", "list", "gov", "--run", "01ARZ3NDEKTSV4RRFFQ69G5FAV"];
    let ran = world.onfile.run(&run).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[no_such_run]"), "{ran:?}");
    ensure!(world.provider.log().is_empty());
    Ok(())
}

/// Rows of a file with these payment methods; `C-1` is their customer.
fn rows(world: &World, methods: &[&str]) -> Result {
    let mut text = String::from(
        "reference,name,method,token,token_kind,last4,exp_month,exp_year,account_type,\
         routing_number\n",
    );
    for method in methods {
        text += &format!("C-1,Ann,{method}\n");
    }
    world.file("sample.csv", &text)
}

pub async fn what_cannot_be_told_apart_is_not_sent_together(db: Arc<TestDb>) -> Result {
    // The provider shows no routing number; the second token is declined, and the answer is lost.
    let world = World::new(db, 0, "bulk_import:1=drop_after").await?;
    world.soon()?;
    rows(
        &world,
        &[
            "bank_account,tok_one,processor,6789,,,checking,110000000",
            "bank_account,bad_token,processor,6789,,,checking,111000025",
        ],
    )?;
    let ran = world.onfile.run(&[&IMPORT[..], &["--on-token-change", "add"]].concat()).await?;
    world.all_fired()?;
    ensure!(ran.count("/rows/created")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/refused")? == 1, "{ran:?}");
    ensure!(world.sizes() == (1, 1), "{:#?}", world.held());
    Ok(())
}

pub async fn one_customer_that_cannot_be_found_blocks_nobody_else(db: Arc<TestDb>) -> Result {
    let faults = "create_customer[C-1003]:1=drop_after,create_customer[C-1004]:1=drop_after,\
                  find_customer[C-1003]=status(400)";
    let world = World::new(db, 0, faults).await?;
    world.soon()?;
    let ran = world.onfile.run(&IMPORT).await?.expect(2)?;
    ensure!(ran.count("/rows/unresolved")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? >= 17, "{ran:?}");
    // Nor does it block another file.
    world.file("other.csv", "reference,name\nO-1,Olga\n")?;
    let ran = world.onfile.run(&["import", "gov", "other.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 1, "{ran:?}");
    Ok(())
}

pub async fn another_case_says_nothing_of_a_lost_create(db: Arc<TestDb>) -> Result {
    let faults = "create_customer[C-1001]:1=drop_after,find_customer:1=case_find";
    let world = World::new(db, 0, faults).await?;
    world.provider.create_customer("pa_main", Some("c-1001"), "Cleo", "c@b.c")?;
    world.soon()?;
    let ran = world.onfile.run(&IMPORT).await?.expect(0)?;
    world.all_fired()?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/codes/found_later")? == 1, "{ran:?}");
    Ok(())
}

pub async fn what_was_not_sent_is_no_attempt(db: Arc<TestDb>) -> Result {
    let faults = "create_customer[C-1001]:1..2=throttle(0),create_customer[C-1001]:3=drop_before";
    let world = World::new(db, 0, faults).await?;
    let ran = world.onfile.run(&IMPORT).await?.expect(0)?;
    world.all_fired()?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    Ok(())
}

pub async fn a_create_that_took_effect_after_its_repeat_is_ours(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer[C-1005]:1=late_execution_ms(40)").await?;
    let ran = world.onfile.run(&IMPORT).await?.expect(0)?;
    world.all_fired()?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(world.sizes() == (16, 18), "{:#?}", world.held());
    Ok(())
}

pub async fn a_canary_is_chosen_of_what_is_known(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer:1=delay_after_ms(60000)").await?;
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    world.file("onfile.toml", &config.replace("in_flight = 8", "in_flight = 1"))?;
    super::resume::killed_at(&world, world.onfile.start(&IMPORT)?, "create_customer", 1).await?;
    expire(&world.db).await?;
    let canary = [&IMPORT[..], &["--canary", "1"]].concat();
    let ran = world.onfile.run(&canary).await?.expect(3)?;
    ensure!(text(&ran, "/state")? == "awaiting_approval", "{ran:?}");
    // Something of it was sent and read back.
    ensure!(ran.count("/calls/changing")? >= 1, "{ran:?}");
    Ok(())
}

pub async fn a_stop_ends_settling(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(60000)").await?;
    killed(&world, world.onfile.start(&IMPORT)?, 1).await?;
    expire(&world.db).await?;
    world.provider.put_faults(sandbox::FaultPlan::parse("list_methods=delay_ms(60000)")?)?;
    let mut child = world.onfile.start(&["effects", "settle", "gov", "--json"])?;
    called(&world, "list_methods", 1).await?;
    let began = Instant::now();
    child.signal("INT").await?;
    let ran = child.end().await?.expect(3)?;
    ensure!(began.elapsed() < Duration::from_secs(3), "{:?}: {ran:?}", began.elapsed());
    Ok(())
}
