//! Several accounts and one store: who is whom, whose value counts, and what a person does about it
//! (rule 8).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use sandbox::proxy_token::{Account, Config};
use sandbox::{Change, NewMethod};
use serde_json::Value;

use super::World;
use super::edits::{cell, rows_in};
use crate::binary::Ran;
use crate::env::{TestDb, open_with};

type Result = anyhow::Result<()>;

/// Three merchants of one provider: `gov` and `two` share a numbering of customers, `shop` has its
/// own. `two` wins.
async fn world(db: Arc<TestDb>, two: &str) -> anyhow::Result<World> {
    let account = |uid: &str| Account { uid: uid.to_owned(), customers: Some(0) };
    let accounts = ["pa_main", "pa_two", "pa_shop"].map(account).into();
    let vendor = Config { accounts, import_dedupes: false, ..Config::default() };
    let world = World::at(db, 0, "", vendor).await?;
    configure(&world, two)?;
    Ok(world)
}

/// Writes the configuration, with more lines for `two`.
fn configure(world: &World, two: &str) -> Result {
    let account = |name: &str, uid: &str, more: &str| {
        format!(
            "[accounts.{name}]\nkind = \"proxy-token\"\nbase_url = \"{}\"\n\
             payment_account_uid = \"{uid}\"\nbearer = {{ env = \"BEARER\" }}\n\
             rate = {{ per_second = 2000, burst = 50, in_flight = 8 }}\n\
             late_seconds = 0.01\n{more}\n\n",
            world.provider.base_url()
        )
    };
    let text = format!(
        "[store]\nurl = \"{}\"\nencryption_key = {{ env = \"ONFILE_KEY\" }}\n\n\
         [canonical]\nprecedence = [\"two\", \"gov\"]\n\n{}{}{}",
        world.db.url(),
        account("gov", "pa_main", ""),
        account("two", "pa_two", two),
        account("shop", "pa_shop", "reference_namespace = \"shop\""),
    );
    world.file("onfile.toml", &text)
}

async fn onfile(world: &World, args: &[&str]) -> anyhow::Result<Ran> {
    world.onfile.clone().with_env("BEARER", "sandbox-bearer").run(args).await
}

async fn pull(world: &World, accounts: &[&str]) -> Result {
    for account in accounts {
        onfile(world, &["pull", account, "--json"]).await?.expect(0)?;
    }
    Ok(())
}

/// The entries of an export.
async fn exported(world: &World, what: &str, more: &[&str]) -> anyhow::Result<Vec<Value>> {
    let args = [&["export", what, "--json"], more].concat();
    let ran = onfile(world, &args).await?.expect(0)?;
    let list = ran.json()?.get(what).and_then(Value::as_array).cloned();
    list.with_context(|| format!("no {what}: {ran:?}"))
}

fn text<'a>(entry: &'a Value, path: &str) -> &'a str {
    entry.pointer(path).and_then(Value::as_str).unwrap_or("-")
}

/// Each link: account and the provider's customer, the record and how it came about.
async fn links(world: &World) -> anyhow::Result<BTreeMap<String, (String, String)>> {
    let links = exported(world, "links", &[]).await?;
    let of = |link: &Value| {
        let key = format!("{} {}", text(link, "/account"), text(link, "/remote_customer_id"));
        (key, (text(link, "/customer_id").to_owned(), text(link, "/linked_by").to_owned()))
    };
    Ok(links.iter().map(of).collect())
}

/// What matching left to be said of an account, each with its count.
async fn findings(world: &World, account: &str) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let store = open_with(&world.db, &[("default", 1)]).await?;
    let found = store.matching(&model::AccountName::new(account)?, 3).await?;
    store.close().await;
    Ok(found.iter().map(|finding| (finding.category.as_str(), finding.count)).collect())
}

/// A customer at an account of the provider.
fn create(
    world: &World,
    account: &str,
    reference: Option<&str>,
    name: &str,
    email: &str,
) -> anyhow::Result<String> {
    Ok(world.provider.create_customer(account, reference, name, email)?)
}

