//! `import --canary`: a few rows go first, are read back, and the rest waits for a person.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use model::{Clock, SystemClock};
use sandbox::{Change, NewMethod};

use super::World;
use super::resume::{expire, killed, killed_at, tokens};
use crate::binary::Ran;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const CANARY: [&str; 6] = ["import", "gov", "sample.csv", "--json", "--canary", "1"];

/// Customers and payment methods of the whole sample.
const SAMPLE: (usize, usize) = (16, 18);

impl World {
    /// A command that ends with this code; the rows of a job balance whatever became of it.
    pub async fn job(&self, args: &[&str], code: i32) -> anyhow::Result<Ran> {
        let ran = self.onfile.run(args).await?.expect(code)?;
        let rows = ran.json()?.pointer("/rows").cloned().context("a job without rows")?;
        let rows = rows.as_object().context("rows are no object")?.clone();
        let count = |name: &str| rows.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let sum: u64 = rows.keys().filter(|name| *name != "read").map(|name| count(name)).sum();
        ensure!(sum == count("read"), "the ledger does not balance: {ran:?}");
        Ok(ran)
    }

    /// `onfile runs WHAT RUN --json` of a job.
    pub async fn runs(&self, what: &str, run: &str, code: i32) -> anyhow::Result<Ran> {
        self.job(&["runs", what, run, "--json"], code).await
    }

    /// The same where it ends with an error, and has no rows to show.
    pub async fn runs_refused(&self, what: &str, run: &str, code: i32) -> anyhow::Result<Ran> {
        self.onfile.run(&["runs", what, run, "--json"]).await?.expect(code)
    }

    /// The state of a run, by the list and by itself.
    pub async fn state(&self, run: &str) -> anyhow::Result<String> {
        let shown = self.onfile.run(&["runs", "show", run, "--json"]).await?.expect(0)?;
        let shown = text(&shown, "/state")?;
        let listed = self.onfile.run(&["runs", "--json"]).await?.expect(0)?.json()?;
        let listed = listed.pointer("/runs").and_then(serde_json::Value::as_array).cloned();
        let listed = listed.unwrap_or_default();
        let listed = listed.iter().find(|r| r.pointer("/run") == Some(&run.into()));
        let listed = listed.and_then(|r| r.pointer("/state")).and_then(|s| s.as_str());
        ensure!(listed == Some(&shown), "the list says {listed:?}, the run {shown}");
        Ok(shown)
    }

    /// How many customers and payment methods the provider holds.
    pub fn sizes(&self) -> (usize, usize) {
        let customers = self.provider.customers("pa_main");
        (customers.len(), customers.iter().map(|c| c.methods.len()).sum())
    }

    /// Calls that may have changed something there.
    pub fn changing(&self) -> u64 {
        let counters = self.provider.counters();
        ["create_customer", "bulk_import", "add_method", "set_default", "remove_method"]
            .iter()
            .map(|endpoint| counters.calls(endpoint))
            .sum()
    }
}

/// A text in a job's document.
pub fn text(ran: &Ran, path: &str) -> anyhow::Result<String> {
    let text = ran.json()?.pointer(path).and_then(|v| v.as_str()).map(str::to_owned);
    text.with_context(|| format!("no text at {path}: {ran:?}"))
}

/// The run that a job's document names.
pub fn run_of(ran: &Ran) -> anyhow::Result<String> {
    text(ran, "/run")
}

/// A canary that went well, and its run.
async fn waiting(world: &World) -> anyhow::Result<(Ran, String)> {
    let ran = world.job(&CANARY, 3).await?;
    ensure!(text(&ran, "/state")? == "awaiting_approval", "{ran:?}");
    let run = run_of(&ran)?;
    Ok((ran, run))
}

