//! What one row states: cells to canonical words, or the reason why the row is declined.

use model::{
    AccountType, Address, BankFacts, Bin, CardFacts, Code, Expiry, FieldName, Last4, MethodFacts,
    MethodKind, Outcome, Profile, Reference, Timestamp, Token, TokenKind, WalletFacts,
    contains_card_number,
};
use secrecy::SecretString;
use store::{StagedMethod, StagedRow};

use super::columns::Cell;
use super::records::Record;
use super::{Column, Columns};

/// The most faults of a row that are told one by one.
const MOST_TOLD: usize = 5;

/// Why a row is declined: the code, the column, and what was expected. Never a cell's content
/// from a column that may hold a secret.
pub(super) struct Declined {
    pub(super) code: Code,
    /// None for a fault of the row as a whole.
    pub(super) column: Option<String>,
    pub(super) message: String,
}

impl Declined {
    fn bad(column: &str, expected: &str) -> Self {
        Self {
            code: Code::BadValue,
            column: Some(column.to_owned()),
            message: format!("expected {expected}"),
        }
    }
}

/// All that is wrong with a row.
#[derive(Default)]
struct Faults(Vec<Declined>);

impl Faults {
    /// Adds what follows from several cells, unless a cell of that column is at fault already.
    fn add(&mut self, fault: Declined) {
        if self.0.iter().all(|known| known.column != fault.column) {
            self.0.push(fault);
        }
    }

    /// Adds that a cell is blank; gives what its place holds then.
    fn missing<T>(&mut self, column: &str, message: &str) -> Option<T> {
        self.add(Declined {
            code: Code::MissingValue,
            column: Some(column.to_owned()),
            message: message.to_owned(),
        });
        None
    }

    /// One for all: the first, whose message names the others. A card number outranks them.
    fn joined(mut self) -> Option<Declined> {
        self.0.sort_by_key(|fault| fault.code != Code::PanFound);
        let more = self.0.len().saturating_sub(MOST_TOLD);
        let mut told = self.0.into_iter().take(MOST_TOLD);
        let mut first = told.next()?;
        for Declined { code, column, message } in told {
            let column = column.unwrap_or_default();
            first.message += &format!("; also {column} [{code}]: {message}");
        }
        if more > 0 {
            first.message += &format!("; and {more} more");
        }
        Some(first)
    }
}

#[derive(Default)]
struct Cells<'a> {
    row_id: Option<String>,
    reference: Option<Reference>,
    profile: Profile,
    method: Option<MethodKind>,
    token: Option<SecretString>,
    token_kind: Option<TokenKind>,
    token_created_at: Option<Timestamp>,
    brand: Option<String>,
    bin: Option<Bin>,
    last4: Option<Last4>,
    exp_month: Option<u32>,
    exp_year: Option<u32>,
    holder_name: Option<String>,
    bank_name: Option<String>,
    account_type: Option<AccountType>,
    routing_number: Option<String>,
    chain_id: Option<u64>,
    wallet_address: Option<String>,
    billing: Profile,
    default: Option<bool>,
    first_method_column: Option<&'a str>,
}

fn country(name: &str, cell: &str) -> Result<String, Declined> {
    if cell.len() == 2 && cell.bytes().all(|b| b.is_ascii_alphabetic()) {
        Ok(cell.to_ascii_uppercase())
    } else {
        Err(Declined::bad(name, "a country of two letters (ISO 3166-1 alpha-2)"))
    }
}

fn number<T: std::str::FromStr>(name: &str, cell: &str, expected: &str) -> Result<T, Declined> {
    cell.parse().map_err(|_| Declined::bad(name, expected))
}