fn edit(world: &World, account: &str, customer: &str, name: Option<&str>) -> Result {
    let (customer, name) = (customer.to_owned(), name.map(str::to_owned));
    let change = Change::EditCustomer {
        customer,
        reference: None,
        name,
        email: None,
        fields: BTreeMap::new(),
    };
    world.provider.change(account, change)?;
    Ok(())
}

fn refer(world: &World, account: &str, customer: &str, reference: &str) -> Result {
    let (customer, reference) = (customer.to_owned(), Some(reference.to_owned()));
    let change = Change::EditCustomer {
        customer,
        reference,
        name: None,
        email: None,
        fields: BTreeMap::new(),
    };
    world.provider.change(account, change)?;
    Ok(())
}

pub async fn records_are_shared_by_reference(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    for n in 0..5 {
        let (reference, email) = (format!("C-{n}"), format!("{n}@x.com"));
        for (account, name) in [("pa_main", "Gov"), ("pa_two", "Two"), ("pa_shop", "Shop")] {
            let id = create(&world, account, Some(&reference), name, &email)?;
            world.provider.add_method(
                account,
                &id,
                NewMethod::card("VISA", "4242", 1, 2031),
                false,
            )?;
        }
    }
    pull(&world, &["gov", "two", "shop"]).await?;
    let customers = exported(&world, "customers", &[]).await?;
    // Five that two accounts share, and five of another namespace.
    ensure!(customers.len() == 10, "{customers:#?}");
    let shared: Vec<&Value> = customers.iter().filter(|c| text(c, "/name") == "Two").collect();
    ensure!(shared.len() == 5, "{customers:#?}");
    ensure!(shared.iter().all(|c| text(c, "/sources/name/account") == "two"), "{shared:#?}");
    ensure!(exported(&world, "methods", &[]).await?.len() == 10);
    ensure!(exported(&world, "links", &[]).await?.len() == 15);

    // The winner's value ends: the next one's counts, of that field alone.
    let who = world.provider.customer_by_reference("pa_two", "C-0").context("there")?;
    edit(&world, "pa_two", &who.id, Some(""))?;
    pull(&world, &["two"]).await?;
    let customers = exported(&world, "customers", &[]).await?;
    let one = customers.iter().find(|c| text(c, "/name") == "Gov").context("Gov's")?;
    ensure!(text(one, "/reference") == "C-0", "{one:#?}");
    ensure!(text(one, "/sources/name/account") == "gov", "{one:#?}");
    ensure!(text(one, "/sources/email/account") == "two", "{one:#?}");

    // Another precedence makes the records anew, without a call.
    let path = world.db.folder().join("onfile.toml");
    let config = std::fs::read_to_string(&path)?;
    let other = config.replace("[\"two\", \"gov\"]", "[\"gov\", \"two\"]");
    ensure!(other != config, "{config}");
    world.file("onfile.toml", &other)?;
    let customers = exported(&world, "customers", &[]).await?;
    let govs = customers.iter().filter(|c| text(c, "/name") == "Gov");
    ensure!(govs.count() == 5, "{customers:#?}");
    ensure!(customers.iter().all(|c| text(c, "/name") != "Two"), "{customers:#?}");
    world.file("onfile.toml", &config)?;
    let customers = exported(&world, "customers", &[]).await?;
    ensure!(customers.iter().filter(|c| text(c, "/name") == "Two").count() == 4, "{customers:#?}");

    // One account's rows are as it shows them, with its ids.
    let theirs = exported(&world, "customers", &["--account", "gov"]).await?;
    ensure!(theirs.len() == 5 && theirs.iter().all(|c| text(c, "/name") == "Gov"), "{theirs:#?}");
    let at_gov = world.provider.customer_by_reference("pa_main", "C-0").context("there")?.id;
    ensure!(theirs.iter().any(|c| text(c, "/remote_customer_id") == at_gov), "{theirs:#?}");
    Ok(())
}

