//! The same jobs at each provider, by the binary: what they have in common is that nothing is there
//! twice, however a provider tells of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use model::{Clock as _, SystemClock};
use sandbox::{FaultPlan, Running, Sandbox, SandboxConfig};

use super::KEY;
use crate::binary::{Onfile, Ran};
use crate::env::TestDb;
use crate::providers::{self, ALL, COLUMNS, Method, Provider, Written};

type Result = anyhow::Result<()>;

/// An account at one of the providers, with so many seeded customers: `C-000001` and on.
struct At {
    provider: &'static dyn Provider,
    sandbox: Running,
    onfile: Onfile,
    db: Arc<TestDb>,
    /// The account's name in the configuration: one for each provider, in one store.
    account: String,
}

impl At {
    async fn start(
        provider: &'static dyn Provider,
        db: &Arc<TestDb>,
        customers: usize,
        faults: &str,
    ) -> anyhow::Result<Self> {
        let faults =
            if faults.is_empty() { FaultPlan::default() } else { FaultPlan::parse(faults)? };
        let vendor = provider.vendor();
        let config = SandboxConfig { customers, faults, vendor, ..SandboxConfig::default() };
        let sandbox = Sandbox::start(config).await?;
        let account = provider.kind().replace('-', "_");
        let mut onfile = Onfile::new(db.folder()).with_env("ONFILE_KEY", KEY);
        for (name, value) in provider.env() {
            onfile = onfile.with_env(name, value);
        }
        let config = format!(
            "[store]\nurl = \"{}\"\nencryption_key = {{ env = \"ONFILE_KEY\" }}\n\n\
             [accounts.{account}]\nkind = \"{}\"\nbase_url = \"{}\"\n{}\
             rate = {{ per_second = 2000, burst = 50, in_flight = 8 }}\n\
             timeout_seconds = 1\nlate_seconds = 0.01\n",
            db.url(),
            provider.kind(),
            sandbox.base_url(),
            provider.toml(&sandbox, provider.seeded()),
        );
        std::fs::write(db.folder().join("onfile.toml"), config)?;
        Ok(Self { provider, sandbox, onfile, db: Arc::clone(db), account })
    }

    /// Imports a file of customers: their number, and their e-mail address. Those that are there are
    /// the same persons, by their names.
    async fn import(&self, customers: &[(usize, &str)], code: i32) -> anyhow::Result<Ran> {
        let there = self.sandbox.customers(self.provider.seeded()).into_iter();
        let names: BTreeMap<String, String> = there
            .filter(|customer| !customer.deleted)
            .filter_map(|customer| Some((customer.reference?, customer.name?)))
            .collect();
        let rows = customers.iter().map(|(n, email)| {
            let reference = format!("C-{n:06}");
            let name = names.get(&reference).map_or("Ada Byron", String::as_str);
            format!("{reference},{name},{email}\n")
        });
        let text = format!("reference,name,email\n{}", rows.collect::<String>());
        std::fs::write(self.db.folder().join("file.csv"), text)?;
        let args = ["import", &self.account, "file.csv", "--max-rejected", "100%", "--json"];
        self.onfile.run(&args).await?.expect(code)
    }

    /// How many live customers have each reference.
    fn references(&self) -> BTreeMap<String, usize> {
        let mut references = BTreeMap::new();
        for customer in self.sandbox.customers(self.provider.seeded()) {
            if let Some(reference) = customer.reference.filter(|_| !customer.deleted) {
                *references.entry(reference).or_default() += 1;
            }
        }
        references
    }

    fn each_once(&self, customers: usize) -> Result {
        let references = self.references();
        let doubled: Vec<_> = references.iter().filter(|(_, count)| **count > 1).collect();
        ensure!(doubled.is_empty(), "{}: doubled: {doubled:?}", self.account);
        ensure!(references.len() == customers, "{}: {} there", self.account, references.len());
        Ok(())
    }

    /// Ends it, if every fault took place.
    async fn end(self) -> Result {
        let unfired = self.sandbox.faults_unfired();
        ensure!(unfired.is_empty(), "{}: faults that did not fire: {unfired:?}", self.account);
        self.sandbox.stop().await;
        Ok(())
    }

