//! A run in one sentence that somebody can act on: what happened, whether it needs anybody, and
//! the one command that comes next.

use model::{Code, Counts, EffectKind, Ledger, Outcome, Summary};
use store::{EffectState, RunRecord, RunState};

use crate::mask::Mask;
use crate::words::{changes, code, counted, grouped};

/// Whether a run needs somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Nobody.
    Fine,
    /// A worker is at it.
    AtWork,
    /// Somebody.
    Needs,
    /// It did not do what it was to do.
    Failed,
}

impl Level {
    /// In words, for who sees no colour.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Fine => "Needs nobody",
            Self::AtWork => "At work",
            Self::Needs => "Needs a person",
            Self::Failed => "Failed",
        }
    }

    /// The page's class.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::AtWork => "at-work",
            Self::Needs => "needs",
            Self::Failed => "failed",
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) level: Level,
    /// One sentence.
    pub(crate) sentence: String,
    /// What goes with it.
    pub(crate) more: Vec<String>,
    /// The command that comes next, and what it is for.
    pub(crate) next: Option<(String, String)>,
}

impl Verdict {
    fn new(level: Level, sentence: String) -> Self {
        Self { level, sentence, more: Vec::new(), next: None }
    }

    fn and(mut self, more: impl Into<String>) -> Self {
        self.more.push(more.into());
        self
    }

    fn next(mut self, command: impl Into<String>, why: impl Into<String>) -> Self {
        self.next = Some((command.into(), why.into()));
        self
    }
}

/// Outcomes of rows that are at the provider as the file has them.
const IN_PLACE: [Outcome; 4] =
    [Outcome::Created, Outcome::Linked, Outcome::Updated, Outcome::Unchanged];
/// Those of rows that need somebody, the most urgent first.
const NEED_A_PERSON: [Outcome; 4] =
    [Outcome::Unresolved, Outcome::Refused, Outcome::Rejected, Outcome::NotAttempted];

/// What a run came to.
pub(crate) fn of(summary: &Summary, record: &RunRecord, mask: Mask) -> Verdict {
    let rows = summary.rows.unwrap_or_default();
    if !rows.balances() {
        return Verdict::new(
            Level::Failed,
            format!(
                "The ledger does not balance: {} read, {} accounted for.",
                counted(rows.read, "row was", "rows were"),
                grouped(rows.accounted())
            ),
        )
        .and("Do not rely on the figures of this report. Please report this, with the run's id.");
    }
    let told = Told { summary, record, rows, why: why(summary, mask) };
    match (record.state, summary.job.as_str()) {
        (RunState::Planned | RunState::Running, _) => told.at_work(),
        (_, "pull") => told.pull(),
        (RunState::Done, _) if summary.dry_run => told.plan(mask),
        (RunState::Done, _) => told.done(mask),
        (RunState::AwaitingApproval, _) => told.canary(),
        (RunState::Paused, _) => told.paused(),
        (RunState::Failed, _) => told.failed(mask),
        (RunState::Cancelled, _) => told.cancelled(mask),
    }
}

/// Why it stopped, as the end of a sentence.
fn why(summary: &Summary, mask: Mask) -> String {
    match &summary.error {
        Some(error) => format!(": {}.", mask.words(error).trim_end_matches('.')),
        None => ".".into(),
    }
}

/// The same import once more, in a shell.
fn again(summary: &Summary, record: &RunRecord, mask: Mask) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let name = record.input_name.as_deref().filter(|name| {
        name.chars().all(is_plain) && !name.starts_with('-') && mask.name(name) == **name
    });
    format!("onfile import {} {}", summary.account, name.unwrap_or("FILE"))
}

/// Rows of a plan that have something to be sent.
pub(crate) fn is_sent(plan: &str) -> bool {
    plan.split('+').any(|word| EffectKind::parse(word).is_some())
}

/// Whether rows of a plan look like being rejected.
pub(crate) fn is_rejected(plan: &str) -> bool {
    plan.split('+').filter_map(Code::parse).any(|code| code.outcomes() == [Outcome::Rejected])
}

struct Told<'a> {
    summary: &'a Summary,
    record: &'a RunRecord,
    rows: Ledger,
    why: String,
}

