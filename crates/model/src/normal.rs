//! The form in which values of a profile field are compared: what providers and people write
//! differently without meaning anything else by it.

use crate::FieldName;

/// A value in the form in which it is compared: white space at the ends dropped and within counted
/// once; e-mail addresses and countries without regard to case; phone numbers by their digits,
/// without `00`. Metadata is compared as it is.
#[must_use]
pub fn normal(field: FieldName, value: &str) -> String {
    match field {
        FieldName::Metadata => value.to_owned(),
        FieldName::Email | FieldName::Country => spaced_once(value).to_lowercase(),
        FieldName::Phone => {
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            // A number without digits says something else: it is compared as it is written.
            if digits.is_empty() {
                return spaced_once(value);
            }
            digits.strip_prefix("00").map(str::to_owned).unwrap_or(digits)
        }
        _ => spaced_once(value),
    }
}

/// Whether two values of a field mean the same. Of two phone numbers one may lack the country's
/// code: then the other ends with it, a leading zero of the shorter left out.
#[must_use]
pub fn alike(field: FieldName, a: &str, b: &str) -> bool {
    let (a, b) = (normal(field, a), normal(field, b));
    if a == b {
        return true;
    }
    if field != FieldName::Phone {
        return false;
    }
    let ends = |short: &str, long: &str| {
        let national = short.trim_start_matches('0');
        // A country's code has one to three digits, a national number more than six.
        short.len() <= long.len()
            && national.len() > 6
            && long.len() <= national.len() + 3
            && long.ends_with(national)
    };
    ends(&a, &b) || ends(&b, &a)
}

/// A text in ASCII letters, for providers that take no others: `Kovač` is `Kovac`, `Zoë` is `Zoe`.
/// Control characters and what has no like in ASCII are left out.
#[must_use]
pub fn ascii(value: &str) -> String {
    if value.is_ascii() {
        return value.to_owned();
    }
    spaced_once(&deunicode::deunicode_with_tofu(value, ""))
}

fn spaced_once(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_different_is_alike() {
        for (field, a, b) in [
            (FieldName::Name, " Ada  Lee", "Ada Lee "),
            (FieldName::Email, "Ada@B.c", "ada@b.C"),
            (FieldName::Country, "us", "US"),
            (FieldName::Phone, "+1 (303) 555-0100", "0013035550100"),
            (FieldName::Phone, "+1 303 555 0100", "303-555-0100"),
            (FieldName::Phone, "+49 30 123456", "030 123456"),
            // Of equal length.
            (FieldName::Phone, "+1 303 555 0100", "0303 555 0100"),
        ] {
            assert!(alike(field, a, b), "{field:?}: {a} and {b}");
            assert!(alike(field, b, a), "{field:?}: {b} and {a}");
        }
    }

    #[test]
    fn letters_are_written_in_ascii() {
        for (value, shown) in [
            ("Kovač", "Kovac"),
            ("Zoë O'Brien", "Zoe O'Brien"),
            ("Łódź", "Lodz"),
            ("Müller & Söhne", "Muller & Sohne"),
            ("plain  text", "plain  text"),
        ] {
            assert_eq!(ascii(value), shown);
        }
        assert!(ascii("山田 太郎").is_ascii());
    }

    #[test]
    fn what_is_different_is_not_alike() {
        for (field, a, b) in [
            (FieldName::Name, "Ada Lee", "ada lee"),
            (FieldName::Email, "ada@b.c", "ada@b.cc"),
            (FieldName::Phone, "555 0100", "555 0101"),
            (FieldName::Phone, "0100", "303 555 0100"),
            (FieldName::Phone, "call me", "never"),
            (FieldName::Metadata, "a", "A"),
        ] {
            assert!(!alike(field, a, b), "{field:?}: {a} and {b}");
            assert!(!alike(field, b, a), "{field:?}: {b} and {a}");
        }
    }
}
