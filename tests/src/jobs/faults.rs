//! What goes wrong at the provider, and that nothing is sent twice because of it.

use std::sync::Arc;

use anyhow::ensure;
use sandbox::proxy_token::Config;
use sandbox::{FaultPlan, NewMethod};

use super::World;
use super::canary::run_of;
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const IMPORT: [&str; 4] = ["import", "gov", "sample.csv", "--json"];

async fn import(world: &World, code: i32) -> anyhow::Result<Ran> {
    let ran = world.onfile.run(&IMPORT).await?.expect(code)?;
    world.all_fired()?;
    let read = ran.count("/rows/read")?;
    let mut sum = 0;
    for outcome in [
        "created",
        "linked",
        "updated",
        "unchanged",
        "rejected",
        "refused",
        "unresolved",
        "not_attempted",
    ] {
        sum += ran.count(&format!("/rows/{outcome}"))?;
    }
    ensure!(sum == read, "the ledger does not balance: {ran:?}");
    Ok(ran)
}

/// No customer and no card stands twice at the provider.
fn nothing_twice(world: &World) -> Result {
    let customers = world.provider.customers("pa_main");
    ensure!(customers.len() <= 16, "{:#?}", world.held());
    let methods: usize = customers.iter().map(|c| c.methods.len()).sum();
    ensure!(methods <= 18, "{:#?}", world.held());
    Ok(())
}

/// Everything is there once, and so many rows were found by reading after their answer was lost.
fn all_created(world: &World, ran: &Ran, found: u64) -> Result {
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/codes/found_later")? == found, "{ran:?}");
    let customers = world.provider.customers("pa_main");
    let methods: usize = customers.iter().map(|customer| customer.methods.len()).sum();
    ensure!((customers.len(), methods) == (16, 18), "{:#?}", world.held());
    Ok(())
}

pub async fn a_lost_bulk_answer_is_not_repeated(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=drop_after").await?;
    let ran = import(&world, 0).await?;
    all_created(&world, &ran, 18)?;
    ensure!(world.provider.counters().calls("bulk_import") == 1);
    let again = world.onfile.run(&IMPORT).await?.expect(0)?;
    ensure!(again.count("/rows/unchanged")? == 20, "{again:?}");
    ensure!(again.count("/calls/changing")? == 0, "{again:?}");
    nothing_twice(&world)
}

pub async fn what_never_arrived_is_sent_again_after_the_quarantine(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=drop_before").await?;
    world.soon()?;
    let ran = import(&world, 0).await?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(world.provider.counters().calls("bulk_import") == 2);
    // Each of the 14 customers was listed at once, and twice when absence could be believed; then
    // once more, as every customer is before something is added to it.
    ensure!(world.provider.counters().calls("list_methods") == 4 * 14);
    nothing_twice(&world)
}

pub async fn what_takes_effect_late_is_waited_for(db: Arc<TestDb>) -> Result {
    let faults = "bulk_import:1=late_execution_ms(1500),\
                  create_customer[C-1002]:1=late_execution_ms(1000)";
    let world = World::new(db, 0, faults).await?;
    world.soon()?;
    let ran = import(&world, 0).await?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/rows/unresolved")? == 0, "{ran:?}");
    nothing_twice(&world)
}

pub async fn what_is_never_answered_and_never_there_is_refused(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer[C-1001]=status(500)").await?;
    world.soon()?;
    let ran = import(&world, 2).await?;
    ensure!(ran.count("/rows/refused")? == 1, "{ran:?}");
    ensure!(ran.count("/codes/never_answered")? == 1, "{ran:?}");
    ensure!(ran.count("/codes/customer_failed")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 18, "{ran:?}");
    let sent = world.provider.counters().calls("create_customer");
    ensure!(sent == 15 + 3, "{sent}");
    // It can be tried again, and then it works.
    world.provider.put_faults(FaultPlan::default())?;
    let again = world.onfile.run(&IMPORT).await?.expect(0)?;
    ensure!(again.count("/rows/created")? == 2, "{again:?}");
    nothing_twice(&world)
}

pub async fn an_index_that_is_missing_is_read_back(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=missing_index").await?;
    let ran = import(&world, 0).await?;
    all_created(&world, &ran, 1)
}

pub async fn an_index_that_is_repeated_is_read_back(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=repeat_index").await?;
    let ran = import(&world, 0).await?;
    let found = ran.count("/codes/found_later")?;
    ensure!(found >= 1, "{ran:?}");
    all_created(&world, &ran, found)
}

