//! Processes that are measured: time from start to end, peak memory, processor time.
//!
//! Memory and processor time are the kernel's own counts in `/proc`, looked up every
//! [`LOOK`]: what a process adds in its last moments is missed, and elsewhere than on Linux they
//! are not known.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior};

/// Whether this process is onfile.
const AS_ONFILE: &str = "ONFILE_BENCH_AS_ONFILE";
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(10);
/// Linux counts processor time for programs in hundredths of a second.
const TICKS: f64 = 100.0;

/// One process, from start to end.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Of all its threads, up to the last look.
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_mb: Option<f64>,
    #[serde(skip)]
    pub(crate) stdout: String,
}

/// Whether this process is to be onfile.
pub(crate) fn is_onfile() -> bool {
    std::env::var_os(AS_ONFILE).is_some()
}

/// onfile in a folder: this very binary, whose `main` begins with onfile's.
pub(crate) fn onfile(folder: &Path) -> Result<Command> {
    let mut command = own()?;
    command.current_dir(folder).env(AS_ONFILE, "1").envs(crate::home::SECRETS);
    Ok(command)
}

/// A peer: this very binary, as [`crate::bare`].
pub(crate) fn bare(work: &[&str]) -> Result<Command> {
    let mut command = own()?;
    command.arg("bare").args(work);
    Ok(command)
}

fn own() -> Result<Command> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let mut command = Command::new(program);
    command.env_clear();
    Ok(command)
}

/// Runs a process to its end, which must be a success.
pub(crate) async fn measure(mut command: Command) -> Result<Sample> {
    let what = format!("{:?}", command.as_std());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {what}"))?;
    let id = child.id().context("it has ended already")?;
    let mut sample = Sample::default();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = std::pin::pin!(child.wait_with_output());
    let output = loop {
        tokio::select! {
            biased;
            output = &mut ended => break output?,
            _ = looks.tick() => look(id, &mut sample),
        }
    };
    sample.seconds = began.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "{what} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    sample.stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(sample)
}

/// Keeps what is there: a process that has just ended has neither.
fn look(id: u32, sample: &mut Sample) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).ok();
    if let Some(peak) = read("status").as_deref().and_then(peak_mb) {
        sample.peak_mb = Some(peak);
    }
    if let Some(cpu) = read("stat").as_deref().and_then(cpu_seconds) {
        sample.cpu_seconds = Some(cpu);
    }
}

/// `VmHWM` of `/proc/PID/status`: the most that ever was resident.
fn peak_mb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

/// `utime` and `stime` of `/proc/PID/stat`. A program's name stands there in brackets, and may hold
/// some itself.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_from_status() {
        let status = "Name:\tbench\nVmPeak:\t  999 kB\nVmHWM:\t   250000 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak_mb(status), Some(256.0));
        assert_eq!(peak_mb("Name:\tgone\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn processor_time_is_read_from_stat() {
        let stat = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 4 0 11 22 33";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(cpu_seconds("7 (a"), None);
    }
}
