//! Whole jobs: the command line against the simulated provider, on both databases. What the
//! provider holds afterwards is read from the simulator itself, never from onfile.

mod attributes;
mod canary;
mod canonical;
mod each;
mod edits;
mod faults;
mod forecast;
mod import;
mod inbox;
mod observe;
mod outage;
mod pull;
mod report;
mod resume;
mod secrets;
mod serve;
mod settle;
mod three_way;
mod together;
mod unheard;
mod whole_file;

pub use self::resume::{called, expire};

use std::future::Future;
use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use sandbox::proxy_token::Config;
use sandbox::{FaultPlan, Running, Sandbox, SandboxConfig, VendorConfig};

use crate::binary::Onfile;
use crate::env::{Database, Env, TestDb};
use crate::providers::{Provider as _, ProxyToken};

pub const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
pub const SAMPLE: &str = include_str!("../../../config/sample.csv");

/// One case's world: a simulated provider, a folder with a configuration, a database.
pub struct World {
    pub provider: Running,
    pub onfile: Onfile,
    pub db: Arc<TestDb>,
}

impl World {
    /// A provider with these faults and so many customers.
    pub async fn new(db: Arc<TestDb>, customers: usize, faults: &str) -> anyhow::Result<Self> {
        // It would save the same token twice: what is sent twice shows.
        let vendor = Config { import_dedupes: false, ..Config::default() };
        Self::at(db, customers, faults, vendor).await
    }

    /// The same with a provider of this configuration.
    pub async fn at(
        db: Arc<TestDb>,
        customers: usize,
        faults: &str,
        vendor: Config,
    ) -> anyhow::Result<Self> {
        let faults =
            if faults.is_empty() { FaultPlan::default() } else { FaultPlan::parse(faults)? };
        let vendor = VendorConfig::ProxyToken(vendor);
        let provider =
            Sandbox::start(SandboxConfig { customers, faults, vendor, ..SandboxConfig::default() })
                .await?;
        let mut onfile = Onfile::new(db.folder()).with_env("ONFILE_KEY", KEY);
        for (name, value) in ProxyToken.env() {
            onfile = onfile.with_env(name, value);
        }
        let world = Self { provider, onfile, db };
        world.configure("")?;
        world.file("sample.csv", SAMPLE)?;
        Ok(world)
    }

    /// Writes the configuration, with more lines for the account.
    pub fn configure(&self, more: &str) -> anyhow::Result<()> {
        let text = format!(
            r#"[store]
url = "{}"
encryption_key = {{ env = "ONFILE_KEY" }}

[accounts.gov]
kind = "proxy-token"
base_url = "{}"
{}rate = {{ per_second = 2000, burst = 50, in_flight = 8 }}
timeout_seconds = 5
late_seconds = 0.01
{more}
"#,
            self.db.url(),
            self.provider.base_url(),
            ProxyToken.toml(&self.provider, "pa_main"),
        );
        self.file("onfile.toml", &text)
    }

    /// Makes a lost answer's quarantine end within four seconds or so.
    pub fn soon(&self) -> anyhow::Result<()> {
        self.wait_for_answers(1)
    }

    /// Lets a call wait so long for its answer that a process can stand still meanwhile.
    pub fn patient(&self) -> anyhow::Result<()> {
        self.wait_for_answers(50)
    }

    /// Gives a call up after so many seconds.
    fn wait_for_answers(&self, seconds: u32) -> anyhow::Result<()> {
        let config = std::fs::read_to_string(self.db.folder().join("onfile.toml"))?;
        let other = config.replace("timeout_seconds = 5", &format!("timeout_seconds = {seconds}"));
        ensure!(other != config, "no timeout in the configuration");
        self.file("onfile.toml", &other)
    }

