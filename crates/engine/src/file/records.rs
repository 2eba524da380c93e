//! CSV records, strictly (RFC 4180): what other readers guess at is said here, with its place.
//!
//! A quote inside an unquoted cell and text after a closing quote spoil their own record only. A
//! quote that does not close within [`MOST_LINES`] lines and [`MOST_BYTES`] bytes ends the
//! reading: everything behind it could belong inside.

use std::io::{self, Read};

/// The most bytes of one record.
pub(crate) const MOST_BYTES: usize = 64 * 1024;
/// The most physical lines of one record.
pub(crate) const MOST_LINES: u64 = 20;

/// What is wrong with one record; the next one can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A quote inside a cell that did not begin with one.
    StrayQuote,
    /// Text between a closing quote and the delimiter.
    TextAfterQuote,
    /// More than [`MOST_BYTES`].
    TooLong,
    /// Not UTF-8.
    NotUtf8,
}

/// A fault and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faulty {
    pub(crate) fault: Fault,
    /// Physical line, from 1.
    pub(crate) line: u64,
    /// Cell, from 1.
    pub(crate) cell: usize,
}

/// Why reading ends early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The input failed.
    Io(io::Error),
    /// A quote does not close.
    OpenQuote {
        /// Where it opened, from 1.
        line: u64,
        /// In which cell, from 1.
        cell: usize,
    },
}

/// One record. Reused for the next, so that reading allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Record {
    text: String,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The physical line it begins on, from 1.
    pub(crate) line: u64,
    /// How many physical lines it has.
    pub(crate) lines: u64,
    /// What is wrong with it.
    pub(crate) faulty: Option<Faulty>,
}

impl Record {
    /// Its cells, unquoted; of a faulty record those before the fault.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &str> {
        self.ends.iter().scan(0, |begin, end| {
            let cell = self.text.get(*begin..*end).unwrap_or_default();
            *begin = *end;
            Some(cell)
        })
    }

    /// How many cells.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn begin(&mut self, line: u64) {
        self.text.clear();
        self.bytes.clear();
        self.ends.clear();
        self.line = line;
        self.lines = 1;
        self.faulty = None;
    }

    fn spoil(&mut self, fault: Fault, line: u64) {
        let cell = self.ends.len() + 1;
        self.faulty.get_or_insert(Faulty { fault, line, cell });
    }

    fn push(&mut self, piece: &[u8], line: u64) {
        if self.bytes.len() + piece.len() > MOST_BYTES {
            self.spoil(Fault::TooLong, line);
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }

    fn end_cell(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Decodes the cells; of a faulty record those before the fault.
    fn finish(&mut self) {
        if let Some(faulty) = self.faulty {
            self.ends.truncate(faulty.cell - 1);
            self.bytes.truncate(self.ends.last().copied().unwrap_or_default());
        }
        let text = std::str::from_utf8(&self.bytes).unwrap_or_else(|_| {
            self.bytes.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default()
        });
        self.text.push_str(text);
        // A letter may be broken, and it may be cut in two by the end of a cell.
        let cut = self.ends.iter().position(|end| !self.text.is_char_boundary(*end));
        if let Some(place) = cut {
            let fault = Fault::NotUtf8;
            self.faulty.get_or_insert(Faulty { fault, line: self.line, cell: place + 1 });
            self.ends.truncate(place);
        }
    }
}

/// Where in a record the reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of a cell.
    CellStart,
    /// In a cell without quotes.
    Plain,
    /// Inside quotes.
    Quoted,
    /// Behind a quote inside quotes: the end of the cell, or one of two.
    QuoteInQuoted,
}

/// Reads records from bytes.
#[derive(Debug)]
pub(crate) struct Records<R> {
    input: R,
    delimiter: u8,
    /// Whether a byte means something by itself outside quotes.
    meaning: [bool; 256],
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// The physical line that is read, from 1.
    pub(crate) line: u64,
    /// Physical lines read, blank ones included.
    pub(crate) physical_lines: u64,
    /// Physical lines that hold nothing.
    pub(crate) blank_lines: u64,
}

