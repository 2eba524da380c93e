//! Telling people what went wrong: by a command, by an address, or both; again until it is heard.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::{Alert, AlertKind, StoreError};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::Daemon;
use crate::config::AlertsConfig;
use crate::wiring::USER_AGENT;

/// How long one telling may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// After this time what was not heard is told again, then after twice as long, and so on.
const PAUSE: Duration = Duration::from_secs(60);
/// So many at once.
const MOST: u32 = 20;

impl Daemon {
    /// Writes down what people are to be told, once for each slot and kind.
    pub(super) async fn raise(
        &self,
        kind: AlertKind,
        schedule: &str,
        slot: Timestamp,
        run: Option<&str>,
        why: &str,
    ) -> Result<(), StoreError> {
        let alerts = &self.opened.config.alerts;
        let what = match kind {
            AlertKind::Failed => format!("the run of {slot} failed: {why}"),
            AlertKind::Differences => format!("the run of {slot} ended with differences: {why}"),
            AlertKind::Overdue => format!("there was no good run in time, since {slot}: {why}"),
        };
        let alert = Alert {
            key: format!("{} {schedule} {slot}", kind.as_str()),
            kind,
            schedule: schedule.to_owned(),
            run: run.map(str::to_owned),
            message: format!("{schedule}: {what}"),
            raised_at: self.opened.clock.now(),
        };
        let nobody = alerts.command.is_none() && alerts.webhook.is_none();
        if nobody || !alerts.on.contains(&kind) {
            return Ok(());
        }
        if self.opened.store.schedules().raise_alert(&alert).await? {
            self.alerts_due.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Tells what is to be told now, beside everything else.
    pub(super) async fn send_alerts(
        self: &Arc<Self>,
        jobs: &mut JoinSet<()>,
    ) -> Result<(), StoreError> {
        for alert in self.opened.store.schedules().take_alerts(MOST, PAUSE).await? {
            let daemon = Arc::clone(self);
            jobs.spawn(async move { daemon.send(&alert).await });
        }
        Ok(())
    }

    async fn send(&self, alert: &Alert) {
        let Alert { key, schedule, .. } = alert;
        match tell(&self.opened.config.alerts, alert).await {
            Ok(()) => {
                info!(schedule, alert = key, "an alert was heard");
                let now = self.opened.clock.now();
                if let Err(error) = self.opened.store.schedules().alert_sent(key, now).await {
                    warn!(schedule, alert = key, %error, "it may be told again");
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                error!(schedule, alert = key, error, "an alert was not heard: it is told again");
            }
        }
    }
}

/// Tells it to everybody; heard is what all have heard.
async fn tell(to: &AlertsConfig, alert: &Alert) -> Result<()> {
    let body = json!({
        "kind": alert.kind.as_str(),
        "schedule": alert.schedule,
        "run": alert.run,
        "message": alert.message,
        // What chat services show.
        "text": alert.message,
        "raised_at": alert.raised_at.to_string(),
    });
    if let Some(words) = &to.command {
        tokio::time::timeout(TIMEOUT, run(words, body.to_string()))
            .await
            .context("the command did not end in time")??;
    }
    if let Some(url) = to.webhook.as_ref().and_then(|webhook| webhook.value()) {
        transport::notify(url.expose_secret(), body.to_string(), TIMEOUT, USER_AGENT)
            .await
            .context("alerts.webhook")?;
    }
    Ok(())
}

async fn run(words: &[String], body: String) -> Result<()> {
    let [program, arguments @ ..] = words else { return Ok(()) };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("the command {program} cannot be run"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command may end without reading it.
        let _it_does_not_care = stdin.write_all(body.as_bytes()).await;
    }
    let status = child.wait().await.context("the command cannot be waited for")?;
    ensure!(status.success(), "the command ended with {status}");
    Ok(())
}
