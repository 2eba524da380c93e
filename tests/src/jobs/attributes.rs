//! What else an account says of a payment method: in exports, in histories, in the report of a run.

use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::World;
use super::canary::run_of;
use super::edits::{cell, rows_in};
use super::resume::execute;
use crate::env::TestDb;

pub async fn are_shown_and_go_with_the_next_list(db: Arc<TestDb>) -> anyhow::Result<()> {
    let world = World::new(db, 0, "").await?;
    let rows = "reference,name,email,method,token,token_kind,brand,last4,exp_month,exp_year\n\
        C-1,Ada,ada@x.com,card,tok_1,processor,VISA,4242,12,2030\n\
        C-2,Bo,bo@x.com,card,tok_2,processor,VISA,1111,12,2030\n";
    world.file("people.csv", rows)?;
    world.onfile.run(&["import", "gov", "people.csv"]).await?.expect(0)?;
    // This provider says nothing of the kind; another one did.
    execute(
        &world.db,
        "UPDATE remote_methods SET attributes = '{\"keep_until\":\"2031-01\",\"status\":\"a,b\"}' \
         WHERE facts LIKE '%4242%'",
    )
    .await?;
    let export = async |more: &[&str]| {
        let args = [&["export", "methods"], more].concat();
        anyhow::Ok(world.onfile.run(&args).await?.expect(0)?)
    };

    let csv = export(&["--account", "gov"]).await?.stdout;
    let header = csv.lines().next().context("a header")?;
    let end = ",remote_method_id,attributes.keep_until,attributes.status";
    ensure!(header.ends_with(end), "{csv}");
    let rows = rows_in(&csv);
    let of = |last4: &str| rows.iter().find(|row| cell(row, "last4") == Some(last4));
    let (ada, bo) = (of("4242").context("C-1")?, of("1111").context("C-2")?);
    let said = ["attributes.keep_until", "attributes.status"];
    ensure!(said.map(|name| cell(ada, name)) == [Some("2031-01"), Some("a,b")], "{csv}");
    ensure!(said.map(|name| cell(bo, name)) == [None, None], "{csv}");
    let json = export(&["--account", "gov", "--json"]).await?.json()?;
    let all = json["methods"].as_array().context("a list")?;
    let ada = all.iter().find(|one| one["last4"] == "4242").context("C-1")?;
    ensure!(ada["attributes"]["keep_until"] == "2031-01", "{ada}");
    ensure!(ada["sources"]["attributes.status"]["account"] == "gov", "{ada}");
    // Our own records have none.
    for more in [&[][..], &["--json"]] {
        let ours = export(more).await?.stdout;
        ensure!(!ours.contains("attributes") && !ours.contains("2031-01"), "{ours}");
    }

    let id = ada["remote_method_id"].as_str().context("an id")?;
    let history = ["history", "method", id];
    let said = world.onfile.run(&history).await?.expect(0)?.stdout;
    let shown = format!("\ngov says of {id}:\n  keep_until: 2031-01\n  status: a,b\n");
    ensure!(said.ends_with(&shown), "{said}");

    // A list without them means that they are gone, and the run says so.
    let pulled = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(pulled.count("/methods/updated")? == 1, "{pulled:?}");
    let said = world.onfile.run(&history).await?.expect(0)?.stdout;
    ensure!(said.contains("attributes.keep_until: 2031-01 → nothing"), "{said}");
    ensure!(!said.contains("gov says of"), "{said}");
    world.onfile.run(&["report", &run_of(&pulled)?, "--out", "out"]).await?.expect(0)?;
    for name in ["changes.csv", "report.html"] {
        let said = std::fs::read_to_string(world.db.folder().join("out").join(name))?;
        ensure!(said.contains("attributes.keep_until") && said.contains("2031-01"), "{said}");
    }
    let again = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(again.count("/methods/updated")? == 0, "{again:?}");
    Ok(())
}
