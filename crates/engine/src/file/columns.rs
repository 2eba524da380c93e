//! The columns of the `onfile` format.

use model::FieldName;

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
    names: Vec<String>,
}

impl Columns {
    /// Reads a header. Names are compared without case and surrounding space.
    ///
    /// # Errors
    /// When `reference` is missing, a column occurs twice, or one is not known (unless those are
    /// to be ignored); the nearest known name is in the hint.
    pub(super) fn read<'a>(
        file: &str,
        line: u64,
        header: impl Iterator<Item = &'a str>,
        ignore_unknown: bool,
    ) -> Result<Self, FileError> {
        let fail = |code, column: Option<&str>, message: String, hint: String| FileError {
            code,
            file: file.to_owned(),
            line: Some(line),
            column: column.map(str::to_owned),
            message,
            hint,
        };
        let mut columns: Vec<Column> = Vec::new();
        let mut names = Vec::new();
        for (place, cell) in header.enumerate() {
            if model::contains_card_number(cell) {
                return Err(fail(
                    "pan_found",
                    Some(&(place + 1).to_string()),
                    "the name of this column holds a full card number".into(),
                    "the first line names the columns; is it missing?".into(),
                ));
            }
            let name = cell.trim().to_ascii_lowercase();
            let column = match NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, column)) => column.clone(),
                None => match cell.trim().get(..9) {
                    Some(prefix)
                        if prefix.eq_ignore_ascii_case("metadata.") && cell.trim().len() > 9 =>
                    {
                        Column::Metadata(cell.trim().chars().skip(9).collect())
                    }
                    _ if ignore_unknown => Column::Ignored,
                    _ => {
                        let shown: String = cell.chars().take(40).collect();
                        let hint = nearest(&name).map_or_else(
                            || "pass --ignore-unknown to leave unknown columns out".to_owned(),
                            |near| {
                                format!(
                                    "did you mean `{near}`? --ignore-unknown leaves unknown \
                                     columns out"
                                )
                            },
                        );
                        return Err(fail(
                            "unknown_column",
                            Some(&shown),
                            "this column is not known".into(),
                            hint,
                        ));
                    }
                },
            };
            if column != Column::Ignored && columns.contains(&column) {
                return Err(fail(
                    "duplicate_column",
                    Some(&name),
                    "this column stands twice in the header".into(),
                    "keep one of them".into(),
                ));
            }
            columns.push(column);
            names.push(name);
        }
        if !columns.contains(&Column::Reference) {
            return Err(fail(
                "missing_column",
                None,
                "the header has no column `reference`".into(),
                "the first line names the columns; `reference` is the merchant's own customer id \
                 and is required"
                    .into(),
            ));
        }
        Ok(Self { columns, names })
    }

    /// How many columns there are.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The name of the column at a place, from 0.
    pub(super) fn name(&self, place: usize) -> Option<&str> {
        self.names.get(place).map(String::as_str)
    }

    /// Each column with its name and its cell of a row; blank cells are left out.
    pub(super) fn cells<'a>(
        &'a self,
        row: &'a Record,
    ) -> impl Iterator<Item = (&'a Column, &'a str, &'a str)> {
        self.columns
            .iter()
            .zip(&self.names)
            .zip(row.cells())
            .map(|((column, name), cell)| (column, name.as_str(), cell.trim()))
            .filter(|(_, _, cell)| !cell.is_empty())
    }
}

fn nearest(name: &str) -> Option<&'static str> {
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
        Columns::read("f.csv", 1, header.iter().copied(), false)
    }

    #[test]
    fn an_unknown_column_names_the_nearest() {
        let error = read(&["reference", "e-mail"]).expect_err("unknown");
        assert_eq!(error.to_string(), "f.csv:1: column e-mail: this column is not known");
        assert!(error.hint.contains("`email`"), "{}", error.hint);
    }

    #[test]
    fn a_card_number_is_no_name_of_a_column() {
        for name in ["metadata.4111111111111111", "4111-1111-1111-1111"] {
            let error = read(&["reference", name]).expect_err("a card number");
            assert_eq!((error.code, error.column.as_deref()), ("pan_found", Some("2")));
            assert!(!format!("{error:?}").contains("1111"), "{error:?}");
        }
    }

    #[test]
    fn the_reference_is_required_and_columns_stand_once() {
        assert_eq!(read(&["name"]).expect_err("missing").code, "missing_column");
        assert_eq!(
            read(&["reference", "Email", "email "]).expect_err("twice").code,
            "duplicate_column"
        );
        let columns = read(&["Reference", "metadata.Tier"]).expect("fine");
        assert_eq!(columns.columns, [Column::Reference, Column::Metadata("Tier".into())]);
    }
}
