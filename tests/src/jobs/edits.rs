//! What each edit of a file comes to, and exactly the calls that it makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use sandbox::Change;

use super::World;
use super::canary::run_of;
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

/// One line of CSV into its cells.
pub(super) fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

/// A file's rows, each cell by its column.
pub(super) fn rows_in(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines();
    let header = cells(lines.next().unwrap_or_default());
    lines.map(|line| header.iter().cloned().zip(cells(line)).collect()).collect()
}

pub(super) fn cell<'a>(row: &'a BTreeMap<String, String>, column: &str) -> Option<&'a str> {
    row.get(column).map(String::as_str).filter(|cell| !cell.is_empty())
}

/// `rows.csv` of a run, each cell by its column.
pub(super) async fn reported(
    world: &World,
    ran: &Ran,
) -> anyhow::Result<Vec<BTreeMap<String, String>>> {
    world.onfile.run(&["report", &run_of(ran)?, "--out", "out"]).await?.expect(0)?;
    Ok(rows_in(&std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?))
}

/// The calls since the log was cleared, by method and route.
pub(super) fn calls(world: &World) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for entry in world.provider.log() {
        *calls.entry(format!("{} {}", entry.method, entry.endpoint)).or_default() += 1;
    }
    calls
}

/// What every import makes, its credentials and one look whether this is the account we know, and
/// these.
pub(super) fn expected_calls(more: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for (call, count) in [("POST token", 1), ("GET get_customer", 1)].iter().chain(more) {
        *calls.entry((*call).to_owned()).or_default() += count;
    }
    calls
}

const TABLE_HEADER: &str =
    "reference,name,email,metadata.tier,method,token,token_kind,last4,exp_month,exp_year,default";

/// Two cards, the first one the default; two more customers, of whom one has no e-mail.
const BASE: [&str; 4] = [
    "A-1,Ann,a@b.c,gold,card,tok_1,processor,4242,12,2030,true\n",
    "A-1,Ann,a@b.c,gold,card,tok_2,processor,1881,11,2031,\n",
    "B-1,Bob,b@b.c,,card,tok_3,processor,0005,1,2032,true\n",
    "C-1,Cid,,,,,,,,,\n",
];

/// One edit of the file.
struct Edit {
    what: &'static str,
    /// The rows of the file that is imported over the base.
    rows: &'static [&'static str],
    flags: &'static [&'static str],
    /// The outcome of each row, its code and the field it names.
    outcomes: &'static [&'static str],
    /// The calls beside those of every import.
    calls: &'static [(&'static str, u64)],
    /// The customers of the provider that are other than after the base.
    held: &'static [&'static str],
}

const A: &str = "A-1 Ann <a@b.c> 1881 4242*";
const B: &str = "B-1 Bob <b@b.c> 0005*";
const C: &str = "C-1 Cid <-> ";

/// What a new method of a known customer costs: one look at what it has, and one batch.
const SAVED: &[(&str, u64)] = &[("GET list_methods", 1), ("POST bulk_import", 1)];

