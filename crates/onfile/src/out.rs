//! The only place that prints: results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use model::{AccountName, Forecast};
use tracing_subscriber::EnvFilter;

use crate::cli::{Global, LogFormat};

/// A result. A reader that went away is no error.
pub(crate) fn line(text: &str) {
    let _reader_may_be_gone = writeln!(io::stdout().lock(), "{text}");
}

/// The one JSON document of `--json`.
pub(crate) fn json(document: &serde_json::Value) {
    line(&document.to_string());
}

/// What went wrong, or what is going on.
pub(crate) fn error_line(text: &str) {
    let _nobody_may_listen = writeln!(io::stderr().lock(), "{text}");
}

/// Sends logs to stderr as `-q`, `-v` and `-vv` ask; a daemon says more by itself.
pub(crate) fn start_logging(global: &Global, daemon: bool) {
    let filter = match (global.quiet, global.verbose) {
        (false, 0) if daemon => "info,sqlx=warn,tokio_cron_scheduler=warn",
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info,onfile::calls=debug,sqlx=warn",
        (false, _) => "debug,hyper=info,hyper_util=info,reqwest=info,rustls=info,sqlx=info",
    };
    let colours = !global.no_color
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        // Whoever closed stderr does not want to hear of it.
        .log_internal_errors(false)
        .with_ansi(colours);
    let started = match global.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).try_init(),
    };
    if started.is_err() {
        error_line("logging is set up already");
    }
}

/// Progress on a terminal: one line that is written over. Elsewhere a line every ten seconds.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    terminal: bool,
    last: std::sync::Mutex<Option<tokio::time::Instant>>,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), last: std::sync::Mutex::new(None) }
    }

    /// Wipes the line.
    pub(crate) fn clear(&self) {
        if self.terminal {
            let _nobody_may_listen = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl engine::Progress for ProgressLine {
    fn at(&self, phase: &'static str, done: u64, of: Option<u64>) {
        let every = std::time::Duration::from_millis(if self.terminal { 200 } else { 10_000 });
        let now = tokio::time::Instant::now();
        {
            let Ok(mut last) = self.last.lock() else { return };
            match *last {
                None => {
                    *last = Some(now);
                    if !self.terminal {
                        return;
                    }
                }
                Some(before) if now.duration_since(before) < every => return,
                Some(_) => *last = Some(now),
            }
        }
        let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
        let mut stderr = io::stderr().lock();
        let _nobody_may_listen = if self.terminal {
            write!(stderr, "\r\x1b[K{phase} {done}{of}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{phase} {done}{of}")
        };
    }

    fn says(&self, text: &str) {
        self.clear();
        error_line(text);
    }

    fn forecast(&self, account: &AccountName, forecast: &Forecast) {
        self.clear();
        error_line(report::forecast(account.as_str(), forecast).trim_end());
    }
}
