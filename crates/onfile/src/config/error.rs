//! What is wrong with a configuration, and how it is shown.

use std::fmt;

use serde::Serialize;

/// The published codes. The same cause always has the same code; scripts may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// There is no file at the path.
    ConfigMissing,
    /// The file is there and cannot be read, or is not UTF-8.
    ConfigUnreadable,
    /// The file is not TOML; nothing else in it was checked.
    ConfigSyntax,
    /// A key or a table is there twice; nothing else in the file was checked.
    DuplicateKey,
    /// A key that onfile does not know at this place.
    UnknownKey,
    /// A key that accounts of another kind take.
    OtherKind,
    /// A key that must be there.
    MissingKey,
    /// Text where a number belongs, and the like.
    WrongType,
    /// A number or a length of time outside its range.
    OutOfRange,
    /// Text that is not one of the words, or not of the form, that the key takes.
    BadValue,
    /// What the template has where a value of one's own belongs.
    Placeholder,
    /// An address that cannot be used, or not safely.
    BadUrl,
    /// A name that an account, a schedule or a key cannot have.
    NameBad,
    /// A name that is there twice.
    DuplicateName,
    /// Two keys that exclude or contradict each other.
    Conflict,
    /// A secret written in the file itself.
    PlainSecret,
    /// The environment variable or the file of a secret is not there, or is empty.
    SecretMissing,
    /// A secret that is there and cannot be right: length, encoding, prefix.
    SecretBad,
    /// A file that a key names cannot be read.
    FileMissing,
    /// No provider of that kind is known.
    UnknownKind,
    /// The kind is known; this build of onfile does not have its provider.
    KindNotBuilt,
    /// A name that is no account of this file.
    UnknownAccount,
    /// `quarantine_seconds` is too short to believe that something is not there.
    QuarantineShort,
    /// No time zone of that name.
    UnknownTimezone,
}

impl Code {
    /// Every code, with what it means; the reference prints this.
    pub const ALL: &'static [(Code, &'static str)] = &[
        (Code::ConfigMissing, "there is no file at the path"),
        (Code::ConfigUnreadable, "the file cannot be read, or is not UTF-8"),
        (Code::ConfigSyntax, "the file is not TOML; nothing else in it was checked"),
        (Code::DuplicateKey, "a key or table is there twice; nothing else was checked"),
        (Code::UnknownKey, "a key that is not known at this place"),
        (Code::OtherKind, "a key that accounts of another kind take"),
        (Code::MissingKey, "a key that must be there"),
        (Code::WrongType, "text where a number belongs, and the like"),
        (Code::OutOfRange, "a number or a length of time outside its range"),
        (Code::BadValue, "text that is not of the form that the key takes"),
        (Code::Placeholder, "what the template has where a value of your own belongs"),
        (Code::BadUrl, "an address that cannot be used, or not safely"),
        (Code::NameBad, "a name that an account, a schedule or a key cannot have"),
        (Code::DuplicateName, "a name that is there twice"),
        (Code::Conflict, "two keys that exclude or contradict each other"),
        (Code::PlainSecret, "a secret written in the file itself"),
        (Code::SecretMissing, "the variable or the file of a secret is not there, or is empty"),
        (Code::SecretBad, "a secret that cannot be right: length, encoding, prefix"),
        (Code::FileMissing, "a file that a key names cannot be read"),
        (Code::UnknownKind, "no provider of that kind is known"),
        (Code::KindNotBuilt, "this build does not have the provider of that kind"),
        (Code::UnknownAccount, "a name that is no account of this file"),
        (Code::QuarantineShort, "`quarantine_seconds` is below 3 + timeout + late"),
        (Code::UnknownTimezone, "no time zone of that name"),
    ];

    /// The code as it is printed: `unknown_key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::ConfigMissing => "config_missing",
            Code::ConfigUnreadable => "config_unreadable",
            Code::ConfigSyntax => "config_syntax",
            Code::DuplicateKey => "duplicate_key",
            Code::UnknownKey => "unknown_key",
            Code::OtherKind => "other_kind",
            Code::MissingKey => "missing_key",
            Code::WrongType => "wrong_type",
            Code::OutOfRange => "out_of_range",
            Code::BadValue => "bad_value",
            Code::Placeholder => "placeholder",
            Code::BadUrl => "bad_url",
            Code::NameBad => "name_bad",
            Code::DuplicateName => "duplicate_name",
            Code::Conflict => "conflict",
            Code::PlainSecret => "plain_secret",
            Code::SecretMissing => "secret_missing",
            Code::SecretBad => "secret_bad",
            Code::FileMissing => "file_missing",
            Code::UnknownKind => "unknown_kind",
            Code::KindNotBuilt => "kind_not_built",
            Code::UnknownAccount => "unknown_account",
            Code::QuarantineShort => "quarantine_short",
            Code::UnknownTimezone => "unknown_timezone",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of the file as it may be shown: values that could be secret are `…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, masked, without tabs and control characters.
    pub text: String,
    /// Characters before the marked part.
    pub start: usize,
    /// Characters of the marked part, at least 1.
    pub len: usize,
}

/// One thing that is wrong. It never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// What sort of mistake it is.
    pub code: Code,
    /// The file, as it was named; empty when the error is not about one.
    pub file: String,
    /// Line and column from 1, in characters; `None` when no line is at fault.
    #[serde(flatten)]
    pub at: Option<Position>,
    /// The key it is about, `accounts.gov.rate.per_second`; empty for the whole file.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The line, with the place marked.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// A place in the file, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some(at) = self.at {
                write!(f, ":{}:{}", at.line, at.column)?;
            }
            f.write_str(": ")?;
        }
        write!(f, "error[{}]: {}", self.code, self.message)?;
        if let (Some(at), Some(excerpt)) = (self.at, &self.excerpt) {
            let number = at.line.to_string();
            let gutter = number.len();
            write!(f, "\n  {number} | {}", excerpt.text)?;
            let (blank, marks) = (excerpt.start, "^".repeat(excerpt.len));
            write!(f, "\n  {:gutter$} | {:blank$}{marks}", "", "")?;
        }
        write!(f, "\n  hint: {}", self.hint)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with a configuration, in the order of the file. Never empty. Exit 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(errors: Vec<ConfigError>) -> Self {
        debug_assert!(!errors.is_empty(), "an empty list of errors is no error");
        Self(errors)
    }

    /// The errors, in the order of the file.
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{error}")?;
        }
        match self.0.as_slice() {
            [first, _, ..] => write!(f, "\n\n{} errors in {}", self.0.len(), first.file),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ConfigErrors {}