pub async fn sends_the_first_rows_alone(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    // A dry run says which they would be, by their first lines.
    let dry = world.job(&[&CANARY[..], &["--dry-run"]].concat(), 0).await?;
    let lines = dry.json()?.pointer("/canary").cloned().context("no canary")?;
    ensure!(lines.as_array().is_some_and(|lines| lines.len() == 3), "{dry:?}");
    ensure!(lines.pointer("/0") == Some(&2.into()), "{dry:?}");
    let (ran, run) = waiting(&world).await?;
    // Row 1 with its whole reference; the first bank account, and the first customer alone.
    let canary = [
        "C-1001 Ada Morales <ada.morales@example.com> 4242* 5100",
        "C-1004 Dmitri Ivanov <dmitri@example.com> 6789*",
        "C-1007 Grace Kim <grace.kim@example.com> ",
    ];
    ensure!(world.held() == canary, "{:#?}", world.held());
    ensure!(ran.count("/rows/created")? == 4, "{ran:?}");
    ensure!(ran.count("/rows/not_attempted")? == 16, "{ran:?}");
    ensure!(ran.count("/planned/create_customer+import_method")? == 12, "{ran:?}");
    ensure!(ran.stderr.contains("16 rows wait for approval"), "{ran:?}");
    ensure!(ran.stderr.contains(&format!("hint: onfile runs approve {run}")), "{ran:?}");
    ensure!(ran.json()?.pointer("/error").is_none(), "{ran:?}");
    ensure!(world.state(&run).await? == "awaiting_approval");
    let counters = world.provider.counters();
    ensure!(counters.calls("create_customer") == 3, "{counters:?}");
    ensure!(counters.calls("bulk_import") == 1, "{counters:?}");
    // Each was read back: the customer, and the methods of those that have some.
    ensure!(counters.calls("get_customer") == 3, "{counters:?}");
    ensure!(counters.calls("list_methods") == 2, "{counters:?}");

    // It holds no lease: another import goes through meanwhile.
    world.file("other.csv", "reference,name\nX-1,Xenia\n")?;
    let dry = world.job(&["import", "gov", "other.csv", "--json", "--dry-run"], 0).await?;
    ensure!(!dry.stderr.contains("warning["), "{dry:?}");
    let other = world.job(&["import", "gov", "other.csv", "--json"], 0).await?;
    let warning = format!("warning[awaiting_approval]: run {run} (sample.csv) waits");
    ensure!(other.stderr.contains(&warning), "{other:?}");
    ensure!(other.stderr.contains(&format!("onfile runs cancel {run}")), "{other:?}");

    let ran = world.runs("approve", &run, 0).await?;
    ensure!(text(&ran, "/state")? == "done", "{ran:?}");
    ensure!(run_of(&ran)? == run, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 16, "{ran:?}");
    ensure!(ran.count("/customers/seen")? == 16, "{ran:?}");
    ensure!(ran.count("/methods/created")? == 18, "{ran:?}");
    ensure!(world.state(&run).await? == "done");
    // The summary is of the whole run, what its canary did included.
    ensure!(ran.count("/calls/changing")? == world.changing() - 1, "{ran:?}");
    ensure!(world.sizes() == (SAMPLE.0 + 1, SAMPLE.1), "{:#?}", world.held());
    ensure!(world.provider.counters().calls("create_customer") == 17);
    ensure!(world.held().iter().any(|h| h == canary[0]), "{:#?}", world.held());
    // What the run made is what the file says, and it waits no more.
    let again = world.job(&["import", "gov", "sample.csv", "--json"], 0).await?;
    ensure!(!again.stderr.contains("warning["), "{again:?}");
    ensure!(again.count("/rows/unchanged")? == 20, "{again:?}");
    Ok(())
}

pub async fn has_one_of_each_kind(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let now = SystemClock.now().micros() / 1_000_000;
    let mut rows = String::from(
        "reference,name,method,token,token_kind,last4,exp_month,exp_year,account_type,default\n",
    );
    for n in 1..=5 {
        rows += &format!("K-1{n},Card {n},card,tok_{n},processor,4242,12,2030,,true\n");
    }
    for n in 1..=3 {
        rows += &format!("K-2{n},Swap {n},card,pxt_{now}_{n},proxynized,1881,11,2031,,true\n");
    }
    for n in 1..=3 {
        rows += &format!("K-3{n},Bank {n},bank_account,tok_b{n},processor,6789,,,checking,\n");
    }
    rows += "K-41,Alone 1,,,,,,,,\nK-42,Alone 2,,,,,,,,\n";
    world.file("kinds.csv", &rows)?;
    let ran = world.job(&["import", "gov", "kinds.csv", "--json", "--canary", "2"], 3).await?;
    let held = [
        "K-11 Card 1 <-> 4242*",
        "K-12 Card 2 <-> 4242*",
        "K-21 Swap 1 <-> 1881*",
        "K-31 Bank 1 <-> 6789",
        "K-41 Alone 1 <-> ",
    ];
    ensure!(world.held() == held, "{:#?}", world.held());
    ensure!(world.provider.counters().calls("set_default") == 1);
    let ran = world.runs("approve", &run_of(&ran)?, 0).await?;
    ensure!(ran.count("/rows/created")? == 13, "{ran:?}");
    ensure!(world.sizes() == (13, 11), "{:#?}", world.held());
    let counters = world.provider.counters();
    ensure!(counters.calls("create_customer") == 13, "{counters:?}");
    ensure!(counters.calls("add_method") == 3, "{counters:?}");
    ensure!(counters.calls("set_default") == 3, "{counters:?}");
    Ok(())
}

