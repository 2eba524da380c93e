//! Statements over many rows in few texts: a row at a time costs 50 µs, in bulk 3 µs.

use std::sync::OnceLock;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

pub(super) type Bound = Query<'static, Sqlite, SqliteArguments>;

/// Rows in one statement, so that a table has five texts, which stay prepared.
const SIZES: [usize; 5] = [500, 100, 20, 5, 1];

/// A statement with a list of rows in it. Its values have no numbers: looking a numbered one up
/// takes SQLite a walk over all of them, which for 500 rows is a third of a second.
pub(super) struct Bulk {
    head: &'static str,
    /// One row, with a `?` for each value.
    row: &'static str,
    tail: &'static str,
    texts: [OnceLock<String>; SIZES.len()],
}

impl Bulk {
    pub(super) const fn new(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self { head, row, tail, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    fn build(&self, rows: usize) -> String {
        let rows = vec![self.row; rows].join(", ");
        [self.head, &rows, self.tail].concat()
    }

    /// Runs it over all rows: `bind` binds the values of a row, `end` those of the tail.
    pub(super) async fn run<T>(
        &'static self,
        conn: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(Bound, &T) -> Bound,
        end: impl Fn(Bound) -> Bound,
    ) -> Result<u64, sqlx::Error> {
        let mut rest = rows;
        let mut affected = 0;
        for (size, text) in SIZES.iter().zip(&self.texts) {
            while let Some((chunk, after)) = rest.split_at_checked(*size) {
                if chunk.is_empty() {
                    break;
                }
                rest = after;
                let text: &'static str = text.get_or_init(|| self.build(*size)).as_str();
                let query = end(chunk.iter().fold(sqlx::query(text), &bind));
                affected += query.execute(&mut *conn).await?.rows_affected();
            }
        }
        Ok(affected)
    }

    /// The text for one row, for the test that prepares every statement.
    #[cfg(test)]
    pub(super) fn one(&'static self) -> &'static str {
        self.texts[SIZES.len() - 1].get_or_init(|| self.build(1)).as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::Bulk;

    #[test]
    fn rows_are_listed() {
        let bulk = Bulk::new("INSERT INTO t VALUES ", "(?, ?)", " ON CONFLICT DO NOTHING");
        assert_eq!(bulk.build(2), "INSERT INTO t VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING");
    }
}
