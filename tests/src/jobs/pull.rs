//! `pull`: what is read, once each, in whatever shape it comes.

use std::sync::Arc;

use anyhow::ensure;
use sandbox::proxy_token::{Config, Envelope, IdField, MethodShape, NextLink, Shape};
use sandbox::{FaultPlan, Sandbox, SandboxConfig, VendorConfig};

use super::World;
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

fn methods_of(world: &World) -> u64 {
    world.provider.customers("pa_main").iter().map(|c| c.methods.len() as u64).sum()
}

pub async fn reads_everything_once(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 250, "").await?;
    let methods = methods_of(&world);
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 250, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 250, "{ran:?}");
    ensure!(ran.count("/methods/created")? == methods, "{ran:?}");
    ensure!(ran.json()?.pointer("/coverage/complete") == Some(&true.into()), "{ran:?}");
    let again = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(again.count("/customers/unchanged")? == 250, "{again:?}");
    ensure!(again.count("/methods/unchanged")? == methods, "{again:?}");
    ensure!(again.count("/calls/changing")? == 0, "{again:?}");
    Ok(())
}

pub async fn reads_every_shape(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let shapes = [
        Shape {
            customers: Envelope::Bare,
            methods: Envelope::Bare,
            id_field: IdField::Uid,
            method: MethodShape::Nested,
            next_link: NextLink::Absent,
            ..Shape::default()
        },
        Shape {
            customers: Envelope::Value,
            methods: Envelope::PaymentMethods,
            id_field: IdField::CustomerUid,
            method: MethodShape::Flat,
            next_link: NextLink::SameOrigin,
            ..Shape::default()
        },
        Shape {
            customers: Envelope::Items,
            methods: Envelope::Data,
            id_field: IdField::Id,
            method: MethodShape::Flat,
            is_default: false,
            ..Shape::default()
        },
    ];
    for (place, shape) in shapes.into_iter().enumerate() {
        let provider = Sandbox::start(SandboxConfig {
            customers: 120,
            vendor: VendorConfig::ProxyToken(Config { shape, ..Config::default() }),
            ..SandboxConfig::default()
        })
        .await?;
        let name = format!("shape{place}");
        let config = format!(
            "[store]\nurl = \"{}\"\nencryption_key = {{ env = \"ONFILE_KEY\" }}\n\n\
             [accounts.{name}]\nkind = \"proxy-token\"\nbase_url = \"{}\"\n\
             payment_account_uid = \"pa_main\"\nbearer = {{ env = \"BEARER\" }}\n\
             rate = {{ per_second = 2000, burst = 50, in_flight = 8 }}\n",
            world.db.url(),
            provider.base_url()
        );
        world.file("onfile.toml", &config)?;
        let onfile = world.onfile.clone().with_env("BEARER", "sandbox-bearer");
        let ran = onfile.run(&["pull", &name, "--json"]).await?.expect(0)?;
        let methods: u64 =
            provider.customers("pa_main").iter().map(|c| c.methods.len() as u64).sum();
        ensure!(ran.count("/customers/created")? == 120, "{name}: {ran:?}");
        ensure!(ran.count("/methods/created")? == methods, "{name}: {ran:?}");
        provider.stop().await;
    }
    Ok(())
}

pub async fn a_short_page_is_not_the_end(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 600, "list_customers:2=short_page").await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 600, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 600, "{ran:?}");
    world.all_fired()
}

pub async fn after_an_import_is_unchanged(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 16, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 0, "{ran:?}");
    ensure!(ran.count("/customers/unchanged")? == 16, "{ran:?}");
    ensure!(ran.count("/methods/created")? == 0, "{ran:?}");
    Ok(())
}