pub async fn refused_fails_the_run(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.file(
        "sample.csv",
        "reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
         B-1,Ann,card,bad_token,processor,4242,12,2030\n\
         B-2,Bob,card,tok_b,processor,4242,12,2030\n\
         B-3,Cid,card,tok_c,processor,4242,12,2030\n",
    )?;
    let ran = world.job(&CANARY, 1).await?;
    ensure!(text(&ran, "/state")? == "failed", "{ran:?}");
    ensure!(ran.stderr.contains("error[canary_failed]: the canary failed: line 2"), "{ran:?}");
    ensure!(ran.stderr.contains("invalid_token") && ran.stderr.contains("hint:"), "{ran:?}");
    ensure!(ran.count("/rows/refused")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/not_attempted")? == 2, "{ran:?}");
    // Nothing but the canary was sent, and nothing more goes.
    ensure!(world.held() == ["B-1 Ann <-> "], "{:#?}", world.held());
    let sent = world.changing();
    let run = run_of(&ran)?;
    for what in ["approve", "resume"] {
        let ran = world.runs_refused(what, &run, 1).await?;
        ensure!(ran.stderr.contains("error[run_state]"), "{what}: {ran:?}");
        ensure!(ran.stderr.contains("is failed, not"), "{what}: {ran:?}");
    }
    // Its tokens are destroyed when somebody says so; that it failed is not forgotten.
    let error = text(&ran, "/error")?;
    for _ in 0..2 {
        let ran = world.runs("cancel", &run, 0).await?;
        ensure!(text(&ran, "/state")? == "failed", "{ran:?}");
        ensure!(text(&ran, "/error")? == error, "{ran:?}");
        ensure!(ran.count("/rows/refused")? == 1, "{ran:?}");
        ensure!(ran.count("/codes/run_cancelled")? == 2, "{ran:?}");
        ensure!(tokens(&world.db, &run).await? == 0, "tokens are left");
    }
    ensure!(world.state(&run).await? == "failed");
    ensure!(world.changing() == sent && sent == 2, "{sent}");
    Ok(())
}

pub async fn a_lost_answer_is_settled_first(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=drop_after").await?;
    let ran = world.job(&CANARY, 3).await?;
    world.all_fired()?;
    ensure!(ran.count("/codes/found_later")? == 3, "{ran:?}");
    ensure!(world.sizes() == (3, 3), "{:#?}", world.held());
    ensure!(world.provider.counters().calls("bulk_import") == 1);
    Ok(())
}

pub async fn not_read_back_fails_the_run(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "list_methods=empty_account").await?;
    let ran = world.job(&CANARY, 1).await?;
    world.all_fired()?;
    ensure!(text(&ran, "/state")? == "failed", "{ran:?}");
    ensure!(ran.stderr.contains("error[canary_failed]"), "{ran:?}");
    // The fault shows the list of somebody else's account: no such customer there.
    ensure!(ran.stderr.contains("when its methods are read back"), "{ran:?}");
    ensure!(world.sizes() == (3, 3), "{:#?}", world.held());
    Ok(())
}

pub async fn a_customer_not_read_back_fails_the_run(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "get_customer=empty_account").await?;
    let ran = world.job(&CANARY, 1).await?;
    world.all_fired()?;
    ensure!(text(&ran, "/state")? == "failed", "{ran:?}");
    ensure!(ran.stderr.contains("line 2: the customer is not there"), "{ran:?}");
    ensure!(ran.stderr.contains("(and 2 more)"), "{ran:?}");
    ensure!(world.sizes() == (3, 3), "{:#?}", world.held());
    Ok(())
}

pub async fn shown_late_is_waited_for(db: Arc<TestDb>) -> Result {
    // The first looks see nothing; the provider's read lag is not over.
    let faults = "get_customer:1..2=empty_account,list_methods:1=empty_account";
    let world = World::new(db, 0, faults).await?;
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    world.file("onfile.toml", &config.replace("late_seconds = 0.01", "late_seconds = 10"))?;
    let (ran, _) = waiting(&world).await?;
    world.all_fired()?;
    ensure!(ran.count("/rows/created")? == 4, "{ran:?}");
    Ok(())
}

