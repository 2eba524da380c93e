//! A file, row by row: opened, its header read, each record turned into a staged row.

use std::io::{self, Read};
use std::path::Path;

use model::Code;
use store::StagedRow;

use super::input::{self, Bomb, Changed, Digested, NotAFile};
use super::records::{Ended, Fault, Faulty, MOST_BYTES, Record, Records};
use super::row::{self, Declined};
use super::{Columns, Reading};
use crate::FileError;

/// How much is looked at to tell the delimiter: a header longer than this is no header.
const HEAD: usize = 16 * 1024;

/// An open file.
pub struct RowReader {
    file: String,
    columns: Columns,
    records: Records<Box<dyn Read + Send>>,
    digested: Digested,
    record: Record,
    header_lines: u64,
    row_lines: u64,
    rows: u64,
}

/// What a whole file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// SHA-256 of the file as it was given, in hex.
    pub sha256: String,
    /// Rows.
    pub rows: u64,
    /// Physical lines, of which `header_lines` are the header's, `row_lines` the rows' and
    /// `blank_lines` hold nothing.
    pub physical_lines: u64,
    /// Physical lines of the header.
    pub header_lines: u64,
    /// Physical lines of the rows.
    pub row_lines: u64,
    /// Physical lines that hold nothing.
    pub blank_lines: u64,
}

impl Totals {
    /// Whether every physical line is accounted for.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.physical_lines == self.header_lines + self.row_lines + self.blank_lines
    }
}

fn fail(file: &str, code: Code, line: Option<u64>, message: impl Into<String>) -> FileError {
    FileError {
        code,
        file: file.to_owned(),
        line,
        column: None,
        message: message.into(),
        hint: code.hint().unwrap_or_default().to_owned(),
    }
}

fn unreadable(file: &str, line: Option<u64>, error: &io::Error) -> FileError {
    let hinted = |hint: &str, message: &str| FileError {
        hint: hint.to_owned(),
        ..fail(file, Code::FileUnreadable, line, message)
    };
    match error.get_ref() {
        Some(inner) if inner.is::<Bomb>() => {
            return fail(file, Code::FileBomb, line, inner.to_string());
        }
        Some(inner) if inner.is::<Changed>() => {
            return fail(file, Code::FileChanged, line, inner.to_string());
        }
        Some(inner) if inner.is::<NotAFile>() => {
            return fail(file, Code::NotAFile, line, inner.to_string());
        }
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::NotFound => hinted(
            "check the path; a relative one begins at the folder you are in",
            "there is no such file",
        ),
        io::ErrorKind::PermissionDenied => hinted(
            "let the user who runs onfile read the file",
            "the file may not be read by this user",
        ),
        _ => fail(file, Code::FileUnreadable, line, format!("the file cannot be read: {error}")),
    }
}

/// A file of which the header was read.
pub(super) struct Begun {
    pub(super) file: String,
    pub(super) records: Records<Box<dyn Read + Send>>,
    digested: Digested,
    /// The header.
    pub(super) record: Record,
}

/// Opens a file, or standard input for `-`, as [`open`] does.
pub(super) fn begin(path: &Path) -> Result<Begun, FileError> {
    let file = path.display().to_string();
    let (mut input, digested) =
        input::open(path).map_err(|error| unreadable(&file, None, &error))?;
    let mut head = Vec::with_capacity(HEAD);
    input
        .by_ref()
        .take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(|error| unreadable(&file, None, &error))?;
    if matches!(head.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        let message = "the file is UTF-16, expected UTF-8";
        return Err(fail(&file, Code::NotUtf8, Some(1), message));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).to_vec();
    let first = text.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let Some(first) = first else {
        let message = "the file is empty, expected a header";
        return Err(fail(&file, Code::EmptyFile, Some(1), message));
    };
    let count = |delimiter: u8| first.iter().filter(|byte| **byte == delimiter).count();
    let delimiter =
        [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',');
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(text).chain(input));
    let mut records = Records::new(whole, delimiter);
    let mut record = Record::default();
    let at = |line, cell: usize, error| FileError {
        line: Some(line),
        column: Some(cell.to_string()),
        ..error
    };
    match records.read(&mut record) {
        Ok(_) => {}
        Err(Ended::Io(error)) => return Err(unreadable(&file, Some(records.line), &error)),
        Err(Ended::OpenQuote { line, cell }) => {
            return Err(at(line, cell, fail(&file, Code::UnclosedQuote, None, OPEN_QUOTE)));
        }
    }
    if let Some(faulty) = record.faulty {
        let message = format!("the header cannot be read: {}", describe(faulty));
        let error = fail(&file, Code::BadHeader, None, message);
        return Err(at(faulty.line, faulty.cell, error));
    }
    Ok(Begun { file, records, digested, record })
}