    fn endpoint(&self, name: &str) -> bool {
        self.sandbox.kind().endpoints().contains(&name)
    }
}

fn numbered(customers: impl Iterator<Item = usize>) -> Vec<(usize, &'static str)> {
    customers.map(|n| (n, "ada@example.com")).collect()
}

/// A file of 180 customers, of whom 120 are at the provider and none in the store.
pub async fn file_that_is_partly_there_doubles_nobody(db: Arc<TestDb>) -> Result {
    for provider in ALL {
        let at = At::start(*provider, &db, 120, "").await?;
        let all = numbered(1..=180);
        let ran = at.import(&all, 0).await?;
        ensure!(ran.count("/rows/created")? == 60, "{}: {ran:?}", at.account);
        ensure!(ran.count("/rows/linked")? == 120, "{}: {ran:?}", at.account);
        at.each_once(180)?;
        let again = at.import(&all, 0).await?;
        ensure!(again.count("/rows/unchanged")? == 180, "{}: {again:?}", at.account);
        ensure!(again.count("/calls/changing")? == 0, "{}: {again:?}", at.account);
        at.end().await?;
    }
    Ok(())
}

/// Somebody else made a customer of the same reference while ours was on its way: a provider that
/// takes a reference twice has both, and that is said.
pub async fn second_customer_of_a_reference_is_a_finding(db: Arc<TestDb>) -> Result {
    let ecrypt = ALL.iter().find(|provider| provider.kind() == "ecrypt").context("ecrypt")?;
    let at = At::start(*ecrypt, &db, 5, "create_customer[C-000019]=delay_ms(900)").await?;
    let account = ecrypt.seeded().to_owned();
    let customers = numbered(1..=19);
    let (ran, made) = tokio::join!(at.import(&customers, 0), async {
        while at.references().len() < 18 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        at.sandbox.create_customer(&account, Some("C-000019"), "Eve", "eve@example.com")
    });
    made?;
    let ran = ran?;
    ensure!(at.references().get("C-000019") == Some(&2), "{:?}", at.references());
    ensure!(ran.count("/findings/duplicate_at_provider")? == 1, "{ran:?}");
    at.end().await
}

/// Creates of which nothing is heard: one that took effect, one that did not, one that did and says
/// that it failed, one that takes effect late.
pub async fn lost_create_is_there_once(db: Arc<TestDb>) -> Result {
    const FAULTS: &str = "create_customer[C-000203]=drop_after*1,\
         create_customer[C-000207]=drop_before*1,create_customer[C-000211]=status_after(500)*1,\
         create_customer[C-000213]=status(500)*1,create_customer[C-000217]=late_execution_ms(300)*1";
    for provider in ALL {
        let at = At::start(*provider, &db, 30, FAULTS).await?;
        let ran = at.import(&numbered(201..=240), 0).await?;
        ensure!(ran.count("/rows/created")? == 40, "{}: {ran:?}", at.account);
        at.each_once(70)?;
        let again = at.import(&numbered(201..=240), 0).await?;
        ensure!(again.count("/rows/unchanged")? == 40, "{}: {again:?}", at.account);
        at.end().await?;
    }
    Ok(())
}

/// Changes of which nothing is heard, where a customer can be changed.
pub async fn lost_change_is_read_back(db: Arc<TestDb>) -> Result {
    const FAULTS: &str = "update_customer[C-000303]=drop_after*1,\
         update_customer[C-000305]=drop_before*1,update_customer[C-000307]=status_after(500)*1";
    let mut tried = 0;
    for provider in ALL {
        let at = At::start(*provider, &db, 0, "").await?;
        if !at.endpoint("update_customer") {
            continue;
        }
        tried += 1;
        at.import(&numbered(301..=310), 0).await?;
        at.sandbox.add_faults(FaultPlan::parse(FAULTS)?)?;
        let changed: Vec<_> = (301..=310).map(|n| (n, "new@example.com")).collect();
        let ran = at.import(&changed, 0).await?;
        ensure!(ran.count("/rows/updated")? == 10, "{}: {ran:?}", at.account);
        for customer in at.sandbox.customers(at.provider.seeded()) {
            let email = customer.email.as_deref();
            ensure!(email == Some("new@example.com"), "{}: {customer:?}", at.account);
        }
        let again = at.import(&changed, 0).await?;
        ensure!(again.count("/rows/unchanged")? == 10, "{}: {again:?}", at.account);
        at.end().await?;
    }
    ensure!(tried >= 2, "{tried} providers change customers");
    Ok(())
}

