//! A file of links: which customer at an account, and which of its payment methods, is which of
//! ours. Read whole; what is wrong with it is said line by line.

use std::path::Path;

use model::{
    AccountName, BadId, Code, CustomerId, MethodId, Reference, RemoteCustomerId, RemoteMethodId,
};

use super::reader::{Begun, begin, cell_count, code_of, cut_off, describe};
use crate::FileError;

/// A row of the file. Each customer has a reference or an id, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// The line it begins on, from 1.
    pub line: u64,
    /// The reference of our customer.
    pub reference: Option<Reference>,
    /// Our customer.
    pub customer: Option<CustomerId>,
    /// The provider's customer.
    pub remote_customer: RemoteCustomerId,
    /// The provider's payment method, and ours.
    pub method: Option<(RemoteMethodId, MethodId)>,
}

/// What a file of links came to.
#[derive(Debug, Clone, Default)]
pub struct LinkFile {
    /// The rows that can be read.
    pub rows: Vec<LinkRow>,
    /// What is wrong with the others.
    pub wrong: Vec<FileError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Account,
    Reference,
    Customer,
    RemoteCustomer,
    Method,
    RemoteMethod,
    /// What an export says besides.
    Ignored,
}

impl Column {
    const ALL: [Self; 7] = [
        Self::Account,
        Self::Reference,
        Self::Customer,
        Self::RemoteCustomer,
        Self::Method,
        Self::RemoteMethod,
        Self::Ignored,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Reference => "reference",
            Self::Customer => "customer_id",
            Self::RemoteCustomer => "remote_customer_id",
            Self::Method => "method_id",
            Self::RemoteMethod => "remote_method_id",
            Self::Ignored => "linked_by",
        }
    }
}

/// Where in a file something is wrong.
struct Place<'a> {
    file: &'a str,
    line: u64,
}

impl Place<'_> {
    fn error(&self, code: Code, column: Option<&str>, message: String) -> FileError {
        FileError {
            code,
            file: self.file.to_owned(),
            line: Some(self.line),
            column: column.map(str::to_owned),
            message,
            hint: code.hint().unwrap_or_default().to_owned(),
        }
    }

    fn hinted(&self, code: Code, column: Column, message: &str, hint: &str) -> FileError {
        let hint = hint.to_owned();
        FileError { hint, ..self.error(code, Some(column.name()), message.to_owned()) }
    }
}

/// Reads a file of links for an account.
///
/// # Errors
/// When the file cannot be read to its end, or its header is wrong. What is wrong with a row is in
/// [`LinkFile::wrong`].
pub fn read_links(path: &Path, account: &AccountName) -> Result<LinkFile, FileError> {
    let Begun { file, mut records, mut record, .. } = begin(path)?;
    let columns = columns(&Place { file: &file, line: record.line }, record.cells())?;
    let mut links = LinkFile::default();
    loop {
        let called = |cell: usize| columns.get(cell - 1).map(|column| column.name().to_owned());
        let read = records.read(&mut record);
        if !read.map_err(|ended| cut_off(&file, records.line, ended, called))? {
            return Ok(links);
        }
        let place = Place { file: &file, line: record.line };
        if let Some(faulty) = record.faulty {
            let called = called(faulty.cell);
            links.wrong.push(place.error(code_of(faulty), called.as_deref(), describe(faulty)));
        } else if record.len() != columns.len() {
            let message = cell_count(columns.len(), record.len());
            links.wrong.push(place.error(Code::CellCount, None, message));
        } else {
            match row(&place, account, &columns, record.cells()) {
                Ok(row) => links.rows.push(row),
                Err(wrong) => links.wrong.extend(wrong),
            }
        }
    }
}