/// Opens a file, or standard input for `-`: `.gz` and `.zst` are known by their content, a
/// byte-order mark is passed over, and the delimiter is the one of comma, semicolon and tab that
/// the header has most of.
///
/// # Errors
/// When it cannot be read, is empty, or its header is wrong.
pub fn open(path: &Path, reading: &Reading) -> Result<RowReader, FileError> {
    let Begun { file, records, digested, record } = begin(path)?;
    let columns = Columns::read(&file, record.line, record.cells(), reading)?;
    let header_lines = record.lines;
    Ok(RowReader { file, columns, records, digested, record, header_lines, row_lines: 0, rows: 0 })
}

/// What a record may have at most, in words; a test holds it to the numbers.
const OPEN_QUOTE: &str = "a quote opens here and does not close within 20 lines and 64 KiB";

/// Why nothing behind a place can be read; `name` says what the column of a cell is called.
pub(super) fn cut_off(
    file: &str,
    line: u64,
    ended: Ended,
    name: impl Fn(usize) -> Option<String>,
) -> FileError {
    match ended {
        Ended::Io(error) => unreadable(file, Some(line), &error),
        Ended::OpenQuote { line, cell } => FileError {
            column: Some(name(cell).unwrap_or_else(|| "?".to_owned())),
            ..fail(file, Code::UnclosedQuote, Some(line), OPEN_QUOTE)
        },
    }
}

pub(super) const fn code_of(faulty: Faulty) -> Code {
    match faulty.fault {
        Fault::StrayQuote | Fault::TextAfterQuote => Code::BadQuote,
        Fault::TooLong => Code::RowTooLong,
        Fault::NotUtf8 => Code::NotUtf8,
    }
}

pub(super) fn cell_count(expected: usize, found: usize) -> String {
    format!("expected {expected} cells, as many as the header has; the row has {found}")
}

pub(super) fn describe(faulty: Faulty) -> String {
    match faulty.fault {
        Fault::StrayQuote => format!(
            "a quote stands inside cell {}, which does not begin with one (line {})",
            faulty.cell, faulty.line
        ),
        Fault::TextAfterQuote => format!(
            "text stands behind the closing quote of cell {}, expected the end of the cell \
             (line {})",
            faulty.cell, faulty.line
        ),
        Fault::TooLong => {
            format!("the row is too long, expected at most {} KiB", MOST_BYTES / 1024)
        }
        Fault::NotUtf8 => {
            format!("cell {} is not text, expected UTF-8 (line {})", faulty.cell, faulty.line)
        }
    }
}

impl RowReader {
    /// The next row; `None` at the end. A row that cannot be understood is rejected, and the next
    /// one is read.
    ///
    /// # Errors
    /// When nothing behind it can be read.
    pub fn next_row(&mut self) -> Result<Option<StagedRow>, FileError> {
        let read = self.records.read(&mut self.record);
        let name = |cell: usize| self.columns.name(cell - 1).map(str::to_owned);
        if !read.map_err(|ended| cut_off(&self.file, self.records.line, ended, name))? {
            return Ok(None);
        }
        self.rows += 1;
        self.row_lines += self.record.lines;
        let why = if let Some(faulty) = self.record.faulty {
            let column = self.columns.name(faulty.cell - 1).map(str::to_owned);
            Declined { code: code_of(faulty), column, message: describe(faulty) }
        } else if self.record.len() != self.columns.len() {
            let message = cell_count(self.columns.len(), self.record.len());
            Declined { code: Code::CellCount, column: None, message }
        } else {
            return Ok(Some(row::stage(&self.columns, &self.record)));
        };
        Ok(Some(row::broken(&self.columns, &self.record, why)))
    }