pub async fn that_is_all_ends_the_run(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let all = ["import", "gov", "sample.csv", "--json", "--canary", "20"];
    let ran = world.job(&all, 0).await?;
    ensure!(text(&ran, "/state")? == "done", "{ran:?}");
    ensure!(ran.count("/rows/created")? == 20, "{ran:?}");
    ensure!(world.sizes() == SAMPLE, "{:#?}", world.held());
    // Read back all the same.
    ensure!(world.provider.counters().calls("get_customer") == 16);
    let sent = world.changing();
    // Nothing to send: nothing to approve.
    let ran = world.job(&CANARY, 0).await?;
    ensure!(text(&ran, "/state")? == "done", "{ran:?}");
    ensure!(ran.count("/rows/unchanged")? == 20, "{ran:?}");
    ensure!(world.changing() == sent);
    // One new row among those that are done: it is the canary, and the others end with it.
    let more = format!("{}r21,C-1017,Quinn,quinn@example.com,,,,,,,,,,,,,\n", super::SAMPLE);
    world.file("sample.csv", &more)?;
    let ran = world.job(&CANARY, 0).await?;
    ensure!(ran.count("/rows/unchanged")? == 20, "{ran:?}");
    ensure!(ran.count("/rows/created")? == 1, "{ran:?}");
    ensure!(world.changing() == sent + 1);
    Ok(())
}

pub async fn what_was_not_planned_waits_too(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let card = NewMethod::card("VISA", "4242", 12, 2030);
    let ada = world.provider.create_customer("pa_main", Some("A-1"), "Ada", "a@b.c")?;
    let saved = world.provider.add_method("pa_main", &ada, card, false)?;
    world.onfile.run(&["pull", "gov"]).await?.expect(0)?;
    // What the pull saw is gone by now: only the provider itself can tell.
    world.provider.remove_method("pa_main", &ada, &saved)?;
    world.file(
        "sample.csv",
        "reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
         A-1,,card,tok_a,processor,4242,12,2030\n\
         B-2,Bob,card,tok_b,processor,1881,12,2030\n",
    )?;
    let dry = world.job(&["import", "gov", "sample.csv", "--json", "--dry-run"], 0).await?;
    ensure!(dry.count("/planned/create_customer+import_method")? == 1, "{dry:?}");
    ensure!(dry.count("/planned/nothing")? == 1, "{dry:?}");
    let (ran, run) = waiting(&world).await?;
    ensure!(ran.stderr.contains("1 rows wait for approval"), "{ran:?}");
    ensure!(world.held() == ["A-1 Ada <a@b.c> ", "B-2 Bob <-> 1881"], "{:#?}", world.held());
    let ran = world.runs("approve", &run, 0).await?;
    ensure!(ran.count("/rows/created")? == 2, "{ran:?}");
    ensure!(world.held() == ["A-1 Ada <a@b.c> 4242", "B-2 Bob <-> 1881"], "{:#?}", world.held());
    Ok(())
}

pub async fn changed_at_the_provider_is_no_fault(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let header = "reference,name,email,method,token,token_kind,last4,exp_month,exp_year\n";
    let row = |who: &str, email: &str, token: &str, last4: &str| {
        format!("{who},Name,{email},card,{token},processor,{last4},12,2030\n")
    };
    world.file("rows.csv", &format!("{header}{}", row("A-1", "a@b.c", "tok_1", "4242")))?;
    world.job(&["import", "gov", "rows.csv", "--json"], 0).await?;
    let customer = world.provider.customer_by_reference("pa_main", "A-1").context("there")?.id;
    let email = Some("payer@b.c".to_owned());
    let edit = Change::EditCustomer {
        customer,
        reference: None,
        name: None,
        email,
        fields: BTreeMap::new(),
    };
    world.provider.change("pa_main", edit)?;
    // Its new card is saved; its new e-mail is not written over what somebody changed since.
    let rows = [
        row("A-1", "new@b.c", "tok_2", "1881"),
        row("B-1", "b@b.c", "tok_3", "0005"),
        row("C-1", "c@b.c", "tok_4", "0005"),
    ];
    world.file("rows.csv", &format!("{header}{}", rows.concat()))?;
    let args = ["import", "gov", "rows.csv", "--json", "--canary", "1", "--max-rejected", "9"];
    let ran = world.job(&args, 3).await?;
    ensure!(text(&ran, "/state")? == "awaiting_approval", "{ran:?}");
    ensure!(ran.count("/codes/changed_at_provider")? == 1, "{ran:?}");
    let held = ["A-1 Name <payer@b.c> 1881 4242", "B-1 Name <b@b.c> 0005"];
    ensure!(world.held() == held, "{:#?}", world.held());
    Ok(())
}

