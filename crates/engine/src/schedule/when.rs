//! When a schedule is due: a cron line in a time zone.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::TimeZone;
use model::Timestamp;

/// So many slots that were missed are named one by one; those before them are not.
pub(super) const NAMED: usize = 100;

/// A cron line of six fields in a time zone.
///
/// Where the clock jumps forward, a fixed time that does not exist that day is due right after the
/// jump; where it goes back, a fixed time that comes twice is due the first time. A line that steps
/// (`*`, `*/15`) follows the clock: nothing in an hour that does not exist, both times in one that
/// comes twice. A day of the month and a day of the week that are both given are either-or, as in
/// other crons; `+` before the day of the week wants both.
#[derive(Clone)]
pub struct When {
    cron: Cron,
    zone: TimeZone,
    line: String,
}

/// Why a cron line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWhen {
    /// It does not read.
    #[error("{0}")]
    Line(String),
    /// There is no such time zone.
    #[error("there is no time zone {0}")]
    Zone(String),
    /// It reads, and is never due.
    #[error("it is never due")]
    Never,
}

impl When {
    /// Reads a line of six fields, seconds first, and an IANA time zone's name.
    ///
    /// # Errors
    /// When one of them does not read, or no time fits the line.
    pub fn parse(cron: &str, timezone: &str) -> Result<Self, BadWhen> {
        let zone = TimeZone::get(timezone).map_err(|_| BadWhen::Zone(timezone.to_owned()))?;
        let parser =
            CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
        let parsed = parser.parse(cron).map_err(|error| BadWhen::Line(error.to_string()))?;
        let when = Self { cron: parsed, zone, line: format!("{cron} {timezone}") };
        // Any leap year fits where one does; a fixed start keeps this a matter of the line alone.
        when.next(Timestamp::from_seconds(0)).ok_or(BadWhen::Never)?;
        Ok(when)
    }

    /// The line and its time zone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.line
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        Some(jiff::Timestamp::from_microsecond(at.micros()).ok()?.to_zoned(self.zone.clone()))
    }

    /// The first slot after a time.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.zoned(after)?, false).ok()?;
        Some(Timestamp::from_micros(next.timestamp().as_microsecond()))
    }

    /// The slots after one time and up to another, the first first; of many the last hundred.
    #[must_use]
    pub fn between(&self, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut slots = Vec::new();
        let Some(mut at) = self.zoned(until) else { return slots };
        let mut inclusive = true;
        while slots.len() < NAMED {
            let Ok(slot) = self.cron.find_previous_occurrence(&at, inclusive) else { break };
            let micros = Timestamp::from_micros(slot.timestamp().as_microsecond());
            if micros <= after {
                break;
            }
            slots.push(micros);
            (at, inclusive) = (slot, false);
        }
        slots.reverse();
        slots
    }

    /// A time as a clock of the time zone shows it.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> String {
        self.zoned(at).map_or_else(|| at.to_string(), |at| at.strftime("%F %T %Z").to_string())
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "When({})", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn when(cron: &str, zone: &str) -> When {
        When::parse(cron, zone).expect("it reads")
    }

    /// The next slots, as the zone's clocks show them.
    fn slots(when: &When, mut after: Timestamp, count: usize) -> Vec<String> {
        let mut slots = Vec::new();
        for _ in 0..count {
            after = when.next(after).expect("there is a next");
            slots.push(when.local(after));
        }
        slots
    }

    #[test]
    fn a_time_that_does_not_exist_is_due_right_after_the_jump() {
        // 2027-03-14: 02:00 MST is 03:00 MDT.
        let nightly = when("0 15 2 * * *", "America/Denver");
        assert_eq!(
            slots(&nightly, utc("2027-03-12T12:00:00Z"), 4),
            [
                "2027-03-13 02:15:00 MST",
                "2027-03-14 03:00:00 MDT",
                "2027-03-15 02:15:00 MDT",
                "2027-03-16 02:15:00 MDT",
            ]
        );
        let stepping = when("0 */30 * * * *", "America/Denver");
        assert_eq!(
            slots(&stepping, utc("2027-03-14T08:15:00Z"), 3),
            ["2027-03-14 01:30:00 MST", "2027-03-14 03:00:00 MDT", "2027-03-14 03:30:00 MDT"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once_and_a_step_both_times() {
        // 2026-11-01: 02:00 MDT is 01:00 MST.
        let nightly = when("0 15 1 * * *", "America/Denver");
        assert_eq!(
            slots(&nightly, utc("2026-10-31T12:00:00Z"), 3),
            ["2026-11-01 01:15:00 MDT", "2026-11-02 01:15:00 MST", "2026-11-03 01:15:00 MST"]
        );
        let stepping = when("0 */30 * * * *", "America/Denver");
        assert_eq!(
            slots(&stepping, utc("2026-11-01T06:45:00Z"), 5),
            [
                "2026-11-01 01:00:00 MDT",
                "2026-11-01 01:30:00 MDT",
                "2026-11-01 01:00:00 MST",
                "2026-11-01 01:30:00 MST",
                "2026-11-01 02:00:00 MST",
            ]
        );
    }

    #[test]
    fn nine_in_the_morning_stays_nine_in_the_morning() {
        let morning = when("0 0 9 * * *", "America/New_York");
        assert_eq!(
            slots(&morning, utc("2026-10-31T12:00:00Z"), 2),
            ["2026-10-31 09:00:00 EDT", "2026-11-01 09:00:00 EST"]
        );
    }

    #[test]
    fn what_lies_between_is_what_comes_one_after_the_other() {
        let changes = ["2027-03-13T20:00:00Z", "2026-10-31T20:00:00Z", "2026-06-01T00:00:00Z"];
        for (cron, zone) in [
            ("0 15 2 * * *", "America/Denver"),
            ("0 15 1 * * *", "America/Denver"),
            ("0 */30 * * * *", "America/Denver"),
            ("30 0 1,2,3 * * *", "Europe/Berlin"),
            ("0 0 0 * * *", "America/Asuncion"),
            ("0 0 12 L * *", "UTC"),
            ("0 30 2 * * MON-FRI", "Australia/Lord_Howe"),
        ] {
            let when = when(cron, zone);
            for from in changes {
                let (from, until) =
                    (utc(from), utc(from).plus(std::time::Duration::from_secs(86_400)));
                let mut forward = Vec::new();
                let mut at = from;
                while let Some(next) = when.next(at).filter(|next| *next <= until) {
                    forward.push(next);
                    at = next;
                }
                assert_eq!(when.between(from, until), forward, "{when:?} from {from}");
            }
        }
    }

    #[test]
    fn of_many_the_last_are_named() {
        let each_second = when("* * * * * *", "UTC");
        let (from, until) = (utc("2020-01-01T00:00:00Z"), utc("2026-01-01T00:00:00Z"));
        let slots = each_second.between(from, until);
        assert_eq!((slots.len(), slots.last().copied()), (NAMED, Some(until)));
    }

    #[test]
    fn lines_that_cannot_be_used() {
        assert_eq!(When::parse("0 0 0 30 2 *", "UTC").err(), Some(BadWhen::Never));
        assert_eq!(
            When::parse("0 0 0 * * *", "Mars/Olympus").err(),
            Some(BadWhen::Zone("Mars/Olympus".into()))
        );
        for line in ["15 2 * * *", "0 61 * * * *", "0 0 0 * * * 2027", "", "often"] {
            let error = When::parse(line, "UTC").err();
            assert!(matches!(error, Some(BadWhen::Line(_))), "{line}: {error:?}");
        }
        assert!(When::parse("0 0 0 29 2 *", "UTC").is_ok());
    }
}