const EDITS: &[Edit] = &[
    Edit {
        what: "nothing",
        rows: &BASE,
        flags: &[],
        outcomes: &["unchanged"; 4],
        calls: &[],
        held: &[A, B, C],
    },
    Edit {
        what: "a new card for a known customer",
        rows: &[BASE[0], BASE[1], "A-1,Ann,a@b.c,gold,card,tok_9,processor,7777,9,2033,\n"],
        flags: &[],
        outcomes: &["unchanged", "unchanged", "created"],
        calls: SAVED,
        held: &["A-1 Ann <a@b.c> 1881 4242* 7777", B, C],
    },
    Edit {
        what: "a new card that is the default",
        rows: &[
            "A-1,Ann,a@b.c,gold,card,tok_1,processor,4242,12,2030,\n",
            BASE[1],
            "A-1,Ann,a@b.c,gold,card,tok_9,processor,7777,9,2033,true\n",
        ],
        flags: &[],
        outcomes: &["unchanged", "unchanged", "created"],
        calls: SAVED,
        held: &["A-1 Ann <a@b.c> 1881 4242 7777*", B, C],
    },
    Edit {
        what: "a new token for the same card",
        rows: &["A-1,Ann,a@b.c,gold,card,tok_9,processor,4242,12,2030,true\n", BASE[1]],
        flags: &[],
        outcomes: &["rejected token_changed token", "unchanged"],
        calls: &[("GET list_methods", 1)],
        held: &[A, B, C],
    },
    Edit {
        what: "a new token for the same card, --on-token-change add",
        rows: &["A-1,Ann,a@b.c,gold,card,tok_9,processor,4242,12,2030,true\n", BASE[1]],
        flags: &["--on-token-change", "add"],
        outcomes: &["created", "unchanged"],
        calls: SAVED,
        held: &["A-1 Ann <a@b.c> 1881 4242 4242*", B, C],
    },
    Edit {
        what: "the name",
        rows: &[BASE[2], "C-1,Cidney,,,,,,,,,\n"],
        flags: &[],
        outcomes: &["unchanged", "rejected not_updatable name"],
        calls: &[("GET get_customer", 1)],
        held: &[A, B, C],
    },
    Edit {
        what: "the e-mail",
        rows: &["B-1,Bob,new@b.c,,card,tok_3,processor,0005,1,2032,true\n"],
        flags: &[],
        outcomes: &["rejected not_updatable email"],
        calls: &[("GET get_customer", 1)],
        held: &[A, B, C],
    },
    Edit {
        what: "an e-mail where there was none",
        rows: &["C-1,Cid,c@b.c,,,,,,,,\n"],
        flags: &[],
        outcomes: &["rejected not_updatable email"],
        calls: &[("GET get_customer", 1)],
        held: &[A, B, C],
    },
    Edit {
        what: "the e-mail and a new card",
        rows: &[
            "B-1,Bob,new@b.c,,card,tok_3,processor,0005,1,2032,true\n",
            "B-1,Bob,new@b.c,,card,tok_9,processor,7777,9,2033,\n",
        ],
        flags: &[],
        outcomes: &["rejected not_updatable email", "created"],
        calls: &[("GET get_customer", 1), ("GET list_methods", 1), ("POST bulk_import", 1)],
        held: &[A, "B-1 Bob <b@b.c> 0005* 7777", C],
    },
    Edit {
        what: "the expiry",
        rows: &["A-1,Ann,a@b.c,gold,card,tok_1,processor,4242,12,2035,true\n", BASE[1]],
        flags: &[],
        outcomes: &["rejected not_updatable exp_year", "unchanged"],
        calls: &[],
        held: &[A, B, C],
    },
    Edit {
        what: "the default moved to another saved card",
        rows: &[
            "A-1,Ann,a@b.c,gold,card,tok_1,processor,4242,12,2030,\n",
            "A-1,Ann,a@b.c,gold,card,tok_2,processor,1881,11,2031,true\n",
        ],
        flags: &[],
        outcomes: &["unchanged", "updated"],
        calls: &[("GET list_methods", 1), ("PUT set_default", 1)],
        held: &["A-1 Ann <a@b.c> 1881* 4242", B, C],
    },
    Edit {
        what: "a new customer",
        rows: &["D-1,Dee,d@b.c,,card,tok_9,processor,7777,9,2033,true\n", BASE[2]],
        flags: &[],
        outcomes: &["created", "unchanged"],
        calls: &[("POST create_customer", 1), ("POST bulk_import", 1)],
        held: &[A, B, C, "D-1 Dee <d@b.c> 7777*"],
    },
    Edit {
        what: "cells that are empty",
        rows: &["A-1,,,,card,tok_1,processor,4242,12,2030,\n", "B-1,,,,,,,,,,\n"],
        flags: &[],
        outcomes: &["unchanged", "unchanged"],
        calls: &[],
        held: &[A, B, C],
    },
    Edit {
        what: "rows left out",
        rows: &[BASE[1]],
        flags: &[],
        outcomes: &["unchanged"],
        calls: &[],
        held: &[A, B, C],
    },
    Edit {
        what: "a token moved to another customer",
        rows: &[BASE[1], BASE[2], "B-1,Bob,b@b.c,,card,tok_1,processor,4242,12,2030,\n"],
        flags: &[],
        outcomes: &["unchanged", "unchanged", "created token_shared"],
        calls: SAVED,
        held: &[A, "B-1 Bob <b@b.c> 0005* 4242", C],
    },
    Edit {
        what: "a metadata cell",
        rows: &["A-1,Ann,a@b.c,platinum,card,tok_1,processor,4242,12,2030,true\n"],
        flags: &[],
        outcomes: &["unchanged metadata.tier"],
        calls: &[],
        held: &[A, B, C],
    },
    Edit {
        what: "a method becomes a customer alone",
        rows: &["B-1,Bob,b@b.c,,,,,,,,\n"],
        flags: &[],
        outcomes: &["unchanged"],
        calls: &[],
        held: &[A, B, C],
    },
    Edit {
        what: "two rows of one reference that contradict each other",
        rows: &[BASE[0], "A-1,Anna,a@b.c,gold,card,tok_2,processor,1881,11,2031,\n", BASE[2]],
        flags: &[],
        outcomes: &[
            "rejected conflicting_rows name",
            "rejected conflicting_rows name",
            "unchanged",
        ],
        calls: &[],
        held: &[A, B, C],
    },
];

