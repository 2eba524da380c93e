//! What every `store::Store` does alike: plain functions over `&dyn Store`, run on each database.
//!
//! A case looks into the database itself only where the trait has no word for it (clear text at
//! rest, rows that must not be there), and moves time only by writing a lease or a slot that is
//! over: no case waits for a clock.

mod accounts;
mod attributes;
mod baseline;
mod due;
mod import;
mod journal;
mod kept;
mod keys;
mod links;
mod methods;
mod open;
mod outcomes;
mod pull;
mod rest;
mod runs;
mod schedules;
mod schema;
mod staging;
mod support;
mod traffic;
mod upgrade;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use libtest_mimic::Trial;

use crate::env::{Database, Env};
use crate::store_suite::support::Cx;

/// What a case comes to.
type Ending<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// A case, by its function's name.
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Cx) -> Ending<'a>,
    /// `None`: on every database.
    only: Option<Database>,
}

/// The cases of a module, each an `async fn(&Cx) -> anyhow::Result<()>`.
macro_rules! cases {
    ($($(#[only($only:ident)])? $name:ident,)+) => {
        pub const CASES: &[$crate::store_suite::Case] = &[$($crate::store_suite::Case {
            name: stringify!($name),
            run: |cx| Box::pin($name(cx)),
            only: $crate::store_suite::cases!(@only $($only)?),
        },)+];
    };
    (@only) => { None };
    (@only $only:ident) => { Some($crate::env::Database::$only) };
}
use cases;

/// Every case on every database.
pub fn trials(env: &Env) -> Vec<Trial> {
    let modules = [
        open::CASES,
        keys::CASES,
        accounts::CASES,
        runs::CASES,
        rest::CASES,
        staging::CASES,
        due::CASES,
        import::CASES,
        journal::CASES,
        outcomes::CASES,
        pull::CASES,
        baseline::CASES,
        methods::CASES,
        attributes::CASES,
        kept::CASES,
        links::CASES,
        schedules::CASES,
        traffic::CASES,
        upgrade::CASES,
    ];
    let mut trials: Vec<Trial> = Vec::new();
    for database in Database::ALL {
        for case in modules.iter().copied().flatten() {
            if case.only.is_some_and(|only| only != database) {
                continue;
            }
            let run = case.run;
            trials.push(env.trial_on("store", database, case.name, move |db| async move {
                let cx = Cx::new(Arc::clone(&db)).await?;
                let ended = run(&cx).await;
                cx.store.close().await;
                ended
            }));
        }
    }
    trials.extend(schema::trials());
    trials
}
