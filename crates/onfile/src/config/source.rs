//! The text of the file: places in it, and lines of it as they may be shown. What could be a
//! secret is hidden by default; only values of keys that are known not to be secret are shown.

use std::collections::BTreeSet;

use toml_span::value::ValueInner;
use toml_span::{Span, Value};

use super::error::{Excerpt, Position};
use super::spec::{KeySpec, Type};
use super::values::{may_hold_password, may_hold_secret, may_show_env};

/// Longer lines are cut in what is shown.
const SHOWN: usize = 160;

/// The names of all keys, by whether their values may be shown.
pub(super) struct Vocabulary {
    plain: BTreeSet<&'static str>,
    secret: BTreeSet<&'static str>,
}

impl Vocabulary {
    /// All keys of these tables, and of the tables in them.
    pub(super) fn new<'k>(tables: impl IntoIterator<Item = &'k [KeySpec]>) -> Self {
        let mut all = Self { plain: BTreeSet::new(), secret: BTreeSet::new() };
        for table in tables {
            all.add(table);
        }
        all
    }

    fn add(&mut self, table: &[KeySpec]) {
        for key in table {
            let set = if key.is_secret() { &mut self.secret } else { &mut self.plain };
            set.insert(key.name);
            if let Type::Table(inner) = key.ty {
                self.add(inner);
            }
        }
    }

    /// Whether a value under this key may be shown. A misspelt key counts as what it is near to,
    /// unless it sounds like a secret.
    fn shows(&self, key: &str) -> bool {
        if self.secret.contains(key) {
            return false;
        }
        if self.plain.contains(key) {
            return true;
        }
        let low = key.to_ascii_lowercase();
        let sounds = ["secret", "pass", "token", "key", "bearer", "cred", "auth", "sign"];
        let all = self.plain.iter().chain(&self.secret).copied();
        !sounds.iter().any(|word| low.contains(word))
            && nearest(key, all).is_some_and(|name| self.plain.contains(name))
    }

    fn shows_text(&self, key: &str, inside_secret: bool, text: &str) -> bool {
        match key {
            "env" => may_show_env(text),
            "file" | "id" => true,
            _ => !inside_secret && self.shows(key) && !may_hold_secret(text),
        }
    }
}

/// The name that a misspelt one is near to: at most a third of its letters differ.
pub(crate) fn nearest<'n>(
    found: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let reach = (found.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(found, name), name))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The text with its lines, and the parts of it that are not shown.