    /// What the file came to, once its end was reached.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            sha256: self.digested.sha256(),
            rows: self.rows,
            physical_lines: self.records.physical_lines,
            header_lines: self.header_lines,
            row_lines: self.row_lines,
            blank_lines: self.records.blank_lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f.csv");
        std::fs::write(&path, bytes).expect("written");
        (folder, path)
    }

    type Seen = (u64, Option<Code>, Option<String>);

    /// Line, code and column of every row, or the error that ended the reading.
    fn rows(bytes: &[u8]) -> Result<Vec<Seen>, FileError> {
        let (_folder, path) = write(bytes);
        let mut reader = open(&path, &Reading::default())?;
        let mut all = Vec::new();
        while let Some(row) = reader.next_row()? {
            all.push((row.line, row.code, row.field));
        }
        let totals = reader.totals();
        assert!(totals.balances(), "{totals:?}");
        assert_eq!(totals.rows, all.len() as u64);
        Ok(all)
    }

    #[test]
    fn a_row_that_cannot_be_read_is_rejected_alone() {
        let text = b"reference,name\nA,Ann\nB,\"Bo\"b\nC,C\"c\nD\nE,\xff\n\"F\nG\",Flo\nH,Hal\n";
        let name = || Some("name".to_owned());
        assert_eq!(
            rows(text).expect("readable"),
            [
                (2, None, None),
                (3, Some(Code::BadQuote), name()),
                (4, Some(Code::BadQuote), name()),
                (5, Some(Code::CellCount), None),
                (6, Some(Code::NotUtf8), name()),
                (7, Some(Code::BadValue), Some("reference".into())),
                (9, None, None),
            ]
        );
    }

    #[test]
    fn a_row_that_cannot_be_read_keeps_its_keys() {
        let keys = |text: &str| {
            let (_folder, path) = write(text.as_bytes());
            let mut reader = open(&path, &Reading::default()).expect("a header");
            let row = reader.next_row().expect("readable").expect("a row");
            assert!(row.outcome.is_some(), "{row:?}");
            (row.row_id, row.reference.map(String::from))
        };
        let header = "row_id,reference,name,token,default\n";
        for (row, row_id, reference) in [
            ("7,C-1,A\"da,tok,", "7", Some("C-1")),
            ("7,C\"1,Ada,tok,", "7", None),
            ("\"7\"7,C-1,Ada,tok,", "", None),
            (",C-1,A\"da,tok,", "", Some("C-1")),
            ("4111 1111 1111 1111,4111111111111111,A\"da,tok,", "", None),
            ("7,C-1,Ada,tok", "7", Some("C-1")),
            ("7,C-1,Ada,Lee,tok,", "7", Some("C-1")),
            ("4111 1111 1111 1111,4111111111111111,Ada,tok", "", None),
            // What is missing may stand in front: the second cell could be the token.
            ("C-1,tok,true", "C-1", None),
            ("tok", "", None),
        ] {
            let kept = (row_id.to_owned(), reference.map(str::to_owned));
            assert_eq!(keys(&format!("{header}{row}\n")), kept, "{row}");
        }
        // Where the file has no keys of its own, the line is none of them.
        assert_eq!(keys("name,reference\nA\"da,C-1\n"), ("2".to_owned(), None));
    }

    #[test]
    fn a_file_that_is_wrong_as_a_whole_says_where() {
        type Case<'a> = (&'a [u8], Code, Option<u64>, Option<&'a str>);
        let cases: [Case<'_>; 9] = [
            (b"", Code::EmptyFile, Some(1), None),
            (b"\n \n", Code::EmptyFile, Some(1), None),
            (b"name\nAda\n", Code::MissingColumn, Some(1), Some("reference")),
            (b"reference,nmae\n", Code::UnknownColumn, Some(1), Some("nmae")),
            (b"reference,na\"me\n", Code::BadHeader, Some(1), Some("2")),
            (b"reference,\"name\nA\n", Code::UnclosedQuote, Some(1), Some("2")),
            (
                b"reference,name\nA,Ann\nB,\"Bob\nC,Cid\n",
                Code::UnclosedQuote,
                Some(3),
                Some("name"),
            ),
            (b"\xff\xfer\0e\0", Code::NotUtf8, Some(1), None),
            (b"\x1f\x8bnonsense", Code::FileUnreadable, None, None),
        ];
        for (bytes, code, line, column) in cases {
            let error = rows(bytes).expect_err(code.as_str());
            let seen = (error.code, error.line, error.column.as_deref());
            assert_eq!(seen, (code, line, column), "{error}");
            assert!(!error.hint.is_empty(), "{error}");
        }
    }

    #[test]
    fn the_limits_of_an_open_quote_are_those_of_a_record() {
        use super::super::records::MOST_LINES;
        let limits = format!("{MOST_LINES} lines and {} KiB", MOST_BYTES / 1024);
        assert!(OPEN_QUOTE.ends_with(&limits), "{OPEN_QUOTE}");
    }

    #[test]
    fn delimiters_marks_and_line_ends_are_found_by_themselves() {
        for text in [
            "reference,name\nA,Ann\n",
            "reference;name\r\nA;Ann\r\n",
            "reference\tname\nA\tAnn",
            "\u{feff}reference,name\nA,Ann\n",
            "\u{feff}\"reference\",\"name\"\r\n\"A\",\"Ann\"\r\n",
        ] {
            assert_eq!(rows(text.as_bytes()).expect("readable"), [(2, None, None)], "{text:?}");
        }
    }
}