/// Where deleted customers keep their references.
pub async fn deleted_customer_is_never_linked(db: Arc<TestDb>) -> Result {
    let v2 = ALL.iter().find(|provider| provider.kind() == "v2").context("v2")?;
    let at = At::start(*v2, &db, 3, "").await?;
    let second = at.sandbox.customers(v2.seeded()).into_iter().nth(1).context("seeded")?;
    at.sandbox.delete_customer(v2.seeded(), &second.id)?;
    let ran = at.import(&numbered(1..=4), 2).await?;
    ensure!(ran.count("/codes/reference_retired")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/refused")? == 1, "{ran:?}");
    ensure!(ran.count("/rows/linked")? == 2 && ran.count("/rows/created")? == 1, "{ran:?}");
    let exported = at.onfile.run(&["export", "customers", "--format", "json"]).await?.expect(0)?;
    ensure!(!exported.stdout.contains(&second.id), "{exported:?}");
    at.end().await
}

/// Payment methods of every kind that a provider saves, by every kind of token that it takes.
pub async fn method_of_every_kind_is_saved_once(db: Arc<TestDb>) -> Result {
    let (mut saved, mut wanted) = (0, 0);
    for provider in ALL {
        let capabilities = providers::capabilities(*provider).await?;
        let now = SystemClock.now().micros() / 1_000_000;
        let (mut file, mut rows) = (format!("reference,name,{COLUMNS}\n"), 0);
        for kind in capabilities.method_kinds {
            let method = Method::numbered(*kind, 4711);
            for token in method.token_kinds(&capabilities) {
                rows += 1;
                let written = Written::new(*provider, method.clone(), token, rows, now);
                file += &format!("K-{rows},Ada Byron,{}\n", written.cells());
            }
        }
        if rows == 0 {
            continue;
        }
        wanted += rows;
        let at = At::start(*provider, &db, 0, "").await?;
        std::fs::write(at.db.folder().join("file.csv"), file)?;
        let args = ["import", &at.account, "file.csv", "--json"];
        let ran = at.onfile.run(&args).await?.expect(0)?;
        ensure!(ran.count("/rows/created")? == rows, "{}: {ran:?}", at.account);
        for customer in at.sandbox.customers(provider.seeded()) {
            ensure!(customer.methods.len() == 1, "{}: {customer:?}", at.account);
            saved += 1;
        }
        let again = at.onfile.run(&args).await?.expect(0)?;
        ensure!(again.count("/rows/unchanged")? == rows, "{}: {again:?}", at.account);
        ensure!(again.count("/calls/changing")? == 0, "{}: {again:?}", at.account);
        at.end().await?;
    }
    // At least cards and bank accounts by two tokens each at two providers, and a wallet.
    ensure!(saved == wanted && saved >= 9, "{saved} were saved of {wanted}");
    Ok(())
}

/// A payment method for somebody who is known calls what was said: nobody is looked for who was made.
pub async fn method_for_who_is_known_calls_what_was_said(db: Arc<TestDb>) -> Result {
    let mut tried = 0;
    for provider in ALL {
        let capabilities = providers::capabilities(*provider).await?;
        let now = SystemClock.now().micros() / 1_000_000;
        let kind = capabilities.method_kinds.iter().next().copied();
        let method = kind.map(|kind| Method::numbered(kind, 4711));
        let token = method.as_ref().and_then(|m| m.token_kinds(&capabilities).into_iter().next());
        let (Some(method), Some(token)) = (method, token) else { continue };
        tried += 1;
        let at = At::start(*provider, &db, 230, "").await?;
        at.onfile.run(&["pull", &at.account, "--confirm"]).await?.expect(0)?;
        let written = Written::new(*provider, method, token, 1, now);
        let mut there = at.sandbox.customers(provider.seeded()).into_iter();
        let known = there.find(|one| one.reference.is_some() && one.methods.is_empty());
        let reference = known.and_then(|one| one.reference).context("somebody without any")?;
        let file = format!("reference,{COLUMNS}\n{reference},{}\n", written.cells());
        std::fs::write(at.db.folder().join("file.csv"), file)?;
        let args = ["import", &at.account, "file.csv", "--json"];
        let ran = at.onfile.run(&args).await?.expect(0)?;
        ensure!(ran.count("/rows/created")? == 1, "{}: {ran:?}", at.account);
        let (least, most) =
            (ran.count("/forecast/calls/total_least")?, ran.count("/forecast/calls/total_most")?);
        let calls = ran.count("/calls/total")?;
        ensure!((least..=most).contains(&calls), "{}: {calls} calls: {ran:?}", at.account);
        at.end().await?;
    }
    ensure!(tried >= 2, "{tried} providers save payment methods");
    Ok(())
}

/// What was read while another field was taken for the reference says nothing of who is there.
pub async fn another_field_for_the_reference_doubles_nobody(db: Arc<TestDb>) -> Result {
    let ecrypt = ALL.iter().find(|provider| provider.kind() == "ecrypt").context("ecrypt")?;
    let at = At::start(*ecrypt, &db, 230, "").await?;
    let path = db.folder().join("onfile.toml");
    let right = std::fs::read_to_string(&path)?;
    std::fs::write(&path, format!("{right}reference_field = \"merchant_identifier\"\n"))?;
    let ran = at.onfile.run(&["pull", &at.account, "--confirm", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/findings/unreferenced")? == 230, "{ran:?}");
    std::fs::write(&path, right)?;
    let ran = at.import(&numbered(1..=240), 0).await?;
    ensure!(ran.count("/rows/created")? == 10, "{ran:?}");
    at.each_once(240)?;
    at.end().await
}

/// A pull after a pull changes nothing, whatever the list looks like.
pub async fn pull_after_a_pull_changes_nothing(db: Arc<TestDb>) -> Result {
    for provider in ALL {
        let at = At::start(*provider, &db, 230, "").await?;
        let methods: usize =
            at.sandbox.customers(provider.seeded()).iter().map(|c| c.methods.len()).sum();
        let first = at.onfile.run(&["pull", &at.account, "--json"]).await?.expect(0)?;
        ensure!(first.count("/customers/created")? == 230, "{}: {first:?}", at.account);
        ensure!(first.count("/methods/created")? == methods as u64, "{}: {first:?}", at.account);
        let second = at.onfile.run(&["pull", &at.account, "--json"]).await?.expect(0)?;
        ensure!(second.count("/customers/unchanged")? == 230, "{}: {second:?}", at.account);
        ensure!(
            second.count("/methods/unchanged")? == methods as u64,
            "{}: {second:?}",
            at.account
        );
        at.end().await?;
    }
    Ok(())
}

/// A provider that does not heed where a page of a customer's cards begins shows the first again and
/// again: that costs a few calls, and nothing of it is believed.
pub async fn list_of_cards_that_repeats_itself_is_given_up(db: Arc<TestDb>) -> Result {
    let v2 = ALL.iter().find(|provider| provider.kind() == "v2").context("v2")?;
    let at = At::start(*v2, &db, 40, "list_methods=repeat_page").await?;
    let ran = at.onfile.run(&["pull", &at.account, "--json"]).await?.expect(3)?;
    ensure!(ran.stderr.contains("error[malformed]"), "{ran:?}");
    ensure!(ran.stderr.contains("the same payment methods"), "{ran:?}");
    let calls = at.sandbox.counters().calls("list_methods");
    // Without an end a thousand for each of 40 customers.
    ensure!(calls <= 250, "{calls} calls");
    // One page that comes again is a row that a new card has pushed to it.
    at.sandbox.put_faults(FaultPlan::parse("list_methods[C-000007]:2=repeat_page")?)?;
    let ran = at.onfile.run(&["pull", &at.account, "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 40, "{ran:?}");
    at.end().await
}
