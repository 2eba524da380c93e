//! The short form of a plan for a command line, e.g. `bulk_import:2=drop_after`. Grammar in docs.md.

use super::{Fault, FaultError, FaultPlan, METHODS, On, Rule};

pub(super) fn parse(text: &str) -> Result<FaultPlan, FaultError> {
    let mut rules = Vec::new();
    for part in split(text) {
        let part = part.trim();
        if part.is_empty() {
            if text.trim().is_empty() {
                break;
            }
            return Err(spec(text, "there is an empty rule between two commas".to_owned()));
        }
        rules.push(rule(part).map_err(|reason| spec(part, reason))?);
    }
    Ok(FaultPlan { rules })
}

fn spec(rule: &str, reason: String) -> FaultError {
    FaultError::Spec { rule: rule.trim().to_owned(), reason }
}

/// Splits at commas that stand outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0_usize);
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..i).unwrap_or_default());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn rule(text: &str) -> Result<Rule, String> {
    // A reference in brackets may hold any sign, so it is cut out first.
    let (id, on, rest) = match text.split_once('[') {
        Some((head, tail)) if !head.contains('=') => {
            let (reference, rest) =
                tail.split_once(']').ok_or("expected `]` after the reference")?;
            let (id, mut on) = target(head)?;
            on.reference = Some(reference.to_owned());
            (id, on, rest)
        }
        _ => {
            let end = text.find([':', '=']).unwrap_or(text.len());
            let (head, rest) = text.split_at(end);
            let (id, on) = target(head)?;
            (id, on, rest)
        }
    };
    let (when, fault) =
        rest.split_once('=').ok_or("expected `=` and a fault, as in `bulk_import:2=drop_after`")?;
    let mut rule = Rule {
        id: Some(id.unwrap_or_else(|| text.to_owned())),
        on,
        times: None,
        fault: Fault::DropBefore,
    };
    match when.trim().strip_prefix(':') {
        Some(when) => self::when(when.trim(), &mut rule)?,
        None if when.trim().is_empty() => {}
        None => return Err(format!("expected `:` or `=`, found `{}`", when.trim())),
    }
    let fault = match fault.rsplit_once('*') {
        Some((fault, times)) => {
            rule.times = Some(number(times, "a number of times after `*`")?);
            fault
        }
        None => fault,
    };
    rule.fault = self::fault(fault.trim())?;
    Ok(rule)
}

/// `[LABEL@][METHOD ][endpoint|any]`
fn target(text: &str) -> Result<(Option<String>, On), String> {
    let (id, text) = match text.split_once('@') {
        Some((id, text)) => (Some(id.trim().to_owned()), text),
        None => (None, text),
    };
    let mut on = On::default();
    for word in text.split_whitespace() {
        if METHODS.contains(&word) {
            on.method = Some(word.to_owned());
        } else if word != "any" {
            on.endpoint = Some(word.to_owned());
        }
    }
    if text.trim().is_empty() {
        return Err("expected an endpoint's name, an HTTP method or `any` before `=`".to_owned());
    }
    Ok((id, on))
}

/// `2` | `2..4` | `every3` | `5%`
fn when(text: &str, rule: &mut Rule) -> Result<(), String> {
    const EXPECTED: &str = "expected after `:` a call's number (`2`), a range (`2..4`), `every3` or \
                            a share (`5%`)";
    if let Some(every) = text.strip_prefix("every") {
        rule.on.every = Some(number(every, "a number after `every`")?);
    } else if let Some(share) = text.strip_suffix('%') {
        let share: f64 = share.trim().parse().map_err(|_| format!("{EXPECTED}, found `{text}`"))?;
        rule.on.probability = Some(share / 100.0);
    } else if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (number(from, "a range's start")?, number(to, "a range's end")?);
        if from == 0 || to < from {
            return Err(format!("expected a range that rises from 1, found `{text}`"));
        }
        rule.on.nth = Some(from);
        rule.times = Some(to - from + 1);
    } else {
        let nth = text.parse().map_err(|_| format!("{EXPECTED}, found `{text}`"))?;
        rule.on.nth = Some(nth);
    }
    Ok(())
}

fn number(text: &str, what: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("expected {what}, found `{}`", text.trim()))
}

fn fault(text: &str) -> Result<Fault, String> {
    let (name, args) = match text.split_once('(') {
        Some((name, rest)) => {
            let args = rest.strip_suffix(')').ok_or("expected `)` at the end of the fault")?;
            (name.trim(), args.split(',').map(str::trim).collect())
        }
        None => (text, Vec::new()),
    };
    let milliseconds = || match args.as_slice() {
        [ms] => number(ms, "milliseconds"),
        _ => Err(format!("expected milliseconds, as in `{name}(200)`")),
    };
    let fault = match name {
        "status" => {
            let (code, retry_after, html) = status_args(name, &args)?;
            return Ok(Fault::Status { code, retry_after, html });
        }
        "status_after" => {
            let (code, retry_after, html) = status_args(name, &args)?;
            return Ok(Fault::StatusAfter { code, retry_after, html });
        }
        "throttle" => {
            let retry_after = match args.as_slice() {
                [] => None,
                [seconds] => {
                    let seconds = seconds.strip_prefix("retry_after=").unwrap_or(seconds);
                    Some(number(seconds, "seconds")?)
                }
                _ => return Err("expected at most the seconds, as in `throttle(2)`".to_owned()),
            };
            return Ok(Fault::Throttle { retry_after });
        }
        "delay_ms" => return milliseconds().map(Fault::DelayMs),
        "delay_after_ms" => return milliseconds().map(Fault::DelayAfterMs),
        "late_execution_ms" => return milliseconds().map(Fault::LateExecutionMs),
        "drop_before" => Fault::DropBefore,
        "drop_after" => Fault::DropAfter,
        "cut_body" => Fault::CutBody,
        "garbage_body" => Fault::GarbageBody,
        "missing_index" => Fault::MissingIndex,
        "repeat_index" => Fault::RepeatIndex,
        "foreign_index" => Fault::ForeignIndex,
        "echo_request_in_error" => Fault::EchoRequestInError,
        "repeat_page" => Fault::RepeatPage,
        "short_page" => Fault::ShortPage,
        "wrong_find" => Fault::WrongFind,
        "case_find" => Fault::CaseFind,
        "empty_account" => Fault::EmptyAccount,
        _ => {
            let names = Fault::NAMES.join(", ");
            return Err(format!("unknown fault `{name}`; expected one of {names}"));
        }
    };
    if args.is_empty() { Ok(fault) } else { Err(format!("`{name}` takes nothing in brackets")) }
}

fn status_args(name: &str, args: &[&str]) -> Result<(u16, Option<u64>, bool), String> {
    let expected = || {
        format!(
            "expected a status code and perhaps options, as in `{name}(503,retry_after=2,html)`"
        )
    };
    let (code, options) = args.split_first().ok_or_else(expected)?;
    let code = code.parse().map_err(|_| format!("{}, found `{code}`", expected()))?;
    let (mut retry_after, mut html) = (None, false);
    for option in options {
        if *option == "html" {
            html = true;
        } else if let Some(seconds) = option.strip_prefix("retry_after=") {
            retry_after = Some(number(seconds, "seconds after `retry_after=`")?);
        } else {
            return Err(format!("{}, found `{option}`", expected()));
        }
    }
    Ok((code, retry_after, html))
}