pub async fn waits_for_approval_once(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let (_, run) = waiting(&world).await?;
    let early = world.runs_refused("resume", &run, 1).await?;
    ensure!(early.stderr.contains("is awaiting approval, not paused"), "{early:?}");
    ensure!(early.stderr.contains(&format!("onfile runs approve {run}")), "{early:?}");
    world.runs("approve", &run, 0).await?;
    let sent = world.changing();
    let again = world.runs_refused("approve", &run, 1).await?;
    ensure!(again.stderr.contains("error[run_state]"), "{again:?}");
    ensure!(again.stderr.contains("is done, not awaiting approval"), "{again:?}");
    ensure!(again.stderr.contains("hint:"), "{again:?}");
    let nobody = world.runs_refused("approve", "01J0000000000000000000000", 1).await?;
    ensure!(nobody.stderr.contains("error[no_such_run]"), "{nobody:?}");
    ensure!(world.changing() == sent && world.sizes() == SAMPLE);
    Ok(())
}

pub async fn another_configuration_is_refused(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let (_, run) = waiting(&world).await?;
    let sent = world.changing();
    for more in
        ["reference_namespace = \"other\"", "on_unfit_field = \"omit\"", "match_by_email = true"]
    {
        world.configure(more)?;
        let ran = world.runs_refused("approve", &run, 4).await?;
        ensure!(ran.stderr.contains("error[config_changed]"), "{more}: {ran:?}");
        ensure!(ran.stderr.contains("hint:"), "{more}: {ran:?}");
        ensure!(world.state(&run).await? == "awaiting_approval");
    }
    ensure!(world.changing() == sent);
    // How fast it goes may change.
    world.configure("import_batch = 7\nquarantine_seconds = 70")?;
    world.runs("approve", &run, 0).await?;
    ensure!(world.sizes() == SAMPLE, "{:#?}", world.held());
    ensure!(world.provider.counters().calls("bulk_import") == 1 + 3);
    Ok(())
}