impl<R: Read> Records<R> {
    /// Reads from an input that stands behind any byte-order mark.
    pub(crate) fn new(input: R, delimiter: u8) -> Self {
        Self {
            input,
            delimiter,
            meaning: std::array::from_fn(|byte| {
                [b'"', b'\n', b'\r', delimiter].map(usize::from).contains(&byte)
            }),
            buffer: vec![0; MOST_BYTES],
            begin: 0,
            end: 0,
            line: 1,
            physical_lines: 0,
            blank_lines: 0,
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, Ended> {
        let byte = self.peek()?;
        self.begin += usize::from(byte.is_some());
        Ok(byte)
    }

    fn peek(&mut self) -> Result<Option<u8>, Ended> {
        if self.begin == self.end {
            self.begin = 0;
            self.end = loop {
                match self.input.read(&mut self.buffer) {
                    Ok(read) => break read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Ended::Io(error)),
                }
            };
        }
        Ok(self.buffer.get(..self.end).and_then(|filled| filled.get(self.begin)).copied())
    }

    /// As many bytes as stand there that mean nothing by themselves in `at`.
    fn run(&mut self, at: At) -> &[u8] {
        let rest = self.buffer.get(self.begin..self.end).unwrap_or_default();
        let means = |byte: &u8| self.meaning.get(usize::from(*byte)).is_none_or(|means| *means);
        let length = match at {
            At::CellStart | At::Plain => rest.iter().position(means),
            At::Quoted => rest.iter().position(|byte| matches!(byte, b'"' | b'\n')),
            At::QuoteInQuoted => Some(0),
        }
        .unwrap_or(rest.len());
        let begin = self.begin;
        self.begin += length;
        self.buffer.get(begin..begin + length).unwrap_or_default()
    }

    /// Reads the next record into `record`; `false` at the end. Blank lines are passed over and
    /// counted.
    ///
    /// # Errors
    /// [`Ended`]: nothing behind it can be read.
    pub(crate) fn read(&mut self, record: &mut Record) -> Result<bool, Ended> {
        record.begin(self.line);
        let mut at = At::CellStart;
        let mut opened = (0, 0);
        let mut empty = true;
        loop {
            let line = self.line;
            let run = self.run(at);
            if !run.is_empty() {
                empty = false;
                record.push(run, line);
                if at == At::CellStart {
                    at = At::Plain;
                }
            }
            let too_long = record
                .faulty
                .is_some_and(|faulty| faulty.fault == Fault::TooLong && faulty.cell == opened.1);
            if at == At::Quoted && (record.lines > MOST_LINES || too_long) {
                return Err(Ended::OpenQuote { line: opened.0, cell: opened.1 });
            }
            let Some(byte) = self.byte()? else {
                if at == At::Quoted {
                    return Err(Ended::OpenQuote { line: opened.0, cell: opened.1 });
                }
                if empty {
                    return Ok(false);
                }
                record.end_cell();
                self.physical_lines += record.lines;
                record.finish();
                return Ok(true);
            };
            match (at, byte) {
                (At::Quoted, b'"') => at = At::QuoteInQuoted,
                (At::Quoted, byte) => {
                    record.push(&[byte], self.line);
                    if byte == b'\n' {
                        self.line += 1;
                        record.lines += 1;
                    }
                }
                (At::QuoteInQuoted, b'"') => {
                    record.push(b"\"", self.line);
                    at = At::Quoted;
                }
                (_, b'\n') => {
                    self.line += 1;
                    if empty {
                        self.physical_lines += 1;
                        self.blank_lines += 1;
                        record.begin(self.line);
                        continue;
                    }
                    record.end_cell();
                    self.physical_lines += record.lines;
                    record.finish();
                    return Ok(true);
                }
                (_, b'\r') if matches!(self.peek()?, Some(b'\n') | None) => {}
                (_, byte) if byte == self.delimiter => {
                    empty = false;
                    record.end_cell();
                    at = At::CellStart;
                }
                (At::CellStart, b'"') => {
                    empty = false;
                    opened = (self.line, record.len() + 1);
                    at = At::Quoted;
                }
                (At::CellStart | At::Plain, byte) => {
                    empty = false;
                    if byte == b'"' {
                        record.spoil(Fault::StrayQuote, self.line);
                    }
                    at = At::Plain;
                    record.push(&[byte], self.line);
                }
                (At::QuoteInQuoted, _) => {
                    record.spoil(Fault::TextAfterQuote, self.line);
                    at = At::Plain;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Good records, faults, where a quote stayed open, physical and blank lines.
    type Seen = (Vec<Vec<String>>, Vec<Faulty>, Option<(u64, usize)>, u64, u64);

    fn all(text: &[u8]) -> Seen {
        // A byte at a time, so that every place of a buffer's end is met.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(into.len()).min(1);
                into[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let mut slow = Records::new(Slow(text), b',');
        let mut fast = Records::new(text, b',');
        let (mut one, mut two) = (Record::default(), Record::default());
        let (mut rows, mut faults, mut open) = (Vec::new(), Vec::new(), None);
        loop {
            let (a, b) = (slow.read(&mut one), fast.read(&mut two));
            assert_eq!(one.cells().collect::<Vec<_>>(), two.cells().collect::<Vec<_>>());
            assert_eq!((one.line, one.lines, one.faulty), (two.line, two.lines, two.faulty));
            match (a, b) {
                (Ok(true), Ok(true)) => {}
                (Ok(false), Ok(false)) => break,
                (
                    Err(Ended::OpenQuote { line, cell }),
                    Err(Ended::OpenQuote { line: l, cell: c }),
                ) => {
                    assert_eq!((line, cell), (l, c));
                    open = Some((line, cell));
                    break;
                }
                other => panic!("they differ: {other:?}"),
            }
            match one.faulty {
                Some(faulty) => faults.push(faulty),
                None => rows.push(one.cells().map(str::to_owned).collect()),
            }
        }
        (rows, faults, open, fast.physical_lines, fast.blank_lines)
    }

    fn rows(text: &str) -> Vec<Vec<String>> {
        let (rows, faults, open, ..) = all(text.as_bytes());
        assert!(faults.is_empty() && open.is_none(), "{faults:?} {open:?}");
        rows
    }

    #[test]
    fn records_as_rfc_4180_has_them() {
        assert_eq!(rows("a,b\r\nc,d\n"), [["a", "b"], ["c", "d"]]);
        assert_eq!(rows("a,b\nc,d"), [["a", "b"], ["c", "d"]]);
        assert_eq!(rows("\"a,\"\"b\"\"\nc\",d\n"), [["a,\"b\"\nc", "d"]]);
        assert_eq!(rows(",\n"), [["", ""]]);
        assert_eq!(rows("\"\"\n"), [[""]]);
        assert_eq!(rows("a,\n"), [["a", ""]]);
        assert!(rows("").is_empty());
        assert!(rows("\n\r\n\n").is_empty());
        assert_eq!(rows("a\rb,c\r\n"), [["a\rb", "c"]]);
        assert_eq!(rows("a,b\r"), [["a", "b"]]);
    }

    #[test]
    fn a_wrong_quote_spoils_its_own_record_only() {
        let (rows, faults, open, ..) = all(b"a,b\nx\"y,z\n\"p\"q,r\nc,d\n");
        assert_eq!(rows, [["a", "b"], ["c", "d"]]);
        assert_eq!(
            faults,
            [
                Faulty { fault: Fault::StrayQuote, line: 2, cell: 1 },
                Faulty { fault: Fault::TextAfterQuote, line: 3, cell: 1 }
            ]
        );
        assert_eq!(open, None);
    }

    #[test]
    fn an_open_quote_ends_the_reading_and_names_its_line() {
        let (rows, _, open, ..) = all(b"a,b\nc,\"d\ne,f\ng,h\n");
        assert_eq!(rows, [["a", "b"]]);
        assert_eq!(open, Some((2, 2)));
        let mut long = b"a,\"".to_vec();
        long.extend("line\n".repeat(30).bytes());
        long.extend(b"\",b\nc,d\n");
        assert_eq!(all(&long).2, Some((1, 2)));
        let mut wide = b"a,\"".to_vec();
        wide.extend("x".repeat(MOST_BYTES + 1).bytes());
        wide.extend(b"\"\n");
        assert_eq!(all(&wide).2, Some((1, 2)));
    }

    #[test]
    fn a_record_that_is_too_long_or_not_utf8_is_passed_over() {
        let mut text = b"a,b\n".to_vec();
        text.extend("x".repeat(10 * MOST_BYTES).bytes());
        text.extend(b",\"y\"\nc,\xff\nd,e\n");
        let (rows, faults, ..) = all(&text);
        assert_eq!(rows, [["a", "b"], ["d", "e"]]);
        assert_eq!(
            faults,
            [
                Faulty { fault: Fault::TooLong, line: 2, cell: 1 },
                Faulty { fault: Fault::NotUtf8, line: 3, cell: 2 }
            ]
        );
    }

    #[test]
    fn a_letter_cut_by_a_delimiter_is_not_utf8() {
        // Two bytes of one letter, in two cells.
        let (rows, faults, ..) = all(b"\xc3,\xa9\nd,e\n");
        assert_eq!((rows.len(), faults.len()), (1, 1));
    }

    #[test]
    fn a_record_gives_its_room_to_the_next() {
        let mut records = Records::new(&b"one,two\nsix,ten\n"[..], b',');
        let mut record = Record::default();
        assert!(records.read(&mut record).expect("one"));
        let room = |record: &Record| (record.text.as_ptr(), record.bytes.as_ptr());
        let first = room(&record);
        assert!(record.bytes.capacity() > 0);
        assert!(records.read(&mut record).expect("another"));
        assert_eq!(room(&record), first);
    }

    #[test]
    fn the_cells_before_a_fault_are_kept() {
        for (text, kept) in [
            (&b"a,b\"c,d\n"[..], &["a"][..]),
            (b"a,\"b\"c,d\n", &["a"]),
            (b"a,b,\xff,d\n", &["a", "b"]),
            (b"a,\xff,c,d\"e\n", &["a"]),
            (b"\xc3,\xa9\n", &[]),
        ] {
            let mut record = Record::default();
            assert!(Records::new(text, b',').read(&mut record).expect("read"));
            assert!(record.faulty.is_some());
            assert_eq!(record.cells().collect::<Vec<_>>(), kept, "{text:?}");
        }
    }

    #[test]
    fn physical_lines_are_all_accounted_for() {
        let text = b"a,b\n\n\"x\ny\",z\n\nc,d";
        let (rows, _, _, physical, blank) = all(text);
        assert_eq!(rows.len(), 3);
        assert_eq!((physical, blank), (6, 2));
    }
}
