//! The columns of the `onfile` format.

use model::{Code, FieldName};

use super::Reading;
use super::records::Record;
use crate::FileError;

/// A column that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the column of the same name")]
pub enum Column {
    RowId,
    Reference,
    Profile(FieldName),
    Metadata(String),
    Method,
    Token,
    TokenKind,
    TokenCreatedAt,
    Brand,
    Bin,
    Last4,
    ExpMonth,
    ExpYear,
    HolderName,
    BankName,
    AccountType,
    RoutingNumber,
    ChainId,
    WalletAddress,
    Billing(FieldName),
    Default,
    Ignored,
}

impl Column {
    /// Whether no message, report or log repeats its cells (rule 13).
    const fn is_sensitive(&self) -> bool {
        matches!(self, Self::Token | Self::Bin | Self::Last4 | Self::RoutingNumber)
    }
}

const NAMES: &[(&str, Column)] = &[
    ("row_id", Column::RowId),
    ("reference", Column::Reference),
    ("name", Column::Profile(FieldName::Name)),
    ("first_name", Column::Profile(FieldName::FirstName)),
    ("last_name", Column::Profile(FieldName::LastName)),
    ("company", Column::Profile(FieldName::Company)),
    ("email", Column::Profile(FieldName::Email)),
    ("phone", Column::Profile(FieldName::Phone)),
    ("description", Column::Profile(FieldName::Description)),
    ("line1", Column::Profile(FieldName::Line1)),
    ("line2", Column::Profile(FieldName::Line2)),
    ("city", Column::Profile(FieldName::City)),
    ("state", Column::Profile(FieldName::State)),
    ("postal_code", Column::Profile(FieldName::PostalCode)),
    ("country", Column::Profile(FieldName::Country)),
    ("method", Column::Method),
    ("token", Column::Token),
    ("token_kind", Column::TokenKind),
    ("token_created_at", Column::TokenCreatedAt),
    ("brand", Column::Brand),
    ("bin", Column::Bin),
    ("last4", Column::Last4),
    ("exp_month", Column::ExpMonth),
    ("exp_year", Column::ExpYear),
    ("holder_name", Column::HolderName),
    ("bank_name", Column::BankName),
    ("account_type", Column::AccountType),
    ("routing_number", Column::RoutingNumber),
    ("chain_id", Column::ChainId),
    ("wallet_address", Column::WalletAddress),
    ("billing_line1", Column::Billing(FieldName::Line1)),
    ("billing_line2", Column::Billing(FieldName::Line2)),
    ("billing_city", Column::Billing(FieldName::City)),
    ("billing_state", Column::Billing(FieldName::State)),
    ("billing_postal_code", Column::Billing(FieldName::PostalCode)),
    ("billing_country", Column::Billing(FieldName::Country)),
    ("default", Column::Default),
];

/// The header of a file: which column stands where.
#[derive(Debug, Clone)]
pub struct Columns {
    columns: Vec<Column>,
    /// As they are compared: without case and surrounding space.
    names: Vec<String>,
    /// Whether the cells of each are looked through for card numbers.
    checked: Vec<bool>,
}

/// A cell that is not blank, without surrounding space.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) column: &'a Column,
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// Whether a card number in it declines the row.
    pub(super) is_checked: bool,
}

fn known(cell: &str) -> Option<Column> {
    let cell = cell.trim();
    let name = cell.to_ascii_lowercase();
    if let Some((_, column)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(column.clone());
    }
    let is_metadata = cell.get(..9).is_some_and(|p| p.eq_ignore_ascii_case("metadata."));
    let key = cell.get(9..).filter(|key| is_metadata && !key.is_empty())?;
    Some(Column::Metadata(key.to_owned()))
}

/// The text without the space around it; few cells have any.
fn trimmed(cell: &str) -> &str {
    match cell.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => cell,
        _ => cell.trim(),
    }
}