pub async fn what_a_person_unlinks_stays_so(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    let mut ids = Vec::new();
    for account in ["pa_main", "pa_two"] {
        let id = create(&world, account, Some("C-1"), "Ada", "ada@x.com")?;
        world.provider.add_method(account, &id, NewMethod::card("VISA", "4242", 1, 2031), false)?;
        ids.push(id);
    }
    let [gov, two] = ids.as_slice() else { anyhow::bail!("{ids:?}") };
    pull(&world, &["gov", "two"]).await?;
    let (at_gov, at_two) = (format!("gov {gov}"), format!("two {two}"));
    let before = links(&world).await?;
    ensure!(before[&at_gov].0 == before[&at_two].0, "{before:?}");

    let ran = onfile(&world, &["unlink", "customer", "two", two]).await?.expect(0)?;
    ensure!(ran.stdout.contains(&format!("before to {}", before[&at_gov].0)), "{ran:?}");
    edit(&world, "pa_two", two, Some("Ada L."))?;
    pull(&world, &["gov", "two"]).await?;
    let apart = links(&world).await?;
    ensure!(apart[&at_gov] == before[&at_gov], "{apart:?}");
    let own = &apart[&at_two];
    ensure!(own.0 != before[&at_two].0 && own.1 == "person", "{apart:?}");
    ensure!(exported(&world, "customers", &[]).await?.len() == 2);
    ensure!(exported(&world, "methods", &[]).await?.len() == 2);

    // Back again: one record, one card.
    let to = ["link", "customer", "two", two, "--reference", "C-1"];
    let dry = onfile(&world, &[&to[..], &["--dry-run"]].concat()).await?.expect(0)?;
    ensure!(dry.stdout.contains("would be linked to"), "{dry:?}");
    ensure!(links(&world).await? == apart);
    let ran = onfile(&world, &[&to[..], &["--json"]].concat()).await?.expect(0)?;
    ensure!(ran.count("/customers/moved")? == 1 && ran.count("/methods/moved")? == 1, "{ran:?}");
    let back = links(&world).await?;
    ensure!(back[&at_two] == (before[&at_two].0.clone(), "person".to_owned()), "{back:?}");
    let customers = exported(&world, "customers", &[]).await?;
    ensure!(customers.len() == 1 && text(&customers[0], "/name") == "Ada L.", "{customers:#?}");
    ensure!(exported(&world, "methods", &[]).await?.len() == 1);
    // There already: nothing moves.
    let ran = onfile(&world, &[&to[..], &["--json"]].concat()).await?.expect(0)?;
    ensure!(ran.count("/customers/unchanged")? == 1, "{ran:?}");

    // What cannot be is said, with what to do.
    let third = create(&world, "pa_two", Some("C-3"), "Bo", "bo@x.com")?;
    pull(&world, &["two"]).await?;
    for (args, code, hint) in [
        (
            vec!["link", "customer", "two", &third, "--reference", "C-1"],
            "link_refused",
            "unlink customer two",
        ),
        (vec!["link", "customer", "two", &third, "c_404"], "no_such_customer", "export customers"),
        (vec!["unlink", "customer", "two", "cus_404"], "no_such_customer", "pull two"),
    ] {
        let ran = onfile(&world, &args).await?.expect(1)?;
        ensure!(ran.stderr.contains(&format!("error[{code}]")), "{ran:?}");
        ensure!(ran.stderr.contains(hint), "{ran:?}");
    }
    // The record that the customer left knows of both moves.
    let ran = onfile(&world, &["history", "customer", "C-1", "--json"]).await?.expect(0)?;
    let told = ran.json()?;
    let told = told.pointer("/history").and_then(Value::as_array).cloned().unwrap_or_default();
    let moves = told.iter().filter(|h| text(h, "/field") == format!("link.{two}"));
    ensure!(moves.clone().count() == 2, "{told:#?}");
    ensure!(moves.clone().all(|h| text(h, "/cause") == "person"), "{told:#?}");
    Ok(())
}

