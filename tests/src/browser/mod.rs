//! The report's page in a browser: runs as a person makes them, their reports as the browser shows
//! them, in light and dark, narrow and wide, and on paper.
//!
//! - `ONFILE_TEST_CHROMIUM` says where Chromium is; without it the PATH is looked through.
//! - `ONFILE_REQUIRE_CHROMIUM=1` makes a missing one a failure; without it these trials are ignored.

mod checks;
mod chromium;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use sandbox::NewMethod;

use crate::binary::Ran;
use crate::env::{Database, Env, TestDb};
use crate::jobs::{World, called};
use checks::{text, wrong_with};
use chromium::Tab;

type Result<T = ()> = anyhow::Result<T>;

pub fn trials(env: &Env) -> Vec<Trial> {
    let trial = |case: &str, run| env.trial_on("browser", Database::Sqlite, case, run);
    vec![
        trial("an_import_with_trouble", boxed(an_import_with_trouble)),
        trial("a_dry_run", boxed(a_dry_run)),
        trial("a_pull", boxed(a_pull)),
        trial("what_is_wrong_is_seen", boxed(what_is_wrong_is_seen)),
    ]
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = Result> + Send>>;

/// Trials of different types in one list.
fn boxed<F, Fut>(run: F) -> Box<dyn FnOnce(Arc<TestDb>) -> Boxed + Send>
where
    F: FnOnce(Arc<TestDb>) -> Fut + Send + 'static,
    Fut: Future<Output = Result> + Send + 'static,
{
    Box::new(move |db| Box::pin(run(db)))
}

/// People's values: a provider's words may quote them, and a reference or a row's key may be one.
const EMAIL: &str = "eve.echoed@example.com";
const PHONE: &str = "+1 303 555 0147";
const STREET: &str = "4711 Quiet Street";
const CITY: &str = "Louisville";
const POSTAL_CODE: &str = "80027";
const REFERENCE: &str = "fay@example.org";
const ROW_ID: &str = "crm:hal@example.net";
const HIDDEN: [&str; 7] = [EMAIL, PHONE, STREET, CITY, POSTAL_CODE, REFERENCE, ROW_ID];
/// Must not widen the page.
const LONG: &str =
    "-and_no_place_to_break_it_in_a_line_that_is_far_too_short_for_all_of_it_on_a_small_screen";
/// Must stay text.
const SCRIPT: &str = "<script>alert(1)</script>";

/// Rows that end in every way but one: C-1 and Gil's are good, Ada's is never heard of, Eve is
/// refused by an answer that quotes her, and with her what comes behind her; the last two are
/// declined.
fn trouble() -> String {
    format!(
        "row_id,reference,name,email,phone,line1,city,postal_code,method,token,token_kind,brand,last4,exp_month,exp_year\n\
         r-1,C-1,Ben Okafor,ben@example.com,,,,,card,tok_1,processor,VISA,1881,7,2031\n\
         r-2,C-1001,Ada Morales,ada@example.com,,,,,card,tok_2,processor,VISA,4242,12,2030\n\
         r-3,C-3,Eve Moreau,{EMAIL},{PHONE},{STREET},{CITY},{POSTAL_CODE},,,,,,,\n\
         r-4,C-3,,,,,,,card,tok_4,processor,VISA,0005,1,2031\n\
         r-5,C-5,Gil Sand,gil@example.com,,,,,card,tok_5,processor,MASTERCARD,5100,3,2031\n\
         {ROW_ID},C-6,Hal Imre,hal@example.com,,,,,card,bad_token,processor,VISA,7777,3,2031\n\
         r-7,{REFERENCE},Fay Lund,fay@example.com,,,,,card,tok_7,processor,VISA,1111,13,2031\n\
         {SCRIPT},{SCRIPT}{LONG},Kit Voss,kit@example.com,,,,,card,tok_8,processor,VISA,2222,0,2031\n"
    )
}

/// An import whose rows end in many ways.
async fn import_with_trouble(db: Arc<TestDb>) -> Result<(World, String)> {
    let faults = "create_customer[C-3]:1=echo_request_in_error,bulk_import:1=delay_after_ms(2500)";
    let world = World::new(db, 0, faults).await?;
    world.soon()?;
    world.file("customers.csv", &trouble())?;
    let args = ["import", "gov", "customers.csv", "--max-rejected", "99%", "--json"];
    let importing = world.onfile.start(&args)?;
    called(&world, "bulk_import", 1).await?;
    // Before the answer is lost a payer saves the same card: nobody can tell which is ours.
    let ada = world.provider.customer_by_reference("pa_main", "C-1001").context("no such")?;
    let card = NewMethod::card("VISA", "4242", 12, 2030);
    world.provider.add_method("pa_main", &ada.id, card, false)?;
    let ran = importing.end().await?.expect(2)?;
    world.all_fired()?;
    let run = run_of(&ran)?;
    Ok((world, run))
}

fn run_of(ran: &Ran) -> Result<String> {
    let ran = ran.json()?;
    Ok(ran.pointer("/run").and_then(|run| run.as_str()).context("no run")?.to_owned())
}

/// Writes the report of a run, and says where its page is.
async fn page(world: &World, run: &str, out: &str, more: &[&str]) -> Result<PathBuf> {
    let report = ["report", run, "--out", out];
    world.onfile.run(&[&report[..], more].concat()).await?.expect(0)?;
    Ok(world.db.folder().join(out).join("report.html"))
}

/// Fails if anything is wrong with a page, which is open then.
async fn is_right(tab: &mut Tab, file: &Path) -> Result {
    let wrong = wrong_with(tab, file).await?;
    ensure!(wrong.is_empty(), "{}:\n{}", file.display(), wrong.join("\n"));
    Ok(())
}

async fn an_import_with_trouble(db: Arc<TestDb>) -> Result {
    let mut tab = Tab::start().await?;
    let (world, run) = import_with_trouble(db).await?;
    let file = page(&world, &run, "out", &[]).await?;
    is_right(&mut tab, &file).await?;
    let verdict = text(&mut tab, "h1").await?;
    ensure!(verdict == "2 of 8 rows are in place at gov; 6 need a person.", "{verdict}");
    let more = text(&mut tab, ".verdict .more").await?;
    ensure!(more == "1 unresolved, 2 refused, 2 rejected, 1 not attempted.", "{more}");
    let next = text(&mut tab, ".next > code").await?;
    ensure!(next == format!("onfile effects list --run {run}"), "{next}");
    let sums = [text(&mut tab, "#sum").await?, text(&mut tab, "#read").await?];
    ensure!(sums == ["8", "8"], "{sums:?}");
    let counted = tab
        .value(
            "[...document.querySelectorAll('.ledger tbody td:nth-child(2)')]\
             .reduce((sum, cell) => sum + Number(cell.textContent), 0)",
        )
        .await?;
    ensure!(counted == 8, "the outcomes come to {counted}");
    let first = text(&mut tab, ".rows tbody tr:first-child").await?;
    ensure!(first.contains("C-1001") && first.contains("unresolved"), "{first}");
    let last = text(&mut tab, ".rows tbody tr:last-child").await?;
    ensure!(last.contains("not attempted") && last.contains("customer_failed"), "{last}");
    let table = text(&mut tab, ".rows").await?;
    ensure!(table.contains(SCRIPT), "{table}");

    // Nobody's values, unless they are asked for.
    let source = "document.documentElement.outerHTML";
    let masked = tab.value(source).await?.to_string();
    for value in HIDDEN {
        ensure!(!masked.contains(value), "{value} is shown");
    }
    ensure!(masked.contains("•••"), "nothing is masked");
    let file = page(&world, &run, "open", &["--with-values"]).await?;
    is_right(&mut tab, &file).await?;
    let shown = tab.value(source).await?.to_string();
    for value in [REFERENCE, ROW_ID] {
        ensure!(shown.contains(value), "{value} is not shown: {shown}");
    }
    Ok(())
}

async fn a_dry_run(db: Arc<TestDb>) -> Result {
    let mut tab = Tab::start().await?;
    let world = World::new(db, 0, "").await?;
    world.file("customers.csv", &trouble())?;
    let args = ["import", "gov", "customers.csv", "--max-rejected", "99%", "--json", "--dry-run"];
    let ran = world.onfile.run(&[&args[..], &["--canary", "1"]].concat()).await?.expect(2)?;
    let file = page(&world, &run_of(&ran)?, "out", &[]).await?;
    is_right(&mut tab, &file).await?;
    let verdict = text(&mut tab, "h1").await?;
    let wanted = "Of 8 rows, 6 would be sent, 2 would be rejected.";
    ensure!(verdict == wanted, "{verdict}");
    let next = text(&mut tab, ".next > code").await?;
    ensure!(next == "onfile import gov customers.csv --dry-run", "{next}");
    let plan = text(&mut tab, "section[aria-labelledby=plan]").await?;
    for said in ["would go first", "calls:", "POST /api/customers", "never read"] {
        ensure!(plan.contains(said), "{said}: {plan}");
    }
    Ok(())
}

async fn a_pull(db: Arc<TestDb>) -> Result {
    let mut tab = Tab::start().await?;
    let world = World::new(db, 1200, "").await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let file = page(&world, &run_of(&ran)?, "out", &[]).await?;
    is_right(&mut tab, &file).await?;
    let verdict = text(&mut tab, "h1").await?;
    ensure!(verdict.starts_with("The pull read all of gov: 1,200 customers with "), "{verdict}");
    let coverage = text(&mut tab, "section[aria-labelledby=coverage]").await?;
    ensure!(coverage.contains("as of 20") && coverage.contains(" UTC"), "{coverage}");
    ensure!(text(&mut tab, "#ledger").await.is_err(), "a pull has no rows");
    Ok(())
}

/// Each check of a page finds what it is there for.
async fn what_is_wrong_is_seen(db: Arc<TestDb>) -> Result {
    let mut tab = Tab::start().await?;
    let world = World::new(db, 3, "").await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    let file = page(&world, &run_of(&ran)?, "out", &[]).await?;
    is_right(&mut tab, &file).await?;
    let right = std::fs::read_to_string(&file)?;
    let policy = right.lines().find(|line| line.contains("-Policy")).context("no policy")?;
    let free = right.replace(policy, "");
    let broken = file.with_file_name("broken.html");
    let with = |page: &str, more: &str| page.replace("</main>", &format!("{more}</main>"));
    for (what, page) in [
        ("sideways", with(&free, "<p style='width:900px'>wide</p>")),
        ("contrast", with(&free, "<p style='color:#8885'>faint</p>")),
        ("contrast", free.replace("--soft: #5b5a54", "--soft: #8b8a84")),
        ("texts", free.replace("<body>", "<body hidden>")),
        ("outline", with(&free, "<table><tr><th>bare</th></tr></table>")),
        ("schemes", free.replace("prefers-color-scheme: dark", "width: 1px")),
        ("paper", free.replace("@media print", "@media speech")),
        ("requests", with(&free, "<img src='none.png' alt=''>")),
        ("console", with(&free, "<script>console.error('loud')</script>")),
        // What the policy holds back is heard of.
        ("console", with(&right, "<script>console.error('loud')</script>")),
        ("console", with(&right, "<p style='color:red'>styled</p>")),
        ("console", right.replace("<style>", "<style> ")),
    ] {
        ensure!(page != right && page != free, "nothing was broken: {what}");
        std::fs::write(&broken, page)?;
        let wrong = wrong_with(&mut tab, &broken).await?;
        let is_seen = wrong.iter().any(|line| line.contains(&format!("{what}: ")));
        ensure!(is_seen, "{what} is not seen: {wrong:?}");
    }
    Ok(())
}
