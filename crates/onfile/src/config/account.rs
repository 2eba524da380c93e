//! `[accounts.NAME]`: the common keys, the kind's own, and what holds between them.

use std::time::Duration;

use toml_span::Value;
use toml_span::value::{Key, Table};
use url::Url;

use super::error::Code;
use super::keys::{ACCOUNT, QUARANTINE_MARGIN, SEND_WINDOW};
use super::kinds::{self, KINDS, KindSpec};
use super::parse::{Allowed, KindCheck, Read, join, show};
use super::sections::Sections;
use super::source::nearest;
use super::spec::{KeySpec, Settings};
use super::types::{AccountConfig, Environment, OnUnfit, Rate};
use super::values::is_name;

type Entry<'v> = (&'v Key<'v>, &'v Value<'v>);

/// Timeout, lateness, quarantine.
type Timing = (Duration, Duration, Duration);

impl Sections<'_, '_> {
    /// `[accounts.*]`, in the order of the file.
    pub(super) fn accounts(
        &mut self,
        root: &Table<'_>,
        precedence: &[String],
    ) -> Vec<AccountConfig> {
        let Some(value) = root.get("accounts") else { return Vec::new() };
        let Some(table) = self.walk.as_table("accounts", value, "[accounts.NAME]") else {
            return Vec::new();
        };
        let mut entries: Vec<Entry<'_>> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries.into_iter().filter_map(|entry| self.account(entry, precedence)).collect()
    }

    fn account(&mut self, (key, value): Entry<'_>, precedence: &[String]) -> Option<AccountConfig> {
        let name = key.name.as_ref();
        let path = join("accounts", name);
        if !is_name(name) || name == "file" {
            let message = if name == "file" {
                "cannot be an account: in `precedence` that is what was last imported"
            } else {
                "must be named with 1 to 64 of a-z, 0-9, _ and -, starting with a letter or digit"
            };
            let hint = "rename the account; its name is also in `POST /hooks/{account}`";
            self.walk.fail(Code::NameBad, key.span, &path, message, hint);
        }
        let table = self.walk.as_table(&path, value, "[accounts.NAME]")?;
        let chosen = self.options.only_accounts.as_ref();
        let chosen = chosen.is_none_or(|only| only.iter().any(|one| one == name));
        self.walk.resolve = self.options.resolve_secrets && chosen;
        self.walk.prefix = env_prefix(name);

        let word = table.get("kind").and_then(Value::as_str);
        let kind = word.and_then(kinds::find);
        if let Some((word, value)) = word.zip(table.get("kind")) {
            self.kind_known(&path, word, value);
        }
        let allowed = kind.map_or_else(any_keys, keys_of);
        let read = self.walk.table(&path, key.span, table, &allowed);
        if !read.has("kind") {
            let hint = format!("add `kind = \"…\"`; this build has: {}", self.built.join(", "));
            self.walk.fail(Code::MissingKey, key.span, &read.key("kind"), "is missing", &hint);
        }
        if let Some(kind) = kind {
            let keys: &[_] = &allowed.keys;
            (kind.check)(&mut KindCheck { walk: &mut *self.walk, read: &read, keys });
        }
        let timing = self.quarantine(&read);
        assemble(name, kind?, &read.settings, timing, precedence)
    }

    fn kind_known(&mut self, path: &str, word: &str, value: &Value<'_>) {
        let at = self.walk.place(value);
        let path = join(path, "kind");
        let built = self.built.join(", ");
        if kinds::find(word).is_none() {
            let known = KINDS.iter().map(|kind| kind.kind);
            let message = format!("= {} is not a kind that onfile knows", show(word));
            let hint = match nearest(word, known.clone()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("the kinds are {}", known.collect::<Vec<_>>().join(", ")),
            };
            self.walk.fail(Code::UnknownKind, at, &path, &message, &hint);
        } else if !self.built.contains(&word) {
            let message = format!("= {} is not in this build", show(word));
            let hint = format!("this build has: {built}");
            self.walk.fail(Code::KindNotBuilt, at, &path, &message, &hint);
        }
    }

    /// Timeout, lateness and quarantine; an error if the last is too short.
    fn quarantine(&mut self, read: &Read<'_>) -> Timing {
        let get = |key| read.settings.duration(key).unwrap_or_default();
        let (timeout, late) = (get("timeout_seconds"), get("late_seconds"));
        let least = Duration::from_secs(SEND_WINDOW) + timeout + late;
        let stated = read.settings.duration("quarantine_seconds");
        let quarantine = stated.unwrap_or(least + Duration::from_secs(QUARANTINE_MARGIN));
        let keys = ["timeout_seconds", "late_seconds", "quarantine_seconds"];
        if let Some(value) = read.raw("quarantine_seconds").filter(|_| read.sound(&keys))
            && quarantine < least
        {
            let (timeout, late) = (timeout.as_secs_f64(), late.as_secs_f64());
            let least = least.as_secs_f64();
            let message = format!(
                "= {} is too short: a lost call may still take effect for {least} s (3 to send + \
                 {timeout} timeout + {late} late)",
                quarantine.as_secs_f64()
            );
            let hint = format!("write at least `quarantine_seconds = {}`", least.ceil());
            let at = self.walk.place(value);
            let path = read.key("quarantine_seconds");
            self.walk.fail(Code::QuarantineShort, at, &path, &message, &hint);
        }
        (timeout, late, quarantine)
    }
}

