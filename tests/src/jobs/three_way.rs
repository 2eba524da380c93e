//! `import` of a file that was imported before: what somebody changed at the provider since is not
//! undone, and what cannot be done is said.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use model::{Clock as _, SystemClock};
use sandbox::{Change, NewMethod};

use super::World;
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

/// Rows may be declined up to this many.
const IMPORT: [&str; 6] = ["import", "gov", "rows.csv", "--json", "--max-rejected", "9"];
const HEADER: &str =
    "reference,name,email,method,token,token_kind,last4,exp_month,exp_year,default\n";

async fn import(world: &World, rows: &str, more: &[&str]) -> anyhow::Result<Ran> {
    world.file("rows.csv", &format!("{HEADER}{rows}"))?;
    world.onfile.run(&[&IMPORT[..], more].concat()).await
}

/// `rows.csv` of a run, without its header.
async fn rows_of(world: &World, ran: &Ran) -> anyhow::Result<Vec<String>> {
    let run =
        ran.json()?.pointer("/run").and_then(|run| run.as_str()).context("no run")?.to_owned();
    world.onfile.run(&["report", &run, "--out", "out"]).await?.expect(0)?;
    let text = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    Ok(text.lines().skip(1).map(str::to_owned).collect())
}

/// The vendor changes a customer's e-mail.
fn edit_email(world: &World, reference: &str, email: &str) -> Result {
    let customer = world.provider.customer_by_reference("pa_main", reference).context("there")?.id;
    let email = Some(email.to_owned());
    let edit = Change::EditCustomer {
        customer,
        reference: None,
        name: None,
        email,
        fields: BTreeMap::new(),
    };
    world.provider.change("pa_main", edit)?;
    Ok(())
}

/// Runs a job and fails if it made a call that may change something, or if what the provider holds
/// is another afterwards.
async fn nothing_changes(
    world: &World,
    job: impl Future<Output = anyhow::Result<Ran>>,
) -> anyhow::Result<Ran> {
    let (held, before) = (world.held(), world.provider.counters());
    let ran = job.await?;
    ensure!(ran.count("/calls/changing")? == 0, "{ran:?}");
    ensure!(world.held() == held, "{:#?}", world.held());
    let after = world.provider.counters();
    for endpoint in ["create_customer", "bulk_import", "add_method", "set_default", "remove_method"]
    {
        ensure!(before.calls(endpoint) == after.calls(endpoint), "{endpoint}: {after:?}");
    }
    Ok(ran)
}

pub async fn a_payers_changes_are_not_undone(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    edit_email(&world, "C-1001", "payer@example.com")?;
    let of = |reference| world.provider.customer_by_reference("pa_main", reference);
    let ada = of("C-1001").context("imported")?;
    let other = ada.methods.iter().find(|m| m.last4 == "5100").context("imported")?;
    world.provider.set_default("pa_main", &ada.id, Some(&other.id))?;
    let elena = of("C-1005").context("imported")?;
    let card = elena.methods.iter().find(|m| m.last4 == "0077").context("imported")?;
    world.provider.remove_method("pa_main", &elena.id, &card.id)?;
    world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;

    let args = ["import", "gov", "sample.csv", "--json", "--max-rejected", "2"];
    let again = nothing_changes(&world, world.onfile.run(&args)).await?;
    // The pull has proven that it is removed.
    let kept = again.count("/rows/unchanged")?;
    let removed = again.count("/codes/removed_at_provider").unwrap_or(0);
    ensure!((kept, removed) == (19, 1), "{again:?}");

    // The file says another e-mail by now, and the payer did too.
    let edited = super::SAMPLE.replace("ada.morales@", "ada.new@");
    world.file("sample.csv", &edited)?;
    let moved = nothing_changes(&world, world.onfile.run(&args)).await?.expect(2)?;
    ensure!(moved.count("/codes/changed_at_provider")? == 1, "{moved:?}");
    ensure!(moved.count("/rows/rejected")? == 1 + removed, "{moved:?}");
    let rows = rows_of(&world, &moved).await?;
    let (line, field) = ("2,r01,C-1001,rejected,changed_at_provider,", ",email,");
    ensure!(rows[0].starts_with(line) && rows[0].contains(field), "{rows:#?}");
    ensure!(!rows[0].contains("payer@") && !rows[0].contains("ada.new@"), "{rows:#?}");
    // It says so every time, until the file agrees with either.
    let moved = nothing_changes(&world, world.onfile.run(&args)).await?.expect(2)?;
    ensure!(moved.count("/codes/changed_at_provider")? == 1, "{moved:?}");
    world.file("sample.csv", &super::SAMPLE.replace("ada.morales@", "payer@"))?;
    let agreed = nothing_changes(&world, world.onfile.run(&args)).await?;
    ensure!(agreed.count("/rows/unchanged")? == kept, "{agreed:?}");
    Ok(())
}

