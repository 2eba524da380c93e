//! The fields of one object of an answer.

use backend::Unreadable;
use model::Timestamp;
use serde_json::{Map, Value};

use super::Vendor;

/// What keeps a row from being read; never its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(pub String);

/// The fields of one object, under the names and in the casings of its vendor.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    fields: &'a Map<String, Value>,
    any_casing: bool,
}

impl Vendor {
    /// The fields of an object.
    ///
    /// # Errors
    /// When it is none.
    pub fn row<'a>(&self, value: &'a Value) -> Result<Row<'a>, Unfit> {
        let fields = value.as_object().ok_or_else(|| Unfit("the row is not an object".into()))?;
        Ok(Row { fields, any_casing: self.any_casing })
    }

    /// An unreadable row, with its id where that much could be read.
    #[must_use]
    pub fn unreadable(&self, value: &Value, ids: &[&str], unfit: Unfit) -> Unreadable {
        let id = self.row(value).ok().and_then(|row| row.first_text(ids).ok().flatten());
        let fits = |id: &String| id.len() <= 255 && !id.chars().any(char::is_control);
        Unreadable { id: id.filter(fits), why: unfit.0 }
    }
}

impl<'a> Row<'a> {
    /// The field, as it is.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a Value> {
        let exact = self.fields.get(name);
        if exact.is_some() || !self.any_casing {
            return exact;
        }
        self.fields.iter().find_map(|(theirs, value)| is_same(theirs, name).then_some(value))
    }

    /// The field, where it is an object.
    #[must_use]
    pub fn row(self, name: &str) -> Option<Self> {
        self.get(name)?.as_object().map(|fields| Self { fields, ..self })
    }

    /// A text. Numbers are taken as written, null and the empty text as not stated.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn text(self, name: &str) -> Result<Option<String>, Unfit> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(Unfit(format!("`{name}` is not a text"))),
        }
    }

    /// The first of several names that is stated.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn first_text(self, names: &[&str]) -> Result<Option<String>, Unfit> {
        for name in names {
            if let Some(text) = self.text(name)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// A whole number, also where it is written as a text (`"12"`); what is none is not known.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn number(self, name: &str) -> Result<Option<u32>, Unfit> {
        Ok(self.text(name)?.and_then(|text| text.trim().parse().ok()))
    }

    /// RFC 3339, or seconds since the epoch. Anything else is not known.
    #[must_use]
    pub fn time(self, name: &str) -> Option<Timestamp> {
        match self.get(name)? {
            Value::String(text) => Timestamp::parse_rfc3339(text),
            Value::Number(seconds) => seconds.as_i64().map(Timestamp::from_seconds),
            _ => None,
        }
    }
}

/// Whether two names are the same but for their casing: `line1`, `Line1`; `postal_code`,
/// `postalCode`.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    let letters = |name: &'_ str| -> Vec<u8> {
        name.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()).collect()
    };
    letters(a) == letters(b)
}
