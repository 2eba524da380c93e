//! Canary secrets go in by every door; none comes out by any other. Beside each stands a harmless
//! marker that must be found, and each door is shown to have been used: a search that finds
//! nothing proves nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Clock, SystemClock};
use sandbox::proxy_token::Config;
use sandbox::{FaultPlan, Running, Sandbox, SandboxConfig, VendorConfig};
use sqlx::Connection as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::World;
use crate::binary::{Onfile, Ran};
use crate::env::{Database, TestDb};

type Result<T = ()> = anyhow::Result<T>;

const TOKEN: &str = "tok_canary_cell_a81f44c2";
const TOKEN_ECHOED: &str = "tok_canary_echo_5d0be173";
const TOKEN_KILLED: &str = "tok_canary_kill_90cc7e1a";
const TOKEN_IN_A_WRONG_FILE: &str = "tok_canary_file_3fb2d886";
/// Published test numbers.
const CARD_IN_A_CELL: &str = "4111111111111111";
const CARD_AT_THE_PROVIDER: &str = "5555555555554444";
const NAME_ECHOED: &str = "canary-name-echoed";
const CLIENT_SECRET: &str = "canary-client-secret-e7a1";
const WRONG_SECRET: &str = "canary-wrong-secret-09fd";
const BEARER: &str = "canary-bearer-b41c";
const PROXY_USER: &str = "canary-user";
const PROXY_PASSWORD: &str = "canary-password-d2f8";
const QUERY: &str = "canary-query-71ce";
/// What a permanent token begins with: only the provider's answer has one.
const PERMANENT: &str = "ptk_";

const ROW_MARKER: &str = "marker-row-77";
const NAME_MARKER: &str = "marker-name-77";
const REFERENCE_MARKER: &str = "marker-reference-77";
const ANSWER_MARKER: &str = "marker-answer@example.com";

/// Where something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Stdout,
    /// The stdout of a command that is asked for people's data.
    Asked,
    Stderr,
    Report,
    Database,
}

/// All that was said, each with where it was said.
#[derive(Debug, Default)]
struct Said(Vec<(Place, String, Vec<u8>)>);

impl Said {
    fn take(&mut self, what: &str, ran: &Ran) {
        self.0.push((Place::Stdout, what.to_owned(), ran.stdout.clone().into_bytes()));
        self.0.push((Place::Stderr, what.to_owned(), ran.stderr.clone().into_bytes()));
    }

    /// Runs onfile as chattily as it can, and keeps what it says.
    async fn run(&mut self, onfile: &Onfile, args: &[&str], code: i32) -> Result<Ran> {
        let ran = onfile.run(&[&["-vv"], args].concat()).await?;
        self.take(&format!("{args:?}"), &ran);
        ran.expect(code)
    }

    /// The same of a command that is asked for people's data.
    async fn ask(&mut self, onfile: &Onfile, args: &[&str]) -> Result {
        let ran = onfile.run(&[&["-vv"], args].concat()).await?.expect(0)?;
        self.0.push((Place::Asked, format!("{args:?}"), ran.stdout.into_bytes()));
        self.0.push((Place::Stderr, format!("{args:?}"), ran.stderr.into_bytes()));
        Ok(())
    }

    /// The reports, and the database as it lies there: its file, its log, or every row of it.
    async fn look_around(&mut self, db: &TestDb) -> Result {
        files_under(&db.folder().join("out"), Place::Report, &mut self.0)?;
        match db.database {
            Database::Sqlite => {
                for ending in ["", "-wal", "-shm", "-journal"] {
                    let path = format!("{}{ending}", db.file().display());
                    if let Ok(bytes) = std::fs::read(&path) {
                        self.0.push((Place::Database, path, bytes));
                    }
                }
            }
            Database::Postgres => {
                let bytes = dump(db.url()).await?;
                self.0.push((Place::Database, "the tables".into(), bytes));
            }
        }
        Ok(())
    }

    fn places(&self, text: &str) -> Vec<Place> {
        let found = self.0.iter().filter(|(_, _, bytes)| holds(bytes, text));
        found.map(|(place, ..)| *place).collect()
    }

