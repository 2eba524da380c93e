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

/// Why a row is declined: the code, the column, and what was expected. Never a cell's content
/// from a column that may hold a secret.
struct Declined {
    code: Code,
    column: String,
    message: String,
}

impl Declined {
    fn bad(column: &str, expected: &str) -> Self {
        Self {
            code: Code::BadValue,
            column: column.to_owned(),
            message: format!("expected {expected}"),
        }
    }
}

#[derive(Default)]
struct Cells {
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
    first_method_column: Option<String>,
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

impl Cells {
    fn take(&mut self, column: &Column, name: &str, cell: &str) -> Result<(), Declined> {
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
                self.first_method_column.get_or_insert_with(|| name.to_owned());
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
                self.token_kind = Some(TokenKind::parse(cell).ok_or_else(|| {
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

    fn method(self, address: &Address) -> Result<Option<Box<StagedMethod>>, Declined> {
        let Some(kind) = self.method else {
            return match self.first_method_column {
                None => Ok(None),
                Some(column) => Err(Declined {
                    code: Code::MissingValue,
                    message: format!(
                        "`{column}` describes a payment method, but `method` is empty: expected \
                         card, bank_account or crypto_wallet"
                    ),
                    column: "method".into(),
                }),
            };
        };
        let missing = |column: &str, message: &str| Declined {
            code: Code::MissingValue,
            column: column.into(),
            message: message.into(),
        };
        let facts = match kind {
            MethodKind::Card => {
                let expiry = match (self.exp_month, self.exp_year) {
                    (Some(month), Some(year)) => {
                        let column = match month {
                            1..=12 => "exp_year",
                            _ => "exp_month",
                        };
                        let expiry = Expiry::new(month, year);
                        Some(expiry.map_err(|error| Declined::bad(column, error.expected))?)
                    }
                    (None, None) => None,
                    (Some(_), None) => {
                        return Err(missing(
                            "exp_year",
                            "expected a year: `exp_month` is given without it",
                        ));
                    }
                    (None, Some(_)) => {
                        return Err(missing(
                            "exp_month",
                            "expected a month: `exp_year` is given without it",
                        ));
                    }
                };
                MethodFacts::Card(CardFacts {
                    brand: self.brand,
                    bin: self.bin,
                    last4: self.last4,
                    expiry,
                    holder_name: self.holder_name,
                })
            }
            MethodKind::BankAccount => MethodFacts::BankAccount(BankFacts {
                bank_name: self.bank_name,
                account_type: self.account_type,
                routing_number: self.routing_number,
                last4: self.last4,
                holder_name: self.holder_name,
            }),
            MethodKind::CryptoWallet => {
                let Some(address) = self.wallet_address else {
                    return Err(missing("wallet_address", "expected the wallet's address"));
                };
                let Some(chain_id) = self.chain_id else {
                    return Err(missing("chain_id", "expected the number of the wallet's chain"));
                };
                MethodFacts::CryptoWallet(WalletFacts { chain_id, address })
            }
        };
        let token = match (self.token, self.token_kind) {
            (Some(value), Some(kind)) => {
                Some(Token { kind, value, created_at: self.token_created_at })
            }
            (None, None) if kind == MethodKind::CryptoWallet => None,
            (None, _) => {
                return Err(missing(
                    "token",
                    "expected a token: a card or bank account is saved by it",
                ));
            }
            (Some(_), None) => {
                return Err(missing(
                    "token_kind",
                    "expected processor, proxynized, gateway or transaction",
                ));
            }
        };
        let billing =
            if self.billing.address.is_empty() { address.clone() } else { self.billing.address };
        let default = self.default;
        Ok(Some(Box::new(StagedMethod { facts, billing, default, token, sealed: None })))
    }
}

/// Turns one record into a staged row. A declined row keeps its line, and of its cells only
/// `row_id` and `reference` where those are harmless.
pub(super) fn stage(columns: &Columns, record: &Record, line: u64) -> StagedRow {
    let mut cells = Cells::default();
    let mut declined: Option<Declined> = None;
    for Cell { column, name, text: cell, is_checked } in columns.cells(record) {
        let taken = if is_checked && contains_card_number(cell) {
            Err(Declined {
                code: Code::PanFound,
                column: name.to_owned(),
                message:
                    "this cell holds a full card number, expected none: onfile never takes one"
                        .into(),
            })
        } else if cell.contains('\0') {
            Err(Declined::bad(name, "text without NUL characters"))
        } else {
            cells.take(column, name, cell)
        };
        if let Err(why) = taken {
            // A card number outranks every other fault of the row.
            let outranks = why.code == Code::PanFound
                && declined.as_ref().is_none_or(|first| first.code != Code::PanFound);
            if declined.is_none() || outranks {
                declined = Some(why);
            }
        }
    }
    if declined.is_none() && cells.reference.is_none() {
        declined = Some(Declined {
            code: Code::MissingValue,
            column: "reference".into(),
            message: "expected your own customer id, in every row".into(),
        });
    }
    let row_id = cells.row_id.take().unwrap_or_else(|| line.to_string());
    let reference = cells.reference.take();
    let profile = Box::new(std::mem::take(&mut cells.profile));
    let method = match declined {
        None => cells.method(&profile.address).map_err(|why| declined = Some(why)).ok().flatten(),
        Some(_) => None,
    };
    let mut row = StagedRow {
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
    };
    if let Some(why) = declined {
        row.outcome = Some(Outcome::Rejected);
        row.code = Some(why.code);
        row.message = Some(why.message);
        row.field = Some(why.column);
        row.profile = Box::default();
    }
    row
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
        stage(&columns, &record, 7)
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
    fn a_card_number_in_an_ignored_column_is_found_too() {
        let header = ["reference", "note"];
        let reading = Reading { ignore_unknown: true, ..Reading::default() };
        let columns = Columns::read("f", 1, header.into_iter(), &reading).expect("header");
        let mut record = Record::default();
        let text: &[u8] = b"c1,4111111111111111\n";
        let read = super::super::records::Records::new(text, b',').read(&mut record);
        assert!(read.expect("a record"));
        let row = stage(&columns, &record, 2);
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
            let debug = format!("{row:?}");
            assert!(!debug.contains("4111 1111"), "{debug}");
        }
    }
}
