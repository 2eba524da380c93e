//! The file: reading it, its columns, and what each row states. No store and no provider.

mod columns;
mod reader;
mod row;

pub use columns::{Column, Columns};
pub use reader::{RowReader, open, sha256};
pub use row::stage;