impl<'a> Cells<'a> {
    /// Takes a cell in, unless it is not what its column has.
    fn take(&mut self, cell: &Cell<'a>) -> Result<(), Declined> {
        let Cell { column, name, text: cell, is_checked } = *cell;
        if is_checked && contains_card_number(cell) {
            return Err(Declined {
                code: Code::PanFound,
                column: Some(name.to_owned()),
                message:
                    "this cell holds a full card number, expected none: onfile never takes one"
                        .into(),
            });
        }
        if cell.contains('\0') {
            return Err(Declined::bad(name, "text without NUL characters"));
        }
        let text = || Some(cell.to_owned());
        match column {
            Column::RowId => self.row_id = text(),
            Column::Reference => {
                self.reference =
                    Some(Reference::new(cell).map_err(|why| Declined::bad(name, why.why))?);
            }
            Column::Profile(FieldName::Country) => {
                self.profile.address.country = Some(country(name, cell)?);
            }
            Column::Profile(field) => self.profile.set(*field, text()),
            Column::Metadata(key) => {
                self.profile.metadata.insert(key.clone(), cell.to_owned());
            }
            Column::Ignored => {}
            Column::Method => {
                self.method = Some(MethodKind::parse(cell).ok_or_else(|| {
                    Declined::bad(name, "card, bank_account, crypto_wallet or an empty cell")
                })?);
            }
            Column::Default => {
                self.default = Some(match cell.to_ascii_lowercase().as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(Declined::bad(name, "true or false")),
                });
            }
            _ => {
                self.first_method_column.get_or_insert(name);
                self.take_method(column, name, cell)?;
            }
        }
        Ok(())
    }

    fn take_method(&mut self, column: &Column, name: &str, cell: &str) -> Result<(), Declined> {
        let fact = |error: model::BadFact| Declined::bad(name, error.expected);
        let text = || Some(cell.to_owned());
        match column {
            Column::Token => self.token = Some(SecretString::from(cell.to_owned())),
            Column::TokenKind => {
                let kind = TokenKind::parse(cell).filter(|kind| *kind != TokenKind::Address);
                self.token_kind = Some(kind.ok_or_else(|| {
                    Declined::bad(name, "processor, proxynized, gateway or transaction")
                })?);
            }
            Column::TokenCreatedAt => {
                self.token_created_at = Some(Timestamp::parse_rfc3339(cell).ok_or_else(|| {
                    Declined::bad(name, "a time with its zone, such as 2026-01-31T10:00:00Z")
                })?);
            }
            Column::Brand => self.brand = text(),
            Column::Bin => self.bin = Some(Bin::new(cell).map_err(fact)?),
            Column::Last4 => self.last4 = Some(Last4::new(cell).map_err(fact)?),
            Column::ExpMonth => {
                self.exp_month = Some(number(name, cell, "a month from 1 to 12")?);
            }
            Column::ExpYear => {
                self.exp_year = Some(number(name, cell, "a year of two or four digits")?);
            }
            Column::HolderName => self.holder_name = text(),
            Column::BankName => self.bank_name = text(),
            Column::AccountType => {
                self.account_type = Some(
                    AccountType::parse(cell)
                        .ok_or_else(|| Declined::bad(name, "checking or savings"))?,
                );
            }
            Column::RoutingNumber => {
                if cell.len() != 9 || !cell.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Declined::bad(name, "exactly 9 digits"));
                }
                self.routing_number = text();
            }
            Column::ChainId => self.chain_id = Some(number(name, cell, "a whole number")?),
            Column::WalletAddress => self.wallet_address = text(),
            Column::Billing(FieldName::Country) => {
                self.billing.address.country = Some(country(name, cell)?);
            }
            Column::Billing(field) => self.billing.set(*field, text()),
            _ => {}
        }
        Ok(())
    }

    /// The payment method that the row describes, if it does and nothing is wrong with that.
    fn method(self, address: &Address, faults: &mut Faults) -> Option<Box<StagedMethod>> {
        let Some(kind) = self.method else {
            let column = self.first_method_column?;
            let message = format!(
                "`{column}` describes a payment method, but `method` is empty: expected card, \
                 bank_account or crypto_wallet"
            );
            return faults.missing("method", &message);
        };
        let token = match (self.token, self.token_kind) {
            (Some(value), Some(kind)) => {
                Some(Token { kind, value, created_at: self.token_created_at })
            }
            (None, None) if kind == MethodKind::CryptoWallet => None,
            (None, _) => {
                faults.missing("token", "expected a token: a card or bank account is saved by it")
            }
            (Some(_), None) => faults
                .missing("token_kind", "expected processor, proxynized, gateway or transaction"),
        };
        let facts = match kind {
            MethodKind::Card => MethodFacts::Card(CardFacts {
                brand: self.brand,
                bin: self.bin,
                last4: self.last4,
                expiry: expiry(self.exp_month, self.exp_year, faults),
                holder_name: self.holder_name,
            }),
            MethodKind::BankAccount => MethodFacts::BankAccount(BankFacts {
                bank_name: self.bank_name,
                account_type: self.account_type,
                routing_number: self.routing_number,
                last4: self.last4,
                holder_name: self.holder_name,
            }),
            MethodKind::CryptoWallet => {
                let address = self
                    .wallet_address
                    .or_else(|| faults.missing("wallet_address", "expected the wallet's address"));
                let chain_id = self.chain_id.or_else(|| {
                    faults.missing("chain_id", "expected the number of the wallet's chain")
                });
                MethodFacts::CryptoWallet(WalletFacts::new(chain_id?, &address?))
            }
        };
        let billing =
            if self.billing.address.is_empty() { address.clone() } else { self.billing.address };
        let default = self.default;
        Some(Box::new(StagedMethod { facts, billing, default, token, sealed: None }))
    }
}