pub async fn a_foreign_index_is_read_back(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=foreign_index").await?;
    let ran = import(&world, 0).await?;
    all_created(&world, &ran, 1)
}

pub async fn a_duplicate_under_another_customer_is_refused(db: Arc<TestDb>) -> Result {
    let vendor = Config { duplicate_across_customers: true, ..Config::default() };
    let world = World::at(db, 0, "", vendor).await?;
    let eve = world.provider.create_customer("pa_main", Some("other"), "Eve", "e@b.c")?;
    let card = NewMethod {
        token: Some("tok_sample_0001".into()),
        ..NewMethod::card("VISA", "4242", 12, 2030)
    };
    world.provider.add_method("pa_main", &eve, card, false)?;
    let ran = import(&world, 2).await?;
    ensure!(ran.count("/rows/refused")? == 1, "{ran:?}");
    ensure!(ran.count("/codes/duplicate_elsewhere")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 19, "{ran:?}");
    // It is not believed to be Ada's, now or later.
    let again = import(&world, 2).await?;
    ensure!(again.count("/codes/duplicate_elsewhere")? == 1, "{again:?}");
    ensure!(again.count("/rows/unchanged")? == 19, "{again:?}");
    Ok(())
}

pub async fn a_batch_of_25_at_most(db: Arc<TestDb>) -> Result {
    let vendor = Config { import_batch: 25, import_dedupes: false, ..Config::default() };
    // At most 12 calls are too large, 4 of a hundred rows and 8 of fifty: the 18th is none of them.
    let world = World::at(db, 0, "bulk_import:18=drop_after", vendor).await?;
    let mut rows = String::from("reference,method,token,token_kind,last4,exp_month,exp_year\n");
    for n in 0..400 {
        rows += &format!("H-{n},card,tok_{n},processor,4242,12,2030\n");
    }
    world.file("sample.csv", &rows)?;
    let ran = import(&world, 0).await?;
    ensure!(ran.count("/rows/created")? == 400, "{ran:?}");
    let counters = world.provider.counters();
    ensure!(counters.answered("bulk_import", 413) >= 1, "{counters:?}");
    ensure!(ran.count("/codes/found_later")? == 25, "{ran:?}");
    ensure!(world.provider.customers("pa_main").iter().all(|c| c.methods.len() == 1));
    Ok(())
}

pub async fn a_lost_create_is_found_by_its_reference(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer[C-1001]:1=drop_after").await?;
    let ran = import(&world, 0).await?;
    all_created(&world, &ran, 1)?;
    ensure!(world.provider.counters().calls("create_customer") == 16);
    Ok(())
}

pub async fn throttling_is_waited_out(db: Arc<TestDb>) -> Result {
    let world =
        World::new(db, 0, "create_customer:3=throttle(1),bulk_import:1=throttle(1)").await?;
    let ran = import(&world, 0).await?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/calls/throttled")? == 2, "{ran:?}");
    nothing_twice(&world)
}

pub async fn reads_are_made_again(db: Arc<TestDb>) -> Result {
    let faults = "list_customers:1=status(500),list_customers:3=drop_before,\
                  list_methods:2=cut_body,list_methods:5=garbage_body";
    let world = World::new(db, 120, faults).await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    world.all_fired()?;
    ensure!(ran.count("/customers/created")? == 120, "{ran:?}");
    ensure!(ran.count("/calls/retried")? >= 3, "{ran:?}");
    Ok(())
}

pub async fn a_find_that_lies_stops_the_account(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "find_customer:1=wrong_find").await?;
    world.provider.create_customer("pa_main", Some("C-1001"), "Ada", "a@b.c")?;
    world.provider.create_customer("pa_main", Some("other"), "Eve", "e@b.c")?;
    let ran = world.onfile.run(&IMPORT).await?.expect(1)?;
    world.all_fired()?;
    ensure!(ran.stderr.contains("error[find_not_honoured]"), "{ran:?}");
    // Eve got none of Ada's cards.
    ensure!(world.held().iter().any(|h| h == "other Eve <e@b.c> "), "{:#?}", world.held());
    Ok(())
}

pub async fn a_refused_batch_is_halved(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    // Several batches are refused at once; each says the same, and is halved once.
    world.configure("import_batch = 150")?;
    let mut rows = String::from("reference,method,token,token_kind,last4,exp_month,exp_year\n");
    for n in 0..1200 {
        rows += &format!("H-{n},card,tok_{n},processor,4242,12,2030\n");
    }
    world.file("sample.csv", &rows)?;
    let ran = import(&world, 0).await?;
    ensure!(ran.count("/rows/created")? == 1200, "{ran:?}");
    let counters = world.provider.counters();
    ensure!(counters.answered("bulk_import", 413) >= 2, "{counters:?}");
    ensure!(counters.calls("bulk_import") <= 40, "{counters:?}");
    ensure!(world.provider.customers("pa_main").iter().all(|c| c.methods.len() == 1));
    Ok(())
}

