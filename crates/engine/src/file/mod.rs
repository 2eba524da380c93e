//! The file: reading it, its columns, and what each row states. No store and no provider.

mod columns;
mod input;
mod reader;
mod records;
mod row;

pub use columns::{Column, Columns};
pub use reader::{RowReader, Totals, open};
