//! `Retry-After`: seconds, or a date.

use std::time::Duration;

use model::Timestamp;

/// Longer than this nobody waits on a provider's word alone.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// Reads it. A date is taken against the answer's own `Date`, so that the two machines' clocks
/// need not agree, else against ours. Zero is as good as none.
pub(crate) fn parse(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let pause = if let Ok(seconds) = value.parse::<f64>() {
        if seconds.is_nan() {
            return None;
        }
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST)
    } else {
        instant(value)?.since(date.and_then(instant).unwrap_or(now))
    };
    (!pause.is_zero()).then(|| pause.min(LONGEST))
}

fn instant(text: &str) -> Option<Timestamp> {
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp::from_micros(at.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now = Timestamp::parse_rfc3339("2015-10-21T07:27:00Z").expect("a time");
        let parse = |value| parse(value, None, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse(" 1.5 "), Some(Duration::from_millis(1500)));
        assert_eq!(parse("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(60)));
        for nothing in ["0", "-3", "", "soon", "NaN", "Wed, 21 Oct 2015 07:26:00 GMT"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
        for long in ["86400", "1e300", "inf", "Thu, 22 Oct 2015 07:28:00 GMT"] {
            assert_eq!(parse(long), Some(LONGEST), "{long}");
        }
    }

    #[test]
    fn a_date_is_taken_against_the_answers_own() {
        let now = Timestamp::from_seconds(0);
        let date = Some("Wed, 21 Oct 2015 07:27:50 GMT");
        let pause = parse("Wed, 21 Oct 2015 07:28:00 GMT", date, now);
        assert_eq!(pause, Some(Duration::from_secs(10)));
    }
}