pub async fn a_stop_finishes_what_is_in_flight(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(1500)").await?;
    let mut child = world.onfile.start(&IMPORT)?;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.provider.counters().calls("bulk_import") == 0 {
        ensure!(tokio::time::Instant::now() < deadline, "the batch was never sent");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.signal("INT").await?;
    let ran = child.end().await?.expect(3)?;
    world.all_fired()?;
    // What was in flight was brought home, and is in the ledger.
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/rows/not_attempted")? == 0, "{ran:?}");
    let again = import(&world, 0).await?;
    ensure!(again.count("/rows/unchanged")? == 20, "{again:?}");
    nothing_twice(&world)
}

pub async fn a_provider_that_is_away_ends_the_run(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file("sample.csv", "reference,name\nA-1,Ann\n")?;
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    // Credentials come from the sandbox still; nobody listens at the provider's address.
    let base = format!("base_url = \"{}\"", world.provider.base_url());
    world.file("onfile.toml", &config.replace(&base, "base_url = \"http://127.0.0.1:9\""))?;
    let ran = world.onfile.run(&IMPORT).await?.expect(3)?;
    ensure!(ran.stderr.contains("error[provider_away]"), "{ran:?}");
    ensure!(ran.count("/rows/not_attempted")? == 1, "{ran:?}");
    let resume = format!("hint: onfile runs resume {}", run_of(&ran)?);
    ensure!(ran.stderr.contains(&resume), "{ran:?}");
    Ok(())
}

/// A provider that ignores `$skip`: every page is the first one.
async fn ignores_skip() -> anyhow::Result<u16> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let read = socket.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                let body = if text.contains("payment-methods") {
                    "[]"
                } else {
                    r#"[{"uid":"cus_1","reference_id":"A"},{"uid":"cus_2","reference_id":"B"}]"#
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _gone = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    Ok(port)
}

pub async fn a_list_without_end_is_incomplete(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let port = ignores_skip().await?;
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    let base = format!("base_url = \"{}\"", world.provider.base_url());
    let there = format!("base_url = \"http://127.0.0.1:{port}\"");
    world.file("onfile.toml", &config.replace(&base, &there))?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(3)?;
    ensure!(ran.json()?.pointer("/coverage/complete") == Some(&false.into()), "{ran:?}");
    ensure!(ran.count("/customers/created")? == 2, "{ran:?}");
    ensure!(ran.stderr.contains("repeats itself"), "{ran:?}");
    Ok(())
}

pub async fn one_odd_customer_spoils_no_pull(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 30, "list_methods:7=status(400)").await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    world.all_fired()?;
    ensure!(ran.count("/customers/created")? == 30, "{ran:?}");
    let gaps = ran.json()?.pointer("/coverage/gaps").map(ToString::to_string).unwrap_or_default();
    ensure!(gaps.contains("1 customers' payment methods could not be read"), "{ran:?}");
    Ok(())
}

pub async fn wrong_credentials_pause_the_run(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let wrong = world.onfile.clone().with_env("GOV_SECRET", "not the secret");
    let ran = wrong.run(&IMPORT).await?.expect(3)?;
    ensure!(ran.count("/rows/not_attempted")? == 20, "{ran:?}");
    ensure!(ran.count("/rows/refused")? == 0, "{ran:?}");
    let resume = format!("hint: onfile runs resume {}", run_of(&ran)?);
    ensure!(ran.stderr.contains(&resume), "{ran:?}");
    ensure!(world.held().is_empty());
    // With the right ones the same file goes through.
    let ran = import(&world, 0).await?;
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    Ok(())
}

pub async fn an_error_page_is_no_refusal(db: Arc<TestDb>) -> Result {
    // A proxy's page, and an overloaded vendor that did the work all the same.
    let faults = "create_customer[C-1002]:1=status(404,html),\
                  create_customer[C-1003]:1=status_after(503,retry_after=1)";
    let world = World::new(db, 0, faults).await?;
    let ran = import(&world, 0).await?;
    ensure!(ran.count("/rows/refused")? == 0, "{ran:?}");
    all_created(&world, &ran, 1)
}
