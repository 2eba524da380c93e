//! What every adapter does with a vendor's JSON and errors, the vendor's own ways handed in as a
//! [`Vendor`]: reading rows ([`Row`], [`List`], [`Vendor::page`]), writing requests ([`path`],
//! [`prepared`]), judging answers ([`Vendor::expect_success`], [`Vendor::not_done`]), probing ([`probed`]), and repeating
//! the vendor's words without what we said ([`Echo`]).

mod answer;
mod body;
mod echo;
mod probe;
mod request;
mod row;

pub use answer::{failure, malformed, send, tell_of};
pub use body::List;
pub use echo::Echo;
pub use probe::{PROBING, nobody, probed, seen};
pub use request::{check_fields, encode, path, path_for, prepared, reject};
pub use row::{Row, Unfit};

/// A vendor's ways, as plain data: one constant of each adapter.
#[derive(Debug, Clone, Copy)]
pub struct Vendor {
    /// Whether a property has the same meaning in any casing: `email_address`, `emailAddress` and
    /// `EmailAddress`. A name is then given in any one of them.
    pub any_casing: bool,
    /// The ids that the vendor makes.
    pub ids: OwnIds,
    /// Properties of a request whose values, with all that stands within them, are hidden wherever
    /// the vendor repeats them; in any casing.
    pub hidden: &'static [&'static str],
    /// The column of a file that a property of a request is made from, by the property's last name
    /// (`token` of `wallet.token`); `None` for one that has no column.
    pub column: fn(name: &str) -> Option<&'static str>,
    /// Reads the vendor's own error from a body that is an object; `None` for everybody else's (a
    /// proxy's, a gateway's) and for a body that tells of success.
    pub own_error: fn(Row<'_>) -> Option<VendorError>,
    /// Whether a 2xx with the vendor's own error is a failure. Costs a second reading of each
    /// answer.
    pub error_in_success: bool,
}

/// The ids that a vendor makes. One of them may pass for a card number by chance: of ids of 16
/// digits, one in some ten thousand does. Dropped, what it names could never be read.
#[derive(Debug, Clone, Copy)]
pub struct OwnIds {
    /// The properties that hold one, in an object of any depth.
    pub names: &'static [&'static str],
    /// What may stand in one beside ASCII letters and digits. A letter must: no card number has one.
    pub marks: &'static [u8],
    /// The properties of a row itself, not of what stands within it, whose ids are also whole numbers.
    pub numbered: &'static [&'static str],
}

/// The vendor's own error, as it was said: nothing of it is shown before [`Echo::refusal`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VendorError {
    /// Its code word.
    pub code: Option<String>,
    /// Its text.
    pub message: Option<String>,
    /// The property that it speaks of.
    pub field: Option<String>,
}

/// Whether a text is one word, as codes and names of fields are.
#[must_use]
pub fn is_word(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    text.len() <= 64
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(inner)
}

#[cfg(test)]
mod tests;