fn expiry(month: Option<u32>, year: Option<u32>, faults: &mut Faults) -> Option<Expiry> {
    match (month, year) {
        (Some(month), Some(year)) => Expiry::new(month, year)
            .map_err(|error| {
                let column = if (1..=12).contains(&month) { "exp_year" } else { "exp_month" };
                faults.add(Declined::bad(column, error.expected));
            })
            .ok(),
        (None, None) => None,
        (Some(_), None) => {
            faults.missing("exp_year", "expected a year: `exp_month` is given without it")
        }
        (None, Some(_)) => {
            faults.missing("exp_month", "expected a month: `exp_year` is given without it")
        }
    }
}

/// Turns one record into a staged row. A declined row keeps its line, and of its cells only
/// `row_id` and `reference` where those are harmless.
pub(super) fn stage(columns: &Columns, record: &Record) -> StagedRow {
    let mut cells = Cells::default();
    let mut faults = Faults::default();
    for cell in columns.cells(record) {
        if let Err(why) = cells.take(&cell) {
            if *cell.column == Column::RowId {
                cells.row_id = Some(String::new());
            }
            faults.0.push(why);
        }
    }
    if cells.reference.is_none() {
        faults.missing::<Reference>("reference", "expected your own customer id, in every row");
    }
    // Only where nothing stands: a number in the place of a key could be another row's.
    let row_id = cells.row_id.take().unwrap_or_else(|| record.line.to_string());
    let reference = cells.reference.take();
    let profile = Box::new(std::mem::take(&mut cells.profile));
    let method = cells.method(&profile.address, &mut faults);
    match faults.joined() {
        Some(why) => declined(record.line, row_id, reference, why),
        None => staged(record.line, row_id, reference, profile, method),
    }
}

/// A row that cannot be taken apart, and why: it keeps its line, and `row_id` and `reference` as
/// far as they stand before the fault and are harmless.
pub(super) fn broken(columns: &Columns, record: &Record, why: Declined) -> StagedRow {
    let mut cells = Cells::default();
    for cell in columns.keys(record) {
        // What is wrong with the row is known; this cell is left out.
        let _is_taken = cells.take(&cell);
    }
    let row_id = cells.row_id.take().unwrap_or_else(|| match columns.has_row_id() {
        true => String::new(),
        false => record.line.to_string(),
    });
    declined(record.line, row_id, cells.reference.take(), why)
}

fn declined(line: u64, row_id: String, reference: Option<Reference>, why: Declined) -> StagedRow {
    StagedRow {
        outcome: Some(Outcome::Rejected),
        code: Some(why.code),
        message: Some(why.message),
        field: why.column,
        ..staged(line, row_id, reference, Box::default(), None)
    }
}