/// The keys of an account: the common ones that its kind has a use for, and its own.
fn keys_of(kind: &'static KindSpec) -> Allowed {
    let useless = |key: &KeySpec| kind.without.iter().any(|(name, _)| *name == key.name);
    Allowed {
        what: format!("a {} account", kind.kind),
        keys: ACCOUNT.iter().filter(|key| !useless(key)).chain(kind.keys).collect(),
        maybe: Vec::new(),
        elsewhere: foreign_keys(kind),
    }
}

/// The keys of an account whose kind is not known: those of every kind, and none is asked for.
fn any_keys() -> Allowed {
    Allowed {
        what: "an account".to_owned(),
        keys: ACCOUNT.iter().collect(),
        maybe: KINDS.iter().flat_map(|kind| kind.keys).collect(),
        elsewhere: Vec::new(),
    }
}

/// Keys that this kind has no use for, each with why.
fn foreign_keys(kind: &'static KindSpec) -> Vec<(&'static str, String)> {
    let useless = kind.without.iter();
    let useless = useless
        .map(|(key, why)| (*key, format!("means nothing for a {} account: {why}", kind.kind)));
    let others = KINDS.iter().flat_map(|other| other.keys).map(|key| {
        let has = |kind: &&KindSpec| kind.keys.iter().any(|own| own.name == key.name);
        let kinds: Vec<&str> = KINDS.iter().filter(has).map(|kind| kind.kind).collect();
        (key.name, format!("is a key of {} accounts, this one is {}", listed(&kinds), kind.kind))
    });
    useless.chain(others).collect()
}

/// Words as a sentence has them: `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        words => words.concat(),
    }
}

/// What names of variables for an account begin with.
fn env_prefix(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let clean = upper.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    if clean.starts_with(|c: char| c.is_ascii_digit()) { format!("A{clean}") } else { clean }
}

fn assemble(
    name: &str,
    kind: &'static KindSpec,
    settings: &Settings,
    (timeout, late, quarantine): Timing,
    precedence: &[String],
) -> Option<AccountConfig> {
    let environment = match settings.str("environment") {
        Some("live") => Some(Environment::Live),
        Some("test") => Some(Environment::Test),
        _ => None,
    };
    let vendors = match (environment, kind.test_url) {
        (Some(Environment::Test), Some(test)) => test,
        _ => kind.base_url,
    };
    let base_url = match settings.url("base_url") {
        Some(url) => url.clone(),
        None => Url::parse(vendors).ok()?,
    };
    let rate = settings.table("rate")?;
    let count = |key| rate.int(key).and_then(|number| u32::try_from(number).ok());
    let own = kind.keys.iter().filter_map(|key| {
        let setting = settings.get(key.name)?;
        Some((key.name, setting.clone()))
    });
    Some(AccountConfig {
        name: name.to_owned(),
        kind,
        base_url,
        environment,
        rate: Rate {
            per_second: rate.number("per_second")?,
            burst: count("burst")?,
            in_flight: count("in_flight")?,
        },
        timeout,
        late,
        quarantine,
        reference_namespace: settings.str("reference_namespace")?.to_owned(),
        match_by_email: settings.bool("match_by_email")?,
        in_step: settings
            .bool("in_step")
            .unwrap_or_else(|| precedence.iter().any(|listed| listed == name)),
        methods_max_age: settings.duration("methods_max_age")?,
        calls_budget: settings.int("calls_budget").and_then(|calls| u64::try_from(calls).ok()),
        on_unfit_field: match settings.str("on_unfit_field") {
            Some("omit") => OnUnfit::Omit,
            _ => OnUnfit::Reject,
        },
        proxy: settings.secret("proxy").cloned(),
        ca_file: settings.path("ca_file").map(ToOwned::to_owned),
        webhook_secrets: settings.secrets("webhook_secret").unwrap_or_default().to_vec(),
        replay_window: settings.duration("replay_window").unwrap_or_default(),
        settings: Settings(own.collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn words_are_listed_as_a_sentence_has_them() {
        for (words, expected) in [
            (&[][..], ""),
            (&["a"], "a"),
            (&["a", "b"], "a and b"),
            (&["a", "b", "c"], "a, b and c"),
            (&["a", "b", "c", "d"], "a, b, c and d"),
        ] {
            assert_eq!(listed(words), expected);
        }
    }
}