    /// Where a canary stands and may not, plainly or as databases and headers write it.
    fn leaks(&self, what: &str, canary: &str, allowed: &[Place]) -> Vec<String> {
        let mut leaks = Vec::new();
        let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        for form in [canary.to_owned(), hex, STANDARD.encode(canary)] {
            for (place, said, bytes) in &self.0 {
                if !allowed.contains(place) && holds(bytes, &form) {
                    leaks.push(format!("{what} ({form}) stands in {place:?} {said}"));
                }
            }
        }
        leaks
    }
}

fn files_under(folder: &Path, place: Place, found: &mut Vec<(Place, String, Vec<u8>)>) -> Result {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_under(&path, place, found)?;
        } else {
            found.push((place, path.display().to_string(), std::fs::read(&path)?));
        }
    }
    Ok(())
}

/// Every row of every table, as text.
async fn dump(url: &str) -> Result<Vec<u8>> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
    )
    .fetch_all(&mut connection)
    .await?;
    let mut all = Vec::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT row_to_json(t)::text FROM \"{table}\" t"
        )))
        .fetch_all(&mut connection)
        .await?;
        all.extend(rows.join("\n").into_bytes());
    }
    Ok(all)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The provider, whose client's secret is a canary.
async fn provider(faults: &str) -> Result<Running> {
    let vendor = VendorConfig::ProxyToken(Config {
        client_secret: CLIENT_SECRET.into(),
        import_dedupes: false,
        ..Config::default()
    });
    let faults = FaultPlan::parse(faults)?;
    Ok(Sandbox::start(SandboxConfig { faults, vendor, ..SandboxConfig::default() }).await?)
}

