//! What every provider's backend must do, whichever it is: plain functions over a backend, the
//! simulator behind it and the provider's description. A case is chosen by what the provider says
//! that it can do, never by its name; a trial for each (provider × case), `behaviour/PROVIDER/CASE`.
//!
//! Each case has its mutants: backends that do wrong what the case is about. The trial
//! `behaviour/mutants` fails if a case passes on one of its own.
//! `ONFILE_BEHAVIOUR_TABLE=1 cargo test -p tests -- behaviour/mutants` prints all of them.

mod answers;
mod bulk;
mod customers;
mod lists;
mod methods;
mod mutant;
mod reads;
mod references;
mod relay;
mod secrecy;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use backend::{Capabilities, ItemOutcome, Refusal, SendOutcome};
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use libtest_mimic::Trial;
use sandbox::VendorConfig;

use self::mutant::Mutant;
use self::world::World;
use crate::env::{Env, block_on, say, variable};
use crate::providers::{self, Provider, Reading};

type Run = Arc<dyn for<'a> Fn(&'a World) -> BoxFuture<'a, anyhow::Result<()>> + Send + Sync>;

/// One thing that every provider must do that can do it.
#[derive(Clone)]
pub struct Case {
    name: String,
    applies: fn(&Capabilities) -> bool,
    /// Customers that are there from the start.
    customers: usize,
    run: Run,
    mutants: &'static [Mutant],
}

/// A case that is a function of its name.
macro_rules! case {
    ($run:ident, $applies:expr, $customers:expr, $mutants:expr) => {
        Case {
            name: stringify!($run).to_owned(),
            applies: $applies,
            customers: $customers,
            run: std::sync::Arc::new(|w| Box::pin($run(w))),
            mutants: const { $mutants },
        }
    };
}
use case;

fn cases() -> Vec<Case> {
    [
        customers::cases(),
        references::cases(),
        lists::cases(),
        methods::cases(),
        bulk::cases(),
        answers::cases(),
        reads::cases(),
        secrecy::cases(),
    ]
    .concat()
}

impl Case {
    /// Runs it, on a mutant if one is given.
    async fn run(
        &self,
        provider: &'static dyn Provider,
        vendor: VendorConfig,
        mutant: Option<Mutant>,
    ) -> anyhow::Result<()> {
        let world = World::new(provider, vendor, self.customers, mutant).await?;
        (self.run)(&world).await?;
        world.all_fired()?;
        world.stop().await;
        Ok(())
    }
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let mut trials = Vec::new();
    for provider in providers::ALL {
        let Ok(capabilities) = block_on(providers::capabilities(*provider)) else {
            let name = format!("behaviour/{}", provider.kind());
            trials.push(Trial::test(name, || Err("it cannot be opened".into())));
            continue;
        };
        for reading in provider.readings() {
            let name = format!("{}/read_as_{}", provider.kind(), reading.word);
            trials.push(env.trial("behaviour", &name, move || read_as(*provider, reading)));
        }
        for case in cases() {
            if (case.applies)(&capabilities) {
                let name = format!("{}/{}", provider.kind(), case.name);
                let run = async move || case.run(*provider, provider.vendor(), None).await;
                trials.push(env.trial("behaviour", &name, run));
            }
        }
    }
    trials.push(env.trial("behaviour", "mutants", mutants));
    trials
}

/// Every case, in another form of the provider.
async fn read_as(provider: &'static dyn Provider, reading: Reading) -> anyhow::Result<()> {
    let capabilities = providers::capabilities(provider).await?;
    let cases = cases().into_iter().filter(|case| (case.applies)(&capabilities));
    let failed: Vec<String> = stream::iter(cases)
        .map(async |case| {
            let ran = case.run(provider, reading.vendor.clone(), None).await;
            let holds = !reading.but.contains(&case.name.as_str());
            match ran {
                Err(error) if holds => Some(format!("{}: {error:#}", case.name)),
                Ok(()) if !holds => Some(format!("{}: it holds here, too", case.name)),
                _ => None,
            }
        })
        .buffered(8)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    ensure!(failed.is_empty(), "{} cases failed\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// One case on one mutant at one provider.
struct Tried {
    provider: &'static str,
    case: String,
    mutant: &'static str,
    /// Why the case failed on it; nothing where it passed.
    killed: Option<String>,
}

/// Every case fails on each of its mutants, at every provider.
async fn mutants() -> anyhow::Result<()> {
    let mut all = Vec::new();
    for provider in providers::ALL {
        let capabilities = providers::capabilities(*provider).await?;
        for case in cases().into_iter().filter(|case| (case.applies)(&capabilities)) {
            ensure!(!case.mutants.is_empty(), "{} has no mutant", case.name);
            for mutant in case.mutants.iter().filter(|mutant| (mutant.applies)(&capabilities)) {
                all.push((*provider, case.clone(), *mutant));
            }
        }
    }
    let mut ran = stream::iter(all)
        .map(|(provider, case, mutant)| async move {
            let killed = case.run(provider, provider.vendor(), Some(mutant)).await.err();
            Tried {
                provider: provider.kind(),
                case: case.name,
                mutant: mutant.name,
                killed: killed.map(|error| format!("{error:#}")),
            }
        })
        .buffered(8);
    let mut tried = Vec::new();
    while let Some(one) = ran.next().await {
        tried.push(one);
    }
    if variable("ONFILE_BEHAVIOUR_TABLE").is_some() {
        for Tried { provider, case, mutant, killed } in &tried {
            let why = killed.as_deref().unwrap_or("SURVIVED");
            let why: String = why.chars().take(100).collect();
            say(&format!("{provider:<12} {case:<45} {mutant:<24} {why}"));
        }
    }
    let alive: Vec<String> = tried
        .iter()
        .filter(|one| one.killed.is_none())
        .map(|Tried { provider, case, mutant, .. }| format!("{provider}/{case} on {mutant}"))
        .collect();
    let cases: BTreeSet<&str> = tried.iter().map(|one| one.case.as_str()).collect();
    say(&format!(
        "behaviour: {} mutants of {} cases at {} providers, {} survived",
        tried.len(),
        cases.len(),
        providers::ALL.len(),
        alive.len()
    ));
    ensure!(alive.is_empty(), "cases that pass on their own mutants:\n{}", alive.join("\n"));
    let first = tried.first().context("no case was tried")?;
    ensure!(cases.len() > 30, "only {} cases were tried, {} first", cases.len(), first.case);
    Ok(())
}

/// Says of what is not done that it is.
fn all_is_done(outcome: &mut SendOutcome) {
    for item in &mut outcome.items {
        if !matches!(item, ItemOutcome::Done(_)) {
            *item = ItemOutcome::Done(Box::default());
        }
    }
}

/// Says that nothing took place.
fn all_is_refused(outcome: &mut SendOutcome) {
    outcome.items.fill(ItemOutcome::Refused(Refusal::default()));
}

fn refused_is_unknown(outcome: &mut SendOutcome) {
    for item in &mut outcome.items {
        if matches!(
            item,
            ItemOutcome::Refused(_) | ItemOutcome::RefusedOrThere(_) | ItemOutcome::Conflict(_)
        ) {
            *item = ItemOutcome::Unknown("a mutant's".to_owned());
        }
    }
}

fn unknown_is_refused(outcome: &mut SendOutcome) {
    for item in &mut outcome.items {
        if matches!(item, ItemOutcome::Unknown(_)) {
            *item = ItemOutcome::Refused(Refusal::default());
        }
    }
}
