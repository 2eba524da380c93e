//! What makes us ask: tokio-cron-scheduler, once a second.
//!
//! It is an alarm clock and nothing else: its time zones are fixed when a job is made, it starts a job
//! beside one that still runs, and it forgets what it missed.

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Every second of UTC.
const EACH_SECOND: &str = "* * * * * *";

/// Rings every second, until it is dropped.
pub struct Alarm {
    /// Dropped with its tasks.
    _scheduler: JobScheduler,
    rings: mpsc::Receiver<()>,
}

impl Alarm {
    /// Sets it.
    ///
    /// # Errors
    /// When the library refuses.
    pub async fn set() -> Result<Self, JobSchedulerError> {
        // One ring waits at most: to be asked twice at once says no more than once.
        let (sender, rings) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        let ring = Job::new_async(EACH_SECOND, move |_, _| {
            let sender = sender.clone();
            Box::pin(async move {
                let _one_waits_already = sender.try_send(());
            })
        })?;
        scheduler.add(ring).await?;
        scheduler.start().await?;
        Ok(Self { _scheduler: scheduler, rings })
    }

    /// The next ring; never, if the library has given up.
    pub async fn rings(&mut self) {
        if self.rings.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Alarm;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_library_calls_us() {
        let mut alarm = Alarm::set().await.expect("set");
        for ring in 0..3 {
            let rung = tokio::time::timeout(Duration::from_secs(30), alarm.rings()).await;
            assert!(rung.is_ok(), "ring {ring}");
        }
    }
}