pub async fn a_changed_reference_is_a_finding(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    let gov = create(&world, "pa_main", Some("C-1"), "Ada", "ada@x.com")?;
    create(&world, "pa_two", Some("C-1"), "Ada", "ada@x.com")?;
    create(&world, "pa_two", Some("C-2"), "Bo", "bo@x.com")?;
    pull(&world, &["gov", "two"]).await?;
    let before = links(&world).await?;
    ensure!(findings(&world, "gov").await?.is_empty());
    refer(&world, "pa_main", &gov, "C-2")?;
    pull(&world, &["gov"]).await?;
    ensure!(links(&world).await? == before, "the link moved with the reference");
    ensure!(findings(&world, "gov").await? == [("reference_changed", 1)]);
    ensure!(findings(&world, "two").await?.is_empty());
    let ran = onfile(&world, &["history", "customer", &gov]).await?.expect(0)?;
    ensure!(ran.stdout.contains("reference: C-1 → C-2"), "{ran:?}");
    ensure!(ran.stdout.contains("first seen as"), "{ran:?}");
    ensure!(ran.stdout.matches("(pull ").count() >= 3, "{ran:?}");
    Ok(())
}

pub async fn without_a_reference_each_is_alone(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    create(&world, "pa_main", None, "Ada", "ada@x.com")?;
    create(&world, "pa_two", None, "Ada", "ada@x.com")?;
    // To the provider these are two; space around a reference says nothing.
    create(&world, "pa_main", Some("D-1"), "Dee", "dee@x.com")?;
    create(&world, "pa_main", Some("D-1 "), "Dee", "dee@x.com")?;
    pull(&world, &["gov", "two"]).await?;
    let links = links(&world).await?;
    let records: std::collections::BTreeSet<_> = links.values().map(|(id, _)| id).collect();
    ensure!((links.len(), records.len()) == (4, 4), "{links:?}");
    let gov = findings(&world, "gov").await?;
    ensure!(gov == [("duplicate_at_provider", 1), ("unreferenced", 1)], "{gov:?}");
    ensure!(findings(&world, "two").await? == [("unreferenced", 1)]);
    Ok(())
}

pub async fn somebody_else_of_the_same_reference(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    let gov = create(&world, "pa_main", Some("C-1"), "Ada", "ada@x.com")?;
    let two = create(&world, "pa_two", Some("C-1"), "Bo", "bo@x.com")?;
    pull(&world, &["gov", "two"]).await?;
    let apart = links(&world).await?;
    ensure!(apart[&format!("two {two}")].1 == "ambiguous", "{apart:?}");
    ensure!(apart[&format!("two {two}")].0 != apart[&format!("gov {gov}")].0, "{apart:?}");
    ensure!(findings(&world, "two").await? == [("ambiguous_match", 1)]);
    // A person knows better.
    onfile(&world, &["link", "customer", "two", &two, "--reference", "C-1"]).await?.expect(0)?;
    ensure!(findings(&world, "two").await?.is_empty());
    ensure!(exported(&world, "customers", &[]).await?.len() == 1);
    Ok(())
}

