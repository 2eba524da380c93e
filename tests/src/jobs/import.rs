//! `import`: what the provider holds afterwards, and what the run says.

use std::sync::Arc;

use anyhow::ensure;
use model::{Clock, SystemClock};
use sandbox::NewMethod;

use super::World;
use super::edits::{cell, reported};
use crate::env::TestDb;

type Result = anyhow::Result<()>;

/// The calls of a fresh import of the sample: 16 customers, one batch of 18 methods.
const SAMPLE_HELD: usize = 16;

pub async fn holds_what_the_file_says(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/read")? == 20, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    let held = world.held();
    ensure!(held.len() == SAMPLE_HELD, "{held:#?}");
    for line in [
        "C-1001 Ada Morales <ada.morales@example.com> 4242* 5100",
        "C-1005 Elena García <elena.garcia@example.com> 0077* 4321",
        "C-1007 Grace Kim <grace.kim@example.com> ",
        "C-1011 O'Neill, Kate <kate.oneill@example.com> 4445*",
    ] {
        ensure!(held.iter().any(|h| h == line), "not held: {line}\n{held:#?}");
    }
    // Nothing was called but what the job needs, and each call is counted.
    let counters = world.provider.counters();
    ensure!(counters.calls("create_customer") == 16, "{counters:?}");
    ensure!(counters.calls("bulk_import") == 1, "{counters:?}");
    ensure!(counters.calls("list_methods") == 0, "{counters:?}");
    ensure!(counters.calls("token") == 1, "{counters:?}");
    ensure!(ran.count("/calls/total")? == 18, "{ran:?}");
    ensure!(ran.count("/calls/changing")? == 17, "{ran:?}");
    Ok(())
}

pub async fn again_changes_nothing(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let before = world.held();
    let counted = world.provider.counters();
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/unchanged")? == 20, "{ran:?}");
    ensure!(ran.count("/calls/changing")? == 0, "{ran:?}");
    ensure!(world.held() == before);
    let after = world.provider.counters();
    for endpoint in ["create_customer", "bulk_import", "add_method", "set_default"] {
        ensure!(counted.calls(endpoint) == after.calls(endpoint), "{endpoint}: {after:?}");
    }
    Ok(())
}

pub async fn dry_run_sends_nothing(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--dry-run", "--json"]).await?;
    ensure!(ran.count("/rows/read")? == 20, "{ran:?}");
    ensure!(ran.count("/calls/total")? == 0, "{ran:?}");
    ensure!(world.held().is_empty());
    ensure!(world.provider.log().is_empty());
    let planned = ran.count("/planned/create_customer+import_method")?;
    ensure!(planned == 14, "{ran:?}");
    // Each row says its own.
    let rows = reported(&world, &ran).await?;
    let planned = |row: &&_| cell(row, "plan") == Some("create_customer+import_method");
    ensure!(rows.iter().filter(planned).count() == 14, "{rows:?}");
    ensure!(rows.iter().all(|row| cell(row, "done").is_none()), "{rows:?}");
    // The list of runs tells it from an import that sent.
    let runs = world.onfile.run(&["runs"]).await?.expect(0)?;
    ensure!(runs.stdout.contains("import (dry run)"), "{runs:?}");
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
    ensure!(runs.pointer("/runs/0/dry_run") == Some(&true.into()), "{runs}");
    Ok(())
}

pub async fn links_what_was_there(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let ada = world.provider.create_customer("pa_main", Some("C-1001"), "Ada Morales", "a@b.c")?;
    // The same card as row r01 of the sample, saved by the payer.
    let card = NewMethod::card("VISA", "4242", 12, 2030);
    world.provider.add_method("pa_main", &ada, card, false)?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/linked")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 19, "{ran:?}");
    let held = world.held();
    // Nothing of the customer was overwritten, its card was not saved a second time.
    ensure!(held.iter().any(|h| h == "C-1001 Ada Morales <a@b.c> 4242 5100"), "{held:#?}");
    ensure!(world.provider.counters().calls("find_customer") == 1);
    Ok(())
}

