//! A run's options as its row keeps them: whoever takes the run up again does so by the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::apply::least_batch;
use super::{GROUPS, ImportOptions};
use crate::EngineError;
use crate::group::Policy;

/// A number of rows, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Limit {
    /// So many rows.
    Rows(u64),
    /// A share of the rows, in percent, 0 to 100.
    Percent(f64),
}

/// Why a text is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of rows, or a share such as 5%")]
pub struct BadLimit;

impl Limit {
    /// Whether `rows` out of `of` are more than it allows.
    #[must_use]
    pub fn is_passed(self, rows: u64, of: u64) -> bool {
        match self {
            Self::Rows(most) => rows > most,
            #[expect(clippy::cast_precision_loss, reason = "compared with a percentage")]
            Self::Percent(most) => rows as f64 * 100.0 > most * of as f64,
        }
    }
}

impl FromStr for Limit {
    type Err = BadLimit;
    fn from_str(text: &str) -> Result<Self, BadLimit> {
        match text.strip_suffix('%') {
            Some(share) => match share.trim().parse::<f64>() {
                Ok(share) if (0.0..=100.0).contains(&share) => Ok(Self::Percent(share)),
                _ => Err(BadLimit),
            },
            None => text.parse().map(Self::Rows).map_err(|_| BadLimit),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl TryFrom<String> for Limit {
    type Error = BadLimit;
    fn try_from(text: String) -> Result<Self, BadLimit> {
        text.parse()
    }
}

impl From<Limit> for String {
    fn from(limit: Limit) -> Self {
        limit.to_string()
    }
}

/// The options of an import, and whether its canary was approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Args {
    pub(super) dry_run: bool,
    /// Whether the dry run looks at the provider.
    #[serde(default)]
    pub(super) observe: bool,
    ignore_unknown: bool,
    /// Columns that were exempt from the look for card numbers.
    not_pan: Vec<String>,
    pub(super) max_rejected: Limit,
    pub(super) max_failures: Option<Limit>,
    canary: Option<u64>,
    /// The references of the canary by their first line, once they are chosen.
    #[serde(default)]
    pub(super) canary_heads: Option<Vec<u64>>,
    /// When a person said that the rest may be sent, RFC 3339.
    pub(super) approved_at: Option<String>,
    reject_expired: bool,
    restore_removed: bool,
    add_changed_tokens: bool,
    update_existing: bool,
}

impl Args {
    pub(super) fn of(options: &ImportOptions) -> Self {
        // Named one by one, so that an option that is added is kept as well.
        let Policy { reject_expired, restore_removed, add_changed_tokens, update_existing } =
            options.policy;
        Self {
            dry_run: options.dry_run,
            observe: options.dry_run && options.observe,
            ignore_unknown: options.reading.ignore_unknown,
            not_pan: options.reading.not_pan.clone(),
            max_rejected: options.max_rejected,
            max_failures: options.max_failures,
            canary: options.canary,
            canary_heads: None,
            approved_at: None,
            reject_expired,
            restore_removed,
            add_changed_tokens,
            update_existing,
        }
    }

    pub(super) const fn policy(&self) -> Policy {
        Policy {
            reject_expired: self.reject_expired,
            restore_removed: self.restore_removed,
            add_changed_tokens: self.add_changed_tokens,
            update_existing: self.update_existing,
        }
    }

    /// The rows of the canary, as long as nobody has approved it.
    pub(super) const fn canary(&self) -> Option<u64> {
        if self.approved_at.is_none() { self.canary } else { None }
    }

    /// The same, with the references that are its canary.
    pub(super) fn with_canary(&self, heads: Vec<u64>) -> Self {
        Self { canary_heads: Some(heads), ..self.clone() }
    }

    /// References applied together at first.
    pub(super) fn first_page(&self, in_flight: usize) -> u32 {
        if self.max_failures.is_some() { least_batch(in_flight) } else { GROUPS }
    }

    /// As the run's row keeps them; no secret.
    pub(super) fn text(&self) -> Result<String, EngineError> {
        serde_json::to_string(self).map_err(|_| EngineError::Broken("options are always JSON"))
    }

    /// Reads them back; `None` of a run that kept others.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_whole() {
        let args = Args {
            dry_run: false,
            observe: false,
            ignore_unknown: true,
            not_pan: vec!["metadata.order".into()],
            max_rejected: Limit::Percent(2.5),
            max_failures: Some(Limit::Rows(3)),
            canary: Some(7),
            canary_heads: Some(vec![2, 9]),
            approved_at: None,
            reject_expired: true,
            restore_removed: false,
            add_changed_tokens: true,
            update_existing: true,
        };
        let text = args.text().expect("JSON");
        assert_eq!(Args::parse(&text), Some(args.clone()));
        assert_eq!(args.canary(), Some(7));
        let approved = Args { approved_at: Some("2030-01-01T00:00:00Z".into()), ..args };
        assert_eq!(approved.canary(), None);
        assert_eq!(Args::parse("{}"), None);
        // A run that an earlier version began goes on.
        let before = text.replace("\"observe\":false,", "");
        assert!(before != text && Args::parse(&before).is_some());
        let before = text.replace("\"canary_heads\":[2,9],", "");
        assert!(before != text && Args::parse(&before).is_some());
    }

    #[test]
    fn limits_are_numbers_or_shares() {
        for (text, limit) in [("0", Limit::Rows(0)), ("12", Limit::Rows(12))] {
            assert_eq!(text.parse(), Ok(limit));
            assert_eq!(limit.to_string(), text);
        }
        assert_eq!("2.5 %".parse(), Ok(Limit::Percent(2.5)));
        for wrong in ["", "%", "-1", "101%", "five", "1.5"] {
            assert_eq!(wrong.parse::<Limit>(), Err(BadLimit), "{wrong}");
        }
        assert!(Limit::Percent(10.0).is_passed(3, 20));
        assert!(!Limit::Percent(10.0).is_passed(2, 20));
    }
}