impl Told<'_> {
    /// Rows of the plan of a certain sort.
    fn planned(&self, of: impl Fn(&str) -> bool) -> u64 {
        self.summary.planned.iter().filter(|(plan, _)| of(plan)).map(|(_, rows)| rows).sum()
    }

    /// Rows that are at the provider as the file has them.
    fn in_place(&self) -> u64 {
        IN_PLACE.iter().map(|outcome| self.rows.of(*outcome)).sum()
    }

    /// What to do about the error.
    fn hint(&self) -> Option<String> {
        code(self.summary.error_code.as_deref()?, &self.summary.run).1
    }

    fn at_work(&self) -> Verdict {
        let Summary { run, job, account, lease_seconds, .. } = self.summary;
        let open = self.planned(|_| true);
        let rows = format!(
            "{} of {} have an outcome",
            grouped(self.rows.read - open),
            counted(self.rows.read, "row", "rows")
        );
        let far = if self.rows.read > 0 { format!(", and {rows} so far") } else { String::new() };
        if lease_seconds.is_some() {
            return Verdict::new(Level::AtWork, format!("The {job} of {account} is at work{far}."))
                .next(format!("onfile runs show {run}"), "shows how far it is");
        }
        let lost = format!("Nobody works at this {job} of {account} any more{far}.");
        let lost = Verdict::new(Level::Needs, lost).and("The process that did is gone.");
        match job.as_str() {
            "import" => lost.next(
                format!("onfile runs resume {run}"),
                "goes on from its rows; what was sent is not sent again",
            ),
            "pull" => {
                lost.next(format!("onfile runs resume {run}"), "goes on with what it has not read")
            }
            _ => lost.next(format!("onfile {job} {account}"), "starts it again"),
        }
    }

    fn pull(&self) -> Verdict {
        let Summary { account, coverage, customers, methods, .. } = self.summary;
        let again = format!("onfile pull {account}");
        if self.record.state != RunState::Done {
            return self.stopped_pull(again);
        }
        let (customers, methods) = (customers.unwrap_or_default(), methods.unwrap_or_default());
        let seen = format!(
            "{} with {}",
            counted(customers.seen, "customer", "customers"),
            counted(methods.seen, "payment method", "payment methods")
        );
        let moved = moved(customers, methods);
        let changed = match moved.as_str() {
            "" => "Nothing had changed since the last read.".to_owned(),
            moved => format!("{moved}."),
        };
        let coverage = coverage.clone().unwrap_or_default();
        if !coverage.complete || !coverage.gaps.is_empty() {
            let sentence = format!("The pull did not read all of {account}, but {seen}.");
            return Verdict::new(Level::Needs, sentence)
                .and("What was not read is listed under coverage, and stands as it stood.")
                .and(changed)
                .next(again, "reads it again");
        }
        let what = match &coverage.methods_unread {
            None => format!("The pull read all of {account}: {seen}."),
            Some(unread) => format!(
                "The pull read what was due of {account}: {seen}; the payment methods of {} of {} were \
                 left unread on purpose.",
                counted(unread.customers, "customer", "customers"),
                grouped(unread.of)
            ),
        };
        let found: u64 = self.summary.findings.values().sum();
        if found > 0 {
            let them = counted(found, "customer is", "customers are");
            return Verdict::new(Level::Needs, what)
                .and(format!(
                    "{them} matched in a way that somebody should look at: see the findings."
                ))
                .and(changed);
        }
        Verdict::new(Level::Fine, what).and(changed)
    }

    fn stopped_pull(&self, again: String) -> Verdict {
        let Summary { account, run, .. } = self.summary;
        let ended = |level, ended| {
            Verdict::new(level, format!("The pull of {account} {ended}{}", self.why))
                .and("What was read until then is in the store.")
        };
        match self.record.state {
            RunState::AwaitingApproval => {
                let sentence = format!("Much is gone at {account}, and waits for you{}", self.why);
                Verdict::new(Level::Needs, sentence)
                    .and("See at the provider whether so much was removed. All else was read.")
                    .next(
                        format!("onfile runs approve {run}"),
                        "looks at each once more and marks what is gone; `onfile runs cancel` leaves \
                         it as it is",
                    )
            }
            RunState::Paused => ended(Level::Needs, "was stopped")
                .next(format!("onfile runs resume {run}"), "goes on with what it has not read"),
            RunState::Cancelled => {
                ended(Level::Needs, "was cancelled").next(again, "reads it again")
            }
            _ => ended(Level::Failed, "failed")
                .next(again, self.hint().unwrap_or_else(|| "reads it again".into())),
        }
    }

    fn plan(&self, mask: Mask) -> Verdict {
        let Summary { account, unverified, observed, .. } = self.summary;
        let again = again(self.summary, self.record, mask);
        if self.rows.read == 0 {
            return Verdict::new(Level::Needs, "The file has no rows.".into())
                .next(format!("{again} --dry-run"), "plans the right file");
        }
        let rejected = self.rows.rejected + self.planned(is_rejected);
        let sent = self.planned(|plan| is_sent(plan) && !is_rejected(plan));
        let rest = self.rows.read.saturating_sub(sent + rejected);
        let parts = [
            (sent, "would be sent"),
            (rest, "would stay as they are"),
            (rejected, "would be rejected"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(rows, _)| *rows > 0)
            .map(|(rows, what)| format!("{} {what}", grouped(*rows)))
            .collect();
        let verdict = |level| {
            let of = counted(self.rows.read, "row", "rows");
            Verdict::new(level, format!("Of {of}, {}.", parts.join(", ")))
                .and("This was a dry run: nothing was sent.")
        };
        let unverified = unverified.filter(|_| !observed).unwrap_or(0);
        if rejected > 0 {
            let why = "plans once more, when the rows that would be rejected are mended";
            verdict(Level::Needs).next(format!("{again} --dry-run"), why)
        } else if sent == 0 {
            verdict(Level::Fine)
        } else if unverified > 0 {
            let rows = counted(unverified, "row rests", "rows rest");
            verdict(Level::Needs).next(
                format!("{again} --dry-run --observe"),
                format!("looks at {account} first, and changes nothing there: {rows} on what was not read in this run"),
            )
        } else {
            let canary = self.canary_size().map(|n| format!(" --canary {n}"));
            verdict(Level::Needs).next(format!("{again}{}", canary.unwrap_or_default()), "sends it")
        }
    }

    fn canary_size(&self) -> Option<u64> {
        let args = serde_json::from_str::<serde_json::Value>(&self.record.args).ok()?;
        args.get("canary")?.as_u64()
    }

    fn done(&self, mask: Mask) -> Verdict {
        let Summary { account, findings, .. } = self.summary;
        let Ledger { read, .. } = self.rows;
        if read == 0 {
            let sentence = "The file has no rows: nothing was asked for, and nothing was done.";
            return Verdict::new(Level::Needs, sentence.into())
                .next(again(self.summary, self.record, mask), "imports the right file");
        }
        let bad = self.rows.declined(0);
        if bad == 0 {
            let sentence = match read {
                1 => format!("The one row is in place at {account}."),
                read => format!("All {} rows are in place at {account}.", grouped(read)),
            };
            let verdict = Verdict::new(Level::Fine, sentence).and(self.listed(IN_PLACE));
            let said = match findings.values().sum() {
                0 => return verdict,
                rows => counted(rows, "row says", "rows say"),
            };
            return Verdict { level: Level::Needs, ..verdict }
                .and(format!("{said} something that somebody should look at: see the findings."));
        }
        let sentence = format!(
            "{} of {} are in place at {account}; {} a person.",
            grouped(self.in_place()),
            counted(read, "row", "rows"),
            counted(bad, "needs", "need")
        );
        let verdict = Verdict::new(Level::Needs, sentence).and(self.listed(NEED_A_PERSON));
        self.see_to(verdict, mask)
    }

    /// These outcomes with their rows, as far as there are any.
    fn listed(&self, outcomes: [Outcome; 4]) -> String {
        let some = outcomes.into_iter().filter(|outcome| self.rows.of(*outcome) > 0);
        let named = some.map(|outcome| {
            let word = outcome.as_str().replace('_', " ");
            format!("{} {word}", grouped(self.rows.of(outcome)))
        });
        format!("{}.", named.collect::<Vec<_>>().join(", "))
    }

    /// What may have taken effect comes first, then the file.
    fn see_to(&self, verdict: Verdict, mask: Mask) -> Verdict {
        let Summary { run, account, effects, unsettled, .. } = self.summary;
        let for_a_person = effects.get(EffectState::Unresolved.as_str()).copied().unwrap_or(0);
        if for_a_person > 0 {
            verdict.next(
                format!("onfile effects list --run {run}"),
                "names what may have taken effect; look it up at the provider, and say what you \
                 saw. Nothing is sent for these customers before",
            )
        } else if *unsettled > 0 {
            let why = "asks the provider what became of what was sent and not answered";
            verdict.next(format!("onfile effects settle {account}"), why)
        } else {
            verdict.next(
                again(self.summary, self.record, mask),
                "when the rows below are seen to: nothing is created twice",
            )
        }
    }

    fn canary(&self) -> Verdict {
        let Summary { run, account, .. } = self.summary;
        let waiting = counted(self.planned(is_sent), "row waits", "rows wait");
        let sentence =
            format!("The canary went well at {account} and was read back; {waiting} for approval.");
        Verdict::new(Level::Needs, sentence)
            .and(format!("`onfile runs cancel {run}` ends the run instead."))
            .next(format!("onfile runs approve {run}"), "sends the rest")
    }

    fn paused(&self) -> Verdict {
        let Summary { run, account, .. } = self.summary;
        let open = counted(self.planned(|_| true), "row", "rows");
        let sentence =
            format!("The import into {account} is paused with {open} still to come{}", self.why);
        let why = "goes on from its rows; what was sent is not sent again";
        Verdict::new(Level::Needs, sentence).next(format!("onfile runs resume {run}"), why)
    }

    fn failed(&self, mask: Mask) -> Verdict {
        let Summary { account, effects, dry_run, .. } = self.summary;
        let sent = match (dry_run, effects.is_empty()) {
            (true, _) => "The dry run found that the import would stop",
            (false, true) => "The import failed, and nothing was sent",
            (false, false) => "The import failed on its way",
        };
        let verdict = Verdict::new(Level::Failed, format!("{sent}{}", self.why));
        let verdict = match effects.is_empty() {
            true => verdict,
            false => {
                verdict.and(format!("{} are in place at {account}.", grouped(self.in_place())))
            }
        };
        let dry = if *dry_run { " --dry-run" } else { "" };
        let hint = self.hint().unwrap_or_else(|| "when the cause is gone".into());
        verdict.next(format!("{}{dry}", again(self.summary, self.record, mask)), hint)
    }

    fn cancelled(&self, mask: Mask) -> Verdict {
        let account = &self.summary.account;
        let sentence = format!(
            "The import was cancelled: {} are in place at {account}, {} not attempted.",
            counted(self.in_place(), "row", "rows"),
            counted(self.rows.not_attempted, "row was", "rows were")
        );
        let verdict = Verdict::new(Level::Needs, sentence);
        if self.summary.unsettled > 0 || self.rows.declined(0) > 0 {
            return self.see_to(verdict, mask);
        }
        Verdict { level: Level::Fine, ..verdict }
    }
}

/// What moved in the store: `3 customers new; 1 payment method removed`.
fn moved(customers: Counts, methods: Counts) -> String {
    let both = changes(customers).into_iter().zip(changes(methods));
    let moved = both.filter(|((what, _), _)| *what != "unchanged").filter_map(
        |((what, customers), (_, methods))| {
            let customers = (customers > 0).then(|| counted(customers, "customer", "customers"));
            let methods =
                (methods > 0).then(|| counted(methods, "payment method", "payment methods"));
            let all: Vec<String> = customers.into_iter().chain(methods).collect();
            (!all.is_empty()).then(|| format!("{} {what}", all.join(" and ")))
        },
    );
    moved.collect::<Vec<String>>().join("; ")
}

#[cfg(test)]
pub(crate) mod tests;