pub async fn an_email_links_when_asked_for(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    let gov = create(&world, "pa_main", Some("C-1"), "Ada", "ada@x.com")?;
    let gov2 = create(&world, "pa_main", Some("C-2"), "Bo", "bo@x.com")?;
    create(&world, "pa_main", Some("C-3"), "Cy", "both@x.com")?;
    create(&world, "pa_main", Some("C-4"), "Di", "both@x.com")?;
    let off = create(&world, "pa_two", None, "Ada L.", "ADA@x.com")?;
    pull(&world, &["gov", "two"]).await?;
    let said = links(&world).await?;
    ensure!(said[&format!("two {off}")].1 == "no_reference", "{said:?}");
    ensure!(said[&format!("two {off}")].0 != said[&format!("gov {gov}")].0, "{said:?}");
    // From now on; who is linked stays where it is.
    configure(&world, "match_by_email = true")?;
    let on = create(&world, "pa_two", None, "Bo B.", "BO@x.com")?;
    let both = create(&world, "pa_two", None, "Cy", "both@x.com")?;
    pull(&world, &["gov", "two"]).await?;
    let now = links(&world).await?;
    ensure!(now[&format!("two {off}")] == said[&format!("two {off}")], "{now:?}");
    let (record, by) = &now[&format!("two {on}")];
    ensure!((by.as_str(), record) == ("email", &now[&format!("gov {gov2}")].0), "{now:?}");
    ensure!(now[&format!("two {both}")].1 == "ambiguous", "{now:?}");
    let two = findings(&world, "two").await?;
    ensure!(two == [("ambiguous_match", 1), ("unreferenced", 1)], "{two:?}");
    Ok(())
}

pub async fn a_file_links_all_or_nothing(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    let mut ids = Vec::new();
    for n in 0..3 {
        let (name, email) = (format!("N{n}"), format!("{n}@x.com"));
        create(&world, "pa_main", Some(&format!("C-{n}")), &name, &email)?;
        ids.push(create(&world, "pa_two", None, &name, &email)?);
    }
    pull(&world, &["gov", "two"]).await?;
    let apart = links(&world).await?;
    let [a, b, c] = ids.as_slice() else { anyhow::bail!("{ids:?}") };
    // Every bad line is said; nothing of the file is done.
    let wrong =
        format!("reference,remote_customer_id\nC-0,{a}\nC-404,{b}\nC-1,cus_404\n,{c}\nC-0,{c}\n");
    world.file("links.csv", &wrong)?;
    let ran = onfile(&world, &["link", "two", "links.csv", "--json"]).await?.expect(1)?;
    let errors = ran.json()?.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let said: Vec<_> = errors
        .iter()
        .map(|e| (e["line"].as_u64().unwrap_or(0), text(e, "/column"), text(e, "/code")))
        .collect();
    ensure!(
        said == [
            (3, "reference", "no_such_customer"),
            (4, "remote_customer_id", "no_such_customer"),
            (5, "reference", "missing_value"),
            (6, "reference", "link_refused"),
        ],
        "{ran:#?}"
    );
    ensure!(errors.iter().all(|e| text(e, "/hint").len() > 5), "{ran:#?}");
    ensure!(links(&world).await? == apart);
    // The whole of it, first dry.
    let right = format!("reference;remote_customer_id\nC-0;{a}\nC-1;{b}\nC-2;{c}\n");
    world.file("links.csv", &right)?;
    let dry = onfile(&world, &["link", "two", "links.csv", "--dry-run"]).await?.expect(0)?;
    ensure!(dry.stdout.contains("3 customers would be moved"), "{dry:?}");
    ensure!(links(&world).await? == apart);
    let calls = world.provider.log().len();
    onfile(&world, &["link", "two", "links.csv"]).await?.expect(0)?;
    ensure!(world.provider.log().len() == calls, "something was called");
    ensure!(exported(&world, "customers", &[]).await?.len() == 3);
    // What an export of links says can be read again, and moves nothing.
    let out = ["export", "links", "--account", "two", "--out", "links.csv"];
    onfile(&world, &out).await?.expect(0)?;
    let ran = onfile(&world, &["link", "two", "links.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/unchanged")? == 3, "{ran:?}");
    ensure!(ran.count("/customers/moved")? == 0, "{ran:?}");
    Ok(())
}

