//! `[[schedules]]` and `[alerts]`.

use std::time::Duration;

use engine::schedule::{BadWhen, When};
use store::AlertKind;
use toml_span::Value;
use toml_span::value::Table;

use super::error::Code;
use super::keys::{ALERT_KINDS, ALERTS, SCHEDULE};
use super::parse::{Allowed, Read, show};
use super::sections::{Sections, small};
use super::source::nearest;
use super::types::{AlertsConfig, CatchUp, ScheduleConfig};
use crate::cli::Job;

/// A line that is always right.
const ANY: &str = "0 0 0 * * *";

impl Sections<'_, '_> {
    pub(super) fn schedules(&mut self, root: &Table<'_>, accounts: &[&str]) -> Vec<ScheduleConfig> {
        let Some(value) = root.get("schedules") else { return Vec::new() };
        let Some(list) = value.as_array() else {
            self.walk.wrong_type("schedules", value, "a list of tables", "[[schedules]]");
            return Vec::new();
        };
        let mut names: Vec<&str> = Vec::new();
        let allowed = Allowed {
            what: "a schedule".to_owned(),
            keys: SCHEDULE.iter().collect(),
            ..Allowed::default()
        };
        let mut schedules = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let path = format!("schedules[{index}]");
            let Some(table) = self.walk.as_table(&path, value, "[[schedules]]") else { continue };
            let head = self.walk.src.head(value.span);
            let read = self.walk.table(&path, head, table, &allowed);
            if let Some((name, value)) = read.raw("name").and_then(|v| Some((v.as_str()?, v))) {
                if names.contains(&name) {
                    let message = format!("= {} is there twice", show(name));
                    let at = self.walk.place(value);
                    let hint = "what a schedule did is kept by its name";
                    self.walk.fail(Code::DuplicateName, at, &read.key("name"), &message, hint);
                }
                names.push(name);
            }
            self.job(&read, accounts);
            let when = self.when(&read);
            let text = |key| read.settings.str(key).unwrap_or_default().to_owned();
            schedules.extend(when.map(|when| ScheduleConfig {
                name: text("name"),
                job: text("job"),
                when,
                catch_up: match read.settings.str("catch_up") {
                    Some("skip") => CatchUp::Skip,
                    _ => CatchUp::Once,
                },
                jitter: Duration::from_secs(small(&read.settings, "jitter_seconds").into()),
            }));
        }
        schedules
    }

    /// The job is one, and its account is one of this file.
    fn job(&mut self, read: &Read<'_>, accounts: &[&str]) {
        let (Some(value), Some(line)) = (read.raw("job"), read.settings.str("job")) else { return };
        let at = self.walk.place(value);
        match Job::parse(line) {
            Err(why) => {
                let message = format!("= {} is no job: {why}", show(line));
                let hint = "write it as after `onfile` on the command line: `pull ACCOUNT`, \
                            `import ACCOUNT --inbox DIR`";
                self.walk.fail(Code::BadValue, at, &read.key("job"), &message, hint);
            }
            Ok(job) if !accounts.contains(&job.account()) => {
                let message = format!("names {}, which is no account of this file", job.account());
                let hint = match nearest(job.account(), accounts.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None if accounts.is_empty() => {
                        "there is none yet: add [accounts.NAME]".to_owned()
                    }
                    None => format!("the accounts are {}", accounts.join(", ")),
                };
                self.walk.fail(Code::UnknownAccount, at, &read.key("job"), &message, &hint);
            }
            Ok(_) => {}
        }
    }

    /// When it is due.
    fn when(&mut self, read: &Read<'_>) -> Option<When> {
        let zone = read.settings.str("timezone")?;
        // The time zone of a line that does not read is looked at all the same.
        let cron = read.settings.str("cron");
        let (key, code, message, hint) = match When::parse(cron.unwrap_or(ANY), zone) {
            Ok(_) if cron.is_none() => return None,
            Ok(when) => return Some(when),
            Err(BadWhen::Zone(_)) => {
                let known: Vec<_> = jiff::tz::db().available().collect();
                let hint = match nearest(zone, known.iter().map(jiff::tz::TimeZoneName::as_str)) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "write an IANA name such as \"America/Denver\" or \"UTC\"".to_owned(),
                };
                let message = format!("= {} is no time zone", show(zone));
                ("timezone", Code::UnknownTimezone, message, hint)
            }
            Err(why @ (BadWhen::Line(_) | BadWhen::Never)) => {
                let message = format!("= {} cannot be used: {why}", show(cron.unwrap_or_default()));
                let hint = "write second, minute, hour, day of the month, month and day of the week, \
                            such as \"0 15 2 * * *\"";
                ("cron", Code::BadValue, message, hint.to_owned())
            }
        };
        let at = read.raw(key).map_or(read.at, |value| self.walk.place(value));
        self.walk.fail(code, at, &read.key(key), &message, &hint);
        None
    }

    pub(super) fn alerts(&mut self, root: &Table<'_>) -> AlertsConfig {
        let all = AlertsConfig { on: ALERT_KINDS.to_vec(), command: None, webhook: None };
        let Some(read) = self.section(root, "alerts", ALERTS, self.options.server) else {
            return all;
        };
        let mut on = Vec::new();
        let list = read.raw("on").and_then(Value::as_array);
        for (index, value) in list.into_iter().flatten().enumerate() {
            let Some(word) = value.as_str() else { continue };
            match AlertKind::parse(word) {
                Some(kind) => on.push(kind),
                None => {
                    let words = ALERT_KINDS.map(AlertKind::as_str);
                    let message = format!("= {} is nothing that is told", show(word));
                    let hint = format!("the words are {}", words.join(", "));
                    let (at, path) = (self.walk.place(value), format!("alerts.on[{index}]"));
                    self.walk.fail(Code::BadValue, at, &path, &message, &hint);
                }
            }
        }
        let command =
            read.settings.str("command").and_then(|line| match shell_words::split(line) {
                Ok(words) if !words.is_empty() => Some(words),
                _ => {
                    let at = read.raw("command").map_or(read.at, |value| self.walk.place(value));
                    let hint = "write a program and its arguments, as in a shell; no shell runs it";
                    let message = "cannot be read as a command";
                    self.walk.fail(Code::BadValue, at, &read.key("command"), message, hint);
                    None
                }
            });
        AlertsConfig {
            on: if read.raw("on").is_some() { on } else { all.on },
            command,
            webhook: read.settings.secret("webhook").cloned(),
        }
    }
}
