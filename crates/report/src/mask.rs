//! What a page does not show of people: e-mail addresses, phone numbers and postal addresses
//! (rule 15). They stand in no cell of a page by themselves, but a provider's words may quote
//! them, and a reference may be an e-mail address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::Range;

/// What stands in place of a value.
pub(crate) const MASKED: &str = "•••";
/// A shorter value tells nothing of somebody, and stands in too many words.
const SHORTEST: usize = 3;

/// Hides people's values, or shows everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask<'a> {
    known: Option<&'a BTreeSet<String>>,
}

impl<'a> Mask<'a> {
    /// Hides these values besides what looks like one; with `None` everything is shown.
    pub(crate) const fn new(known: Option<&'a BTreeSet<String>>) -> Self {
        Self { known }
    }

    /// Whether anything is hidden.
    pub(crate) const fn is_on(self) -> bool {
        self.known.is_some()
    }

    /// A name or an id, which somebody needs to act: hidden is what looks like an e-mail address.
    pub(crate) fn name(self, text: &str) -> String {
        if self.is_on() { without(text, emails) } else { text.to_owned() }
    }

    /// Words: hidden are known values, what looks like an e-mail address or a phone number, and
    /// JSON that is quoted.
    pub(crate) fn words(self, text: &str) -> String {
        let Some(known) = self.known else { return text.to_owned() };
        let mut known: Vec<&str> = known
            .iter()
            .map(|value| value.trim())
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        // A part of another value comes after that one.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let text = known
            .into_iter()
            .fold(text.to_owned(), |text, value| without(&text, |text| occurrences(text, value)));
        let text = match text.split_once("{\"") {
            Some((words, _)) => format!("{words}{{{MASKED}}}"),
            None => text,
        };
        without(&without(&text, emails), phones)
    }
}

/// The text with these parts of it hidden.
fn without(text: &str, find: impl Fn(&str) -> Vec<Range<usize>>) -> String {
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for range in find(text) {
        shown.push_str(text.get(at..range.start).unwrap_or_default());
        shown.push_str(MASKED);
        at = range.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

/// Where a value stands as a word of its own, in any case of its ASCII letters.
fn occurrences(text: &str, value: &str) -> Vec<Range<usize>> {
    let (low, value) = (text.to_ascii_lowercase(), value.to_ascii_lowercase());
    let stands_alone = |range: &Range<usize>| {
        let before = text.get(..range.start).and_then(|before| before.chars().next_back());
        let after = text.get(range.end..).and_then(|after| after.chars().next());
        !before.into_iter().chain(after).any(char::is_alphanumeric)
    };
    let all = low.match_indices(&value).map(|(at, value)| at..at + value.len());
    all.filter(stands_alone).collect()
}

fn emails(text: &str) -> Vec<Range<usize>> {
    let is_local = |c: char| !c.is_whitespace() && !"<>()[]{}\"`,;:=/@".contains(c);
    let is_domain = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    let around = |(at, _): (usize, &str)| {
        let (before, after) = (text.get(..at)?, text.get(at + 1..)?);
        let local = before.len() - before.trim_end_matches(is_local).len();
        let domain = after.len() - after.trim_start_matches(is_domain).len();
        (local > 0 && domain > 0).then(|| at - local..at + 1 + domain)
    };
    let mut found: Vec<Range<usize>> = Vec::new();
    for range in text.match_indices('@').filter_map(around) {
        if found.last().is_none_or(|last| last.end <= range.start) {
            found.push(range);
        }
    }
    found
}

/// Where seven digits or more stand with separators or a `+`, or ten without, and neither a word
/// that they end, nor the form of a date or an address in a network.
fn phones(text: &str) -> Vec<Range<usize>> {
    let is_part = |c: char| c.is_ascii_digit() || " -.()/+\u{a0}".contains(c);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find(is_part)).map(|n| at + n) {
        let rest = text.get(start..).unwrap_or_default();
        let run = rest.split(|c| !is_part(c)).next().unwrap_or_default();
        at = start + run.len();
        let inner = run.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number =
            inner.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '+' && c != '(');
        let begin = start + inner.len() - number.len();
        let range = begin..begin + number.len();
        let beside = [
            text.get(..range.start)
                .and_then(|before| before.trim_end_matches(['-', '_']).chars().next_back()),
            text.get(range.end..).and_then(|after| after.chars().next()),
        ];
        let digits = number.chars().filter(char::is_ascii_digit).count();
        let parted = digits < number.len();
        if (digits >= 10 || parted && digits >= 7)
            && !beside.into_iter().flatten().any(char::is_alphanumeric)
            && !is_date(number)
            && number.parse::<Ipv4Addr>().is_err()
        {
            found.push(range);
        }
    }
    found
}

/// `2026-01-31`.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], [y, m, d] if (y.len(), m.len(), d.len()) == (4, 2, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<String> {
        ["ada@example.com", "5550100", "12 Elm St", "Elm", "Denver", "80014", "CO", "Zürich"]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn people_s_values_are_hidden_in_words() {
        let known = known();
        let mask = Mask::new(Some(&known));
        for (said, shown) in [
            ("email: ada@example.com is taken", "email: ••• is taken"),
            ("email=Bob.O'Neil+x@sub.example.org.", "email=•••"),
            ("<eve@b.c>, or (mailto:zoë@b.ch)", "<•••>, or (mailto:•••)"),
            ("@ alone, a@, and @b", "@ alone, a@, and @b"),
            ("call +1 (555) 010-9999 now", "call ••• now"),
            ("phone 303.555.0123/0124", "phone •••"),
            ("phone 3035550123", "phone •••"),
            ("5550100 stands there", "••• stands there"),
            ("no such street: 12 ELM ST, denver CO 80014", "no such street: •••, ••• CO •••"),
            ("in ZüRICH", "in •••"),
            ("line1 of Denverton", "line1 of Denverton"),
            ("bad: {\"name\":\"Ann\",\"line1\":\"9 Oak\"}", "bad: {•••}"),
        ] {
            assert_eq!(mask.words(said), shown, "{said}");
        }
    }

    #[test]
    fn other_words_and_numbers_stay() {
        let known = known();
        let mask = Mask::new(Some(&known));
        for said in [
            "expected a date such as 2026-01-31",
            "at 2026-01-31T10:00:00.000Z",
            "line 1234567 has the same token, expected each token once",
            "HTTP 500, code internal: 10.200.30.40:8443 is away",
            "customers-20261121-180000.csv:12: a quote opens and does not close",
            "run 01KA5B7Z0000000000000000AB, effect 01J9999999999",
            "2 of 20 rows are rejected, more than --max-rejected allows",
        ] {
            assert_eq!(mask.words(said), said);
        }
    }

    #[test]
    fn a_name_is_shown_unless_it_is_an_e_mail_address() {
        let known = known();
        let mask = Mask::new(Some(&known));
        assert_eq!(mask.name("C-1001"), "C-1001");
        assert_eq!(mask.name("303-555-0123"), "303-555-0123");
        assert_eq!(mask.name("ada@example.com"), MASKED);
        assert_eq!(mask.name("crm:ada@example.com#2"), "crm:•••#2");
        // With values nothing is hidden.
        let open = Mask::new(None);
        assert_eq!(open.name("ada@example.com"), "ada@example.com");
        assert_eq!(open.words("ada@example.com, 12 Elm St"), "ada@example.com, 12 Elm St");
    }
}
