//! Calls that a job will make, counted by endpoint, and how long they take.

use std::collections::BTreeMap;
use std::time::Duration;

use backend::{Endpoint, Endpoints, Limits};
use model::{Forecast, ForecastCalls, Span};

/// Calls by endpoint.
#[derive(Debug, Default)]
pub(crate) struct Counted(BTreeMap<Endpoint, Span>);

impl Counted {
    /// Adds calls of an endpoint, if there is such a call.
    pub(crate) fn add(&mut self, endpoint: Option<Endpoint>, least: u64, most: u64) {
        let Some(endpoint) = endpoint.filter(|_| most > 0) else { return };
        let span = self.0.entry(endpoint).or_default();
        span.least += least;
        span.most += most;
    }

    /// With the time that they take at the account's limits.
    pub(crate) fn forecast(mut self, endpoints: &Endpoints, limits: Limits) -> Forecast {
        let changing_least = self
            .0
            .iter()
            .filter(|(endpoint, _)| endpoint.verb != backend::Verb::Get)
            .map(|(_, span)| span.least)
            .sum();
        // Credentials are only fetched for a call.
        let (least, most) = self.totals();
        self.add(endpoints.credentials, least.min(1), most.min(1));
        let (total_least, total_most) = self.totals();
        let by_endpoint =
            self.0.into_iter().map(|(endpoint, span)| (endpoint.to_string(), span)).collect();
        let (seconds_at_limit, limit) = at_limit(total_least, limits);
        Forecast {
            calls: ForecastCalls { total_least, total_most, changing_least, by_endpoint },
            seconds_at_limit,
            seconds_at_limit_most: at_limit(total_most, limits).0,
            limit,
        }
    }

    fn totals(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |(least, most), span| (least + span.least, most + span.most))
    }
}

/// The seconds that so many calls take, rounded up, and the limit that makes it so.
fn at_limit(calls: u64, limits: Limits) -> (u64, String) {
    let Limits { per_second, burst, in_flight, call_takes } = limits;
    if calls == 0 {
        return (0, "none".into());
    }
    let behind_burst = calls.saturating_sub(u64::from(burst));
    #[expect(clippy::cast_precision_loss, reason = "an estimate in seconds")]
    let paced = behind_burst as f64 / per_second;
    #[expect(clippy::cast_precision_loss, reason = "an estimate in seconds")]
    let waited = |takes: Duration| calls as f64 * takes.as_secs_f64() / in_flight.max(1) as f64;
    let taken = call_takes.map(|takes| (waited(takes), takes));
    match taken.filter(|(seconds, _)| *seconds > paced) {
        Some((seconds, takes)) if behind_burst > 0 || seconds > 1.0 => {
            (whole(seconds), format!("in_flight {in_flight} at {} ms a call", takes.as_millis()))
        }
        _ if behind_burst == 0 => (0, format!("burst {burst}")),
        _ => (whole(paced), format!("rate {per_second}/s")),
    }
}

/// Seconds rounded up to whole ones.
fn whole(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds.ceil()).map_or(u64::MAX, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_binds_is_named() {
        let limits = Limits { per_second: 10.0, burst: 5, in_flight: 8, call_takes: None };
        assert_eq!(at_limit(0, limits), (0, "none".into()));
        assert_eq!(at_limit(5, limits), (0, "burst 5".into()));
        assert_eq!(at_limit(61_001, limits), (6100, "rate 10/s".into()));
        let slow = Limits { call_takes: Some(Duration::from_millis(1600)), ..limits };
        assert_eq!(at_limit(1000, slow), (200, "in_flight 8 at 1600 ms a call".into()));
        let quick = Limits { call_takes: Some(Duration::from_millis(80)), ..limits };
        assert_eq!(at_limit(1000, quick), (100, "rate 10/s".into()));
    }
}