pub async fn saves_nothing_under_somebody_else(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let dora = world.provider.create_customer("pa_main", Some("C-1001"), "Dora O.", "d@o.c")?;
    let held = || world.provider.customer_by_reference("pa_main", "C-1001");
    let before = format!("{:?}", held());
    for more in [&[][..], &["--update-existing"]] {
        let args =
            [&["import", "gov", "sample.csv", "--max-rejected", "10", "--json"], more].concat();
        let ran = world.onfile.run(&args).await?.expect(2)?;
        ensure!(ran.count("/codes/ambiguous_match")? > 0, "{ran:?}");
        let left = ran.count("/rows/rejected")? + ran.count("/rows/not_attempted")?;
        ensure!(left == 2, "{ran:?}");
        ensure!(format!("{:?}", held()) == before, "{:?}", held());
    }
    // A person knows better.
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    let link = ["link", "customer", "gov", dora.as_str(), "--reference", "C-1001"];
    let linked = world.onfile.run(&link).await?.expect(0)?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?;
    ensure!(ran.count("/rows/rejected")? == 0, "{linked:?} {ran:?}");
    ensure!(held().is_some_and(|dora| dora.methods.len() == 2), "{:?}", held());
    Ok(())
}

pub async fn keeps_what_a_payer_removed(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let ada = world.provider.customer_by_reference("pa_main", "C-1001").expect("imported");
    let other = ada.methods.iter().find(|m| m.last4 == "5100").expect("imported");
    world.provider.set_default("pa_main", &ada.id, Some(&other.id))?;
    let elena = world.provider.customer_by_reference("pa_main", "C-1005").expect("imported");
    let card = elena.methods.iter().find(|m| m.last4 == "0077").expect("imported");
    world.provider.remove_method("pa_main", &elena.id, &card.id)?;
    let held = world.held();
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/unchanged")? == 20, "{ran:?}");
    ensure!(ran.count("/calls/changing")? == 0, "{ran:?}");
    ensure!(world.held() == held, "{:#?}", world.held());
    Ok(())
}

