//! Opens a CSV file and hands out its records with their lines.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Columns;
use crate::FileError;

/// Records of one open file.
#[derive(Debug)]
pub struct RowReader {
    file: String,
    columns: Columns,
    csv: csv::Reader<BufReader<File>>,
}

fn fail(file: &str, code: &'static str, message: String, hint: &str) -> FileError {
    FileError {
        code,
        file: file.to_owned(),
        line: None,
        column: None,
        message,
        hint: hint.to_owned(),
    }
}

/// SHA-256 of a file, in hex.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(path: &Path) -> Result<String, FileError> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| {
        fail(&name, "file_unreadable", format!("cannot be read: {error}"), "check the path")
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(piece.get(..read).unwrap_or_default());
    }
}

/// Opens a file and reads its header. A byte-order mark is skipped; the delimiter is the one of
/// comma, semicolon and tab that the header line has most of.
///
/// # Errors
/// When the file cannot be read, is empty, or its header is wrong.
pub fn open(path: &Path, ignore_unknown: bool) -> Result<RowReader, FileError> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| {
        fail(&name, "file_unreadable", format!("cannot be read: {error}"), "check the path")
    };
    let mut start = vec![0; 8192];
    let mut probe = File::open(path).map_err(unreadable)?;
    let mut got = 0;
    while got < start.len() {
        let read = probe.read(start.get_mut(got..).unwrap_or_default()).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        got += read;
    }
    start.truncate(got);
    let first = start.split(|b| *b == b'\n').next().unwrap_or_default();
    if first.iter().all(u8::is_ascii_whitespace) {
        return Err(fail(
            &name,
            "empty_file",
            "the file has no header".into(),
            "the first line names the columns, at least `reference`",
        ));
    }
    let count = |delimiter: u8| first.iter().filter(|b| **b == delimiter).count();
    let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| count(*d)).unwrap_or(b',');

    // The csv crate skips a byte-order mark by itself.
    let file = File::open(path).map_err(unreadable)?;
    let mut csv = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(true)
        .flexible(true)
        .from_reader(BufReader::with_capacity(1 << 16, file));
    let header = csv.headers().map_err(|error| record_error(&name, &error))?;
    let columns = Columns::read(&name, header, ignore_unknown)?;
    Ok(RowReader { file: name, columns, csv })
}

fn record_error(file: &str, error: &csv::Error) -> FileError {
    let line = error.position().map(csv::Position::line);
    let (code, message) = match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            ("not_utf8", format!("the text is not UTF-8 (cell {})", err.field() + 1))
        }
        csv::ErrorKind::Io(error) => ("file_unreadable", format!("cannot be read: {error}")),
        _ => ("bad_csv", "this is not CSV".to_owned()),
    };
    FileError {
        line,
        ..fail(file, code, message, "save the file as CSV in UTF-8; nothing of it was imported")
    }
}

impl RowReader {
    /// The header.
    #[must_use]
    pub const fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The next record and the line it begins on; `None` at the end.
    ///
    /// # Errors
    /// When a record cannot be read, or has another number of cells than the header.
    pub fn next_record(
        &mut self,
        record: &mut csv::StringRecord,
    ) -> Result<Option<u64>, FileError> {
        if !self.csv.read_record(record).map_err(|error| record_error(&self.file, &error))? {
            return Ok(None);
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != self.columns.len() {
            return Err(FileError {
                line: Some(line),
                ..fail(
                    &self.file,
                    "cell_count",
                    format!(
                        "this row has {} cells, the header has {}",
                        record.len(),
                        self.columns.len()
                    ),
                    "is a quote missing, or a delimiter unquoted? nothing of the file was imported",
                )
            });
        }
        Ok(Some(line))
    }
}