/// One request, its answer whole.
async fn ask(provider: &Running, request: &str) -> Result<String> {
    let mut stream = tokio::net::TcpStream::connect(provider.addr()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The access tokens that the provider gave out: another one of the same seed gives out the same.
async fn access_tokens(of: &Running) -> Result<Vec<String>> {
    let twin = provider("").await?;
    let client = STANDARD.encode(format!("sandbox-client:{CLIENT_SECRET}"));
    let body = "grant_type=client_credentials&scope=com.govineer.payments/admin";
    let mut tokens = Vec::new();
    for _ in 0..of.tokens_issued() {
        let answer = ask(
            &twin,
            &format!(
                "POST /oauth2/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: \
                 Basic {client}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .await?;
        let token = answer.split('"').find(|text| text.starts_with("at_")).context("a token")?;
        tokens.push(token.to_owned());
    }
    let last = tokens.last().context("no token was given out")?;
    let get = format!(
        "GET /api/customers HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         x-payment-account-uid: pa_main\r\nauthorization: Bearer {last}\r\n\r\n"
    );
    let answer = ask(of, &get).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "it is not this provider's token: {answer}");
    Ok(tokens)
}

/// A proxy that takes nobody, and repeats what it was told. Returns its port and what it heard.
async fn proxy() -> Result<(u16, Arc<Mutex<String>>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let heard = Arc::<Mutex<String>>::default();
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => request.push(byte),
                    Err(_) => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let body = format!("who is {request}");
            kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&request);
            let answer = format!(
                "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            // Whoever hung up learns nothing.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok((port, heard))
}

/// Rows of one method each, so that each has a call of its own.
fn rows(now: i64) -> String {
    format!(
        "row_id,reference,name,email,method,token,token_kind,last4,exp_month,exp_year\n\
         {ROW_MARKER},{REFERENCE_MARKER},{NAME_MARKER},,card,{TOKEN},processor,4242,12,2030\n\
         2,S-2,Two,,card,{CARD_IN_A_CELL},processor,4242,12,2030\n\
         3,S-3,Three,,card,{TOKEN_ECHOED},processor,1881,12,2030\n\
         4,S-4,{NAME_ECHOED},,,,,,,\n\
         5,S-5,Five,,card,pxt_{now}_canary5,proxynized,5100,12,2030\n\
         6,S-6,Six,,card,pxt_{now}_canary6,proxynized,0005,12,2030\n"
    )
}

const ECHOES: &str = "bulk_import[S-3]:1=echo_request_in_error,\
    create_customer[S-4]:1=echo_request_in_error,add_method[S-6]:1=echo_request_in_error";

async fn world(db: Arc<TestDb>, proxy_port: u16) -> Result<World> {
    let key = super::KEY;
    let onfile = Onfile::new(db.folder())
        .with_env("ONFILE_KEY", key)
        .with_env("GOV_ID", "sandbox-client")
        .with_env("GOV_SECRET", CLIENT_SECRET)
        .with_env("FAR_BEARER", BEARER)
        .with_env(
            "FAR_PROXY",
            &format!("http://{PROXY_USER}:{PROXY_PASSWORD}@127.0.0.1:{proxy_port}"),
        );
    let world = World { provider: provider(ECHOES).await?, onfile, db };
    world.configure(
        "import_batch = 1\n\n[accounts.far]\nkind = \"proxy-token\"\n\
         base_url = \"https://provider.invalid\"\npayment_account_uid = \"pa_far\"\n\
         bearer = { env = \"FAR_BEARER\" }\nproxy = { env = \"FAR_PROXY\" }\n",
    )?;
    Ok(world)
}

pub async fn leave_no_trace(db: Arc<TestDb>) -> Result {
    let (port, heard) = proxy().await?;
    let world = world(db, port).await?;
    let onfile = &world.onfile;
    let now = SystemClock.now().micros() / 1_000_000;
    world.file("rows.csv", &rows(now))?;
    let at_provider = format!("Eve {CARD_AT_THE_PROVIDER}");
    world.provider.create_customer("pa_main", Some("E-1"), &at_provider, ANSWER_MARKER)?;

    let mut said = Said::default();
    let import = ["import", "gov", "rows.csv", "--max-rejected", "100%"];
    let first = said.run(onfile, &[&import[..], &["--json"]].concat(), 2).await?;
    world.all_fired()?;
    let (created, refused) = (first.count("/rows/created")?, first.count("/rows/refused")?);
    ensure!((created, refused, first.count("/codes/pan_found")?) == (2, 3, 1), "{first:?}");
    let held = world.held();
    ensure!(
        held.iter().any(|h| h.starts_with(REFERENCE_MARKER) && h.ends_with("4242")),
        "{held:?}"
    );
    ensure!(world.provider.counters().answered("add_method", 201) == 1, "nothing was swapped");
    let first = first.json()?;
    let run = first.pointer("/run").and_then(|run| run.as_str()).context("a run")?;
    said.run(onfile, &import, 2).await?;
    said.run(onfile, &["check", "gov"], 0).await?;
    let pulled = said.run(onfile, &["pull", "gov", "--json"], 0).await?;
    ensure!(pulled.count("/customers/created")? == 1, "{pulled:?}");
    said.run(onfile, &["pull", "gov"], 0).await?;
    said.run(onfile, &["runs"], 0).await?;
    said.run(onfile, &["runs", "show", run], 0).await?;
    for what in ["customers", "methods", "links"] {
        for more in [&[][..], &["--account", "gov"], &["--json"]] {
            said.ask(onfile, &[&["export", what][..], more].concat()).await?;
        }
    }
    let saved = world.provider.customer_by_reference("pa_main", REFERENCE_MARKER);
    let card = saved.and_then(|customer| customer.methods.first().map(|card| card.id.clone()));
    for more in [&[][..], &["--json"]] {
        let customer = ["history", "customer", REFERENCE_MARKER];
        said.ask(onfile, &[&customer[..], more].concat()).await?;
        let card = ["history", "method", card.as_deref().context("a card")?];
        said.ask(onfile, &[&card[..], more].concat()).await?;
    }
    said.run(onfile, &["report", run], 0).await?;
    said.run(onfile, &["report", run, "--out", "out"], 0).await?;

    wrong_in_every_way(&world, &mut said).await?;
    let far = said.run(onfile, &["check", "far"], 1).await?;
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let sent = STANDARD.encode(format!("{PROXY_USER}:{PROXY_PASSWORD}"));
    ensure!(heard.contains(&sent), "the proxy was not told who asks: {heard} {far:?}");
    said.look_around(&world.db).await?;
    killed(&world, &mut said).await?;
    said.look_around(&world.db).await?;

    // The markers are where they belong: the search sees what is there.
    for (what, marker, place) in [
        ("a row's key", ROW_MARKER, Place::Report),
        ("a row's reference", REFERENCE_MARKER, Place::Report),
        ("a row's name", NAME_MARKER, Place::Database),
        ("a row's name, exported", NAME_MARKER, Place::Asked),
        ("an answer's e-mail", ANSWER_MARKER, Place::Database),
        ("the code of an error that echoes", "invalid_request", Place::Report),
        ("the call for a token", "/oauth2/token", Place::Stderr),
        ("the name of a variable", "GOV_SECRET", Place::Stderr),
        ("the place of a wrong address", "token_url", Place::Stderr),
        ("the account behind the proxy", "far: error[", Place::Stdout),
        ("the log of calls", "onfile::calls", Place::Stderr),
    ] {
        ensure!(said.places(marker).contains(&place), "{what} ({marker}) is not in {place:?}");
    }
    let nowhere: &[Place] = &[];
    let mut leaks = Vec::new();
    let proxynized = [format!("pxt_{now}_canary5"), format!("pxt_{now}_canary6")];
    let basic = STANDARD.encode(format!("sandbox-client:{CLIENT_SECRET}"));
    for (what, canary, allowed) in [
        ("a token in a cell", TOKEN, nowhere),
        ("a token in a cell, saved alone", &proxynized[0], nowhere),
        ("a card number in a cell", CARD_IN_A_CELL, nowhere),
        ("a token in a file that is wrong", TOKEN_IN_A_WRONG_FILE, nowhere),
        ("a token of a run that was killed", TOKEN_KILLED, nowhere),
        ("a card number in an answer", CARD_AT_THE_PROVIDER, nowhere),
        ("a permanent token in an answer", PERMANENT, nowhere),
        ("a token in an error that echoes", TOKEN_ECHOED, nowhere),
        ("a token in an error that echoes, saved alone", &proxynized[1], nowhere),
        ("a name in an error that echoes", NAME_ECHOED, &[Place::Asked, Place::Database]),
        ("the client's secret", CLIENT_SECRET, nowhere),
        ("the client's secret as it is sent", &basic, nowhere),
        ("a secret that is not taken", WRONG_SECRET, nowhere),
        ("a bearer", BEARER, nowhere),
        ("the store's key", super::KEY, nowhere),
        ("a user in an address", PROXY_USER, nowhere),
        ("a password in an address", PROXY_PASSWORD, nowhere),
        ("both as they are sent", &sent, nowhere),
        ("the query of an address", QUERY, nowhere),
        // No secrets, but no log repeats a body.
        ("a row's name", NAME_MARKER, &[Place::Asked, Place::Database]),
        ("an answer's e-mail", ANSWER_MARKER, &[Place::Asked, Place::Database]),
        (
            "a row's reference",
            REFERENCE_MARKER,
            &[Place::Stdout, Place::Asked, Place::Report, Place::Database],
        ),
    ] {
        leaks.extend(said.leaks(what, canary, allowed));
    }
    for token in access_tokens(&world.provider).await? {
        leaks.extend(said.leaks("an access token", &token, nowhere));
    }
    ensure!(leaks.is_empty(), "{leaks:#?}");
    Ok(())
}

/// Files, keys, secrets and addresses that are wrong, each with a canary in it.
async fn wrong_in_every_way(world: &World, said: &mut Said) -> Result {
    let onfile = &world.onfile;
    for (text, code) in [
        (format!("{TOKEN_IN_A_WRONG_FILE},C-1,Ada\n"), "missing_column"),
        (format!("reference,name\nC-1,\"{TOKEN_IN_A_WRONG_FILE}\n"), "unclosed_quote"),
        (format!("reference,{CARD_IN_A_CELL}\nC-1,x\n"), "pan_found"),
        (
            format!("reference,metadata.a,metadata.a\n{TOKEN_IN_A_WRONG_FILE},,\n"),
            "duplicate_column",
        ),
    ] {
        world.file("wrong.csv", &text)?;
        let ran = said.run(onfile, &["import", "gov", "wrong.csv"], 1).await?;
        ensure!(ran.stderr.contains(code), "{code}: {ran:?}");
        said.run(onfile, &["import", "gov", "wrong.csv", "--json"], 1).await?;
    }
    world.file(
        "wrong.csv",
        &format!(
            "reference,name,method,token,token_kind,last4\n\
             W-1,a\"b,card,{TOKEN_IN_A_WRONG_FILE},processor,4242\n\
             W-2,a,card,{TOKEN_IN_A_WRONG_FILE},processor,{TOKEN_IN_A_WRONG_FILE}\n\
             W-3,a,card,processor,{TOKEN_IN_A_WRONG_FILE},4242\n\
             W-4,a,{TOKEN_IN_A_WRONG_FILE},x,processor,4242\n"
        ),
    )?;
    let args = ["import", "gov", "wrong.csv", "--dry-run"];
    let ran = said.run(onfile, &[&args[..], &["--json"]].concat(), 2).await?;
    ensure!(ran.count("/rows/rejected")? == 4, "{ran:?}");
    said.run(onfile, &args, 2).await?;

    let other_key = onfile.clone().with_env("ONFILE_KEY", &STANDARD.encode([7; 32]));
    said.run(&other_key, &["pull", "gov"], 4).await?;
    let no_secret = onfile.clone().without_env("GOV_SECRET");
    said.run(&no_secret, &["pull", "gov"], 4).await?;
    let wrong_secret = onfile.clone().with_env("GOV_SECRET", WRONG_SECRET);
    let asked = world.provider.token_requests();
    said.run(&wrong_secret, &["import", "gov", "rows.csv", "--max-rejected", "100%"], 3).await?;
    said.run(&wrong_secret, &["pull", "gov"], 3).await?;
    said.run(&wrong_secret, &["check", "gov"], 1).await?;
    ensure!(world.provider.token_requests() >= asked + 3, "the wrong secret was not sent");

    let file = "onfile.toml";
    let good = std::fs::read_to_string(world.db.folder().join(file))?;
    let token_url = world.provider.token_url();
    for wrong in [
        format!("{token_url}?key={QUERY}"),
        token_url.replace("http://", &format!("http://{PROXY_USER}:{PROXY_PASSWORD}@")),
    ] {
        ensure!(good.contains(&token_url));
        world.file(file, &good.replace(&token_url, &wrong))?;
        said.run(onfile, &["check"], 4).await?;
        said.run(onfile, &["check", "--json"], 4).await?;
    }
    world.file(file, &good)
}

/// A run that is killed with a call in flight: what lies on the disk then was not tidied up.
async fn killed(world: &World, said: &mut Said) -> Result {
    world.provider.put_faults(FaultPlan::parse("bulk_import[K-1]:1=delay_after_ms(60000)")?)?;
    world.file(
        "killed.csv",
        &format!(
            "reference,name,method,token,token_kind,last4,exp_month,exp_year\n\
             K-1,Kim,card,{TOKEN_KILLED},processor,4242,12,2030\n"
        ),
    )?;
    let mut child = world.onfile.start(&["-vv", "import", "gov", "killed.csv"])?;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while !world.provider.faults_unfired().is_empty() {
        ensure!(tokio::time::Instant::now() < deadline, "the call was never made");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.signal("KILL").await?;
    said.take("the killed import", &child.end().await?);
    if world.db.database == Database::Sqlite {
        let wal = format!("{}-wal", world.db.file().display());
        ensure!(std::fs::metadata(wal)?.len() > 0, "nothing lies beside the file");
    }
    Ok(())
}