pub async fn bad_rows_are_rejected_alone(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file(
        "rows.csv",
        "row_id,reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
         a,B-1,Ann,card,tok_a,processor,4242,12,2030\n\
         b,B-2,Bob,card,tok_b,processor,4242,13,2030\n\
         c,,Cid,card,tok_c,processor,4242,12,2030\n\
         d,B-4,Dot,card,4111111111111111,processor,4242,12,2030\n\
         e,B-5,Eli,card,tok_e,gateway,4242,12,2030\n\
         f,B-6,Flo,crypto_wallet,tok_f,processor,,,\n\
         g,B-7,Gus,card,bad_token,processor,4242,12,2030\n\
         h,B-8,Hal,,,,,,\n",
    )?;
    let ran =
        world.onfile.run(&["import", "gov", "rows.csv", "--json", "--max-rejected", "50%"]).await?;
    // 5 of 8 rows are rejected: more than half, nothing is sent.
    ran.expect(2)?;
    ensure!(world.held().is_empty());
    let ran = world
        .onfile
        .run(&["import", "gov", "rows.csv", "--json", "--max-rejected", "5"])
        .await?
        .expect(2)?;
    ensure!(ran.count("/rows/rejected")? == 5, "{ran:?}");
    ensure!(ran.count("/rows/refused")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    for code in
        ["bad_value", "missing_value", "pan_found", "token_kind_unsupported", "provider_refused"]
    {
        ensure!(ran.count(&format!("/codes/{code}"))? > 0, "{code}: {ran:?}");
    }
    let held = world.held();
    // The customer of the refused card was created before its card was refused.
    ensure!(held == ["B-1 Ann <-> 4242", "B-7 Gus <-> ", "B-8 Hal <-> "], "{held:#?}");
    Ok(())
}

pub async fn too_many_rejected_sends_nothing(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file("rows.csv", "reference,name\nA-1,Ann\n,Bob\n")?;
    let ran = world.onfile.run(&["import", "gov", "rows.csv"]).await?.expect(2)?;
    ensure!(ran.stderr.contains("error[too_many_rejected]"), "{ran:?}");
    ensure!(ran.stderr.contains("hint:"), "{ran:?}");
    ensure!(world.provider.log().is_empty());
    Ok(())
}

pub async fn what_looks_like_being_rejected_is_said_where_nothing_is_sent(
    db: Arc<TestDb>,
) -> Result {
    let world = World::new(db, 0, "").await?;
    let rows = |name: &str, token: usize| {
        let row = |n: usize| format!("C-{n},{name},card,tok_{token}_{n},processor,4242,12,2030\n");
        let head = "reference,name,method,token,token_kind,last4,exp_month,exp_year\n";
        format!("{head}{}{}D-{token},Dee,,,,,,\n", row(1), row(2))
    };
    let args = ["import", "gov", "rows.csv", "--json"];
    world.file("rows.csv", &rows("Ann", 1))?;
    world.onfile.run(&args).await?.expect(0)?;
    let held = world.held();
    for (name, token, flags, code) in [
        ("Ann", 2, &[][..], "token_changed"),
        // Sent if it were not for the name.
        ("Eve", 3, &["--on-token-change", "add"][..], "not_updatable"),
    ] {
        world.file("rows.csv", &rows(name, token))?;
        let ran = world.onfile.run(&[&args[..], flags].concat()).await?.expect(2)?;
        ensure!(ran.stderr.contains("2 of 3 rows are rejected"), "{ran:?}");
        ensure!(ran.count(&format!("/codes/{code}"))? == 2, "{ran:?}");
        ensure!(ran.count("/rows/rejected")? == 2, "{ran:?}");
        ensure!(ran.count("/planned/create_customer")? == 1, "{ran:?}");
        ensure!(ran.count("/calls/changing")? == 0 && world.held() == held, "{ran:?}");
        let run = ran.json()?["run"].as_str().unwrap_or_default().to_owned();
        let said = world.onfile.run(&["report", &run]).await?.expect(0)?.stdout;
        ensure!(said.contains("line 2, C-1: rejected") && said.contains(code), "{said}");
    }
    Ok(())
}

pub async fn nothing_to_do_calls_nothing(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let calls = world.provider.log().len();
    for (rows, exit) in [("reference,name\n", 0), ("reference,name\n,Ann\n", 2)] {
        world.file("rows.csv", rows)?;
        for more in [&[][..], &["--dry-run"], &["--dry-run", "--observe"]] {
            let args = ["import", "gov", "rows.csv", "--json", "--max-rejected", "9"];
            let ran = world.onfile.run(&[&args[..], more].concat()).await?.expect(exit)?;
            ensure!(ran.count("/calls/total")? == 0, "{ran:?}");
            ensure!(ran.count("/forecast/calls/total_most").unwrap_or(0) == 0, "{ran:?}");
        }
    }
    ensure!(world.provider.log().len() == calls);
    Ok(())
}

pub async fn adds_one_by_one(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let now = SystemClock.now().micros() / 1_000_000;
    world.file(
        "rows.csv",
        &format!(
            "reference,name,method,token,token_kind,last4,exp_month,exp_year,default\n\
             P-1,Pia,card,pxt_{now}_a,proxynized,4242,12,2030,true\n\
             P-1,Pia,card,pxt_{now}_b,proxynized,1881,11,2031,\n"
        ),
    )?;
    let ran = world.onfile.run(&["import", "gov", "rows.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    ensure!(world.held() == ["P-1 Pia <-> 1881 4242*"], "{:#?}", world.held());
    ensure!(world.provider.counters().calls("add_method") == 2);
    let again = world.onfile.run(&["import", "gov", "rows.csv", "--json"]).await?.expect(0)?;
    ensure!(again.count("/rows/unchanged")? == 2, "{again:?}");
    Ok(())
}

pub async fn batches_are_cut(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.configure("import_batch = 7")?;
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(world.provider.counters().calls("bulk_import") == 3);
    Ok(())
}

pub async fn a_new_card_and_a_changed_token(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let header = "reference,name,method,token,token_kind,last4,exp_month,exp_year\n";
    let first = "N-1,Nia,card,tok_1,processor,4242,12,2030\n";
    world.file("rows.csv", &format!("{header}{first}"))?;
    world.onfile.run(&["import", "gov", "rows.csv", "--json"]).await?.expect(0)?;
    world.file(
        "rows.csv",
        &format!(
            "{header}{first}N-1,Nia,card,tok_2,processor,1881,1,2031\n\
             N-1,Nia,card,tok_3,processor,4242,12,2030\n"
        ),
    )?;
    let args = ["import", "gov", "rows.csv", "--json", "--max-rejected", "1"];
    let ran = world.onfile.run(&args).await?.expect(2)?;
    ensure!(ran.count("/rows/unchanged")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 1, "{ran:?}");
    ensure!(ran.count("/codes/token_changed")? == 1, "{ran:?}");
    ensure!(world.held() == ["N-1 Nia <-> 1881 4242"], "{:#?}", world.held());
    Ok(())
}

pub async fn an_edit_and_its_undoing(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let file = |name: &str, year: &str| {
        world.file(
            "rows.csv",
            &format!(
                "reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
                 E-1,{name},card,tok_1,processor,4242,12,{year}\n"
            ),
        )
    };
    file("Ann A", "2030")?;
    world.onfile.run(&["import", "gov", "rows.csv", "--json"]).await?.expect(0)?;
    let args = ["import", "gov", "rows.csv", "--json", "--max-rejected", "1"];
    for (name, year, field) in [("Ann Z", "2030", "name"), ("Ann A", "2035", "exp_year")] {
        file(name, year)?;
        let ran = world.onfile.run(&args).await?.expect(2)?;
        ensure!(ran.count("/codes/not_updatable")? == 1, "{field}: {ran:?}");
        // The dry run says so too.
        let dry = world.onfile.run(&[&args[..], &["--dry-run"]].concat()).await?.expect(2)?;
        ensure!(dry.count("/codes/not_updatable")? == 1, "{field}: {dry:?}");
        // The file of before is as it was.
        file("Ann A", "2030")?;
        let back = world.onfile.run(&args).await?.expect(0)?;
        ensure!(back.count("/rows/unchanged")? == 1, "{field}: {back:?}");
    }
    Ok(())
}

pub async fn a_file_of_another_form(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let text = format!("\u{feff}{}", super::SAMPLE.replace('\n', "\r\n"));
    world.file("crlf.csv", &text)?;
    let ran = world.onfile.run(&["import", "gov", "crlf.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    Ok(())
}

pub async fn every_row_is_reported(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file(
        "rows.csv",
        "row_id,reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
         a,B-1,Ann,card,tok_a,processor,4242,12,2030\n\
         b,B-2,Bob,card,tok_b,processor,4242,13,2030\n\
         c,B-3,\"Cid\"d,,,,,,\n",
    )?;
    let args = ["import", "gov", "rows.csv", "--max-rejected", "2"];
    let ran = world.onfile.run(&args).await?.expect(2)?;
    let wanted = "line 3 (b), B-2: rejected, column exp_month [bad_value]: expected a month";
    ensure!(ran.stdout.contains(wanted), "{}", ran.stdout);
    let wanted = "line 4 (c), B-3: rejected, column name [bad_quote]";
    ensure!(ran.stdout.contains(wanted), "{}", ran.stdout);
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
    let run = runs.pointer("/runs/0/run").and_then(|run| run.as_str()).unwrap_or_default();
    world.onfile.run(&["report", run, "--out", "out"]).await?.expect(0)?;
    let rows = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    let lines: Vec<&str> = rows.lines().collect();
    ensure!(lines.len() == 4, "{rows}");
    ensure!(lines[1].starts_with("2,a,B-1,created,") && lines[1].contains("spm_"), "{rows}");
    let done_and_plan = ",create_customer+import_method,create_customer+import_method";
    ensure!(lines[1].ends_with(done_and_plan), "{rows}");
    ensure!(lines[2].starts_with("3,b,B-2,rejected,bad_value,"), "{rows}");
    ensure!(lines[3].starts_with("4,c,B-3,rejected,bad_quote,"), "{rows}");
    Ok(())
}

pub async fn the_most_urgent_rows_are_shown(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let mut rows =
        String::from("reference,name,method,token,token_kind,last4,exp_month,exp_year\n");
    for n in 1..=11 {
        rows += &format!("R-{n},Ann,card,tok_{n},processor,4242,13,2030\n");
    }
    rows += "R-12,Bob,card,bad_token,processor,4242,12,2030\nR-13,Cid,,,,,,\n";
    world.file("rows.csv", &rows)?;
    let ran = world.onfile.run(&["import", "gov", "rows.csv", "--max-rejected", "99%"]).await?;
    let ran = ran.expect(2)?;
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
    let run = runs.pointer("/runs/0/run").and_then(|run| run.as_str()).unwrap_or_default();
    let reported = world.onfile.run(&["report", run]).await?.expect(0)?;
    for said in [ran.stdout, reported.stdout] {
        let shown: Vec<&str> =
            said.lines().filter(|line| line.trim_start().starts_with("line ")).collect();
        ensure!(shown.len() == 10, "{said}");
        ensure!(shown[0].contains("line 13, R-12: refused"), "{said}");
        ensure!(shown[1].contains("line 2, R-1: rejected"), "{said}");
        let more = format!("… and 2 more: onfile report {run} --out DIR");
        ensure!(said.contains(&more), "{said}");
    }
    Ok(())
}
