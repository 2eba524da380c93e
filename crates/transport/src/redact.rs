//! A provider's own words, made fit to be shown.

const MOST: usize = 300;
const TOKEN: usize = 20;
const CARD: usize = 12;
const CUT: &str = "[…]";

/// A provider's text for errors and logs: control and direction characters removed, every run of
/// twelve or more digits (with single separators) and everything like a token (an unbroken run of
/// 20 or more letters, digits, `_`, `-`; with `+`, `/`, `=` in it if it mixes cases and digits)
/// replaced by `[…]`, at most 300 characters.
#[must_use]
pub fn vendor_text(text: &str) -> String {
    let plain: Vec<char> = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let plain = without_runs(&plain, CARD, may_be_card, |run| {
        run.iter().filter(|c| c.is_numeric()).count() >= CARD
    });
    let plain = without_runs(&plain, TOKEN, may_be_token, |_| true);
    let plain = without_runs(&plain, TOKEN, |c| may_be_token(c) || "+/=".contains(c), is_mixed);
    let mut text: String = plain.iter().collect::<String>().trim().to_owned();
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    if model::contains_card_number(&text) { CUT.to_owned() } else { text }
}

/// A provider's id of a request, if it is one: short, plain, no card number.
#[must_use]
pub fn request_id(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/=+".contains(&b);
    let fit = (1..=100).contains(&text.len()) && text.bytes().all(plain);
    (fit && !model::contains_card_number(text)).then(|| text.to_owned())
}

const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn may_be_token(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn may_be_card(c: char) -> bool {
    c.is_numeric() || matches!(c, ' ' | '-' | '.' | '\u{a0}' | '\u{202f}')
}

fn is_mixed(run: &[char]) -> bool {
    run.iter().any(|c| c.is_numeric())
        && run.iter().any(|c| c.is_lowercase())
        && run.iter().any(|c| c.is_uppercase())
}

/// Replaces each longest run of characters of a class that is long enough and looks bad.
fn without_runs(
    text: &[char],
    least: usize,
    class: impl Fn(char) -> bool,
    is_bad: impl Fn(&[char]) -> bool,
) -> Vec<char> {
    let mut clean = Vec::with_capacity(text.len());
    for run in text.chunk_by(|a, b| class(*a) == class(*b)) {
        let bad = run.len() >= least && run.first().is_some_and(|c| class(*c)) && is_bad(run);
        if bad {
            // What stands around the digits stays.
            let edge = |c: &&char| **c == ' ';
            clean.extend(run.iter().take_while(edge));
            clean.extend(CUT.chars());
            clean.extend(run.iter().rev().take_while(edge));
        } else {
            clean.extend_from_slice(run);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_secrets_go() {
        for (said, shown) in [
            ("reference_id: has already been taken", "reference_id: has already been taken"),
            ("card 4111 1111-1111.1111 is bad", "card […] is bad"),
            ("id 123456789012 unknown", "id […] unknown"),
            ("four digits 1111, ten 1234567890", "four digits 1111, ten 1234567890"),
            ("token tok_4f8a1c22b9d0e7aa51 used", "token […] used"),
            ("jwt eyJhbGciOiJIUzI1NiJ9x.eyJzdWIiOiIxMjM0NTY3ODkwIn0", "jwt […].[…]"),
            ("key aB3+/dE4+gH5/jK6=mN7+ x", "key […] x"),
            ("line\r\nbreak\u{1b}[31m\u{202e}", "line  break[31m"),
            ("４１１１１１１１１１１１１１１１", "[…]"),
            ("", ""),
        ] {
            assert_eq!(vendor_text(said), shown, "{said}");
        }
    }

    #[test]
    fn it_is_cut_after_it_is_cleaned() {
        let said = format!("{} {}", "ab ".repeat(98), "s".repeat(60));
        let shown = vendor_text(&said);
        assert!(shown.ends_with("[…]"), "{shown}");
        assert_eq!(vendor_text(&"ab ".repeat(200)).chars().count(), MOST + 1);
    }

    #[test]
    fn request_ids_are_plain() {
        assert_eq!(request_id("req-1.a:B/9").as_deref(), Some("req-1.a:B/9"));
        for bad in ["", "a b", "4111111111111111", "é", &"a".repeat(101)] {
            assert_eq!(request_id(bad), None);
        }
    }
}