pub async fn an_export_can_be_imported(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    let rows = "reference,name,email,metadata.tier,metadata.Note,method,token,token_kind,brand,last4,exp_month,exp_year\n\
        C-1,\"Łoś, Ada \"\"A.\"\"\",ada@x.com,gold,,card,tok_secret_1,processor,VISA,4242,12,2030\n\
        C-2,=1+1,bo@x.com,,\"a\nb\",bank_account,tok_secret_2,processor,,6789,,\n";
    world.file(
        "people.csv",
        &rows.replace("bank_account,tok_secret_2,processor,,6789,,", ",,,,,,"),
    )?;
    onfile(&world, &["import", "gov", "people.csv"]).await?.expect(0)?;
    let out = ["export", "customers", "--out", "out.csv", "--json"];
    let ran = onfile(&world, &out).await?.expect(0)?;
    ensure!(ran.count("/rows")? == 2 && ran.count("/without_reference")? == 0, "{ran:?}");
    let path = world.db.folder().join("out.csv");
    let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o}");
    let csv = std::fs::read_to_string(&path)?;
    ensure!(csv.lines().next().is_some_and(|h| h.ends_with("country,metadata.Note,metadata.tier")));
    let read = rows_in(&csv.replace("a\nb", "a b"));
    let ada = read.iter().find(|row| cell(row, "reference") == Some("C-1")).context("C-1")?;
    ensure!(cell(ada, "name") == Some("Łoś, Ada \"A.\""), "{ada:?}");
    ensure!(cell(ada, "metadata.tier") == Some("gold"), "{ada:?}");
    ensure!(cell(ada, "row_id").is_some_and(|id| id.starts_with("c_")), "{ada:?}");
    ensure!(csv.contains(",=1+1,") && csv.contains("\"a\nb\""), "{csv}");
    // Another merchant takes it as it is, and has the same customers then.
    let ran = onfile(&world, &["import", "shop", "out.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    let names = |uid: &str| {
        let all = world.provider.customers(uid).into_iter();
        let mut all: Vec<_> = all.map(|c| (c.reference, c.name, c.email)).collect();
        all.sort();
        all
    };
    ensure!(names("pa_main") == names("pa_shop"));
    // Cards come without tokens, with the ids of both sides.
    let methods = onfile(&world, &["export", "methods", "--account", "gov"]).await?.expect(0)?;
    let rows = rows_in(&methods.stdout);
    ensure!(rows.len() == 1, "{methods:?}");
    for (column, value) in
        [("reference", "C-1"), ("method", "card"), ("last4", "4242"), ("exp_year", "2030")]
    {
        ensure!(cell(&rows[0], column) == Some(value), "{rows:?}");
    }
    ensure!(cell(&rows[0], "remote_method_id").is_some(), "{rows:?}");
    let json = onfile(&world, &["export", "methods", "--format", "json"]).await?.expect(0)?;
    let card = &json.json()?["methods"][0];
    ensure!(card["exp_month"] == 12 && text(card, "/sources/expiry/account") == "gov", "{card}");
    // Kept in the store only: the file is the source.
    let all = exported(&world, "customers", &[]).await?;
    let ada = all.iter().find(|c| text(c, "/metadata/tier") == "gold").context("kept")?;
    ensure!(text(ada, "/sources/metadata.tier/account") == "file", "{ada:#?}");
    let safe = ["export", "customers", "--spreadsheet-safe"];
    let safe = onfile(&world, &safe).await?.expect(0)?;
    ensure!(safe.stdout.contains(",'=1+1,"), "{safe:?}");
    for printed in [&csv, &methods.stdout, &json.stdout] {
        ensure!(!printed.contains("secret"), "a token was exported: {printed}");
    }
    let ran = onfile(&world, &["export", "customers", "--format", "csv", "--json"]).await?;
    ran.expect(1)?;
    let ran = onfile(&world, &["export", "customers", "--account", "nobody"]).await?.expect(4)?;
    ensure!(ran.stderr.contains("nobody"), "{ran:?}");
    Ok(())
}

