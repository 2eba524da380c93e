//! The vendor's words, without ours.

use backend::Refusal;
use serde_json::Value;

use super::row::is_same;
use super::{Vendor, VendorError};
use crate::vendor_text;

/// What a request said and no message may repeat: a vendor may echo a token, a reference or a
/// name in the text of its error. No `Debug`: what it holds is shown to nobody.
pub struct Echo {
    vendor: Vendor,
    /// In lower case.
    said: Vec<String>,
}

impl Vendor {
    /// Of a request that said nothing to be hidden.
    #[must_use]
    pub const fn echo(&self) -> Echo {
        Echo { vendor: *self, said: Vec::new() }
    }

    /// Of the body of a request.
    #[must_use]
    pub fn echo_of_body(&self, body: &[u8]) -> Echo {
        let mut echo = self.echo();
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            echo.take(&value, false);
        }
        echo
    }

    /// Of one text that a request held elsewhere.
    #[must_use]
    pub fn echo_of_text(&self, text: &str) -> Echo {
        Echo { vendor: *self, said: vec![text.to_ascii_lowercase()] }
    }
}

impl Echo {
    /// Keeps the texts of hidden properties, and all that stand within one.
    fn take(&mut self, value: &Value, hidden: bool) {
        match value {
            Value::String(text) if hidden => self.said.push(text.to_ascii_lowercase()),
            Value::Array(values) => values.iter().for_each(|value| self.take(value, hidden)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    let named = || self.vendor.hidden.iter().any(|hidden| is_same(hidden, name));
                    self.take(value, hidden || named());
                }
            }
            _ => {}
        }
    }

    /// The vendor's words, without what we said, redacted and cut.
    #[must_use]
    pub fn refusal(&self, error: VendorError) -> Refusal {
        Refusal {
            code: error.code.filter(|code| self.hide(code) == *code),
            message: self.text(error.message.as_deref()),
            field: error.field.filter(|field| self.hide(field) == *field).map(|field| {
                let last = field.rsplit('.').next().unwrap_or_default();
                (self.vendor.column)(last).map_or_else(|| field.clone(), str::to_owned)
            }),
        }
    }

    /// The vendor's text, or that there is none.
    #[must_use]
    pub fn text(&self, text: Option<&str>) -> String {
        text.map_or_else(|| "no reason given".to_owned(), |text| vendor_text(&self.hide(text)))
    }

    /// Hides each value, whatever its case: long ones anywhere and in part, short ones where they
    /// stand as a word.
    pub(super) fn hide(&self, text: &str) -> String {
        let folded = text.to_ascii_lowercase();
        let mut hidden = vec![false; text.len()];
        let mut mark = |from: usize, to: usize| {
            hidden.iter_mut().take(to).skip(from).for_each(|byte| *byte = true);
        };
        let beside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        for value in self.said.iter().filter(|value| !value.is_empty()) {
            for (from, found) in folded.match_indices(value.as_str()) {
                let to = from + found.len();
                let before = folded.get(..from).and_then(|text| text.chars().next_back());
                let after = folded.get(to..).and_then(|text| text.chars().next());
                if value.len() >= Self::LONG || !(beside(before) || beside(after)) {
                    mark(from, to);
                }
            }
        }
        // A piece of a token is still a piece of a token.
        let mut from = 0;
        for word in folded.split_inclusive(|c: char| !(c.is_alphanumeric() || "_-".contains(c))) {
            let piece = word.trim_end_matches(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
            let no_word =
                piece.bytes().any(|b| b.is_ascii_digit()) || piece.len() >= 2 * Self::LONG;
            let long = piece.len() >= Self::LONG;
            if long && no_word && self.said.iter().any(|value| value.contains(piece)) {
                mark(from, from + piece.len());
            }
            from += word.len();
        }
        let mut shown = String::with_capacity(text.len());
        let mut hiding = false;
        for (at, c) in text.char_indices() {
            let hide = hidden.get(at).copied().unwrap_or(false);
            match (hide, hiding) {
                (true, false) => shown.push_str("[hidden]"),
                (true, true) => {}
                (false, _) => shown.push(c),
            }
            hiding = hide;
        }
        shown
    }

    /// From this many bytes on a value is no word that occurs by chance.
    const LONG: usize = 8;
}