pub async fn of_an_empty_wrong_account_fails(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 50, "").await?;
    world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    world.provider.put_faults(FaultPlan::parse("any:every1=empty_account")?)?;
    let ran = world.onfile.run(&["pull", "gov"]).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[wrong_account]"), "{ran:?}");
    world.all_fired()?;
    // Another merchant in the configuration is refused before any call.
    world.provider.clear_faults();
    world.provider.clear_log();
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    world.file("onfile.toml", &config.replace("\"pa_main\"", "\"pa_empty\""))?;
    let ran = world.onfile.run(&["pull", "gov"]).await?.expect(4)?;
    ensure!(ran.stderr.contains("merchant"), "{ran:?}");
    ensure!(world.provider.log().is_empty());
    Ok(())
}

/// Customers and payment methods that the store has in a state.
async fn stored(world: &World, state: &str) -> anyhow::Result<(u64, u64)> {
    let mut counts = Vec::new();
    for table in ["remote_customers", "remote_methods"] {
        let sql = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table} WHERE state = '{state}'");
        counts.push(world.db.look(&sql).await?.concat().concat().parse()?);
    }
    Ok((counts[0], counts[1]))
}

/// Calls of an endpoint since the log was cleared.
fn calls(world: &World, endpoint: &str) -> usize {
    world.provider.log_after(0, usize::MAX, Some(endpoint)).len()
}

/// What a coverage says beside its figures.
fn said(ran: &Ran, of: &str) -> anyhow::Result<String> {
    Ok(ran.json()?.pointer(&format!("/coverage/{of}")).map(ToString::to_string).unwrap_or_default())
}

/// Deletes the first so many customers at the provider; with how many payment methods.
fn delete(world: &World, customers: usize) -> anyhow::Result<usize> {
    let gone = world.provider.customers("pa_main").into_iter().take(customers);
    let mut methods = 0;
    for customer in gone {
        methods += customer.methods.len();
        world.provider.delete_customer("pa_main", &customer.id)?;
    }
    Ok(methods)
}

pub async fn marks_what_is_gone(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 120, "").await?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    let methods = delete(&world, 7)?;
    let kept = world.provider.customers("pa_main").into_iter().find(|c| c.methods.len() > 1);
    let kept = kept.expect("somebody has two");
    world.provider.remove_method("pa_main", &kept.id, &kept.methods[0].id)?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 113, "{ran:?}");
    ensure!(ran.count("/customers/removed")? == 7, "{ran:?}");
    ensure!(ran.count("/methods/removed")? == methods as u64 + 1, "{ran:?}");
    ensure!(stored(&world, "removed").await? == (7, methods as u64 + 1));
    ensure!(stored(&world, "live").await? == (113, methods_of(&world)));
    // Each of them says so in the history, once.
    let changes =
        "SELECT subject, subject_id FROM changes WHERE field = 'state' AND after = 'removed'";
    ensure!(world.db.look(changes).await?.len() == 8 + methods);
    // The report says what changed, line by line.
    let run = ran.run_id()?;
    world.onfile.run(&["report", &run, "--out", "report"]).await?.expect(0)?;
    let folder = world.db.folder().join("report");
    let told = std::fs::read_to_string(folder.join("changes.csv"))?;
    ensure!(told.starts_with("at,subject,customer_id,reference,method_id,field,before,after\n"));
    ensure!(
        told.lines().filter(|line| line.contains(",state,live,removed")).count() == 8 + methods
    );
    let page = std::fs::read_to_string(folder.join("report.html"))?;
    ensure!(page.contains("What changed") && page.contains("changes.csv"));
    let again = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(
        again.count("/customers/removed")? + again.count("/methods/removed")? == 0,
        "{again:?}"
    );
    Ok(())
}

