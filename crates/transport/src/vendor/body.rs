//! The body of an answer, as a tree without card numbers, and the page that a list becomes.

use backend::{Cursor, Page};
use model::contains_card_number;
use serde_json::{Map, Value};

use super::row::is_same;
use super::{OwnIds, Unfit, Vendor};
use crate::HttpResponse;

/// A list answered. No `Debug`: it may hold tokens.
pub struct List {
    /// Its rows, without card numbers.
    pub rows: Vec<Value>,
    /// What else the answer said around the rows, as it was said; empty for a bare array.
    pub envelope: Value,
    /// Where card numbers stood; they are gone from `rows`.
    pub card_numbers_at: Vec<String>,
}

impl List {
    /// How many rows came, readable or not.
    #[must_use]
    pub fn received(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }
}

impl Vendor {
    /// Reads a list: a bare array, or an array under the first of `names` that has one.
    ///
    /// # Errors
    /// Why the body is none.
    pub fn list(&self, body: &[u8], names: &[&str]) -> Result<List, &'static str> {
        let mut card_numbers_at = Vec::new();
        let (mut rows, envelope) = match serde_json::from_slice(body) {
            Ok(Value::Array(rows)) => (rows, Map::new()),
            Ok(Value::Object(mut envelope)) => {
                let rows = names.iter().find_map(|name| self.take_array(&mut envelope, name));
                (rows.ok_or("the answer holds no list")?, envelope)
            }
            Ok(_) => return Err("the answer holds no list"),
            Err(_) => return Err("the answer is not JSON"),
        };
        for (index, row) in rows.iter_mut().enumerate() {
            self.drop_card_numbers(row, true, &mut format!("[{index}]"), &mut card_numbers_at);
        }
        Ok(List { rows, envelope: Value::Object(envelope), card_numbers_at })
    }

    fn take_array(&self, envelope: &mut Map<String, Value>, name: &str) -> Option<Vec<Value>> {
        let theirs = envelope.iter().find_map(|(theirs, value)| {
            let named = theirs == name || (self.any_casing && is_same(theirs, name));
            (named && value.is_array()).then(|| theirs.clone())
        })?;
        match envelope.remove(&theirs) {
            Some(Value::Array(rows)) => Some(rows),
            _ => None,
        }
    }

    /// Reads one object, with the paths of the card numbers that were dropped from it.
    ///
    /// # Errors
    /// Why the body is none.
    pub fn object(&self, body: &[u8]) -> Result<(Value, Vec<String>), &'static str> {
        let mut value: Value =
            serde_json::from_slice(body).map_err(|_| "the answer is not JSON")?;
        if !value.is_object() {
            return Err("the answer is not an object");
        }
        let mut at = Vec::new();
        self.drop_card_numbers(&mut value, true, &mut String::new(), &mut at);
        Ok((value, at))
    }

    /// Whether a field, of a row itself or of what stands within it, is an id that the vendor made.
    fn is_own_id(&self, of_row: bool, name: &str, value: &Value) -> bool {
        let OwnIds { names, marks, numbered } = self.ids;
        let among = |names: &[&str]| {
            names.iter().any(|own| *own == name || (self.any_casing && is_same(own, name)))
        };
        let is_text = |text: &str| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
                && text.bytes().any(|b| b.is_ascii_alphabetic())
        };
        match value {
            Value::String(text) => is_text(text) && among(names),
            Value::Number(number) => of_row && number.is_u64() && among(numbered),
            _ => false,
        }
    }

    /// Rule 13: a field of an answer that holds a card number is dropped, and its path kept; `of_row`
    /// where the value is a row itself. Depth is bounded by `serde_json`'s own limit.
    fn drop_card_numbers(
        &self,
        value: &mut Value,
        of_row: bool,
        path: &mut String,
        at: &mut Vec<String>,
    ) {
        let found = match &*value {
            Value::String(text) => contains_card_number(text),
            Value::Number(number) => contains_card_number(&number.to_string()),
            _ => false,
        };
        if found {
            at.push(path.clone());
            *value = Value::Null;
            return;
        }
        let here = path.len();
        match value {
            Value::Array(values) => {
                for (index, value) in values.iter_mut().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    self.drop_card_numbers(value, false, path, at);
                    path.truncate(here);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    if self.is_own_id(of_row, name, value) {
                        continue;
                    }
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(if contains_card_number(name) { "?" } else { name });
                    self.drop_card_numbers(value, false, path, at);
                    path.truncate(here);
                }
            }
            _ => {}
        }
    }

    /// Rows into a page: those that can be read, and beside them those that cannot, with the id that
    /// stands under one of `ids`.
    pub fn page<T>(
        &self,
        response: &HttpResponse,
        list: List,
        ids: &[&str],
        read: impl Fn(&Value) -> Result<T, Unfit>,
        next: Option<Cursor>,
    ) -> Page<T> {
        let mut items = Vec::with_capacity(list.rows.len());
        let mut unreadable = Vec::new();
        for row in &list.rows {
            match read(row) {
                Ok(item) => items.push(item),
                Err(unfit) => unreadable.push(self.unreadable(row, ids, unfit)),
            }
        }
        Page {
            items,
            unreadable,
            received: list.received(),
            card_numbers_at: list.card_numbers_at,
            next,
            total: None,
            as_of: response.as_of,
        }
    }
}