fn columns<'a>(
    place: &Place<'_>,
    header: impl Iterator<Item = &'a str>,
) -> Result<Vec<Column>, FileError> {
    const HINT: &str = "the columns are reference or customer_id, remote_customer_id, and for a \
                        payment method remote_method_id and method_id, as `onfile export links` \
                        writes them";
    let hinted = |error: FileError| FileError { hint: HINT.to_owned(), ..error };
    let find = |cell: &str| {
        let wanted = cell.trim().to_ascii_lowercase();
        Column::ALL.into_iter().find(|column| column.name() == wanted)
    };
    let header: Vec<&str> = header.collect();
    // A file without a header begins with data: its cells are not repeated here.
    let is_header = header.iter().any(|cell| find(cell).is_some());
    let mut columns: Vec<Column> = Vec::new();
    for cell in header {
        let Some(column) = find(cell) else {
            let may_be_shown = is_header && !model::contains_card_number(cell) && cell.len() <= 40;
            let shown = may_be_shown.then_some(cell);
            let message = "this column is not known".to_owned();
            return Err(hinted(place.error(Code::UnknownColumn, shown, message)));
        };
        if columns.contains(&column) {
            let message = "this column stands twice in the header, expected it once".to_owned();
            return Err(place.error(Code::DuplicateColumn, Some(column.name()), message));
        }
        columns.push(column);
    }
    let has = |column| columns.contains(&column);
    let missing = |column: Column| {
        let message = "the header has no such column".to_owned();
        Err(hinted(place.error(Code::MissingColumn, Some(column.name()), message)))
    };
    if !has(Column::RemoteCustomer) {
        return missing(Column::RemoteCustomer);
    }
    if !has(Column::Reference) && !has(Column::Customer) {
        return missing(Column::Reference);
    }
    for (one, other) in
        [(Column::Method, Column::RemoteMethod), (Column::RemoteMethod, Column::Method)]
    {
        if has(one) && !has(other) {
            return missing(other);
        }
    }
    Ok(columns)
}

