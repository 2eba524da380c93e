//! What happened to a customer or a payment method, and what is known of it now.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use store::{FieldSource, Happened, History, Shown, What};

use crate::Exported;

/// What people do not see: it is for machines.
const HIDDEN: &str = "bin";

/// One thing that happened, in a line.
fn line(one: &Happened) -> String {
    let mut text = format!("{}  {:<12}  ", one.at, one.account.as_deref().unwrap_or("-"));
    let _ = match &one.what {
        What::FirstSeen { remote } => write!(text, "first seen as {remote}"),
        What::Removed { remote } => write!(text, "{remote} is gone"),
        What::Changed { field, .. } if field == HIDDEN => write!(text, "{field}: another one"),
        What::Changed { field, before, after, .. } => {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
            let field = match field.strip_prefix("link.") {
                Some(remote) => format!("the link of {remote}"),
                None => field.clone(),
            };
            write!(text, "{field}: {} → {}", shown(before), shown(after))
        }
        What::Effect { id, kind, state, origin, code } => {
            let how = origin.as_deref().map(|o| format!(", {o}")).unwrap_or_default();
            let code = code.as_deref().map(|c| format!(" [{c}]")).unwrap_or_default();
            write!(text, "{kind} {id}: {state}{how}{code}")
        }
    };
    let mut why: Vec<String> = Vec::new();
    if let What::Changed { cause, event, .. } = &one.what {
        why.extend(one.job.is_none().then(|| cause.clone()));
        why.extend(event.as_ref().map(|event| format!("event {event}")));
    }
    if let Some(run) = &one.run {
        why.push(format!("{} {run}", one.job.as_deref().unwrap_or("run")));
    }
    let file = one.file.as_deref();
    why.extend(match (one.line, file) {
        (Some(line), Some(file)) => Some(format!("line {line} of {file}")),
        (Some(line), None) => Some(format!("line {line}")),
        (None, Some(file)) => Some(file.to_owned()),
        (None, None) => None,
    });
    if !why.is_empty() {
        let _ = write!(text, "   ({})", why.join(", "));
    }
    text
}

/// The whole history for a person: what happened, then each value with its source.
#[must_use]
pub fn history<T: Exported>(
    history: &History<T>,
    name: &str,
    sources: &BTreeMap<String, FieldSource>,
) -> String {
    let mut text = format!("{name}\n\n");
    if history.happened.is_empty() {
        text.push_str("nothing happened that was written down\n");
    }
    for one in &history.happened {
        let _ = writeln!(text, "{}", line(one));
    }
    let _ = writeln!(text, "\nnow:");
    let now = history.now.json();
    let values = now.as_object().into_iter().flatten();
    for (field, value) in values.filter(|(field, _)| !["sources", HIDDEN].contains(&field.as_str()))
    {
        let mut put = |name: &str, value: &Value| {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // An expiry is one fact of two columns.
            let fact = match name {
                "exp_month" | "exp_year" => "expiry",
                "wallet_address" => "address",
                other => other,
            };
            let source = sources.get(fact);
            let from = source.map(|s| format!("   from {}, as of {}", s.account, s.at));
            let _ = writeln!(text, "  {name}: {shown}{}", from.unwrap_or_default());
        };
        match value {
            Value::Null => {}
            Value::Object(keys) => {
                keys.iter().for_each(|(key, value)| put(&format!("{field}.{key}"), value));
            }
            value => put(field, value),
        }
    }
    for Shown { account, remote, attributes } in &history.shown {
        let _ = writeln!(text, "\n{account} says of {remote}:");
        for (name, value) in attributes {
            let _ = writeln!(text, "  {name}: {value}");
        }
    }
    text
}

/// The same as a document's fields: `history` and the record under its word.
#[must_use]
pub fn history_json<T: Exported>(history: &History<T>, word: &str) -> Value {
    let happened: Vec<Value> = history.happened.iter().map(happened).collect();
    let mut document = Map::new();
    document.insert(word.to_owned(), history.now.json());
    let shown = |one: &Shown| json!({ "account": one.account, "remote_id": one.remote, "attributes": one.attributes });
    document.insert("shown".to_owned(), history.shown.iter().map(shown).collect());
    document.insert("history".to_owned(), happened.into());
    document.into()
}