pub async fn more_than_a_few_wait_for_a_person(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 300, "").await?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    let methods = delete(&world, 150)? as u64;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(3)?;
    ensure!(ran.stderr.contains("error[mass_removal]"), "{ran:?}");
    ensure!(ran.count("/findings/mass_removal")? == 1, "{ran:?}");
    ensure!(ran.json()?.pointer("/state") == Some(&"awaiting_approval".into()), "{ran:?}");
    // None of them is marked: not by this run, nor by the next night's.
    ensure!(stored(&world, "removed").await? == (0, 0));
    let run = ran.run_id()?;
    world.onfile.run(&["pull", "gov", "-q"]).await?.expect(3)?;
    ensure!(stored(&world, "removed").await? == (0, 0));
    // One of them comes back meanwhile: what is approved is proven all the same.
    let left = "SELECT reference FROM remote_customers WHERE state = 'live' ORDER BY reference";
    let back = world.db.look(left).await?.concat().remove(0);
    world.provider.create_customer("pa_main", Some(&back), "Back", "back@example.com")?;
    let ran = world.onfile.run(&["runs", "approve", &run, "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/removed")? == 150, "{ran:?}");
    ensure!(ran.count("/methods/removed")? == methods, "{ran:?}");
    ensure!(stored(&world, "removed").await? == (150, methods));
    ensure!(stored(&world, "live").await? == (151, methods_of(&world)));
    Ok(())
}

pub async fn a_page_given_twice_hides_nobody(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 600, "list_customers:3=repeat_page").await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/created")? == 600, "{ran:?}");
    ensure!(ran.json()?.pointer("/coverage/complete") == Some(&true.into()), "{ran:?}");
    world.all_fired()
}

pub async fn fewer_rows_than_asked_for_are_what_a_page_has(db: Arc<TestDb>) -> Result {
    let vendor = Config { max_page: 20, ..Config::default() };
    let world = World::at(db, 250, "", vendor).await?;
    let ran = world.onfile.run(&["pull", "gov", "--json", "--confirm"]).await?.expect(0)?;
    ensure!(ran.count("/customers/created")? == 250, "{ran:?}");
    ensure!(ran.json()?.pointer("/coverage/confirmed") == Some(&true.into()), "{ran:?}");
    ensure!(said(&ran, "notes")?.contains("20 customers a page where 100"), "{ran:?}");
    ensure!(!said(&ran, "notes")?.contains("shifted"), "{ran:?}");
    Ok(())
}

pub async fn a_list_that_ends_with_an_error_marks_nothing(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 250, "").await?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    delete(&world, 5)?;
    // The third page, and each time that it is asked for again.
    world.provider.put_faults(FaultPlan::parse("list_customers:3..40=status(500)")?)?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(3)?;
    ensure!(ran.json()?.pointer("/coverage/complete") == Some(&false.into()), "{ran:?}");
    ensure!(said(&ran, "gaps")?.contains("not read to its end"), "{ran:?}");
    ensure!(stored(&world, "removed").await? == (0, 0), "{ran:?}");
    world.all_fired()?;
    world.provider.clear_faults();
    let run = ran.run_id()?;
    let ran = world.onfile.run(&["runs", "resume", &run, "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/removed")? == 5, "{ran:?}");
    ensure!(ran.count("/customers/seen")? == 245, "{ran:?}");
    Ok(())
}

pub async fn of_an_account_that_is_empty_half_way_marks_nothing(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 250, "").await?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    // The first read finds the account; from the list on it is another one.
    for faults in [
        "list_customers=empty_account",
        "list_customers=empty_account,get_customer:2..90=empty_account",
    ] {
        world.provider.put_faults(FaultPlan::parse(faults)?)?;
        let ran = world.onfile.run(&["pull", "gov", "--json"]).await?;
        world.all_fired()?;
        ensure!(stored(&world, "removed").await? == (0, 0), "{faults}: {ran:?}");
        if faults.contains("get_customer") {
            ensure!(ran.code == 1 && ran.stderr.contains("error[wrong_account]"), "{ran:?}");
        } else {
            // The list said nothing, and each customer was there when it was asked for.
            ensure!(ran.count("/customers/seen")? == 250, "{ran:?}");
            ensure!(said(&ran, "notes")?.contains("250 customers were on no page"), "{ran:?}");
            ensure!(ran.json()?.pointer("/coverage/complete") == Some(&false.into()), "{ran:?}");
            ensure!(said(&ran, "gaps")?.contains("new ones may be missing"), "{ran:?}");
        }
    }
    Ok(())
}

