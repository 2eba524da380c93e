//! What a job says before it begins, for people.

use std::fmt::Write as _;
use std::time::Duration;

use model::{Forecast, MirrorAge, Span, Summary, Timestamp};

use crate::words::grouped;

/// The calls that a job at an account will make, and how long that takes.
#[must_use]
pub fn forecast(account: &str, forecast: &Forecast) -> String {
    lines(&format!("{account}: this makes"), forecast)
}

/// The same behind words of one's own.
pub(crate) fn lines(begin: &str, forecast: &Forecast) -> String {
    let mut text = format!("{begin} {}\n", least(forecast));
    if let Some(most) = most(forecast) {
        let _ = writeln!(text, "    {most}");
    }
    for (endpoint, span) in &forecast.calls.by_endpoint {
        let _ = writeln!(text, "    {:>17} × {endpoint}", spanned(*span));
    }
    text
}

/// How many calls, if everything is as the store has it.
pub(crate) fn least(forecast: &Forecast) -> String {
    let Forecast { calls, seconds_at_limit, limit, .. } = forecast;
    if calls.total_most == 0 {
        return "no calls".into();
    }
    let plural = if calls.total_least == 1 { "" } else { "s" };
    let (least, took) = (grouped(calls.total_least), took(*seconds_at_limit));
    format!("{least} call{plural}: {took} at the limit ({limit})")
}

/// How many more it may be.
pub(crate) fn most(forecast: &Forecast) -> Option<String> {
    let Forecast { calls, seconds_at_limit_most, .. } = forecast;
    (calls.total_most > calls.total_least).then(|| {
        format!(
            "at most {} calls ({}), where more is there than the store knows",
            grouped(calls.total_most),
            took(*seconds_at_limit_most)
        )
    })
}

/// From so many to so many.
pub(crate) fn spanned(Span { least, most }: Span) -> String {
    if least == most { grouped(least) } else { format!("{} – {}", grouped(least), grouped(most)) }
}

/// What the plan of a dry run rests on.
pub(crate) fn mirror(mirror: &MirrorAge, summary: &Summary) -> String {
    let at = |time: &Option<String>| Timestamp::parse_rfc3339(time.as_deref()?);
    let age =
        match (at(&mirror.newest), at(&mirror.oldest), Timestamp::parse_rfc3339(&summary.ended_at))
        {
            (Some(newest), Some(oldest), Some(now)) => {
                let (newest, oldest) = (ago(now.since(newest)), ago(now.since(oldest)));
                let ages = if newest == oldest { oldest } else { format!("{newest} to {oldest}") };
                format!("read {ages} ({} customers)", grouped(mirror.customers))
            }
            _ => "never read".into(),
        };
    let rows = match summary.unverified.unwrap_or(0) {
        0 => "no row is unverified".into(),
        1 => "1 row is unverified".into(),
        rows => format!("{} rows are unverified", grouped(rows)),
    };
    let hint = match (summary.unverified, summary.observed) {
        (None | Some(0), _) => "",
        (_, false) => ": --observe looks",
        (_, true) => ": what they rest on was not read in this run",
    };
    format!("{age}; {rows}{hint}")
}

/// The customers that a canary would take, by the line of their first row.
pub(crate) fn canary(lines: &[u64]) -> String {
    const SHOWN: usize = 10;
    let mut shown: Vec<String> = lines.iter().take(SHOWN).map(u64::to_string).collect();
    if lines.len() > SHOWN {
        shown.push("…".into());
    }
    match lines.len() {
        0 => "no row has anything to be sent".into(),
        1 => format!("the customer of line {} would go first", shown.join(", ")),
        some => format!("the {some} customers of lines {} would go first", shown.join(", ")),
    }
}

/// So much time, for a plan.
pub(crate) fn took(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => "under 1 s".into(),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{} h {minutes} min", grouped(hours)),
    }
}

/// So long ago, in its largest unit.
fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{} {unit}{} ago", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ForecastCalls;

    fn large() -> Forecast {
        let span = |least, most| Span { least, most };
        Forecast {
            calls: ForecastCalls {
                total_least: 60_601,
                total_most: 180_601,
                changing_least: 60_600,
                by_endpoint: [
                    ("POST /api/customers".to_owned(), span(60_000, 60_000)),
                    ("GET /api/customers".to_owned(), span(0, 60_000)),
                ]
                .into(),
            },
            seconds_at_limit: 6060,
            seconds_at_limit_most: 18_060,
            limit: "rate 10/s".into(),
        }
    }

    #[test]
    fn a_forecast_says_calls_time_and_limit() {
        insta::assert_snapshot!(forecast("gov", &large()), @r"
        gov: this makes 60,601 calls: 1 h 41 min at the limit (rate 10/s)
            at most 180,601 calls (5 h 1 min), where more is there than the store knows
                   0 – 60,000 × GET /api/customers
                       60,000 × POST /api/customers
        ");
        assert_eq!(forecast("gov", &Forecast::default()), "gov: this makes no calls\n");
    }

    #[test]
    fn a_dry_run_says_what_its_canary_would_be() {
        assert_eq!(canary(&[]), "no row has anything to be sent");
        assert_eq!(canary(&[4]), "the customer of line 4 would go first");
        let many: Vec<u64> = (2..=13).collect();
        assert_eq!(
            canary(&many),
            "the 12 customers of lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … would go first"
        );
    }

    #[test]
    fn a_dry_run_says_how_old_its_mirror_is() {
        let age = MirrorAge {
            customers: 58_112,
            methods: 9,
            oldest: Some("2026-01-29T10:00:00Z".into()),
            newest: Some("2026-01-31T09:00:00Z".into()),
        };
        let summary = Summary {
            ended_at: "2026-01-31T12:00:00Z".into(),
            unverified: Some(60_000),
            ..Summary::default()
        };
        assert_eq!(
            mirror(&age, &summary),
            "read 3 hours ago to 2 days ago (58,112 customers); 60,000 rows are \
             unverified: --observe looks"
        );
        let looked = Summary { observed: true, unverified: Some(1), ..summary.clone() };
        let text = mirror(&age, &looked);
        assert!(text.contains("; 1 row is unverified: what they rest on was not read"), "{text}");
        let never = mirror(&MirrorAge::default(), &Summary { unverified: Some(0), ..summary });
        assert_eq!(never, "never read; no row is unverified");
    }
}
