//! Finds card numbers in text that must not have one (rule 13).
//!
//! A candidate is a run of digits in which single spaces, hyphens, dots or no-break spaces may
//! stand between two digits, with no letter or digit beside it; it is a card number when it has a
//! network's prefix, one of that network's lengths, and a right check digit. In a longer run the
//! leading and the trailing piece of each length are looked at too.

/// Prefix range (as the number formed by `digits` leading digits) and the lengths in use.
struct Network {
    brand: &'static str,
    digits: u32,
    from: u32,
    to: u32,
    lengths: &'static [usize],
}

const fn network(
    brand: &'static str,
    digits: u32,
    from: u32,
    to: u32,
    lengths: &'static [usize],
) -> Network {
    Network { brand, digits, from, to, lengths }
}

impl Network {
    /// Whether a number that begins with these digits is of this network.
    fn begins(&self, digits: impl Iterator<Item = u8>) -> bool {
        let least = 10_u32.pow(self.digits - 1);
        let prefix =
            digits.take(self.digits as usize).fold(0_u32, |prefix, d| prefix * 10 + u32::from(d));
        prefix >= least && (self.from..=self.to).contains(&prefix)
    }
}

const NETWORKS: &[Network] = &[
    network("visa", 1, 4, 4, &[13, 16, 19]),
    network("mastercard", 2, 51, 55, &[16]),
    network("mastercard", 4, 2221, 2720, &[16]),
    network("amex", 2, 34, 34, &[15]),
    network("amex", 2, 37, 37, &[15]),
    network("discover", 4, 6011, 6011, &[16, 17, 18, 19]),
    network("discover", 3, 644, 649, &[16, 17, 18, 19]),
    network("discover", 2, 65, 65, &[16, 17, 18, 19]),
    network("diners", 3, 300, 305, &[14, 16, 17, 18, 19]),
    network("diners", 4, 3095, 3095, &[14, 16, 17, 18, 19]),
    network("diners", 2, 36, 36, &[14, 15, 16, 17, 18, 19]),
    network("diners", 2, 38, 39, &[14, 16, 17, 18, 19]),
    network("jcb", 4, 3528, 3589, &[16, 17, 18, 19]),
    network("unionpay", 2, 62, 62, &[16, 17, 18, 19]),
    network("unionpay", 2, 81, 81, &[16, 17, 18, 19]),
    network("mir", 4, 2200, 2205, &[16, 17, 18, 19]),
    network("maestro", 4, 5018, 5018, &[12, 13, 14, 15, 16, 17, 18, 19]),
    network("maestro", 4, 5020, 5020, &[12, 13, 14, 15, 16, 17, 18, 19]),
    network("maestro", 4, 5038, 5038, &[12, 13, 14, 15, 16, 17, 18, 19]),
    network("maestro", 4, 5893, 5893, &[12, 13, 14, 15, 16, 17, 18, 19]),
    network("maestro", 4, 6304, 6304, &[12, 13, 14, 15, 16, 17, 18, 19]),
    network("maestro", 4, 6759, 6759, &[12, 13, 14, 15, 16, 17, 18, 19]),
    network("maestro", 4, 6761, 6763, &[12, 13, 14, 15, 16, 17, 18, 19]),
];

/// The zero of each run of ten decimal digits in Unicode that a keyboard or a form produces.
const ZEROS: &[u32] = &[
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1FBF0,
];

fn digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.to_digit(10).and_then(|d| u8::try_from(d).ok());
    }
    let code = u32::from(c);
    ZEROS.iter().find_map(|zero| u8::try_from(code.checked_sub(*zero)?).ok().filter(|d| *d < 10))
}