pub async fn goes_on_with_what_it_has_not_read(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 250, "list_methods:120=status(403)").await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(3)?;
    world.all_fired()?;
    let run = ran.run_id()?;
    ensure!(ran.json()?.pointer("/coverage/complete") == Some(&false.into()), "{ran:?}");
    ensure!(said(&ran, "gaps")?.contains("when it ended"), "{ran:?}");
    let read = "SELECT CAST(COUNT(methods_read_at) AS TEXT) FROM remote_customers";
    let read: usize = world.db.look(read).await?.concat().concat().parse()?;
    ensure!(read > 50 && read < 250, "{read} were read before it stopped");
    world.provider.clear_log();
    let ran = world.onfile.run(&["runs", "resume", &run, "--json"]).await?.expect(0)?;
    ensure!(calls(&world, "list_methods") == 250 - read, "{ran:?}");
    ensure!(ran.count("/customers/seen")? == 250, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 250, "{ran:?}");
    ensure!(ran.count("/customers/unchanged")? == 0, "{ran:?}");
    ensure!(ran.count("/methods/created")? == methods_of(&world), "{ran:?}");
    ensure!(stored(&world, "live").await? == (250, methods_of(&world)), "{ran:?}");
    Ok(())
}

pub async fn reads_the_methods_that_are_due(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 200, "").await?;
    world.configure("methods_max_age = \"7d\"")?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    world.provider.clear_log();
    // All are known, and none is old: those of cards that expire soon are read, and nobody else's.
    let soon = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let expiring = calls(&world, "list_methods");
    ensure!(expiring < 100, "{expiring} of 200 have a card that expires soon");
    let unread = soon.count("/coverage/methods_unread/customers")?;
    ensure!(unread + expiring as u64 == 200, "{soon:?}");
    ensure!(soon.count("/methods/removed")? == 0, "{soon:?}");
    // A new customer, one that an import touched, and 30 that were read a month ago.
    world.provider.create_customer("pa_main", Some("NEW"), "New", "new@example.com")?;
    let month = 30 * 86_400_000_000_i64;
    let old = format!(
        "UPDATE remote_customers SET methods_read_at = methods_read_at - {month} WHERE remote_id IN \
         (SELECT remote_id FROM remote_customers ORDER BY remote_id LIMIT 30)"
    );
    super::resume::execute(&world.db, &old).await?;
    world.provider.clear_log();
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let read = calls(&world, "list_methods");
    ensure!(read > 30 && read <= expiring + 31, "{read} lists: {ran:?}");
    // No more calls than the budget has, and the oldest are read first: of twenty of whom no card
    // expires, each was read a day before the next one.
    let calm = "SELECT remote_id FROM remote_customers AS c WHERE NOT EXISTS (SELECT 1 FROM \
                remote_methods AS m WHERE m.remote_customer_id = c.remote_id \
                AND m.expires < 12 * 2029) ORDER BY remote_id LIMIT 20";
    let calm = world.db.look(calm).await?.concat();
    ensure!(calm.len() == 20, "{calm:?}");
    for (place, id) in (0_i64..).zip(&calm) {
        let ago = (60 - place) * 86_400_000_000;
        let aged = format!(
            "UPDATE remote_customers SET methods_read_at = methods_read_at - {ago} \
             WHERE remote_id = '{id}'"
        );
        super::resume::execute(&world.db, &aged).await?;
    }
    let budget = 6 + expiring + 10;
    world.configure(&format!("calls_budget = {budget}"))?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/calls/total")? <= budget as u64, "{ran:?}");
    let read = "SELECT remote_id FROM remote_customers WHERE methods_read_at >= \
                (SELECT MAX(started_at) FROM scans)";
    let read = world.db.look(read).await?.concat();
    let first = calm.iter().take_while(|id| read.contains(id)).count();
    ensure!((8..=11).contains(&first), "{first} of the oldest were read: {ran:?}");
    ensure!(!calm[first..].iter().any(|id| read.contains(id)), "younger ones were read: {ran:?}");
    Ok(())
}