fn row<'a>(
    place: &Place<'_>,
    account: &AccountName,
    columns: &[Column],
    cells: impl Iterator<Item = &'a str>,
) -> Result<LinkRow, Vec<FileError>> {
    let cells: Vec<(Column, &str)> = columns.iter().copied().zip(cells.map(str::trim)).collect();
    let mut wrong = Vec::new();
    for (column, cell) in &cells {
        if model::contains_card_number(cell) {
            let message = "a full card number stands here".to_owned();
            wrong.push(place.error(Code::PanFound, Some(column.name()), message));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let cell = |wanted: Column| {
        cells.iter().find(|(column, cell)| *column == wanted && !cell.is_empty()).map(|c| c.1)
    };
    if cell(Column::Account).is_some_and(|named| named != account.as_str()) {
        let message = "this row is of another account than the one that was named";
        let hint = "a file of links is of one account: `onfile export links --account` writes one";
        wrong.push(place.hinted(Code::BadValue, Column::Account, message, hint));
    }
    let mut bad = |column: Column, error: BadId| {
        wrong.push(place.error(Code::BadValue, Some(column.name()), error.to_string()));
    };
    macro_rules! id {
        ($column:ident, $kind:ident) => {
            cell(Column::$column)
                .and_then(|text| $kind::new(text).map_err(|error| bad(Column::$column, error)).ok())
        };
    }
    let reference = id!(Reference, Reference);
    let customer = id!(Customer, CustomerId);
    let remote_customer = id!(RemoteCustomer, RemoteCustomerId);
    let method = id!(Method, MethodId);
    let remote_method = id!(RemoteMethod, RemoteMethodId);
    let mut missing = |column: Column, message: &str, hint: &str| {
        wrong.push(place.hinted(Code::MissingValue, column, message, hint));
    };
    if cell(Column::RemoteCustomer).is_none() {
        let hint = "write the provider's id of the customer; `onfile export links` lists them";
        missing(Column::RemoteCustomer, "the cell is empty", hint);
    }
    if cell(Column::Reference).is_none() && cell(Column::Customer).is_none() {
        let column =
            if columns.contains(&Column::Customer) { Column::Customer } else { Column::Reference };
        let hint = "write your reference of the customer, or our id of it";
        missing(column, "the row does not say to whom the customer is linked", hint);
    }
    for (one, other) in
        [(Column::Method, Column::RemoteMethod), (Column::RemoteMethod, Column::Method)]
    {
        if cell(one).is_some() && cell(other).is_none() {
            let hint = "a payment method is linked by both ids, or, without either, by its facts";
            missing(
                other,
                "the cell is empty, and the other id of the payment method is not",
                hint,
            );
        }
    }
    let method = remote_method.zip(method);
    match remote_customer {
        Some(remote_customer) if wrong.is_empty() => {
            Ok(LinkRow { line: place.line, reference, customer, remote_customer, method })
        }
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LinkFile, FileError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("links.csv");
        std::fs::write(&path, text).expect("written");
        read_links(&path, &AccountName::new("gov").expect("a name"))
    }

    #[test]
    fn rows_name_customers_and_payment_methods() {
        let file = read(
            "reference,customer_id,remote_customer_id,remote_method_id,method_id\n\
             C-1,,cus_1,,\n,c_1,cus_2,pm_1,m_1\n",
        )
        .expect("readable");
        assert!(file.wrong.is_empty(), "{:?}", file.wrong);
        let [first, second] = file.rows.as_slice() else { panic!("{:?}", file.rows) };
        assert_eq!((first.line, first.reference.as_ref().map(Reference::as_str)), (2, Some("C-1")));
        assert_eq!(first.method, None);
        assert_eq!(second.customer.as_ref().map(CustomerId::as_str), Some("c_1"));
        assert!(second.method.is_some());
    }

    #[test]
    fn every_bad_line_is_said() {
        let file = read(
            "account;reference;remote_customer_id;remote_method_id;method_id\n\
             gov;C-1;cus_1;;\nother;C-2;cus_2;;\n;;cus_3;;\n;C-4;;;\n;C-5;cus_5;pm_5;\n\
             ;4111 1111 1111 1111;cus_6;;\n;C-7\n;C\"8;cus_8;;\n",
        )
        .expect("readable");
        assert_eq!(file.rows.len(), 1);
        let wrong: Vec<_> =
            file.wrong.iter().map(|w| (w.line, w.column.as_deref(), w.code.as_str())).collect();
        assert_eq!(
            wrong,
            [
                (Some(3), Some("account"), "bad_value"),
                (Some(4), Some("reference"), "missing_value"),
                (Some(5), Some("remote_customer_id"), "missing_value"),
                (Some(6), Some("method_id"), "missing_value"),
                (Some(7), Some("reference"), "pan_found"),
                (Some(8), None, "cell_count"),
                (Some(9), Some("reference"), "bad_quote"),
            ]
        );
        for wrong in file.wrong {
            assert!(!wrong.hint.is_empty() && !wrong.to_string().contains("1111"), "{wrong:?}");
        }
    }

    #[test]
    fn a_header_that_is_wrong_says_what_it_takes() {
        for (header, code, column) in [
            ("reference,remote", Code::UnknownColumn, "remote"),
            ("reference,method_id", Code::MissingColumn, "remote_customer_id"),
            ("remote_customer_id", Code::MissingColumn, "reference"),
            ("reference,remote_customer_id,method_id", Code::MissingColumn, "remote_method_id"),
            ("reference,reference", Code::DuplicateColumn, "reference"),
        ] {
            let error = read(&format!("{header}\n")).expect_err(header);
            assert_eq!((error.code, error.column.as_deref()), (code, Some(column)), "{header}");
            assert!(!error.hint.is_empty());
        }
        // Data where the header should be is not repeated.
        let error = read("tok_secret,cus_1\n").expect_err("no header");
        assert!(!format!("{error:?}").contains("tok_secret"), "{error:?}");
    }
}