const fn separates(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '\u{a0}' | '\u{202f}')
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, d)| {
            let d = u32::from(*d);
            match (place % 2, d) {
                (0, d) => d,
                (_, 5..) => d * 2 - 9,
                _ => d * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn is_card_number(digits: &[u8]) -> bool {
    NETWORKS.iter().any(|network| {
        network.lengths.contains(&digits.len()) && network.begins(digits.iter().copied())
    }) && luhn(digits)
}

/// The network of a card, by the digits that a masked number begins with; `None` where they are too
/// few or nobody's.
#[must_use]
pub fn brand_of(masked: &str) -> Option<&'static str> {
    let digits = || masked.chars().map_while(|c| c.to_digit(10)).filter_map(|d| d.try_into().ok());
    NETWORKS.iter().find(|network| network.begins(digits())).map(|network| network.brand)
}

fn run_has_card_number(digits: &[u8]) -> bool {
    (12..=19).any(|length| {
        let Some(rest) = digits.len().checked_sub(length) else { return false };
        digits.get(..length).is_some_and(is_card_number)
            || digits.get(rest..).is_some_and(is_card_number)
    })
}

/// Whether the whole text is a UUID, a wallet address or a mask: these hold long runs of digits
/// by nature and never a card number.
fn is_exempt(text: &str) -> bool {
    let is_hex = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_hexdigit());
    let uuid = text.len() == 36
        && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.split('-').all(is_hex);
    let wallet = text
        .strip_prefix("0x")
        .is_some_and(|rest| rest.len() <= 64 && rest.len() >= 40 && is_hex(rest));
    let mask = text.chars().any(|c| matches!(c, '*' | 'x' | 'X' | '•'))
        && text
            .chars()
            .all(|c| digit(c).is_some() || separates(c) || matches!(c, '*' | 'x' | 'X' | '•'))
        && text.chars().filter(|c| digit(*c).is_some()).count() <= 10;
    uuid || wallet || mask
}

/// Whether a text holds something that is, by every sign, a full card number.
#[must_use]
pub fn contains_card_number(text: &str) -> bool {
    // The shortest number has twelve digits, so most texts end here.
    let may_be_digit = |byte: &u8| byte.is_ascii_digit() || !byte.is_ascii();
    let is_short = text.len() < 12 || text.bytes().filter(may_be_digit).count() < 12;
    if is_short || is_exempt(text.trim()) {
        return false;
    }
    let mut run: Vec<u8> = Vec::new();
    let mut letter_before = false;
    let mut previous: Option<char> = None;
    let mut gap = false;
    for c in text.chars() {
        if let Some(d) = digit(c) {
            if run.is_empty() {
                letter_before = previous.is_some_and(char::is_alphabetic);
            }
            run.push(d);
            gap = false;
        } else if separates(c) && !run.is_empty() && !gap {
            gap = true;
        } else {
            let letter_after = c.is_alphabetic() && !gap;
            if !letter_before && !letter_after && run_has_card_number(&run) {
                return true;
            }
            run.clear();
            gap = false;
        }
        previous = Some(c);
    }
    !letter_before && run_has_card_number(&run)
}

/// The text, or nothing if it holds a card number: for one field of a provider's answer.
#[must_use]
pub fn without_card_number(text: String) -> Option<String> {
    (!contains_card_number(&text)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{brand_of, contains_card_number};

    #[test]
    fn a_mask_s_first_digits_name_the_network() {
        for (masked, brand) in [
            ("411111******1111", Some("visa")),
            ("4***********1111", Some("visa")),
            ("555555******4444", Some("mastercard")),
            ("222100******0000", Some("mastercard")),
            ("272099******0000", Some("mastercard")),
            ("272100******0000", None),
            ("378282*****0005", Some("amex")),
            ("601111******1117", Some("discover")),
            ("305693****5904", Some("diners")),
            ("353011******0000", Some("jcb")),
            ("620000******0000", Some("unionpay")),
            ("676770******0000", None),
            ("676300******0000", Some("maestro")),
            ("5***********4444", None),
            ("52", Some("mastercard")),
            ("************1111", None),
            ("0411111", None),
            ("", None),
        ] {
            assert_eq!(brand_of(masked), brand, "{masked}");
        }
    }

    #[test]
    fn published_test_numbers_are_found_however_they_are_written() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "4111\u{a0}1111\u{a0}1111\u{a0}1111",
            "４１１１１１１１１１１１１１１１",
            "card 5555555555554444, thanks",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
            "2223003122003222",
            "tok=4242424242424242;",
            "41111111111111110000000",
            "00000004111111111111111",
        ] {
            assert!(contains_card_number(text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_left_alone() {
        for text in [
            "",
            "4111111111111112",
            "411111******1111",
            "411111XXXXXX1111",
            "tok_4111111111111111a",
            "a4111111111111111",
            "4111  1111 1111 1111",
            "00000000-0000-4000-8000-411111111111",
            "0x4111111111111111411111111111111141111111",
            "1234567890123456",
            "+1 800 555 0100",
            "2026-11-21T10:11:12.000000Z",
        ] {
            assert!(!contains_card_number(text), "{text}");
        }
    }
}
