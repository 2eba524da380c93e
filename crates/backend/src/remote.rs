//! Pages of what a provider holds.

use model::Timestamp;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// After this many rows.
    Offset(u64),
    /// At the address the provider gave with the page before.
    Link(String),
}

/// A page asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Where it begins.
    pub cursor: Cursor,
    /// How many rows at most.
    pub size: u32,
}

impl PageRequest {
    /// The first page.
    #[must_use]
    pub const fn first(size: u32) -> Self {
        Self { cursor: Cursor::Offset(0), size }
    }
}

/// A row of an answer that could not be read; the others of its page could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The provider's id, where that much could be read.
    pub id: Option<String>,
    /// What is wrong with it; never its content.
    pub why: String,
}

/// A page answered.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows that could be read.
    pub items: Vec<T>,
    /// The rows that could not.
    pub unreadable: Vec<Unreadable>,
    /// Values dropped because they held a card number: the path in the answer, no value.
    pub card_numbers_at: Vec<String>,
    /// How many rows the provider sent. Zero is the end of the list.
    pub received: u64,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
    /// The provider's own total, where it states one.
    pub total: Option<u64>,
    /// When the request began: what the answer says is true of no earlier time (rule 2).
    pub as_of: Timestamp,
}

/// What a probe saw.
#[derive(Debug, Clone)]
pub struct Probe {
    /// One line for a person.
    pub summary: String,
    /// When the request began.
    pub as_of: Timestamp,
}