    /// Writes a file into the folder.
    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.db.folder().join(name), text)?)
    }

    /// Fails if a planned fault never took place.
    pub fn all_fired(&self) -> anyhow::Result<()> {
        let unfired = self.provider.faults_unfired();
        ensure!(unfired.is_empty(), "faults that did not fire: {unfired:?}");
        Ok(())
    }

    /// What the provider holds: reference, name, e-mail, and its methods' last 4, the default
    /// with a star.
    pub fn held(&self) -> Vec<String> {
        let mut held: Vec<String> = self
            .provider
            .customers("pa_main")
            .into_iter()
            .map(|customer| {
                let mut methods: Vec<String> = customer
                    .methods
                    .iter()
                    .map(|method| {
                        let star = if method.is_default { "*" } else { "" };
                        format!("{}{star}", method.last4)
                    })
                    .collect();
                methods.sort();
                format!(
                    "{} {} <{}> {}",
                    customer.reference.as_deref().unwrap_or("-"),
                    customer.name.as_deref().unwrap_or("-"),
                    customer.email.as_deref().unwrap_or("-"),
                    methods.join(" ")
                )
            })
            .collect();
        held.sort();
        held
    }
}

fn both<F, Fut>(env: &Env, case: &str, run: F) -> Vec<Trial>
where
    F: Fn(Arc<TestDb>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    Database::ALL.into_iter().map(|db| env.trial_on("jobs", db, case, run.clone())).collect()
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let mut all = Vec::new();
    macro_rules! cases {
        ($($module:ident: $($case:ident),+;)+) => {
            $($(all.extend(both(env, concat!(stringify!($module), "_", stringify!($case)),
                $module::$case));)+)+
        };
    }
    cases! {
        import: holds_what_the_file_says, again_changes_nothing, dry_run_sends_nothing,
            links_what_was_there, saves_nothing_under_somebody_else, keeps_what_a_payer_removed, bad_rows_are_rejected_alone,
            too_many_rejected_sends_nothing,
            what_looks_like_being_rejected_is_said_where_nothing_is_sent, nothing_to_do_calls_nothing, adds_one_by_one, batches_are_cut,
            a_new_card_and_a_changed_token, an_edit_and_its_undoing, a_file_of_another_form,
            every_row_is_reported, the_most_urgent_rows_are_shown;
        canonical: records_are_shared_by_reference, what_a_person_unlinks_stays_so,
            a_changed_reference_is_a_finding, without_a_reference_each_is_alone,
            somebody_else_of_the_same_reference, an_email_links_when_asked_for,
            a_file_links_all_or_nothing, an_export_can_be_imported,
            history_says_why_an_expiry_changed;
        each: file_that_is_partly_there_doubles_nobody, second_customer_of_a_reference_is_a_finding,
            another_field_for_the_reference_doubles_nobody, lost_create_is_there_once,
            lost_change_is_read_back, deleted_customer_is_never_linked,
            method_of_every_kind_is_saved_once, pull_after_a_pull_changes_nothing,
            list_of_cards_that_repeats_itself_is_given_up,
            method_for_who_is_known_calls_what_was_said;
        inbox: takes_what_is_complete, knows_bytes_that_it_has_imported, keeps_what_cannot_be_read_apart,
            goes_on_with_what_was_left, waits_for_a_person, is_one_process_s_alone,
            keeps_what_the_provider_holds_up;
        serve: does_what_is_due_and_answers, goes_on_after_a_kill, goes_on_after_a_stop,
            tells_people_once, is_not_ready_without_its_store, refuses_a_configuration_that_is_wrong,
            leaves_a_paused_schedule_alone, runs_a_schedule_by_hand, logs_json;
        attributes: are_shown_and_go_with_the_next_list;
        pull: marks_what_is_gone, more_than_a_few_wait_for_a_person,
            two_at_once_disturb_nobody, who_is_there_has_a_list,
            so_do_more_than_a_few_payment_methods,
            a_page_given_twice_hides_nobody, fewer_rows_than_asked_for_are_what_a_page_has,
            a_list_that_ends_with_an_error_marks_nothing,
            of_an_account_that_is_empty_half_way_marks_nothing,
            goes_on_with_what_it_has_not_read, an_account_that_moved_is_rebound, reads_the_methods_that_are_due,
            reads_everything_once, reads_every_shape, a_short_page_is_not_the_end,
            after_an_import_is_unchanged, of_an_empty_wrong_account_fails;
        faults: a_lost_bulk_answer_is_not_repeated,
            what_never_arrived_is_sent_again_after_the_quarantine,
            what_takes_effect_late_is_waited_for, what_is_never_answered_and_never_there_is_refused,
            an_index_that_is_missing_is_read_back,
            an_index_that_is_repeated_is_read_back, a_foreign_index_is_read_back,
            a_duplicate_under_another_customer_is_refused, a_batch_of_25_at_most, a_lost_create_is_found_by_its_reference,
            throttling_is_waited_out, reads_are_made_again, a_find_that_lies_stops_the_account,
            a_refused_batch_is_halved, a_stop_finishes_what_is_in_flight,
            a_provider_that_is_away_ends_the_run, a_list_without_end_is_incomplete,
            one_odd_customer_spoils_no_pull, wrong_credentials_pause_the_run,
            an_error_page_is_no_refusal;
        canary: sends_the_first_rows_alone, has_one_of_each_kind, refused_fails_the_run,
            a_lost_answer_is_settled_first, not_read_back_fails_the_run,
            a_customer_not_read_back_fails_the_run, shown_late_is_waited_for,
            that_is_all_ends_the_run, what_was_not_planned_waits_too, waits_for_approval_once, another_configuration_is_refused,
            an_account_in_use_is_refused, cancelled_leaves_nothing_behind,
            stopped_on_the_way_goes_on_as_a_canary, killed_on_the_way_sends_no_other, killed_half_way_is_completed, changed_at_the_provider_is_no_fault, cannot_be_none;
        report: is_for_its_owner_alone, says_what_a_run_that_rests_needs,
            says_why_a_run_failed_and_what_to_do, fails_where_the_ledger_does_not_balance;
        edits: each_makes_exactly_its_calls, what_is_gone_comes_back_when_asked_for,
            a_renewed_card_is_no_wish, a_customer_that_is_gone_gets_no_card;
        whole_file: is_held_as_it_says, leaves_a_payers_changes;
        resume: a_stopped_import_goes_on, counts_what_is_kept_over_its_stints,
            looks_before_it_adds, what_was_written_stays,
            sets_the_default_that_was_left,
            what_was_lost_is_not_sent_again, a_killed_import_goes_on, a_killed_import_is_cancelled,
            a_file_not_read_to_its_end_is_not_resumed,
            what_was_not_wholly_planned_is_not_resumed, too_many_failures_pause_the_run,
            failures_within_the_budget_do_not, what_does_not_rest_is_refused;
        settle: a_second_stop_gives_up_what_is_in_flight,
            what_a_killed_import_sent_is_settled_when_asked_for,
            what_reading_cannot_tell_blocks_its_customer_until_a_person_does,
            what_a_person_saw_absent_is_sent_again,
            absent_is_not_believed_of_what_is_shown, what_there_is_not_is_not_shown,
            what_cannot_be_told_apart_is_not_sent_together,
            one_customer_that_cannot_be_found_blocks_nobody_else,
            another_case_says_nothing_of_a_lost_create, what_was_not_sent_is_no_attempt,
            a_create_that_took_effect_after_its_repeat_is_ours, a_canary_is_chosen_of_what_is_known,
            a_stop_ends_settling;
        secrets: leave_no_trace;
        forecast: of_a_fresh_file_is_exact, of_a_known_mirror_is_exact,
            bounds_what_is_there_already, bounds_rows_that_stand_apart, says_how_old_the_mirror_is,
            is_said_before_anything_is_sent;
        observe: plans_on_what_is_there, says_what_was_removed, lists_when_many_are_unknown,
            a_failing_read_leaves_rows_unverified, a_provider_that_is_away_is_left_alone,
            a_stop_ends_it, the_import_does_what_it_said;
        together: a_second_import_touches_nothing_of_the_first,
            two_processes_share_one_rate;
        three_way: a_payers_changes_are_not_undone, a_change_since_the_last_read_is_seen,
            a_default_chosen_since_is_kept, differences_of_what_was_there_are_listed,
            update_existing_says_what_cannot_be, a_shared_token_is_a_finding,
            a_dry_run_counts_what_is_only_said,
            a_single_use_token_is_used_once, what_the_provider_cannot_hold_is_kept,
            beside_what_cannot_be_the_rest_is_kept,
            a_customer_that_is_gone_is_not_made_again;
    }
    all.extend(outage::trials(env));
    all.extend(unheard::trials(env));
    all
}
