//! Card numbers: a vendor of tokens refuses them, so that tests prove that none is ever sent.

use serde_json::Value;

/// Where in a request a card number stands, as a path like `payment_method.credit.fingerprint`.
pub(crate) fn find(body: &Value) -> Option<String> {
    walk(body, "", false)
}

fn walk(value: &Value, path: &str, token: bool) -> Option<String> {
    match value {
        Value::String(text) => is_pan(text, token).then(|| path.to_owned()),
        Value::Number(number) => is_pan(&number.to_string(), token).then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| walk(item, &format!("{path}[{i}]"), token)),
        Value::Object(fields) => fields.iter().find_map(|(name, item)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(item, &path, name == "fingerprint" || name == "token")
        }),
        Value::Null | Value::Bool(_) => None,
    }
}

/// In a token field any 13–19 digits that pass Luhn; elsewhere they must also begin and be as long
/// as a card network's numbers, because a customer's reference may well be digits.
pub(crate) fn is_pan(text: &str, token: bool) -> bool {
    let mut digits = String::with_capacity(19);
    for c in text.trim().chars() {
        match c {
            '0'..='9' if digits.len() < 20 => digits.push(c),
            ' ' | '-' | '.' | '\u{a0}' => {}
            _ => return false,
        }
    }
    (13..=19).contains(&digits.len()) && luhn(&digits) && (token || of_a_network(&digits))
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0');
            match (i % 2, digit * 2) {
                (0, _) => digit,
                (_, doubled) if doubled > 9 => doubled - 9,
                (_, doubled) => doubled,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn of_a_network(digits: &str) -> bool {
    let head: u32 = digits.get(..4).and_then(|h| h.parse().ok()).unwrap_or(0);
    let len = digits.len();
    match head {
        4000..=4999 => matches!(len, 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => len == 16,
        3400..=3499 | 3700..=3799 => len == 15,
        3000..=3059 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&len),
        3528..=3589 | 6011 | 6200..=6299 | 6440..=6599 => (16..=19).contains(&len),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_a_card_number_wherever_it_stands() {
        let body = json!({"a": [{"fingerprint": "4242 4242-4242 4242"}]});
        assert_eq!(find(&body).as_deref(), Some("a[0].fingerprint"));
        assert_eq!(find(&json!({"name": "4242424242424242"})).as_deref(), Some("name"));
        assert_eq!(find(&json!({"n": 4_242_424_242_424_242_u64})).as_deref(), Some("n"));
    }

    #[test]
    fn leaves_other_digits_alone() {
        // Luhn-valid, but no network's number: a token must not be so, a reference may.
        assert!(is_pan("1000000000000008", true));
        assert!(!is_pan("1000000000000008", false));
        assert!(!is_pan("4242424242424241", true));
        assert!(!is_pan("tok_4242424242424242", true));
    }
}