pub async fn an_account_in_use_is_refused(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer[X-1]:1=delay_after_ms(3000)").await?;
    let (_, run) = waiting(&world).await?;
    world.file("other.csv", "reference,name\nX-1,Xenia\n")?;
    let other = world.onfile.start(&["import", "gov", "other.csv", "--json"])?;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.provider.counters().calls("create_customer") < 4 {
        ensure!(tokio::time::Instant::now() < deadline, "the other import sent nothing");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let ran = world.runs_refused("approve", &run, 1).await?;
    ensure!(ran.stderr.contains("error[account_busy]"), "{ran:?}");
    ensure!(world.state(&run).await? == "awaiting_approval");
    let other = other.end().await?.expect(0)?;
    world.all_fired()?;
    let holder = run_of(&other)?;
    ensure!(ran.stderr.contains(&format!("another run, {holder}, holds account gov")), "{ran:?}");
    ensure!(ran.stderr.contains("its lease lasts until 2"), "{ran:?}");
    ensure!(ran.stderr.contains(&format!("`onfile runs resume {holder}`")), "{ran:?}");
    world.runs("approve", &run, 0).await?;
    ensure!(world.sizes() == (SAMPLE.0 + 1, SAMPLE.1), "{:#?}", world.held());
    Ok(())
}

pub async fn cancelled_leaves_nothing_behind(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let (_, run) = waiting(&world).await?;
    ensure!(tokens(&world.db, &run).await? > 0, "no token waits");
    let sent = world.changing();
    for again in [false, true] {
        let ran = world.runs("cancel", &run, 0).await?;
        ensure!(text(&ran, "/state")? == "cancelled", "{ran:?}");
        let already = format!("run {run} was cancelled already");
        ensure!(ran.stderr.contains(&already) == again, "{ran:?}");
        ensure!(ran.count("/rows/created")? == 4, "{ran:?}");
        ensure!(ran.count("/rows/not_attempted")? == 16, "{ran:?}");
        ensure!(ran.count("/codes/run_cancelled")? == 16, "{ran:?}");
        ensure!(ran.json()?.pointer("/planned").is_none(), "{ran:?}");
        ensure!(tokens(&world.db, &run).await? == 0, "tokens are left");
    }
    ensure!(world.state(&run).await? == "cancelled");
    let approve = world.runs_refused("approve", &run, 1).await?;
    ensure!(approve.stderr.contains("is cancelled, not awaiting approval"), "{approve:?}");
    ensure!(world.changing() == sent);
    world.onfile.run(&["report", &run, "--out", "out"]).await?.expect(0)?;
    let rows = std::fs::read_to_string(world.db.folder().join("out/rows.csv"))?;
    ensure!(rows.matches(",not_attempted,run_cancelled,").count() == 16, "{rows}");
    // What the canary made is known when the file comes again.
    let again = world.job(&["import", "gov", "sample.csv", "--json"], 0).await?;
    ensure!(again.count("/rows/unchanged")? == 4, "{again:?}");
    ensure!(again.count("/rows/created")? == 16, "{again:?}");
    ensure!(world.sizes() == SAMPLE, "{:#?}", world.held());
    Ok(())
}

pub async fn stopped_on_the_way_goes_on_as_a_canary(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(1500)").await?;
    let mut child = world.onfile.start(&CANARY)?;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.provider.counters().calls("bulk_import") == 0 {
        ensure!(tokio::time::Instant::now() < deadline, "the canary was never sent");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.signal("INT").await?;
    let ran = child.end().await?.expect(3)?;
    world.all_fired()?;
    ensure!(text(&ran, "/state")? == "paused", "{ran:?}");
    // Resuming is no approval: the same canary is read back, and waits.
    let run = run_of(&ran)?;
    let ran = world.runs("resume", &run, 3).await?;
    ensure!(text(&ran, "/state")? == "awaiting_approval", "{ran:?}");
    ensure!(ran.count("/rows/created")? == 4, "{ran:?}");
    ensure!(world.sizes() == (3, 3), "{:#?}", world.held());
    ensure!(world.provider.counters().calls("get_customer") >= 3);
    world.runs("approve", &run, 0).await?;
    ensure!(world.sizes() == SAMPLE, "{:#?}", world.held());
    ensure!(world.provider.counters().calls("create_customer") == 16);
    Ok(())
}

pub async fn killed_on_the_way_sends_no_other(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "bulk_import:1=delay_after_ms(60000)").await?;
    killed(&world, world.onfile.start(&CANARY)?, 1).await?;
    ensure!(world.sizes() == (3, 3), "{:#?}", world.held());
    let (held, sent) = (world.held(), world.changing());
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?;
    let run = text(&runs, "/runs/0/run")?;
    expire(&world.db).await?;
    // What became of the canary is read back, and no other rows take its place.
    let ran = world.runs("resume", &run, 3).await?;
    ensure!(text(&ran, "/state")? == "awaiting_approval", "{ran:?}");
    ensure!(ran.count("/codes/found_later")? == 3, "{ran:?}");
    ensure!(world.changing() == sent, "something was sent");
    ensure!(world.held() == held, "{:#?}", world.held());
    ensure!(ran.count("/rows/created")? == 4, "{ran:?}");
    Ok(())
}

pub async fn killed_half_way_is_completed(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "create_customer:2=delay_after_ms(60000)").await?;
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    world.file("onfile.toml", &config.replace("in_flight = 8", "in_flight = 1"))?;
    killed_at(&world, world.onfile.start(&CANARY)?, "create_customer", 2).await?;
    let sent = world.changing();
    ensure!(sent == 2, "the other rows of the canary were sent: {sent}");
    let runs = world.onfile.run(&["runs", "--json"]).await?.expect(0)?;
    let run = text(&runs, "/runs/0/run")?;
    expire(&world.db).await?;
    // The lost create is found; then what was left of the canary goes out, and nothing else.
    let ran = world.runs("resume", &run, 3).await?;
    ensure!(text(&ran, "/state")? == "awaiting_approval", "{ran:?}");
    ensure!(world.sizes() == (3, 3), "{:#?}", world.held());
    ensure!(world.provider.counters().calls("create_customer") == 3);
    Ok(())
}

pub async fn cannot_be_none(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    for wrong in [["--canary", "0"], ["--canary", "x"], ["--max-failures", "101%"]] {
        let args = [&["import", "gov", "sample.csv"][..], &wrong[..]].concat();
        let ran = world.onfile.run(&args).await?.expect(1)?;
        ensure!(ran.stderr.contains(wrong[0]), "{ran:?}");
    }
    ensure!(world.provider.log().is_empty());
    Ok(())
}
