//! A file of some hundred rows, whose whole effect is compared with its text, and what somebody
//! changes at the provider afterwards. What is expected is read from the CSV text here, by itself,
//! and never by onfile's own reader or adapter.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use sandbox::{Change, CustomerView, MethodKind, MethodView};
use sha2::{Digest as _, Sha256};

use super::World;
use super::edits::{calls, cell, expected_calls, reported, rows_in};
use crate::env::TestDb;

type Result = anyhow::Result<()>;

const HEADER: &str = "row_id,reference,name,email,method,token,token_kind,brand,bin,last4,\
                      exp_month,exp_year,holder_name,bank_name,account_type,routing_number,default";

/// Customers of the large file.
const CUSTOMERS: usize = 240;

/// The sandbox shows no token, but what it hashes to.
fn digest(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// A customer, field by field, without the provider's own ids.
#[derive(Debug, PartialEq, Eq)]
struct Stands {
    name: Option<String>,
    email: Option<String>,
    methods: Vec<String>,
}

fn method_line(method: &MethodView) -> String {
    let MethodView { kind, last4, exp_month, exp_year, brand, bin, holder_name, .. } = method;
    let MethodView { routing_number, account_type, bank_name, is_default, token_sha256, .. } =
        method;
    format!(
        "{token_sha256} {kind:?} {last4} {exp_month:?}/{exp_year:?} {brand:?} {bin:?} \
         {holder_name:?} {routing_number:?} {account_type:?} {bank_name:?} {is_default}"
    )
}

/// What the provider holds, by reference.
fn held(world: &World) -> BTreeMap<String, Stands> {
    let stands = |customer: CustomerView| {
        let mut methods: Vec<String> = customer.methods.iter().map(method_line).collect();
        methods.sort();
        let stands = Stands { name: customer.name, email: customer.email, methods };
        (customer.reference.unwrap_or_default(), stands)
    };
    world.provider.customers("pa_main").into_iter().map(stands).collect()
}

/// What the provider must hold after the file was imported into nothing.
fn stated(text: &str) -> BTreeMap<String, Stands> {
    let mut stated: BTreeMap<String, Stands> = BTreeMap::new();
    for row in rows_in(text) {
        let own = |column: &str| cell(&row, column).map(str::to_owned);
        let number = |column: &str| cell(&row, column).and_then(|n| n.parse().ok());
        if own("row_id").is_some_and(|id| id.starts_with("bad")) {
            continue;
        }
        let stands = stated.entry(own("reference").unwrap_or_default()).or_insert_with(|| Stands {
            name: own("name"),
            email: own("email"),
            methods: Vec::new(),
        });
        let Some(kind) = own("method") else { continue };
        let card = kind == "card";
        stands.methods.push(method_line(&MethodView {
            id: String::new(),
            kind: if card { MethodKind::Card } else { MethodKind::Ach },
            last4: own("last4").unwrap_or_default(),
            exp_month: number("exp_month"),
            exp_year: number("exp_year"),
            brand: own("brand"),
            bin: own("bin"),
            holder_name: own("holder_name"),
            routing_number: own("routing_number"),
            account_type: own("account_type"),
            bank_name: own("bank_name"),
            chain_id: None,
            wallet_address: None,
            is_default: own("default").as_deref() == Some("true"),
            token_sha256: digest(&own("token").unwrap_or_default()),
        }));
        stands.methods.sort();
    }
    stated
}

/// Customers with none to three methods, cards and bank accounts, some of whose rows stand far
/// apart; rows that are rejected have a `row_id` that begins with `bad`.
fn large_file() -> String {
    let (mut rows, mut apart) = (Vec::new(), Vec::new());
    for n in 0..CUSTOMERS {
        let email = if n % 11 == 0 { String::new() } else { format!("c{n}@example.com") };
        let who = format!("L-{n:04},Näme {n},{email}");
        let count = if n % 8 == 7 { 0 } else { 1 + n % 3 };
        if count == 0 {
            rows.push(format!("{who},,,,,,,,,,,,,"));
        }
        let chosen = match n % 5 {
            4 => None,
            3 => Some(count.saturating_sub(1)),
            _ => Some(0),
        };
        for m in 0..count {
            let default = if chosen == Some(m) { "true" } else { "" };
            let last4 = format!("{:04}", (n * 13 + m * 1117) % 10_000);
            let row = if (n + m) % 4 == 3 {
                let kind = if n % 2 == 0 { "checking" } else { "savings" };
                format!(
                    "{who},bank_account,tok_{n}_{m},processor,,,{last4},,,Holder {n},\
                     First Example Bank,{kind},110000000,{default}"
                )
            } else {
                let brand = ["VISA", "MASTERCARD", "AMEX"][(n + m) % 3];
                let (month, year) = (1 + (n + m) % 12, 2031 + m);
                format!(
                    "{who},card,tok_{n}_{m},processor,{brand},411111,{last4},{month},{year},\
                     Holder {n},,,,{default}"
                )
            };
            if m > 0 && n % 6 == 0 { apart.push(row) } else { rows.push(row) }
        }
    }
    let card = |who: &str, token: &str, month: &str| {
        format!("{who},card,{token},processor,VISA,,4242,{month},2031,,,,,")
    };
    let bad = [
        (3, card("L-0001,Näme 1,c1@example.com", "tok_1_x", "13")),
        (9, card("X-1,Xa,x@example.com", "4111111111111111", "12")),
        (60, card(",Nobody,x@example.com", "tok_x_2", "12")),
        (61, "X-3,Xc,x@example.com,card,tok_x_3,gateway,,,4242,12,2031,,,,,".to_owned()),
        (62, card("X-4,One,x@example.com", "tok_x_4", "12")),
        (90, card("X-4,Other,x@example.com", "tok_x_5", "12")),
        (120, card("L-0004,Näme 4,c4@example.com", "tok_4_0", "12")),
    ];
    rows.extend(apart.into_iter().rev());
    let mut rows: Vec<(String, String)> =
        rows.into_iter().enumerate().map(|(n, row)| (format!("r{n}"), row)).collect();
    for (n, (place, row)) in bad.into_iter().enumerate() {
        rows.insert(place, (format!("bad{n}"), row));
    }
    let rows: Vec<String> = rows.into_iter().map(|(id, row)| format!("{id},{row}")).collect();
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

/// One line for each row of the file, in its order, and the ids are those of the provider.
fn in_order(world: &World, file: &str, report: &[BTreeMap<String, String>]) -> Result {
    let rows = rows_in(file);
    ensure!(report.len() == rows.len(), "{} lines for {} rows", report.len(), rows.len());
    let customers: BTreeMap<String, CustomerView> = world
        .provider
        .customers("pa_main")
        .into_iter()
        .map(|customer| (customer.reference.clone().unwrap_or_default(), customer))
        .collect();
    for (place, (row, line)) in rows.iter().zip(report).enumerate() {
        let said = |column: &str| line.get(column).map_or("", String::as_str);
        ensure!(said("line") == (place + 2).to_string(), "{place}: {line:?}");
        ensure!(cell(row, "row_id") == cell(line, "row_id"), "{place}: {line:?}");
        ensure!(cell(row, "reference") == cell(line, "reference"), "{place}: {line:?}");
        if matches!(said("outcome"), "rejected") {
            continue;
        }
        let customer = customers.get(said("reference")).context("not there")?;
        ensure!(said("remote_customer_id") == customer.id, "{place}: {line:?}");
        let Some(token) = cell(row, "token") else {
            ensure!(said("remote_method_id").is_empty(), "{place}: {line:?}");
            continue;
        };
        let method = customer.methods.iter().find(|m| m.id == said("remote_method_id"));
        let method = method.with_context(|| format!("no such method: {line:?}"))?;
        ensure!(method.token_sha256 == digest(token), "{place}: {line:?}");
    }
    Ok(())
}

const LARGE: [&str; 6] = ["import", "gov", "large.csv", "--json", "--max-rejected", "400"];

pub async fn is_held_as_it_says(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let file = large_file();
    world.file("large.csv", &file)?;
    let total = rows_in(&file).len() as u64;
    let ran = world.job(&LARGE, 2).await?;
    ensure!(ran.count("/rows/read")? == total, "{ran:?}");
    ensure!(ran.count("/rows/rejected")? == 7, "{ran:?}");
    ensure!(ran.count("/rows/created")? == total - 7, "{ran:?}");
    let expected = stated(&file);
    ensure!(expected.len() == CUSTOMERS);
    same(&held(&world), &expected)?;
    let report = reported(&world, &ran).await?;
    in_order(&world, &file, &report)?;
    for line in &report {
        let bad = cell(line, "row_id").is_some_and(|id| id.starts_with("bad"));
        let outcome = if bad { "rejected" } else { "created" };
        ensure!(cell(line, "outcome") == Some(outcome), "{line:?}");
    }

    // Again: one look whether this is the account we know, and not one call more.
    world.provider.clear_log();
    let again = world.job(&LARGE, 2).await?;
    ensure!(again.count("/rows/unchanged")? == total - 7, "{again:?}");
    ensure!(again.count("/rows/rejected")? == 7, "{again:?}");
    ensure!(calls(&world) == expected_calls(&[]), "{:?}", calls(&world));
    same(&held(&world), &expected)?;
    let report = reported(&world, &again).await?;
    in_order(&world, &file, &report)
}

fn same(held: &BTreeMap<String, Stands>, expected: &BTreeMap<String, Stands>) -> Result {
    for (reference, stands) in expected {
        let held = held.get(reference);
        ensure!(held == Some(stands), "{reference}: {held:#?}\nexpected {stands:#?}");
    }
    ensure!(held.len() == expected.len(), "customers that no row states");
    Ok(())
}

/// What somebody changes at the provider: of every fourth customer a method is removed, of others
/// the default is another one, of others the e-mail.
fn payers_change(world: &World) -> anyhow::Result<BTreeMap<String, &'static str>> {
    let mut changed = BTreeMap::new();
    for (n, customer) in world.provider.customers("pa_main").into_iter().enumerate() {
        let reference = customer.reference.clone().unwrap_or_default();
        let what = match (n % 4, customer.methods.as_slice()) {
            (0, [.., last]) => {
                world.provider.remove_method("pa_main", &customer.id, &last.id)?;
                "removed"
            }
            (1, methods) if customer.default_method.is_some() && methods.len() > 1 => {
                let other = methods.iter().find(|method| !method.is_default).context("another")?;
                world.provider.set_default("pa_main", &customer.id, Some(&other.id))?;
                "default"
            }
            (2, _) => {
                let email = Some(format!("payer{n}@example.com"));
                let id = customer.id.clone();
                let edit = Change::EditCustomer {
                    customer: id,
                    reference: None,
                    name: None,
                    email,
                    fields: BTreeMap::new(),
                };
                world.provider.change("pa_main", edit)?;
                "email"
            }
            _ => continue,
        };
        changed.insert(reference, what);
    }
    for what in ["removed", "default", "email"] {
        ensure!(changed.values().filter(|w| **w == what).count() > 10, "too few of {what}");
    }
    Ok(changed)
}

pub async fn leaves_a_payers_changes(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let file = large_file();
    world.file("large.csv", &file)?;
    world.job(&LARGE, 2).await?;
    let changed = payers_change(&world)?;
    let many = |what: &str| changed.values().filter(|w| **w == what).count() as u64;
    let before = held(&world);
    let pulled = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(pulled.count("/methods/removed")? == many("removed"), "{pulled:?}");

    // The same file: what was removed is said, the rest is as the file last said it.
    world.provider.clear_log();
    let again = world.job(&LARGE, 2).await?;
    ensure!(again.count("/codes/removed_at_provider")? == many("removed"), "{again:?}");
    ensure!(again.count("/rows/rejected")? == 7 + many("removed"), "{again:?}");
    ensure!(calls(&world) == expected_calls(&[]), "{:?}", calls(&world));
    same(&held(&world), &before)?;
    for line in reported(&world, &again).await? {
        let removed = cell(&line, "code") == Some("removed_at_provider");
        let reference = cell(&line, "reference").unwrap_or_default();
        ensure!(!removed || changed.get(reference) == Some(&"removed"), "{line:?}");
    }

    // Every e-mail is stated otherwise by now: where the payer changed it, that is said.
    let edited = file.replace("@example.com", "@example.org");
    ensure!(edited != file);
    world.file("large.csv", &edited)?;
    world.provider.clear_log();
    let edited = world.job(&LARGE, 2).await?;
    let stating = before.values().filter(|stands| stands.email.is_some()).count() as u64;
    // One customer whose e-mail the file left open has one of the payer's now: the file says nothing.
    let open = |reference: &str| reference.trim_start_matches("L-").parse::<usize>();
    let moved = changed.iter().filter(|(reference, what)| {
        **what == "email" && open(reference).is_ok_and(|n| n % 11 != 0)
    });
    let moved = moved.count() as u64;
    let silent = many("email") - moved;
    // A customer whose only method was removed has no row left that could wish anything.
    let report = reported(&world, &edited).await?;
    let of = |code: &str| report.iter().filter(|l| cell(l, "code") == Some(code)).count() as u64;
    ensure!(of("changed_at_provider") == moved, "{edited:?}");
    let alone = changed.iter().filter(|(reference, what)| {
        let emptied = before.get(*reference).is_some_and(|stands| stands.methods.is_empty());
        **what == "removed" && emptied && open(reference).is_ok_and(|n| n % 11 != 0)
    });
    let alone = alone.count() as u64;
    let wished = stating - silent - alone;
    ensure!(of("not_updatable") == wished - moved, "{edited:?}");
    // Each of them was read before it was decided on, and nothing was written.
    ensure!(
        calls(&world) == expected_calls(&[("GET get_customer", wished)]),
        "{wished} wishes: {:?}",
        calls(&world)
    );
    same(&held(&world), &before)
}