pub(super) struct Source<'s> {
    text: &'s str,
    starts: Vec<usize>,
    hidden: Vec<Span>,
    /// The texts of the file: a `#` in one starts no comment.
    texts: Vec<Span>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self {
            text,
            starts: std::iter::once(bom).chain(ends).collect(),
            hidden: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// Hides every value of the file that may be a secret.
    pub(super) fn hide_secrets(&mut self, vocabulary: &Vocabulary, root: &Value<'_>) {
        self.collect(vocabulary, "", false, root);
        self.hidden.sort_by_key(|span| span.start);
    }

    fn collect(
        &mut self,
        vocabulary: &Vocabulary,
        key: &str,
        inside_secret: bool,
        value: &Value<'_>,
    ) {
        match value.as_ref() {
            ValueInner::Table(table) => {
                let inside = inside_secret || vocabulary.secret.contains(key);
                for (key, value) in table {
                    self.collect(vocabulary, &key.name, inside, value);
                }
            }
            ValueInner::Array(list) => {
                for value in list {
                    self.collect(vocabulary, key, inside_secret, value);
                }
            }
            ValueInner::String(text) => {
                self.texts.push(value.span);
                if !text.is_empty() && !vocabulary.shows_text(key, inside_secret, text) {
                    self.hidden.push(value.span);
                }
            }
            ValueInner::Integer(_) | ValueInner::Float(_) | ValueInner::Boolean(_) => {
                if inside_secret || !vocabulary.shows(key) {
                    self.hidden.push(value.span);
                }
            }
        }
    }

    /// For a file that is not TOML: hides by the look of the one line.
    pub(super) fn hide_by_look(&mut self, vocabulary: &Vocabulary, at: Span) {
        let (_, start, line) = self.line(at.start);
        if let Some(from) = hidden_from(vocabulary, line) {
            self.hidden = vec![Span::new(start + from, start + line.len())];
        }
    }

    /// Whether a place is in a hidden part.
    pub(super) fn is_hidden(&self, at: Span) -> bool {
        self.hidden.iter().any(|hidden| hidden.start < at.end && at.start < hidden.end)
    }

    /// The number of the line that holds a byte, where it starts, and its text.
    fn line(&self, at: usize) -> (usize, usize, &'s str) {
        let number = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(number - 1).copied().unwrap_or(0);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        (number, start, line.strip_suffix('\r').unwrap_or(line))
    }

    /// Line and column of a byte.
    pub(super) fn position(&self, at: usize) -> Position {
        let (line, start, text) = self.line(at);
        let before = text.get(..at.saturating_sub(start)).unwrap_or(text);
        Position { line, column: before.chars().count() + 1 }
    }

    /// A text's place with its quotes.
    pub(super) fn quoted(&self, mut span: Span) -> Span {
        let before = self.text.get(..span.start).unwrap_or_default();
        // The parser gives an empty text the place of its first quote.
        let here = self.text.get(span.start..).unwrap_or_default();
        if here.starts_with("\"\"") || here.starts_with("''") {
            return Span::new(span.start, span.start + 2);
        }
        if let Some(quote) = before.chars().next_back().filter(|c| matches!(c, '"' | '\'')) {
            span.start -= 1;
            if self.text.get(span.end..).is_some_and(|rest| rest.starts_with(quote)) {
                span.end += 1;
            }
        }
        span
    }

    /// The place of a table's head: the first line of what it spans.
    pub(super) fn head(&self, span: Span) -> Span {
        let (_, start, line) = self.line(span.start);
        let end = start + line.trim_end().len();
        Span::new(span.start, span.end.min(end).max(span.start))
    }

    /// The line of a place, with what is secret hidden and the place marked.
    pub(super) fn excerpt(&self, span: Span) -> Excerpt {
        let (_, start, line) = self.line(span.start);
        let mut text = String::new();
        let (mut first, mut last) = (None, None);
        let mut shown = 0;
        let mut open: Option<usize> = None;
        for (offset, c) in line.char_indices() {
            let at = start + offset;
            if c == '#' && !self.texts.iter().any(|text| text.start <= at && at < text.end) {
                break; // comments are not shown: old secrets live in them
            }
            let hidden = self.hidden.iter().position(|h| h.start <= at && at < h.end);
            let fresh = hidden.is_none() || hidden != open;
            open = hidden;
            if fresh {
                if shown == SHOWN {
                    break;
                }
                text.push(match hidden {
                    Some(_) => '…',
                    None if c.is_control() => ' ',
                    None => c,
                });
                shown += 1;
            }
            if span.start <= at && at < span.end.max(span.start + 1) {
                first.get_or_insert(shown - 1);
                last = Some(shown);
            }
        }
        let text = text.trim_end().to_owned();
        let first = first.unwrap_or_else(|| text.chars().count());
        Excerpt { text, start: first, len: last.map_or(1, |last| last - first).max(1) }
    }
}

/// From where on a line of broken TOML is hidden: it is shown whole only if it is a table's head,
/// or if all that stands before a `=` are keys whose values may be shown.
fn hidden_from(vocabulary: &Vocabulary, line: &str) -> Option<usize> {
    let blank = line.len() - line.trim_start().len();
    let text = line.trim();
    if text.is_empty() {
        return None;
    }
    let head = |c: char| c.is_ascii_alphanumeric() || "[]._- ".contains(c);
    if text.starts_with('[') && text.chars().all(head) {
        return None;
    }
    let Some(equals) = line.find('=') else { return Some(blank) };
    let mut parts: Vec<&str> = line.split('=').collect();
    parts.pop();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let all = parts.iter().all(|part| {
        let part = part.trim_end_matches([' ', '\t', '"', '\'']);
        let start = part.trim_end_matches(word).len();
        vocabulary.shows(part.get(start..).unwrap_or_default())
    });
    if all && !may_hold_password(line) && !line.contains("://") {
        return None;
    }
    let value = line.get(equals + 1..).unwrap_or_default();
    Some(equals + 1 + value.len() - value.trim_start().len())
}