fn happened(one: &Happened) -> Value {
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| drop(entry.insert(key.to_owned(), value));
    put("at", json!(one.at.to_string()));
    put("account", json!(one.account));
    put("run", json!(one.run));
    put("job", json!(one.job));
    put("file", json!(one.file));
    put("line", json!(one.line));
    match &one.what {
        What::FirstSeen { remote } => {
            put("what", json!("first_seen"));
            put("remote_id", json!(remote));
        }
        What::Removed { remote } => {
            put("what", json!("removed"));
            put("remote_id", json!(remote));
        }
        What::Changed { field, before, after, cause, event } => {
            put("what", json!("changed"));
            put("field", json!(field));
            put("before", json!(before));
            put("after", json!(after));
            put("cause", json!(cause));
            put("event", json!(event));
        }
        What::Effect { id, kind, state, origin, code } => {
            put("what", json!("effect"));
            put("effect", json!(id));
            put("kind", json!(kind));
            put("state", json!(state));
            put("origin", json!(origin));
            put("code", json!(code));
        }
    }
    entry.into()
}

#[cfg(test)]
mod tests {
    use model::{Bin, CardFacts, Last4, MethodFacts, Timestamp};
    use store::{ExportedMethod, PageKey};

    use super::*;

    fn changed(field: &str, before: &str, after: &str) -> Happened {
        Happened {
            at: Timestamp::from_seconds(1_700_000_000),
            account: Some("gov".into()),
            run: Some("01RUN".into()),
            job: Some("pull".into()),
            file: None,
            line: None,
            what: What::Changed {
                field: field.into(),
                before: Some(before.into()),
                after: Some(after.into()),
                cause: "pull".into(),
                event: None,
            },
        }
    }

    fn card() -> History<ExportedMethod> {
        let mut person = Happened { run: None, job: None, ..changed("link.pm_1", "m_1", "m_2") };
        if let What::Changed { cause, .. } = &mut person.what {
            *cause = "person".into();
        }
        History {
            now: ExportedMethod {
                key: PageKey::default(),
                method: None,
                customer: None,
                reference: None,
                remote_customer: None,
                remote_method: None,
                facts: MethodFacts::Card(CardFacts {
                    bin: Bin::new("411111").ok(),
                    last4: Last4::new("4242").ok(),
                    ..CardFacts::default()
                }),
                default: None,
                attributes: BTreeMap::new(),
                sources: BTreeMap::new(),
            },
            shown: vec![Shown {
                account: "gov".into(),
                remote: "pm_1".into(),
                attributes: [("keep_until".to_owned(), "2031-01".to_owned())].into(),
            }],
            happened: vec![changed("bin", "400000", "411111"), person],
        }
    }

    #[test]
    fn a_person_sees_no_bin() {
        let card = card();
        let text = history(&card, "card 4242", &card.now.sources);
        assert!(!text.contains("4000") && !text.contains("411111"), "{text}");
        assert!(text.contains("bin: another one   (pull 01RUN)"), "{text}");
        assert!(text.contains("the link of pm_1: m_1 → m_2   (person)"), "{text}");
        assert!(text.contains("last4: 4242"), "{text}");
        // A script does.
        assert_eq!(history_json(&card, "method")["method"]["bin"], "411111");
    }

    #[test]
    fn what_an_account_says_stands_under_its_name() {
        let card = card();
        let text = history(&card, "card 4242", &card.now.sources);
        assert!(text.ends_with("\ngov says of pm_1:\n  keep_until: 2031-01\n"), "{text}");
        let json = history_json(&card, "method");
        let shown = json!([{
            "account": "gov", "remote_id": "pm_1", "attributes": { "keep_until": "2031-01" },
        }]);
        assert_eq!(json["shown"], shown);
    }
}