pub async fn a_change_since_the_last_read_is_seen(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    import(&world, "A-1,Ann,a@b.c,,,,,,,\nB-1,Bob,b@b.c,,,,,,,\n", &[]).await?.expect(0)?;
    // Behind the mirror's back.
    edit_email(&world, "A-1", "payer@b.c")?;
    let rows = "A-1,Ann,new@b.c,,,,,,,\nB-1,Bob,b@b.c,,,,,,,\n";
    let dry = import(&world, rows, &["--dry-run"]).await?.expect(2)?;
    // A dry run reads nothing: it says what the mirror says.
    ensure!(dry.count("/codes/not_updatable")? == 1, "{dry:?}");
    ensure!(dry.count("/calls/total")? == 0, "{dry:?}");
    let ran = nothing_changes(&world, import(&world, rows, &[])).await?.expect(2)?;
    ensure!(ran.count("/codes/changed_at_provider")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/unchanged")? == 1, "{ran:?}");
    // One read for the customer that has a wish, none for the other; what was read is in the
    // mirror. Besides, one customer is read to see that this is the account we know.
    let reads = world.provider.counters().calls("get_customer");
    let dry = import(&world, rows, &["--dry-run"]).await?.expect(2)?;
    ensure!(dry.count("/codes/changed_at_provider")? == 1, "{dry:?}");
    import(&world, rows, &[]).await?.expect(2)?;
    ensure!(world.provider.counters().calls("get_customer") == reads + 2, "{reads}");
    Ok(())
}

pub async fn a_default_chosen_since_is_kept(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let rows = |first: &str, second: &str| {
        format!(
            "D-1,Dee,d@b.c,card,tok_1,processor,4242,12,2030,{first}\n\
             D-1,Dee,d@b.c,card,tok_2,processor,1881,12,2030,{second}\n"
        )
    };
    import(&world, &rows("true", ""), &[]).await?.expect(0)?;
    let held = || world.held().join(";");
    ensure!(held() == "D-1 Dee <d@b.c> 1881 4242*", "{}", held());
    // The file chooses another one, and nobody else did.
    import(&world, &rows("", "true"), &[]).await?.expect(0)?;
    ensure!(held() == "D-1 Dee <d@b.c> 1881* 4242", "{}", held());
    // And back.
    import(&world, &rows("true", ""), &[]).await?.expect(0)?;
    ensure!(held() == "D-1 Dee <d@b.c> 1881 4242*", "{}", held());
    // The payer saves a card and chooses that; the file chooses another.
    let dee = world.provider.customer_by_reference("pa_main", "D-1").context("imported")?.id;
    world.provider.add_method("pa_main", &dee, NewMethod::card("VISA", "0005", 1, 2031), true)?;
    let ran = nothing_changes(&world, import(&world, &rows("", "true"), &[])).await?.expect(2)?;
    ensure!(ran.count("/codes/changed_at_provider")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/unchanged")? == 1, "{ran:?}");
    let lines = rows_of(&world, &ran).await?;
    ensure!(lines[1].contains(",rejected,changed_at_provider,"), "{lines:#?}");
    ensure!(lines[1].contains(",default,"), "{lines:#?}");
    Ok(())
}

pub async fn differences_of_what_was_there_are_listed(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.provider.create_customer("pa_main", Some("A-1"), "Ann  Lee", "other@b.c")?;
    world.provider.create_customer("pa_main", Some("B-1"), "Bob", "b@b.c")?;
    let rows = "A-1,Ann Lee,a@b.c,,,,,,,\nB-1,Bob,B@b.c,,,,,,,\n";
    let ran = import(&world, rows, &[]).await?.expect(0)?;
    ensure!(ran.count("/rows/linked")? == 2, "{ran:?}");
    let lines = rows_of(&world, &ran).await?;
    ensure!(lines[0].contains("; differs: email"), "{lines:#?}");
    ensure!(!lines[0].contains("name") && !lines[0].contains("other@"), "{lines:#?}");
    ensure!(!lines[1].contains("differs"), "{lines:#?}");
    // It differs still, and can be asked for.
    let again = nothing_changes(&world, import(&world, rows, &[])).await?.expect(0)?;
    ensure!(again.count("/rows/unchanged")? == 2, "{again:?}");
    let lines = rows_of(&world, &again).await?;
    ensure!(lines[0].contains("; differs: email"), "{lines:#?}");
    ensure!(!lines[1].contains("differs"), "{lines:#?}");
    let asked = import(&world, rows, &["--update-existing"]);
    let asked = nothing_changes(&world, asked).await?.expect(2)?;
    ensure!(asked.count("/codes/not_updatable")? == 1, "{asked:?}");
    let lines = rows_of(&world, &asked).await?;
    ensure!(lines[0].contains(",rejected,not_updatable,"), "{lines:#?}");
    ensure!(lines[0].contains(",email,"), "{lines:#?}");
    Ok(())
}

pub async fn update_existing_says_what_cannot_be(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.provider.create_customer("pa_main", Some("A-1"), "Ann", "other@b.c")?;
    world.provider.create_customer("pa_main", Some("B-1"), "Bob", "b@b.c")?;
    world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let rows = "A-1,Ann,a@b.c,,,,,,,\nB-1,Bob,b@b.c,,,,,,,\n";
    let args: &[&str] = &["--update-existing"];
    let ran = nothing_changes(&world, import(&world, rows, args)).await?.expect(2)?;
    ensure!(ran.count("/rows/rejected")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/linked")? == 1, "{ran:?}");
    let lines = rows_of(&world, &ran).await?;
    ensure!(lines[0].contains(",rejected,not_updatable,"), "{lines:#?}");
    ensure!(lines[0].contains("`email`") && lines[0].contains(",email,"), "{lines:#?}");
    // Without the word it is a difference.
    let ran = nothing_changes(&world, import(&world, rows, &[])).await?.expect(0)?;
    ensure!(ran.count("/rows/unchanged")? == 2, "{ran:?}");
    let lines = rows_of(&world, &ran).await?;
    ensure!(lines[0].contains("; differs: email"), "{lines:#?}");
    Ok(())
}

pub async fn a_shared_token_is_a_finding(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    // The first line keeps it, whatever the references are.
    let rows = "Z-1,Zoe,z@b.c,card,tok_1,processor,4242,12,2030,\n\
                A-1,Ann,a@b.c,card,tok_1,processor,4242,12,2030,\n\
                B-1,Bob,b@b.c,card,tok_2,processor,1881,12,2030,\n";
    let dry = import(&world, rows, &["--dry-run"]).await?.expect(0)?;
    ensure!(dry.count("/findings/token_shared")? == 1, "{dry:?}");
    let ran = import(&world, rows, &[]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 3, "{ran:?}");
    ensure!(ran.count("/findings/token_shared")? == 1, "{ran:?}");
    let lines = rows_of(&world, &ran).await?;
    ensure!(lines[1].contains(",created,token_shared,"), "{lines:#?}");
    ensure!(!lines.join("\n").contains("tok_1"), "{lines:#?}");
    // Once imported, each link decides.
    let again = nothing_changes(&world, import(&world, rows, &[])).await?.expect(0)?;
    ensure!(again.count("/rows/unchanged")? == 3, "{again:?}");
    ensure!(again.count("/findings/token_shared").is_err(), "{again:?}");
    // In a later file, under another reference.
    let later = "C-1,Cid,c@b.c,card,tok_2,processor,1881,12,2030,\n";
    let ran = import(&world, later, &[]).await?.expect(0)?;
    ensure!(ran.count("/findings/token_shared")? == 1, "{ran:?}");
    Ok(())
}

pub async fn a_dry_run_counts_what_is_only_said(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let rows = "A-1,Ann,a@b.c,card,tok_1,processor,4242,12,2020,\n\
                B-1,Bob,b@b.c,card,tok_2,processor,1881,12,2020,\n\
                C-1,Cid,c@b.c,card,tok_2,processor,1881,12,2020,\n\
                D-1,Dot,d@b.c,card,tok_3,processor,5100,12,2030,\n";
    let dry = import(&world, rows, &["--dry-run"]).await?.expect(0)?;
    let ran = import(&world, rows, &[]).await?.expect(0)?;
    for ran in [&dry, &ran] {
        ensure!(ran.count("/codes/card_expired")? == 2, "{ran:?}");
        ensure!(ran.count("/codes/token_shared")? == 1, "{ran:?}");
    }
    ensure!(ran.count("/rows/created")? == 4, "{ran:?}");
    // What is there is not said again, by either.
    let dry = import(&world, rows, &["--dry-run"]).await?.expect(0)?;
    ensure!(dry.count("/codes/card_expired").is_err(), "{dry:?}");
    Ok(())
}

pub async fn a_single_use_token_is_used_once(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let now = SystemClock.now().micros() / 1_000_000;
    let token = format!("pxt_{now}_a");
    let rows = format!(
        "Z-1,Zoe,z@b.c,card,{token},proxynized,4242,12,2030,\n\
         A-1,Ann,a@b.c,card,{token},proxynized,4242,12,2030,\n"
    );
    let ran = import(&world, &rows, &[]).await?.expect(2)?;
    ensure!(ran.count("/codes/token_reused")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 1, "{ran:?}");
    ensure!(world.held() == ["Z-1 Zoe <z@b.c> 4242"], "{:#?}", world.held());
    ensure!(world.provider.counters().calls("add_method") == 1);
    Ok(())
}

pub async fn what_the_provider_cannot_hold_is_kept(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let file = |company: &str| {
        let text = format!(
            "reference,name,company,phone,metadata.tier\n\
             A-1,Ann,{company},,gold\nB-1,Bob,Bobs,303 555 0100,\n"
        );
        world.file("rows.csv", &text)
    };
    file("Anns")?;
    let dry = world.onfile.run(&[&IMPORT[..], &["--dry-run"]].concat()).await?.expect(0)?;
    let ran = world.onfile.run(&IMPORT).await?.expect(0)?;
    for ran in [&dry, &ran] {
        ensure!(ran.count("/kept_in_store/company")? == 2, "{ran:?}");
        ensure!(ran.count("/kept_in_store/phone")? == 1, "{ran:?}");
        ensure!(ran.count("/kept_in_store/metadata.tier")? == 1, "{ran:?}");
        ensure!(ran.count("/kept_in_store/name").is_err(), "{ran:?}");
    }
    // Rows of one customer that stand apart are one customer.
    let apart = "reference,name,company\nC-1,Cy,Cys\nD-1,Di,\nC-1,Cy,Cys\n";
    world.file("apart.csv", apart)?;
    let args = ["import", "gov", "apart.csv", "--json", "--dry-run"];
    let dry = world.onfile.run(&args).await?.expect(0)?;
    ensure!(dry.count("/kept_in_store/company")? == 1, "{dry:?}");
    // Another company is no wish: the provider has none. A pull in between changes nothing.
    world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    file("Annas")?;
    let again = nothing_changes(&world, world.onfile.run(&IMPORT)).await?.expect(0)?;
    ensure!(again.count("/rows/unchanged")? == 2, "{again:?}");
    let lines = rows_of(&world, &again).await?;
    let said = ",unchanged,,kept in our store only: company,company,";
    ensure!(lines[0].contains(said) && lines[0].ends_with(",kept,"), "{lines:#?}");
    ensure!(lines[1].contains(",unchanged,,,,") && lines[1].ends_with(','), "{lines:#?}");
    let shown = world.onfile.run(&IMPORT[..3]).await?.expect(0)?;
    let wanted = "kept in store only: company 2, metadata.tier 1, phone 1";
    ensure!(shown.stdout.contains(wanted), "{}", shown.stdout);
    Ok(())
}

pub async fn beside_what_cannot_be_the_rest_is_kept(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let file = |company: &str, year: u32| {
        let text = format!(
            "reference,name,company,method,token,token_kind,last4,exp_month,exp_year\n\
             A-1,Ann,{company},card,tok_1,processor,4242,12,{year}\n"
        );
        world.file("rows.csv", &text)
    };
    file("Anns", 2030)?;
    world.onfile.run(&IMPORT).await?.expect(0)?;
    // No provider changes the expiry of a saved card; the company is ours alone.
    file("Annas", 2031)?;
    let dry = world.onfile.run(&[&IMPORT[..], &["--dry-run"]].concat()).await?.expect(2)?;
    let ran = nothing_changes(&world, world.onfile.run(&IMPORT)).await?.expect(2)?;
    for ran in [&dry, &ran] {
        ensure!(ran.count("/codes/not_updatable")? == 1, "{ran:?}");
        ensure!(ran.count("/kept_in_store/company")? == 1, "{ran:?}");
    }
    // What could not be is said once more; the row is written with its card.
    let rows = rows_of(&world, &ran).await?;
    ensure!(rows.iter().all(|row| row.contains("spm_")), "{rows:?}");
    Ok(())
}

pub async fn a_customer_that_is_gone_is_not_made_again(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    import(&world, "A-1,Ann,a@b.c,,,,,,,\nB-1,Bob,b@b.c,,,,,,,\n", &[]).await?.expect(0)?;
    let ann = world.provider.customer_by_reference("pa_main", "A-1").context("imported")?.id;
    world.provider.delete_customer("pa_main", &ann)?;
    // Its fields are wished otherwise, so it is looked at, and is not there.
    let rows = "A-1,Ann,new@b.c,,,,,,,\nB-1,Bob,b@b.c,,,,,,,\n";
    let ran = nothing_changes(&world, import(&world, rows, &[])).await?.expect(2)?;
    ensure!(ran.count("/codes/removed_at_provider")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/unchanged")? == 1, "{ran:?}");
    ensure!(world.held() == ["B-1 Bob <b@b.c> "], "{:#?}", world.held());
    // From now on it is known, whatever the file states; asked for, it is made anew.
    let rows = "A-1,Ann,a@b.c,card,tok_1,processor,4242,12,2030,true\nB-1,Bob,b@b.c,,,,,,,\n";
    let ran = nothing_changes(&world, import(&world, rows, &[])).await?.expect(2)?;
    ensure!(ran.count("/codes/removed_at_provider")? == 1, "{ran:?}");
    let ran = import(&world, rows, &["--restore-removed"]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 1, "{ran:?}");
    let again = nothing_changes(&world, import(&world, rows, &[])).await?.expect(0)?;
    ensure!(again.count("/rows/unchanged")? == 2, "{again:?}");
    // Gone once more, it is seen by its new card, and made anew by the same run.
    let ann = world.provider.customer_by_reference("pa_main", "A-1").context("imported")?.id;
    world.provider.delete_customer("pa_main", &ann)?;
    let rows = format!("{rows}A-1,Ann,a@b.c,card,tok_2,processor,1881,12,2030,\n");
    let dry = import(&world, &rows, &["--dry-run", "--observe"]).await?.expect(2)?;
    ensure!(dry.count("/codes/removed_at_provider")? == 2, "{dry:?}");
    let ran = import(&world, &rows, &["--restore-removed"]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    ensure!(ran.count("/methods/created")? == 2, "{ran:?}");
    Ok(())
}