fn staged(
    line: u64,
    row_id: String,
    reference: Option<Reference>,
    profile: Box<Profile>,
    method: Option<Box<StagedMethod>>,
) -> StagedRow {
    StagedRow {
        line,
        part: 0,
        head: 0,
        tail: 0,
        row_id,
        reference,
        profile,
        method,
        unfit: None,
        plan: None,
        outcome: None,
        code: None,
        message: None,
        field: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reading;
    use super::*;

    const HEADER: [&str; 12] = [
        "row_id",
        "reference",
        "name",
        "country",
        "method",
        "token",
        "token_kind",
        "last4",
        "exp_month",
        "exp_year",
        "default",
        "metadata.tier",
    ];

    fn row(cells: [&str; 12]) -> StagedRow {
        let columns =
            Columns::read("f", 1, HEADER.into_iter(), &Reading::default()).expect("header");
        let text = cells.map(|cell| format!("\"{cell}\"")).join(",");
        let mut record = Record::default();
        let read = super::super::records::Records::new(text.as_bytes(), b',').read(&mut record);
        assert!(read.expect("a record"));
        stage(&columns, &record)
    }

    #[test]
    fn a_card_row_states_customer_and_card() {
        let row = row([
            "r1",
            " c1 ",
            "Ada",
            "us",
            "card",
            "tok",
            "processor",
            "4242",
            "12",
            "27",
            "TRUE",
            "a",
        ]);
        assert_eq!(row.outcome, None);
        assert_eq!(row.reference.expect("there").as_str(), "c1");
        assert_eq!(row.profile.address.country.as_deref(), Some("US"));
        assert_eq!(row.profile.metadata.get("tier").map(String::as_str), Some("a"));
        let method = row.method.expect("there");
        assert_eq!(method.default, Some(true));
        assert_eq!(method.facts.last4().expect("there").as_str(), "4242");
        assert_eq!(method.token.expect("there").kind, TokenKind::Processor);
    }

    #[test]
    fn each_fault_has_its_code_and_column() {
        let good =
            ["r1", "c1", "Ada", "US", "card", "tok", "processor", "4242", "12", "27", "true", ""];
        let cases: [(usize, &str, Code, &str); 12] = [
            (1, "", Code::MissingValue, "reference"),
            (3, "USA", Code::BadValue, "country"),
            (4, "credit", Code::BadValue, "method"),
            (4, "", Code::MissingValue, "method"),
            (5, "", Code::MissingValue, "token"),
            (6, "", Code::MissingValue, "token_kind"),
            (7, "424", Code::BadValue, "last4"),
            (8, "13", Code::BadValue, "exp_month"),
            (9, "1999", Code::BadValue, "exp_year"),
            (8, "", Code::MissingValue, "exp_month"),
            (10, "yes", Code::BadValue, "default"),
            (5, "4111111111111111", Code::PanFound, "token"),
        ];
        for (place, cell, code, column) in cases {
            let mut cells = good;
            cells[place] = cell;
            let row = row(cells);
            assert_eq!(row.outcome, Some(Outcome::Rejected), "{column} {cell}");
            assert_eq!((row.code, row.field.as_deref()), (Some(code), Some(column)), "{cell}");
            assert!(row.method.is_none());
        }
    }

    #[test]
    fn all_faults_of_a_row_are_told_at_once() {
        let mut cells = ["r1", "", "Ada", "USA", "card", "", "processor", "42", "13", "27", "", ""];
        let one = row(cells);
        assert_eq!((one.code, one.field.as_deref()), (Some(Code::BadValue), Some("country")));
        assert_eq!(
            one.message.as_deref(),
            Some(
                "expected a country of two letters (ISO 3166-1 alpha-2); also last4 [bad_value]: \
                 expected exactly 4 digits; also reference [missing_value]: expected your own \
                 customer id, in every row; also token [missing_value]: expected a token: a card \
                 or bank account is saved by it; also exp_month [bad_value]: expected a month \
                 from 1 to 12"
            )
        );
        // A card number comes first, and not all of seven are told. A cell that is bad is not
        // missing as well.
        (cells[8], cells[10], cells[11]) = ("May", "yes", "4111111111111111");
        let two = row(cells);
        assert_eq!((two.code, two.field.as_deref()), (Some(Code::PanFound), Some("metadata.tier")));
        let message = two.message.expect("there");
        assert!(message.ends_with("; and 2 more"), "{message}");
        assert_eq!(message.matches("exp_month").count(), 1, "{message}");
    }

    #[test]
    fn a_card_number_in_an_ignored_column_is_found_too() {
        let header = ["reference", "note"];
        let reading = Reading { ignore_unknown: true, ..Reading::default() };
        let columns = Columns::read("f", 1, header.into_iter(), &reading).expect("header");
        let mut record = Record::default();
        let text: &[u8] = b"c1,4111111111111111\n";
        let read = super::super::records::Records::new(text, b',').read(&mut record);
        assert!(read.expect("a record"));
        let row = stage(&columns, &record);
        assert_eq!((row.code, row.field.as_deref()), (Some(Code::PanFound), Some("note")));
    }

    #[test]
    fn a_card_number_in_row_id_or_reference_is_not_echoed() {
        for place in [0, 1] {
            let mut cells =
                ["r1", "c1", "Ada", "US", "card", "tok", "processor", "4242", "12", "27", "", ""];
            cells[place] = "4111 1111 1111 1111";
            let row = row(cells);
            assert_eq!(row.code, Some(Code::PanFound));
            // Nor does the line stand for the key: it could be another row's.
            assert_eq!(row.row_id, if place == 0 { "" } else { "r1" });
            let debug = format!("{row:?}");
            assert!(!debug.contains("4111 1111"), "{debug}");
        }
    }
}
