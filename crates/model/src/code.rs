//! The published list of codes: the same cause always has the same code.

use std::fmt;

use crate::Outcome;
use crate::Outcome::{
    Created, Linked, NotAttempted, Refused, Rejected, Unchanged, Unresolved, Updated,
};

/// What a code speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One row of the file.
    Row,
    /// The file as a whole: nothing of it is sent.
    File,
    /// The run, or the store it works with.
    Run,
}

macro_rules! codes {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $text:literal, $scope:ident [$($outcome:ident),*], $hint:literal;
    )+) => {
        /// Why a row has the outcome it has, a file was refused, or a run did not end well: one
        /// word that scripts may hold on to.
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
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// What it speaks of. A word that a file can have as a whole may stand on a row too.
            #[must_use]
            pub const fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope,)+ }
            }

            /// The outcomes that a row with this code can have; none for what no row has.
            #[must_use]
            pub const fn outcomes(self) -> &'static [Outcome] {
                match self { $(Self::$name => &[$($outcome),*],)+ }
            }

            /// What a person does about it; `None` where there is nothing to do.
            #[must_use]
            pub const fn hint(self) -> Option<&'static str> {
                let hint = match self { $(Self::$name => $hint,)+ };
                if hint.is_empty() { None } else { Some(hint) }
            }

            /// The same in a run: where the hint says `RUN`, its id stands.
            #[must_use]
            pub fn hint_in(self, run: &str) -> Option<String> {
                self.hint().map(|hint| hint.replace("RUN", run))
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
    BadQuote = "bad_quote", Row [Rejected],
        "put the cell in quotes, and write a quote inside it twice";
    /// The row is longer than 64 KiB.
    RowTooLong = "row_too_long", Row [Rejected],
        "shorten the row, and see whether a quote is missing";
    /// Text is not UTF-8.
    NotUtf8 = "not_utf8", Row [Rejected],
        "save the file as CSV in UTF-8";
    /// The row has another number of cells than the header.
    CellCount = "cell_count", Row [Rejected],
        "give the row as many cells as the header has; a cell with the delimiter in it needs quotes";
    /// A required cell is empty.
    MissingValue = "missing_value", Row [Rejected],
        "fill the cell in";
    /// A cell is not of the form its column takes.
    BadValue = "bad_value", Row [Rejected],
        "write the cell as the message says, or leave it empty";
    /// A cell holds a full card number.
    PanFound = "pan_found", Row [Rejected],
        "put the provider's token there; if the column holds something else that only looks like a card number, name it with --not-pan";
    /// Rows of one customer state different facts, or more than one default.
    ConflictingRows = "conflicting_rows", Row [Rejected],
        "make the rows of this reference agree; none of them was imported";
    /// The same customer and token stand on an earlier row.
    DuplicateRow = "duplicate_row", Row [Rejected],
        "take the row out; the earlier one counts";
    /// The provider cannot hold this kind of payment method.
    MethodKindUnsupported = "method_kind_unsupported", Row [Rejected],
        "leave the row out for this provider";
    /// The provider does not take this kind of token.
    TokenKindUnsupported = "token_kind_unsupported", Row [Rejected],
        "import a token of a kind that the provider takes";
    /// The token is too old to be used.
    TokenExpired = "token_expired", Row [Rejected],
        "make a new token and import it while it lives";
    /// The single-use token was used for another customer.
    TokenReused = "token_reused", Row [Rejected],
        "make a token of its own for this customer";
    /// Imported, although the same token stands under another reference.
    TokenShared = "token_shared", Row [Created, Linked],
        "find out whose token it is; one payment method under two customers is seldom meant";
    /// A saved payment method with these facts came from another token.
    TokenChanged = "token_changed", Row [Rejected],
        "--on-token-change add saves it beside the one that is there";
    /// Too few facts to tell the payment method from those the customer has.
    FactsNeeded = "facts_needed", Row [Rejected],
        "state last4 and expiry of a card, last4 and account_type of a bank account";
    /// The provider needs a field that the row does not have.
    FieldMissing = "field_missing", Row [Rejected],
        "fill in the column that is named";
    /// A field is too short or too long for the provider.
    FieldLength = "field_length", Row [Rejected],
        "write it in the length that the message names";
    /// A field has characters that the provider does not take.
    FieldCharset = "field_charset", Row [Rejected],
        "write it without those characters; or the account writes others in their place (`transliterate`, where its kind has it), or leaves the field out (`on_unfit_field`)";
    /// Imported without a field whose value the provider does not take.
    FieldOmitted = "field_omitted", Row [Created],
        "our store keeps the value; write it as the provider takes it, and import the file again";
    /// The provider offers no way to change this.
    NotUpdatable = "not_updatable", Row [Rejected],
        "change it at the provider, or put the earlier value back into the file";
    /// Payment methods cannot be moved into this provider.
    NotPortable = "not_portable", Row [Rejected],
        "import the customer alone; payers save their payment methods there themselves";
    /// The provider's limit of payment methods for a customer is reached.
    WalletFull = "wallet_full", Row [Rejected],
        "remove a payment method at the provider, or leave the row out";
    /// The provider's value changed since the file last stated it.
    ChangedAtProvider = "changed_at_provider", Row [Rejected],
        "decide which value is right, and state that one in the file";
    /// The customer or payment method was imported before and is gone at the provider.
    RemovedAtProvider = "removed_at_provider", Row [Rejected],
        "--restore-removed imports it again";
    /// The card has expired; it is imported all the same, unless --reject-expired is given.
    CardExpired = "card_expired", Row [Created, Rejected],
        "state the new expiry or another card once there is one; expired cards are declined with --reject-expired and imported without it";
    /// Tied to a saved payment method that agrees in every fact.
    MatchedByFacts = "matched_by_facts", Row [Linked], "";
    /// What the row describes was at the provider already; its fields were not written.
    AlreadyThere = "already_there", Row [Created, Linked, Unchanged],
        "--update-existing sends the fields that the message says differ, where the provider can change them";
    /// The reference exists at the provider in another case.
    ReferenceCollision = "reference_collision", Row [Refused],
        "give the customer a reference that differs in more than upper and lower case";
    /// The provider holds a deleted customer of this reference.
    ReferenceRetired = "reference_retired", Row [Refused],
        "the provider keeps the reference of a deleted customer: nothing restores it there; give the customer another reference, and onfile link customer links that one to its record";
    /// The provider says the token is saved, but not under this customer.
    DuplicateElsewhere = "duplicate_elsewhere", Row [Refused],
        "find out at the provider whose token it is";
    /// Two customers of this reference exist at the provider.
    DuplicateAtProvider = "duplicate_at_provider", Row [Rejected],
        "keep one of them at the provider, then pull and import again";
    /// The provider declined; the message carries its own code and text.
    ProviderRefused = "provider_refused", Row [Refused],
        "mend what the provider names, then import the same file again";
    /// No answer, or one that does not tell whether it took effect, and reading the provider does not
    /// tell either.
    OutcomeUnknown = "outcome_unknown", Row [Unresolved],
        "`onfile effects list` names it; look the customer up at the provider, then say what you saw \
         with `onfile effects resolve`. Nothing is sent for this customer before";
    /// A default was changed by somebody else while ours was on its way.
    ChangedByOther = "changed_by_other", Row [Unresolved],
        "look the customer up at the provider, then say what you saw with `onfile effects resolve`";
    /// The answer was lost; read back, it had taken effect.
    FoundLater = "found_later", Row [Created, Updated], "";
    /// Sent several times, never answered in a way that says what became of it, and never there when it
    /// was read back.
    NeverAnswered = "never_answered", Row [Refused],
        "ask the provider why; importing the same file again tries once more";
    /// An earlier effect of this customer is not settled.
    CustomerBlocked = "customer_blocked", Row [NotAttempted],
        "settle the earlier effect of this customer first: `onfile effects list` names it";
    /// The customer's own effect failed, so its rows were not tried.
    CustomerFailed = "customer_failed", Row [NotAttempted],
        "see to the first row of this reference, then import the same file again";
    /// The run stopped before this row's turn.
    RunStopped = "run_stopped", Row [NotAttempted],
        "`onfile runs resume RUN` goes on, or import the same file again";
    /// The run was cancelled before this row's turn.
    RunCancelled = "run_cancelled", Row [NotAttempted],
        "import the same file again";
    /// The person behind this reference was erased.
    Erased = "erased", Row [Rejected],
        "leave the row out";

    /// The file cannot be read.
    FileUnreadable = "file_unreadable", File [],
        "check the path, and that the file is whole";
    /// Somebody wrote to the file while it was read: what was read may be half of it. Nothing was
    /// sent.
    FileChanged = "file_changed", File [],
        "import it again once nobody writes to it";
    /// The path is a folder, a named pipe or a device.
    NotAFile = "not_a_file", File [],
        "name a CSV file; - reads standard input";
    /// A compressed file grows out of all proportion.
    FileBomb = "file_bomb", File [],
        "unpack it and look at what is inside";
    /// The file has no header.
    EmptyFile = "empty_file", File [],
        "the first line names the columns, at least `reference`";
    /// The file has a header and no rows: a warning, and exit 0.
    NoRows = "no_rows", File [],
        "nothing was asked for and nothing was done; is it the right file?";
    /// The header cannot be read.
    BadHeader = "bad_header", File [],
        "the first line names the columns, at least `reference`";
    /// The header has no column `reference`.
    MissingColumn = "missing_column", File [],
        "the first line names the columns; `reference` is your own customer id and is required";
    /// A column of the header is not known.
    UnknownColumn = "unknown_column", File [],
        "--ignore-unknown leaves unknown columns out";
    /// A column stands twice in the header.
    DuplicateColumn = "duplicate_column", File [],
        "keep one of them";
    /// An option names a column that the header does not have.
    NoSuchColumn = "no_such_column", File [],
        "name a column as the header has it";
    /// A quote opens and does not close.
    UnclosedQuote = "unclosed_quote", File [],
        "close the quote; a quote inside a quoted cell is written twice";

    /// None of the customers that are known to be live was found at the provider.
    WrongAccount = "wrong_account", Run [],
        "is this the right account? nothing was marked as removed; compare the account's identity in the configuration";
    /// A search by reference answered with another customer.
    FindNotHonoured = "find_not_honoured", Run [],
        "the provider ignores the search by reference; nothing was linked; run `onfile check` and ask the provider";
    /// The provider does not accept the credentials, or they do not allow this.
    AccountFault = "account_fault", Run [],
        "onfile runs resume RUN goes on once the credentials work (`onfile check` tries them): the rows that were not sent are still planned";
    /// No call gets through to the provider.
    ProviderAway = "provider_away", Run [],
        "onfile runs resume RUN goes on once the provider answers: the rows that were not sent are still planned";
    /// More rows are rejected than --max-rejected allows.
    TooManyRejected = "too_many_rejected", Run [],
        "nothing was sent; mend the rows named by `onfile report RUN`, or allow more with --max-rejected";
    /// The run was stopped.
    Stopped = "stopped", Run [],
        "onfile runs resume RUN goes on with an import or a pull, any other job is started again; what was sent and not answered is settled first";
    /// The canary went well, and the rest waits for a person.
    AwaitingApproval = "awaiting_approval", Run [],
        "onfile runs approve RUN sends the rest, onfile runs cancel RUN ends the run";
    /// A customer whose reference at the provider is another one than its record has. The link stays.
    ReferenceChanged = "reference_changed", Run [],
        "onfile history customer ID shows when; onfile link customer or onfile unlink customer moves the link, if it is somebody else by now";
    /// The name and the e-mail address under this reference are both somebody else's: nothing is saved
    /// there, and a customer that a pull reads has a record of its own.
    AmbiguousMatch = "ambiguous_match", Row [Rejected],
        "see who they are (onfile export links lists those of a pull); onfile link customer says that they are one, onfile unlink customer that they are two; accounts with a numbering of customers of their own take another reference_namespace";
    /// A customer that has no reference at the provider, and so a record of its own.
    Unreferenced = "unreferenced", Run [],
        "give it its reference at the provider, or link it with onfile link customer";
    /// More is gone at the provider than one run marks as removed by itself.
    MassRemoval = "mass_removal", Run [],
        "see at the provider whether so much was removed; onfile runs approve RUN looks at each once more and marks what is gone, onfile runs cancel RUN leaves it as it is";
    /// Something of the canary was refused, or is not there when the provider is asked.
    CanaryFailed = "canary_failed", Run [],
        "nothing more was sent; see the row in `onfile report RUN`, mend it or the account, and import the file again: nothing is created twice";
    /// More rows were refused or are unresolved than --max-failures allows.
    TooManyFailures = "too_many_failures", Run [],
        "onfile runs resume RUN goes on with the rows that are still planned (failures are counted anew), onfile runs cancel RUN ends the run; `onfile report RUN` shows the failures";
    /// The configuration means something else than when the run began.
    ConfigChanged = "config_changed", Run [],
        "put the old configuration back, or `onfile runs cancel RUN` and import the file again";
    /// There is no run of this id.
    NoSuchRun = "no_such_run", Run [],
        "`onfile runs` lists them";
    /// There is no such customer.
    NoSuchCustomer = "no_such_customer", Run [],
        "`onfile export customers` and `onfile export links` list them";
    /// There is no such payment method.
    NoSuchMethod = "no_such_method", Run [],
        "`onfile export methods` and `onfile export links` list them";
    /// A customer or a payment method cannot be linked as it was asked for; nothing was changed.
    LinkRefused = "link_refused", Run [],
        "see the message: one account has one live customer for each of ours";
    /// There is no such effect.
    NoSuchEffect = "no_such_effect", Run [],
        "`onfile effects list --all` lists them";
    /// The effect is in another state than this needs.
    EffectState = "effect_state", Run [],
        "`onfile effects show` says where it stands";
    /// A person says that an effect took place, and the provider does not show it.
    NotShown = "not_shown", Run [],
        "look again at the provider; nothing was written";
    /// A person says that an effect had none, and the provider shows what may be it.
    StillShown = "still_shown", Run [],
        "nothing was written; if it is one of these, `onfile effects resolve ID --as done --remote-id` with its id says so; if it is none, \
         `--as absent --force` takes your word for it: sent again, it would be there twice if you err";
    /// The run is in another state than this needs.
    RunState = "run_state", Run [],
        "`onfile runs` shows where each run stands";
    /// The run cannot go on where it stopped.
    NotResumable = "not_resumable", Run [],
        "`onfile runs cancel RUN`, and import the file again";
    /// Permits or credentials could not be had.
    Traffic = "traffic", Run [],
        "onfile runs resume RUN goes on with an import or a pull once `onfile check` is fine, any other job is started again";
    /// The provider does not take the credentials.
    Unauthenticated = "unauthenticated", Run [],
        "onfile runs resume RUN goes on with an import or a pull once the credentials work (`onfile check` tries them), any other job is started again";
    /// The credentials do not allow what was asked.
    Forbidden = "forbidden", Run [],
        "onfile runs resume RUN goes on with an import or a pull once the provider allows it (`onfile check` tries it), any other job is started again";
    /// The provider, or the way to it, is down.
    Unavailable = "unavailable", Run [],
        "onfile runs resume RUN goes on with an import or a pull once the provider answers (`onfile check` tries it), any other job is started again";
    /// The provider did not answer in time.
    Timeout = "timeout", Run [],
        "onfile runs resume RUN goes on with an import or a pull once the provider answers (`onfile check` tries it), any other job is started again";
    /// The provider asks for fewer calls.
    RateLimited = "rate_limited", Run [],
        "lower `rate` of the account; onfile runs resume RUN goes on with an import or a pull, any other job is started again";
    /// The provider's answer is not of the form that its contract says.
    Malformed = "malformed", Run [],
        "see that `base_url` is the provider's; onfile runs resume RUN goes on with an import or a pull, any other job is started again";
    /// A proxy, a certificate or an address of the configuration cannot be used.
    Config = "config", Run [],
        "mend what the message names in the configuration; onfile runs resume RUN goes on with an import or a pull, any other job is started again";
    /// The provider says that it is there already.
    AlreadyExists = "already_exists", Run [],
        "pull the account, then start the same job again";
    /// The state of something at the provider does not allow it.
    Conflict = "conflict", Run [],
        "see what the provider says of it, then start the same job again";
    /// The provider declined a call that is not about one row.
    Invalid = "invalid", Run [],
        "run `onfile check`; if it is fine, please report this with the message";
    /// The provider has no such operation; nothing was sent.
    Unsupported = "unsupported", Run [],
        "this cannot be done at this provider";
    /// The command line asks for something that does not go together; nothing was done.
    Usage = "usage", Run [],
        "write the command as the message says";
    /// Something that has no word of its own.
    Error = "error", Run [],
        "see the message, and the causes under it";
    /// Another worker has taken the part over.
    Fenced = "fenced", Run [],
        "another worker goes on with it; `onfile runs show RUN` shows how far it is";
    /// Another run writes to the account.
    AccountBusy = "account_busy", Run [],
        "if that run is at work, wait for its end, or start this one with --wait; if its process died, its lease runs out within 60 seconds: then start this one again, or `onfile runs resume RUN` goes on with that one";
    /// The configuration names another account than the one the data came from.
    AccountChanged = "account_changed", Run [],
        "put the old value back; onfile accounts rebind NAME if it is the same account, reached otherwise; give another merchant's account a name of its own";
    /// None of the configured encryption keys opens the store.
    WrongKey = "wrong_key", Run [],
        "configure the key this store was made with; nothing was read";
    /// No encryption key is configured.
    NoKey = "no_key", Run [],
        "set [store] encryption_key to a key of 32 random bytes";
    /// The database refused a row.
    Constraint = "constraint", Run [],
        "please report this, with the run's id";
    /// Something that was named does not exist.
    NotFound = "not_found", Run [],
        "see whether the name or the id is right";
    /// A value in the database cannot be read back.
    Corrupt = "corrupt", Run [],
        "was the database changed by hand? restore it from a backup, or report this";
    /// The database did not answer, or was held by somebody else for too long.
    StoreUnavailable = "store_unavailable", Run [],
        "see whether the database runs and can be reached, then start the same job again";
    /// The disk of the database is full, or a quota or a limit is reached.
    DiskFull = "disk_full", Run [],
        "make room, then start the same job again: what was sent is written down";
    /// The schema of the database could not be brought up to date.
    MigrationFailed = "migration_failed", Run [],
        "see the cause that is named; nothing was changed";
    /// The store's URL cannot be used.
    BadStoreUrl = "bad_store_url", Run [],
        "use sqlite://PATH or postgres://HOST/DATABASE";
    /// The database file lies on a network file system, where file locks do not hold.
    NetworkFilesystem = "network_filesystem", Run [],
        "put the file on a local disk, or use PostgreSQL for more than one machine";
    /// Anything else that the database said.
    Database = "database", Run [],
        "see the cause that is named; nothing of this step was written";
    /// A promise of ours did not hold.
    Internal = "internal", Run [],
        "please report this, with the run's id";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const HEAD: &str = "\
# Codes

The same cause always has the same word, and scripts may hold on to them. They stand in `rows.csv` and in every report, and
in square brackets in what a person reads. A configuration that is wrong has codes of its own (`onfile help config`). `RUN`
stands for a run's id. `onfile help codes CODE` shows one code. This page is made from the list that the code uses.
";

impl Code {
    /// The whole list as a page of Markdown.
    #[must_use]
    pub fn page() -> String {
        let mut page = HEAD.to_owned();
        for (scope, head) in [
            (Scope::Row, "## Of a row\n\n| code | the row is | what it means | what to do |"),
            (
                Scope::File,
                "## Of a file\n\nNothing of the file is sent, and the exit code is 1 (`no_rows`: 0).\n\n\
                 | code | what it means | what to do |",
            ),
            (Scope::Run, "## Of a run or the store\n\n| code | what it means | what to do |"),
        ] {
            let columns = head.matches(" |").count();
            page += &format!("\n{head}\n{}|\n", "|---".repeat(columns));
            for code in Self::ALL.iter().filter(|code| code.scope() == scope) {
                let outcomes: Vec<String> =
                    code.outcomes().iter().map(|outcome| format!("`{outcome}`")).collect();
                let outcomes = match scope {
                    Scope::Row => format!(" {} |", outcomes.join(", ")),
                    Scope::File | Scope::Run => String::new(),
                };
                page += &format!(
                    "| `{code}` |{outcomes} {} | {} |\n",
                    code.meaning(),
                    code.hint().unwrap_or("nothing")
                );
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Code, Scope};

    #[test]
    fn codes_are_distinct_words_and_read_back() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(code.meaning().ends_with('.'), "{code}");
            assert!(
                code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'8')
            );
            assert_eq!(code.scope() == Scope::Row, !code.outcomes().is_empty(), "{code}");
            let word = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == "RUN");
            let hint = code.hint().unwrap_or_default();
            assert_eq!(hint.contains("RUN"), word(hint), "{code}: RUN is a word");
            // What is done to a run names it.
            for what in ["runs resume", "runs approve", "runs cancel", "onfile report"] {
                let named = format!("{what} RUN");
                assert_eq!(hint.matches(what).count(), hint.matches(&named).count(), "{code}");
            }
            // What went well needs nothing; everything else says what to do.
            let well = code.outcomes() == [super::Linked] || *code == Code::FoundLater;
            assert_eq!(code.hint().is_none(), well, "{code}");
        }
    }

    #[test]
    fn the_page_is_current() {
        let made = Code::page();
        if made != include_str!("../codes.md") {
            let file = std::env::temp_dir().join("onfile-codes.md");
            std::fs::write(&file, &made).expect("a temporary file");
            panic!("the page differs: cp {} crates/model/codes.md", file.display());
        }
    }
}