fn folded(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

impl Columns {
    /// Reads a header. Names are compared without case and surrounding space.
    ///
    /// # Errors
    /// When `reference` is missing, a column occurs twice, or one is not known (unless those are
    /// to be ignored; the nearest known name is in the hint), and when a column that is said to
    /// hold no card numbers is not there.
    pub(super) fn read<'a>(
        file: &str,
        line: u64,
        header: impl Iterator<Item = &'a str>,
        reading: &Reading,
    ) -> Result<Self, FileError> {
        let fail = |code: Code, column: &str, message: String| FileError {
            code,
            file: file.to_owned(),
            line: Some(line),
            column: Some(column.to_owned()),
            message,
            hint: code.hint().unwrap_or_default().to_owned(),
        };
        let header: Vec<&str> = header.collect();
        for (place, cell) in (1..).zip(&header) {
            if model::contains_card_number(cell) {
                let message =
                    "a full card number stands in the header, expected the name of a column";
                return Err(FileError {
                    hint: "the first line names the columns; is it missing?".into(),
                    ..fail(Code::PanFound, &u64::to_string(&place), message.into())
                });
            }
        }
        // A file without a header begins with data: its cells are not repeated here.
        if !header.iter().any(|cell| known(cell).is_some()) {
            let message = "the first line names no column that is known, expected at least this \
                           one";
            return Err(fail(Code::MissingColumn, "reference", message.into()));
        }
        if !header.iter().any(|cell| known(cell) == Some(Column::Reference)) {
            let message = "the header has no such column, expected it in every file";
            let error = fail(Code::MissingColumn, "reference", message.into());
            let near = header
                .iter()
                .map(|cell| folded(cell))
                .find(|name| nearest(name) == Some("reference"));
            let near = near.map(|near| {
                format!("is it the column `{near}`? call it `reference`; {}", error.hint)
            });
            return Err(FileError { hint: near.unwrap_or(error.hint.clone()), ..error });
        }
        let mut columns: Vec<Column> = Vec::new();
        let mut names = Vec::new();
        for cell in &header {
            let name = folded(cell);
            let column = match known(cell) {
                Some(column) => column,
                None if reading.ignore_unknown => Column::Ignored,
                None => {
                    let shown: String = cell.chars().take(40).collect();
                    let error = fail(
                        Code::UnknownColumn,
                        &shown,
                        "this column is not known, expected one that onfile reads".into(),
                    );
                    let near =
                        nearest(&name).map(|near| format!("did you mean `{near}`? {}", error.hint));
                    return Err(FileError { hint: near.unwrap_or(error.hint.clone()), ..error });
                }
            };
            if column != Column::Ignored && columns.contains(&column) {
                let message = "this column stands twice in the header, expected it once";
                return Err(fail(Code::DuplicateColumn, &name, message.into()));
            }
            columns.push(column);
            names.push(name);
        }
        let exempt: Vec<String> = reading.not_pan.iter().map(|name| folded(name)).collect();
        if let Some(wrong) = exempt.iter().find(|name| !names.contains(name)) {
            let shown: String = match model::contains_card_number(wrong) {
                true => "…".to_owned(),
                false => wrong.chars().take(40).collect(),
            };
            let message = "--not-pan names this column, expected one of the header's";
            return Err(FileError {
                hint: format!("the header has {}", names.join(", ")),
                ..fail(Code::NoSuchColumn, &shown, message.into())
            });
        }
        let checked = names.iter().map(|name| !exempt.contains(name)).collect();
        Ok(Self { columns, names, checked })
    }

    /// How many columns there are.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The name of the column at a place, from 0.
    pub(super) fn name(&self, place: usize) -> Option<&str> {
        self.names.get(place).map(String::as_str)
    }

    /// Whether there is a column for the caller's own key.
    pub(super) fn has_row_id(&self) -> bool {
        self.columns.contains(&Column::RowId)
    }

    /// The cells of a row that are not blank.
    pub(super) fn cells<'a>(&'a self, row: &'a Record) -> impl Iterator<Item = Cell<'a>> {
        self.all(row).filter(|cell| !cell.text.is_empty())
    }

    /// What stands under `row_id` and `reference` in a row that is not whole. With cells too few or
    /// too many, each cell may belong to a column that many places away: then every cell is
    /// checked, and none is given that could be one which is never repeated.
    pub(super) fn keys<'a>(&'a self, row: &'a Record) -> impl Iterator<Item = Cell<'a>> {
        let off = match row.faulty {
            Some(_) => 0,
            None => self.len().abs_diff(row.len()),
        };
        let may_be_repeated = move |place: usize| {
            self.columns
                .iter()
                .skip(place.saturating_sub(off))
                .take(place.min(off) + 1 + off)
                .all(|column| !column.is_sensitive())
        };
        self.all(row)
            .enumerate()
            .filter(|(_, cell)| matches!(cell.column, Column::RowId | Column::Reference))
            .filter(move |(place, cell)| !cell.text.is_empty() && may_be_repeated(*place))
            .map(move |(_, cell)| Cell { is_checked: cell.is_checked || off > 0, ..cell })
    }

    fn all<'a>(&'a self, row: &'a Record) -> impl Iterator<Item = Cell<'a>> {
        self.columns.iter().zip(&self.names).zip(&self.checked).zip(row.cells()).map(
            |(((column, name), is_checked), cell)| Cell {
                column,
                name,
                text: trimmed(cell),
                is_checked: *is_checked,
            },
        )
    }
}

