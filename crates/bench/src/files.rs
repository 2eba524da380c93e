//! The files that are imported: the same for the same number of rows.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Result;

/// Columns of [`write`].
pub(crate) const COLUMNS: [&str; 11] = [
    "reference",
    "name",
    "email",
    "method",
    "token",
    "token_kind",
    "brand",
    "last4",
    "exp_month",
    "exp_year",
    "default",
];

/// How many customers a file of so many rows has.
pub(crate) fn customers(rows: u64) -> u64 {
    rows.checked_sub(1).map_or(0, |last| customer_of(last) + 1)
}

/// Five rows are of three customers, who have two, two and one.
const fn customer_of(row: u64) -> u64 {
    row / 5 * 3 + row % 5 / 2
}

/// Writes a file in which each row is a card, and five rows are three customers. No cell needs
/// quotes. Tokens are made up; there is no card number.
pub(crate) fn write(path: &Path, rows: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{}", COLUMNS.join(","))?;
    for row in 0..rows {
        let customer = customer_of(row);
        let first = row == 0 || customer_of(row - 1) != customer;
        writeln!(
            file,
            "C-{customer:07},Person {customer},person.{customer}@example.com,card,\
             tok_bench_{row:08},processor,VISA,{last4:04},{month},{year},{default}",
            last4 = row * 7919 % 10_000,
            month = row % 12 + 1,
            year = 2031 + row % 6,
            default = if first { "true" } else { "" },
        )?;
    }
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_rows_are_three_customers() {
        assert_eq!((customers(0), customers(1), customers(5)), (0, 1, 3));
        assert_eq!(customers(100_000), 60_000);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        write(&path, 5).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        let cells: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(cells.len(), 6);
        assert!(cells.iter().all(|row| row.len() == COLUMNS.len()));
        let (references, defaults): (Vec<_>, Vec<_>) =
            cells.iter().skip(1).map(|row| (row[0], row[10])).unzip();
        assert_eq!(references, ["C-0000000", "C-0000000", "C-0000001", "C-0000001", "C-0000002"]);
        assert_eq!(defaults, ["true", "", "true", "", "true"]);
    }
}