/// The references and tokens of one edit's own customers.
fn own(text: &str, edit: usize) -> String {
    text.replace("-1,", &format!("-1.{edit},"))
        .replace("-1 ", &format!("-1.{edit} "))
        .replace("tok_", &format!("tok_{edit}_"))
}

/// Imports an edit's rows over its own customers, and looks at each outcome and each call.
async fn comes_to(world: &World, number: usize, edit: &Edit) -> Result {
    let what = edit.what;
    let rows = own(&edit.rows.join(""), number);
    world.file("edit.csv", &format!("{TABLE_HEADER}\n{rows}"))?;
    let code = i32::from(edit.outcomes.iter().any(|o| o.starts_with("rejected"))) * 2;
    let args = ["import", "gov", "edit.csv", "--json", "--max-rejected", "9"];
    let args = [&args[..], edit.flags].concat();
    world.provider.clear_log();
    let ran = world.job(&args, code).await.context(what)?;
    let made = calls(world);
    let outcomes: Vec<String> = reported(world, &ran)
        .await?
        .iter()
        .map(|line| {
            let words = ["outcome", "code", "field"].map(|column| cell(line, column));
            words.into_iter().flatten().collect::<Vec<_>>().join(" ")
        })
        .collect();
    ensure!(outcomes == edit.outcomes, "{what}: {outcomes:#?}");
    ensure!(made == expected_calls(edit.calls), "{what}: {made:#?}");
    let held = || {
        let mine = format!("-1.{number} ");
        world.held().into_iter().filter(|held| held.contains(&mine)).collect::<Vec<_>>()
    };
    let expected: Vec<String> = edit.held.iter().map(|held| own(held, number)).collect();
    ensure!(held() == expected, "{what}: {:#?}", held());
    // The run counts the same calls as the provider does.
    ensure!(ran.count("/calls/total")? == made.values().sum::<u64>(), "{what}: {ran:?}");
    // Again: what went through has nothing left to say, and the rest changes nothing either.
    world.provider.clear_log();
    let again = world.job(&args, code).await.context(what)?;
    let changing = ["POST create_customer", "POST bulk_import", "PUT set_default"];
    let made = calls(world);
    ensure!(changing.iter().all(|call| !made.contains_key(*call)), "{what}, again: {made:#?}");
    if code == 0 {
        ensure!(again.count("/rows/unchanged")? == edit.rows.len() as u64, "{what}: {again:?}");
        ensure!(made == expected_calls(&[]), "{what}, again: {made:#?}");
    }
    ensure!(held() == expected, "{what}, again: {:#?}", held());
    Ok(())
}

pub async fn each_makes_exactly_its_calls(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let base: String = (0..EDITS.len()).map(|number| own(&BASE.join(""), number)).collect();
    world.file("base.csv", &format!("{TABLE_HEADER}\n{base}"))?;
    let ran = world.job(&["import", "gov", "base.csv", "--json"], 0).await?;
    ensure!(ran.count("/rows/created")? == (EDITS.len() * BASE.len()) as u64, "{ran:?}");
    for (number, edit) in EDITS.iter().enumerate() {
        comes_to(&world, number, edit).await?;
    }
    Ok(())
}