pub async fn history_says_why_an_expiry_changed(db: Arc<TestDb>) -> Result {
    let world = world(db, "").await?;
    let rows = "reference,name,email,method,token,token_kind,brand,last4,exp_month,exp_year\n\
        C-0,Bo,bo@x.com,,,,,,,\n\
        C-1,Ada,ada@x.com,card,tok_secret_1,processor,VISA,4242,12,2030\n";
    world.file("people.csv", rows)?;
    let imported = onfile(&world, &["import", "gov", "people.csv", "--json"]).await?.expect(0)?;
    let run = imported.json()?;
    let run = text(&run, "/run").to_owned();
    let ada = world.provider.customer_by_reference("pa_main", "C-1").context("there")?;
    let card = ada.methods.first().context("a card")?.id.clone();
    pull(&world, &["gov"]).await?;
    let renewed = Change::EditMethod {
        customer: ada.id.clone(),
        method: card.clone(),
        last4: None,
        exp_month: Some(3),
        exp_year: Some(2034),
    };
    world.provider.change("pa_main", renewed)?;
    edit(&world, "pa_main", &ada.id, Some("Ada Lovelace"))?;
    pull(&world, &["gov"]).await?;
    let said = onfile(&world, &["history", "method", &card]).await?.expect(0)?;
    let text_of = said.stdout.clone();
    for wanted in [
        "import_method e_",
        "line 3 of people.csv",
        &format!("first seen as {card}"),
        &run,
        "expiry: 12/2030 → 03/2034",
        "exp_year: 2034   from gov, as of",
        "last4: 4242",
    ] {
        ensure!(text_of.contains(wanted), "no {wanted:?}: {said:#?}");
    }
    // What was done comes first, then what was seen, then what changed.
    let at = |what: &str| text_of.find(what).unwrap_or(usize::MAX);
    ensure!(
        at("import_method") < at("first seen") && at("first seen") < at("expiry: 12"),
        "{said:#?}"
    );
    ensure!(!text_of.contains("secret"), "{said:#?}");

    // The customer: by its reference, its own id and the provider's, all the same.
    let mut told = Vec::new();
    let first = onfile(&world, &["history", "customer", "C-1", "--json"]).await?.expect(0)?;
    let ours = text(&first.json()?, "/customer/customer_id").to_owned();
    for id in ["C-1", &ours, &ada.id] {
        let ran = onfile(&world, &["history", "customer", id, "--json"]).await?.expect(0)?;
        told.push(ran.stdout);
    }
    told.dedup();
    ensure!(told.len() == 1, "{told:#?}");
    let events = first.json()?["history"].as_array().cloned().unwrap_or_default();
    let what: Vec<_> = events.iter().map(|e| (text(e, "/what"), text(e, "/field"))).collect();
    ensure!(what == [("effect", "-"), ("first_seen", "-"), ("changed", "name")], "{first:#?}");
    ensure!(events[0]["line"] == 3 && text(&events[0], "/file") == "people.csv", "{first:#?}");
    ensure!(text(&events[1], "/run") == run, "{first:#?}");
    ensure!(text(&events[2], "/before") == "Ada" && text(&events[2], "/cause") == "pull");

    // A removal is told, and what it was is still known.
    world.provider.remove_method("pa_main", &ada.id, &card)?;
    pull(&world, &["gov"]).await?;
    let said = onfile(&world, &["history", "method", &card]).await?.expect(0)?;
    ensure!(said.stdout.contains("state: live → removed"), "{said:#?}");
    ensure!(said.stdout.contains("exp_year: 2034"), "{said:#?}");

    // Nobody, and more than one.
    let ran = onfile(&world, &["history", "customer", "C-404"]).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[no_such_customer]"), "{ran:?}");
    create(&world, "pa_shop", Some("C-1"), "Else", "else@x.com")?;
    pull(&world, &["shop"]).await?;
    let ran = onfile(&world, &["history", "customer", "C-1"]).await?.expect(1)?;
    ensure!(ran.stdout.lines().count() == 2 && ran.stdout.contains(&ours), "{ran:?}");
    ensure!(ran.stderr.contains("name one of them"), "{ran:?}");
    Ok(())
}
