//! The file: reading it, its columns, and what each row states. No store and no provider.

mod columns;
mod input;
mod links;
mod reader;
mod records;
mod row;

pub use columns::{Column, Columns};
pub use links::{LinkFile, LinkRow, read_links};
pub use reader::{RowReader, Totals, open};

/// What a person said about reading the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Leave unknown columns out instead of refusing the file.
    pub ignore_unknown: bool,
    /// The columns, by their names in the header, whose cells may look like card numbers. Every
    /// other cell is checked, whatever its column.
    pub not_pan: Vec<String>,
}