/// What somebody did at the provider since the base file was imported, and the edit after it.
pub async fn what_is_gone_comes_back_when_asked_for(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file("base.csv", &format!("{TABLE_HEADER}\n{}", own(&BASE.join(""), 0)))?;
    world.job(&["import", "gov", "base.csv", "--json"], 0).await?;
    let ann = world.provider.customer_by_reference("pa_main", "A-1.0").context("imported")?;
    let card = ann.methods.iter().find(|method| method.last4 == "1881").context("imported")?;
    world.provider.remove_method("pa_main", &ann.id, &card.id)?;
    // Nobody has read it since; a new card of the same customer makes this run look, and then
    // what it has seen is what it says.
    let mut edit = Edit {
        what: "a new card beside one that is gone",
        rows: &[BASE[0], BASE[1], "A-1,Ann,a@b.c,gold,card,tok_9,processor,7777,9,2033,\n"],
        flags: &[],
        outcomes: &["unchanged", "rejected removed_at_provider token", "created"],
        // That one is gone is believed when it is seen a second time.
        calls: &[("GET list_methods", 2), ("POST bulk_import", 1)],
        held: &["A-1 Ann <a@b.c> 4242* 7777", B, C],
    };
    comes_to(&world, 0, &edit).await?;
    edit = Edit {
        what: "the same again",
        outcomes: &["unchanged", "rejected removed_at_provider token", "unchanged"],
        calls: &[],
        ..edit
    };
    comes_to(&world, 0, &edit).await?;
    edit = Edit {
        what: "--restore-removed",
        flags: &["--restore-removed"],
        outcomes: &["unchanged", "created", "unchanged"],
        calls: SAVED,
        held: &["A-1 Ann <a@b.c> 1881 4242* 7777", B, C],
        ..edit
    };
    comes_to(&world, 0, &edit).await?;
    Ok(())
}

/// A card that was renewed at the provider, and the file that says so as well.
pub async fn a_renewed_card_is_no_wish(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file("base.csv", &format!("{TABLE_HEADER}\n{}", own(&BASE.join(""), 0)))?;
    world.job(&["import", "gov", "base.csv", "--json"], 0).await?;
    let ann = world.provider.customer_by_reference("pa_main", "A-1.0").context("imported")?;
    let card = ann.methods.iter().find(|method| method.last4 == "4242").context("imported")?;
    let renewed = Change::EditMethod {
        customer: ann.id.clone(),
        method: card.id.clone(),
        last4: None,
        exp_month: None,
        exp_year: Some(2035),
    };
    world.provider.change("pa_main", renewed)?;
    world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let mut edit = Edit {
        what: "the expiry as it was",
        rows: &[BASE[0]],
        flags: &[],
        outcomes: &["unchanged"],
        calls: &[],
        held: &[A, B, C],
    };
    comes_to(&world, 0, &edit).await?;
    edit.what = "the expiry as it is at the provider";
    edit.rows = &["A-1,Ann,a@b.c,gold,card,tok_1,processor,4242,12,2035,true\n"];
    comes_to(&world, 0, &edit).await?;
    edit.what = "a third expiry";
    edit.rows = &["A-1,Ann,a@b.c,gold,card,tok_1,processor,4242,12,2037,true\n"];
    edit.outcomes = &["rejected not_updatable exp_year"];
    comes_to(&world, 0, &edit).await
}

/// Of a customer that somebody deleted, nobody has read it since: what this run sees decides.
pub async fn a_customer_that_is_gone_gets_no_card(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file("base.csv", &format!("{TABLE_HEADER}\n{}", BASE.join("")))?;
    world.job(&["import", "gov", "base.csv", "--json"], 0).await?;
    let bob = world.provider.customer_by_reference("pa_main", "B-1").context("imported")?;
    world.provider.delete_customer("pa_main", &bob.id)?;
    let new = "B-1,Bob,b@b.c,,card,tok_9,processor,7777,9,2033,\n";
    world.file("edit.csv", &format!("{TABLE_HEADER}\n{}{}{new}", BASE[0], BASE[2]))?;
    let before = world.changing();
    let ran = world.job(&["import", "gov", "edit.csv", "--json", "--max-rejected", "9"], 2).await?;
    let outcomes: Vec<_> = reported(&world, &ran)
        .await?
        .iter()
        .map(|line| ["outcome", "code"].map(|column| cell(line, column).map(str::to_owned)))
        .collect();
    let said = |words: [&str; 2]| words.map(|w| Some(w.to_owned()).filter(|w| !w.is_empty()));
    let expected = [
        said(["unchanged", ""]),
        said(["rejected", "removed_at_provider"]),
        said(["rejected", "removed_at_provider"]),
    ];
    ensure!(outcomes == expected, "{outcomes:#?}");
    ensure!(world.changing() == before);
    ensure!(world.held() == [A, C], "{:#?}", world.held());
    Ok(())
}