/// What other systems call our columns, too far off to be a slip of the pen.
const ELSEWHERE: &[(&str, &str)] = &[
    ("customer_id", "reference"),
    ("ref", "reference"),
    ("customer_ref", "reference"),
    ("customer_reference", "reference"),
    ("customer_number", "reference"),
    ("account_id", "reference"),
    ("user_id", "reference"),
    ("customer", "reference"),
    ("external_id", "reference"),
    ("id", "reference"),
    ("full_name", "name"),
    ("mail", "email"),
    ("zip", "postal_code"),
    ("zip_code", "postal_code"),
    ("card_brand", "brand"),
    ("card_type", "brand"),
    ("type", "method"),
    ("payment_token", "token"),
    ("is_default", "default"),
];

fn nearest(name: &str) -> Option<&'static str> {
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name) {
        return Some(ours);
    }
    NAMES
        .iter()
        .map(|(known, _)| (strsim::damerau_levenshtein(name, known), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &[&str]) -> Result<Columns, FileError> {
        Columns::read("f.csv", 1, header.iter().copied(), &Reading::default())
    }

    fn exempting(header: &[&str], not_pan: &[&str]) -> Result<Columns, FileError> {
        let reading = Reading {
            ignore_unknown: true,
            not_pan: not_pan.iter().map(|&name| name.to_owned()).collect(),
        };
        Columns::read("f.csv", 1, header.iter().copied(), &reading)
    }

    #[test]
    fn an_unknown_column_names_the_nearest() {
        let error = read(&["reference", "e-mail"]).expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "f.csv:1: column e-mail: this column is not known, expected one that onfile reads"
        );
        assert!(error.hint.contains("`email`"), "{}", error.hint);
    }

    #[test]
    fn a_reference_of_another_name_is_what_is_missing() {
        for name in ["ref", "customer_id", "ID", "refrence"] {
            for ignore_unknown in [false, true] {
                let reading = Reading { ignore_unknown, ..Reading::default() };
                let header = ["name", name, "note"].into_iter();
                let error = Columns::read("f.csv", 1, header, &reading).expect_err("missing");
                assert_eq!(error.code, Code::MissingColumn, "{name}");
                assert_eq!(error.column.as_deref(), Some("reference"));
                let near = format!("is it the column `{}`?", folded(name));
                assert!(error.hint.starts_with(&near), "{}", error.hint);
            }
        }
        // Nothing like it: the hint says what it is.
        let error = read(&["name", "note"]).expect_err("missing");
        assert_eq!(
            (error.code, error.hint.as_str()),
            (Code::MissingColumn, Code::MissingColumn.hint().unwrap_or_default())
        );
    }

    #[test]
    fn a_card_number_is_no_name_of_a_column() {
        for name in ["metadata.4111111111111111", "4111-1111-1111-1111"] {
            let error = read(&["reference", name]).expect_err("a card number");
            assert_eq!((error.code, error.column.as_deref()), (Code::PanFound, Some("2")));
            assert!(!format!("{error:?}").contains("1111"), "{error:?}");
        }
    }

    #[test]
    fn a_file_without_a_header_is_not_repeated() {
        for first in [&["tok_secret", "C-1"][..], &["C-1", "Ada", "tok_secret"]] {
            for ignore_unknown in [false, true] {
                let reading = Reading { ignore_unknown, ..Reading::default() };
                let error = Columns::read("f.csv", 1, first.iter().copied(), &reading)
                    .expect_err("no header");
                assert_eq!(error.code, Code::MissingColumn);
                assert!(!format!("{error:?}").contains("tok_secret"), "{error:?}");
            }
        }
    }

    #[test]
    fn the_reference_is_required_and_columns_stand_once() {
        assert_eq!(read(&["name"]).expect_err("missing").code, Code::MissingColumn);
        assert_eq!(
            read(&["reference", "Email", "email "]).expect_err("twice").code,
            Code::DuplicateColumn
        );
        let columns = read(&["Reference", "metadata.Tier"]).expect("fine");
        assert_eq!(columns.columns, [Column::Reference, Column::Metadata("Tier".into())]);
    }

    #[test]
    fn any_column_may_be_exempt_and_must_be_there() {
        let header = ["reference", "token", "metadata.Order", "note"];
        for name in ["token", " Metadata.order ", "reference", "note"] {
            let columns = exempting(&header, &[name]).expect("a column of the header");
            let unchecked: Vec<&str> = columns
                .names
                .iter()
                .zip(&columns.checked)
                .filter(|(_, is_checked)| !**is_checked)
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(unchecked, [folded(name)]);
        }
        let error = exempting(&header, &["token", "order"]).expect_err("not there");
        assert_eq!((error.code, error.column.as_deref()), (Code::NoSuchColumn, Some("order")));
        let error = exempting(&header, &["4111111111111111"]).expect_err("not there");
        assert!(!format!("{error:?}").contains("1111"), "{error:?}");
        assert_eq!(error.hint, "the header has reference, token, metadata.order, note");
    }
}
