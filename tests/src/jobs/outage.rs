//! The ground shakes while an import is at work: the power goes, the clock is set, the disk is
//! full, the database is held by others or dies. Nothing is sent twice, and nothing is lost.
//!
//! What the machine does to a process is done by `shim/ground.c`, compiled by each trial.

mod clock;
mod disk;
mod power;
mod server;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;
use libtest_mimic::Trial;

use super::World;
use super::canary::text;
use super::resume::expire;
use crate::binary::Ran;
use crate::env::{Database, Env, Missing};

const IMPORT: [&str; 4] = ["import", "gov", "cards.csv", "--json"];
const GROUND: &str = include_str!("../../shim/ground.c");

impl World {
    /// Lets onfile stand on the shim from here on, with this part of it.
    fn shake(&mut self, variable: &str, value: &str) -> anyhow::Result<()> {
        let shim = self.shim()?;
        let onfile = self.onfile.clone().with_env("LD_PRELOAD", &shim.to_string_lossy());
        self.onfile = onfile.with_env(variable, value);
        Ok(())
    }

    fn shim(&self) -> anyhow::Result<PathBuf> {
        if !cfg!(target_os = "linux") {
            return Err(Missing("the shim needs Linux").into());
        }
        self.file("ground.c", GROUND)?;
        let made = self.db.folder().join("ground.so");
        let mut cc = Command::new("cc");
        cc.current_dir(self.db.folder()).args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made);
        match cc.arg("ground.c").output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Missing("no C compiler").into())
            }
            Err(error) => Err(error.into()),
            Ok(said) => {
                ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
                Ok(made)
            }
        }
    }

    /// A quarantine of so many seconds; a call is given up after one.
    fn quarantine(&self, seconds: f64) -> anyhow::Result<()> {
        self.configure(&format!("quarantine_seconds = {seconds}\nimport_batch = 4"))?;
        self.soon()
    }

    /// The import that was at work last goes on, once nobody holds it any more.
    async fn go_on(&self, code: i32) -> anyhow::Result<Ran> {
        expire(&self.db).await?;
        let runs = self.onfile.run(&["runs", "--json"]).await?.expect(0)?;
        self.runs("resume", &text(&runs, "/runs/0/run")?, code).await
    }

    /// So many customers are there, each once and with one card.
    fn each_once(&self, customers: usize) -> anyhow::Result<()> {
        ensure!(self.sizes() == (customers, customers), "{:?} {:#?}", self.sizes(), self.held());
        ensure!(self.held().iter().all(|held| held.ends_with(" 4242*")), "{:#?}", self.held());
        Ok(())
    }
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let mut all = Vec::new();
    macro_rules! cases {
        ($($on:ident $module:ident: $($case:ident),+;)+) => {
            $($(all.push(env.trial_on(
                "jobs",
                Database::$on,
                concat!("outage_", stringify!($module), "_", stringify!($case)),
                $module::$case,
            ));)+)+
        };
    }
    cases! {
        Sqlite power: lost_at_any_moment_loses_nothing, lost_with_a_batch_on_its_way,
            lost_without_a_durable_journal_sends_twice;
        Sqlite clock: set_back_waits_for_what_takes_effect_late,
            set_forward_waits_for_what_takes_effect_late,
            set_back_sends_again_after_the_quarantine,
            set_forward_sends_again_after_the_quarantine;
        Sqlite disk: full_loses_nothing_that_was_in_flight, held_for_some_seconds_is_waited_for,
            held_for_long_ends_the_run_which_goes_on;
        Postgres server: killed_while_creating, killed_while_saving, killed_and_away_for_long;
    }
    all
}
