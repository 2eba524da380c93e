//! Medians, spreads, ratios, aims.

use std::fmt;

use serde::Serialize;

/// Where repeated measurements lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of these values; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), least, most })
    }

    /// Of `of / by`, pair by pair: what was measured in one minute is compared with itself.
    pub(crate) fn of_ratios(of: &[f64], by: &[f64]) -> Option<Self> {
        Self::of(of.iter().zip(by).map(|(of, by)| of / by))
    }
}

/// What an aim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Of {
    Ratio,
    Onfile,
    /// Peak memory in MB.
    PeakMb,
}

/// What a row is to reach at the full sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Aim {
    pub(crate) of: Of,
    pub(crate) at_least: Option<f64>,
    pub(crate) at_most: Option<f64>,
}

impl Aim {
    pub(crate) const fn at_least(of: Of, bound: f64) -> Self {
        Self { of, at_least: Some(bound), at_most: None }
    }

    pub(crate) const fn at_most(of: Of, bound: f64) -> Self {
        Self { of, at_least: None, at_most: Some(bound) }
    }

    pub(crate) fn is_met_by(&self, value: f64) -> bool {
        self.at_least.is_none_or(|bound| value >= bound)
            && self.at_most.is_none_or(|bound| value <= bound)
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.of {
            Of::Ratio => "ratio ",
            Of::Onfile => "",
            Of::PeakMb => "MB ",
        };
        let bounds = [("≥", self.at_least), ("≤", self.at_most)];
        for (sign, bound) in bounds.into_iter().filter_map(|(s, b)| Some((s, b?))) {
            write!(f, "{of}{sign} {bound}")?;
        }
        Ok(())
    }
}

/// A number for people: three digits that say something, thousands apart.
pub(crate) fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    thousands(whole) + rest
}

/// Digits with a comma between thousands.
fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        let left = digits.len() - at;
        if at > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count for people.
pub(crate) fn count(number: u64) -> String {
    thousands(&number.to_string())
}

/// A count as a number to divide by; exact below 2⁵³, which no count here reaches.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middle_ones() {
        let odd = Spread::of([3.0, 1.0, 2.0]).expect("values");
        assert_eq!(odd, Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).expect("values").median, 2.5);
        assert_eq!(Spread::of([7.0]).expect("a value").median, 7.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // A slow minute for both is no difference between them.
        let ratio = Spread::of_ratios(&[10.0, 100.0, 12.0], &[5.0, 50.0, 3.0]).expect("pairs");
        assert_eq!(ratio, Spread { median: 2.0, least: 2.0, most: 4.0 });
    }

    #[test]
    fn an_aim_is_a_bound() {
        let aim = Aim::at_least(Of::Ratio, 0.5);
        assert!(aim.is_met_by(0.5) && !aim.is_met_by(0.49));
        assert_eq!(aim.to_string(), "ratio ≥ 0.5");
        let aim = Aim::at_most(Of::PeakMb, 60.0);
        assert!(aim.is_met_by(60.0) && !aim.is_met_by(60.1) && !aim.is_met_by(f64::NAN));
        assert_eq!(aim.to_string(), "MB ≤ 60");
    }

    #[test]
    fn numbers_are_shown_with_three_digits() {
        for (value, text) in [
            (0.4567, "0.46"),
            (9.994, "9.99"),
            (12.34, "12.3"),
            (99.96, "100"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-123.4, "-123"),
        ] {
            assert_eq!(shown(value), text);
        }
        assert_eq!((count(0), count(1000)), ("0".to_owned(), "1,000".to_owned()));
    }
}