pub async fn an_account_that_moved_is_rebound(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.onfile.run(&["import", "gov", "sample.csv"]).await?.expect(0)?;
    let path = world.db.folder().join("onfile.toml");
    let config = std::fs::read_to_string(&path)?;
    // The same provider by another name.
    let moved = config.replace("base_url = \"http://127.0.0.1:", "base_url = \"http://localhost:");
    ensure!(moved != config);
    world.file("onfile.toml", &moved)?;
    let refused = world.onfile.run(&["pull", "gov"]).await?.expect(4)?;
    ensure!(refused.stderr.contains("onfile accounts rebind"), "{refused:?}");
    let other = world.onfile.run(&["accounts", "rebind", "nobody"]).await?.expect(4)?;
    ensure!(other.stderr.contains("nobody"), "{other:?}");
    let bound = world.onfile.run(&["accounts", "rebind", "gov"]).await?.expect(0)?;
    ensure!(bound.stdout.contains("host was 127.0.0.1:"), "{bound:?}");
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/unchanged")? == 16, "{ran:?}");
    // Tokens that were imported are known again, though their fingerprint has the host in it.
    let ran = world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/rows/unchanged")? == ran.count("/rows/read")?, "{ran:?}");
    Ok(())
}

pub async fn so_do_more_than_a_few_payment_methods(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 200, "").await?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    let all = world.provider.customers("pa_main");
    let methods = all.iter().flat_map(|c| c.methods.iter().map(move |m| (&c.id, &m.id)));
    for (customer, method) in methods.take(150) {
        world.provider.remove_method("pa_main", customer, method)?;
    }
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(3)?;
    ensure!(ran.stderr.contains("150 payment methods"), "{ran:?}");
    ensure!(stored(&world, "removed").await? == (0, 0));
    let run = ran.run_id()?;
    // Nobody has to: what is left stays as it is, and the next pull asks again.
    world.onfile.run(&["runs", "cancel", &run]).await?.expect(0)?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(3)?;
    ensure!(stored(&world, "removed").await? == (0, 0));
    let run = ran.run_id()?;
    world.onfile.run(&["runs", "approve", &run]).await?.expect(0)?;
    ensure!(stored(&world, "live").await? == (200, methods_of(&world)));
    Ok(())
}

pub async fn two_at_once_disturb_nobody(db: Arc<TestDb>) -> Result {
    let world = World::at(db, 300, "", Config { max_page: 20, ..Config::default() }).await?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    delete(&world, 5)?;
    let pull = || world.onfile.run(&["pull", "gov", "--json", "--confirm"]);
    let (one, two) = tokio::try_join!(pull(), pull())?;
    for ran in [&one, &two] {
        ensure!(ran.code == 0, "{ran:?}");
        ensure!(ran.count("/customers/seen")? == 295, "{ran:?}");
        ensure!(ran.json()?.pointer("/coverage/confirmed") == Some(&true.into()), "{ran:?}");
    }
    let removed = one.count("/customers/removed")? + two.count("/customers/removed")?;
    ensure!(removed == 5, "each is marked by one of them: {one:?} {two:?}");
    ensure!(stored(&world, "live").await? == (295, methods_of(&world)));
    Ok(())
}

pub async fn who_is_there_has_a_list(db: Arc<TestDb>) -> Result {
    let faults = "list_methods[C-000001]=status(404)*1";
    let world = World::new(db, 100, faults).await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    world.all_fired()?;
    // The list that was said not to be there was asked for again.
    ensure!(ran.count("/methods/seen")? == methods_of(&world), "{ran:?}");
    ensure!(ran.count("/customers/removed")? == 0, "{ran:?}");
    ensure!(said(&ran, "gaps")? == "[]", "{ran:?}");
    Ok(())
}
