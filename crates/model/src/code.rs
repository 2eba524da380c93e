//! The published list of row codes: the same cause always has the same code.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// Why a row has the outcome it has, in one word that scripts may hold on to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order of this list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    /// A quote stands where none may stand.
    BadQuote = "bad_quote";
    /// The row is longer than 64 KiB.
    RowTooLong = "row_too_long";
    /// A cell is not UTF-8.
    NotUtf8 = "not_utf8";
    /// The row has another number of cells than the header.
    CellCount = "cell_count";
    /// A required cell is empty.
    MissingValue = "missing_value";
    /// A cell is not of the form its column takes.
    BadValue = "bad_value";
    /// A cell holds a full card number.
    PanFound = "pan_found";
    /// Two rows state different facts of one customer, or two defaults.
    ConflictingRows = "conflicting_rows";
    /// The same customer and token stand on an earlier row.
    DuplicateRow = "duplicate_row";
    /// The provider cannot hold this kind of payment method.
    MethodKindUnsupported = "method_kind_unsupported";
    /// The provider does not take this kind of token.
    TokenKindUnsupported = "token_kind_unsupported";
    /// The token is too old to be used.
    TokenExpired = "token_expired";
    /// The single-use token was used for another customer.
    TokenReused = "token_reused";
    /// Imported, although the same token stands under another reference.
    TokenShared = "token_shared";
    /// A saved payment method with these facts came from another token.
    TokenChanged = "token_changed";
    /// Too few facts to tell the payment method from those the customer has.
    FactsNeeded = "facts_needed";
    /// The provider needs a field that the row does not have.
    FieldMissing = "field_missing";
    /// A field is too short or too long for the provider.
    FieldLength = "field_length";
    /// A field has characters that the provider does not take.
    FieldCharset = "field_charset";
    /// Imported without a field whose value the provider does not take.
    FieldOmitted = "field_omitted";
    /// The provider offers no way to change this.
    NotUpdatable = "not_updatable";
    /// Payment methods cannot be moved into this provider.
    NotPortable = "not_portable";
    /// The provider's limit of payment methods for a customer is reached.
    WalletFull = "wallet_full";
    /// The provider's value changed since the file last stated it.
    ChangedAtProvider = "changed_at_provider";
    /// The payment method was imported before and has been removed at the provider.
    RemovedAtProvider = "removed_at_provider";
    /// Imported, although the card has expired.
    CardExpired = "card_expired";
    /// Tied to a saved payment method that agrees in every fact.
    MatchedByFacts = "matched_by_facts";
    /// The customer was at the provider already; the row's fields were not written.
    AlreadyThere = "already_there";
    /// The reference exists at the provider in another case.
    ReferenceCollision = "reference_collision";
    /// The provider holds a deleted customer of this reference.
    ReferenceRetired = "reference_retired";
    /// The provider says the token is saved, but not under this customer.
    DuplicateElsewhere = "duplicate_elsewhere";
    /// Two customers of this reference exist at the provider.
    DuplicateAtProvider = "duplicate_at_provider";
    /// The provider declined; the message carries its own code and text.
    ProviderRefused = "provider_refused";
    /// No answer, or one that does not tell whether it took effect.
    OutcomeUnknown = "outcome_unknown";
    /// An earlier effect of this customer is not settled.
    CustomerBlocked = "customer_blocked";
    /// The customer's own effect failed, so its rows were not tried.
    CustomerFailed = "customer_failed";
    /// The run stopped before this row's turn.
    RunStopped = "run_stopped";
    /// The run was cancelled before this row's turn.
    RunCancelled = "run_cancelled";
    /// The person behind this reference was erased.
    Erased = "erased";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    #[test]
    fn codes_are_distinct_words_and_read_back() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(!code.meaning().trim().is_empty());
        }
    }
}
