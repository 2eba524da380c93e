//! What the daemon says of itself: whether it lives and is ready, and its figures. Their labels are
//! names of the configuration and words of ours, never an id.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use metrics::{counter, gauge};
use model::{AccountName, Timestamp};
use store::{FireState, SkipReason};

use super::Daemon;

/// When it was not asked for so long what is due, the daemon stands still.
const STILL: Duration = Duration::from_secs(60);

pub(super) fn build_info() {
    gauge!("onfile_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
}

pub(super) fn skipped(schedule: &str, reason: SkipReason) {
    slot(schedule, FireState::Skipped, reason.as_str());
}

pub(super) fn ended(schedule: &str, state: FireState, took: Duration) {
    slot(schedule, state, "");
    gauge!("onfile_schedule_last_seconds", "schedule" => schedule.to_owned())
        .set(took.as_secs_f64());
}

fn slot(schedule: &str, state: FireState, reason: &'static str) {
    counter!("onfile_slots_total", "schedule" => schedule.to_owned(), "state" => state.as_str(),
        "reason" => reason)
    .increment(1);
}

/// What a schedule's job takes at the account's limits.
pub(super) fn forecast(schedule: &str, seconds: u64) {
    #[expect(clippy::cast_precision_loss, reason = "seconds, for a gauge")]
    gauge!("onfile_schedule_forecast_seconds", "schedule" => schedule.to_owned())
        .set(seconds as f64);
}

pub(super) fn overdue(schedule: &str, is: bool) {
    gauge!("onfile_schedule_overdue", "schedule" => schedule.to_owned())
        .set(f64::from(u8::from(is)));
}

#[expect(clippy::cast_precision_loss, reason = "seconds, for a gauge")]
fn seconds(at: Timestamp) -> f64 {
    at.micros() as f64 / 1e6
}

#[async_trait]
impl server::Daemon for Daemon {
    fn stuck(&self) -> Option<String> {
        let ago = self.asked_ago();
        (ago > STILL && !self.stopping.load(Ordering::Relaxed))
            .then(|| format!("it was last asked {} s ago what is due", ago.as_secs()))
    }

    async fn not_ready(&self) -> Vec<String> {
        let mut why = Vec::new();
        if self.stopping.load(Ordering::Relaxed) {
            why.push("it is stopping".to_owned());
        }
        if let Err(error) = self.opened.store.info().await {
            why.push(format!("the store: {error}"));
        }
        why
    }

    async fn measure(&self) {
        let (store, now) = (&self.opened.store, self.opened.clock.now());
        for (name, (_, schedule)) in &self.schedules {
            let label = || name.clone();
            let at_work = self.working().contains_key(name);
            gauge!("onfile_schedule_running", "schedule" => label())
                .set(f64::from(u8::from(at_work)));
            if let Some((_, starts)) = schedule.next(&**store, now) {
                gauge!("onfile_schedule_next_timestamp_seconds", "schedule" => label())
                    .set(seconds(starts));
            }
            if let Ok(Some(good)) = store.schedules().last_good(name).await {
                gauge!("onfile_schedule_last_good_timestamp_seconds", "schedule" => label())
                    .set(seconds(good.slot));
            }
        }
        for account in &self.opened.config.accounts {
            let Ok(name) = AccountName::new(account.name.clone()) else { continue };
            let Ok(stats) = store.mirror_stats(&name).await else { continue };
            let label = || account.name.clone();
            #[expect(clippy::cast_precision_loss, reason = "counts, for gauges")]
            for (what, count) in [("customers", stats.customers), ("methods", stats.methods)] {
                gauge!("onfile_mirrored", "account" => label(), "what" => what).set(count as f64);
            }
        }
    }
}
