//! The configuration: one TOML file, read whole, with everything that is wrong reported at once.
//!
//! The keys are data (`keys.rs`, `kinds.rs`); `parse.rs` and `leaf.rs` read tables and values by
//! them, `sections.rs` and `account.rs` check what holds between keys, `source.rs` shows lines of
//! the file without their secrets. The environment is not read here: the binary passes a lookup.

mod account;
mod error;
mod keys;
mod kinds;
mod leaf;
mod parse;
mod reference;
mod schedules;
mod secret;
mod sections;
mod source;
mod spec;
#[cfg(test)]
mod tests;
mod types;
mod values;

use std::path::Path;

use toml_span::{ErrorKind, Span};

pub use error::{Code, ConfigError, ConfigErrors, Excerpt, Position};
pub use kinds::{KINDS, KindSpec};
pub use parse::KindCheck;
pub use reference::reference;
pub use secret::{EncryptionKey, Env, Secret, SecretSource};
pub(crate) use source::nearest;
pub use spec::{Absent, KeySpec, Role, Setting, Settings, Type};
pub use types::{
    AccountConfig, AlertsConfig, CatchUp, Config, Environment, OnUnfit, PrivacyConfig, Rate,
    ScheduleConfig, ServerConfig, StoreConfig, StoreUrl,
};

/// The file that `onfile init` writes.
pub const EXAMPLE: &str = include_str!("../../../../config/onfile.example.toml");

/// What of the configuration is needed now.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Read the secrets, and look for the files that keys name. If not, none is read and none is
    /// missed: enough to look at the configuration itself.
    pub resolve_secrets: bool,
    /// Read the secrets of these accounts only; `None`: of all. The store's are always read. The
    /// rest of the file is checked all the same.
    pub only_accounts: Option<Vec<String>>,
    /// Read the secrets of `[server]`; only `onfile serve` and `onfile check` need them.
    pub server: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { resolve_secrets: true, only_accounts: None, server: true }
    }
}

impl LoadOptions {
    /// For a job with these accounts.
    pub fn for_accounts<S: Into<String>>(accounts: impl IntoIterator<Item = S>) -> Self {
        let only = accounts.into_iter().map(Into::into).collect();
        Self { resolve_secrets: true, only_accounts: Some(only), server: false }
    }

    /// For what needs no secret.
    pub fn without_secrets() -> Self {
        Self { resolve_secrets: false, only_accounts: None, server: false }
    }
}

impl Config {
    /// Reads and checks a file. `built` are the kinds whose providers this binary has.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn load(
        path: &Path,
        env: &Env<'_>,
        options: &LoadOptions,
        built: &[&str],
    ) -> Result<Self, ConfigErrors> {
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let hint =
                    "`onfile init` writes one; `--config FILE` or ONFILE_CONFIG names another";
                file_error(path, Code::ConfigMissing, "there is no such file", hint)
            }
            kind => {
                let message = format!("cannot be read: {kind}");
                file_error(path, Code::ConfigUnreadable, &message, "check the path and its rights")
            }
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(before).filter(|byte| **byte == b'\n').count();
            let message = format!("is not UTF-8 text (line {})", line + 1);
            file_error(path, Code::ConfigUnreadable, &message, "save it as UTF-8")
        })?;
        Self::parse(&text, path, env, options, built)
    }

    /// The same for a text; `path` is what errors call it, and what relative files start from.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn parse(
        text: &str,
        path: &Path,
        env: &Env<'_>,
        options: &LoadOptions,
        built: &[&str],
    ) -> Result<Self, ConfigErrors> {
        let tables = keys::SECTIONS.iter().map(|(_, keys)| *keys);
        let tables = tables.chain(kinds::KINDS.iter().map(|kind| kind.keys));
        let vocabulary = source::Vocabulary::new(tables);
        let mut source = source::Source::new(text);
        let file = path.display().to_string();
        let root = match toml_span::parse(text) {
            Ok(root) => root,
            Err(error) => {
                source.hide_by_look(&vocabulary, error.span);
                return Err(syntax_error(&source, file, &error).into());
            }
        };
        source.hide_secrets(&vocabulary, &root);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut walk = parse::Walk::new(&source, &file, folder, env);
        let table = root.as_table().ok_or_else(|| internal(&file))?;
        let config = sections::Sections { walk: &mut walk, options, built }.read(table, path);
        match walk.finish() {
            Some(errors) => Err(errors),
            None => config.ok_or_else(|| internal(&file).into()),
        }
    }

    /// An account by name.
    ///
    /// # Errors
    /// `unknown_account`, with the nearest name.
    pub fn account(&self, name: &str) -> Result<&AccountConfig, ConfigErrors> {
        let found = self.accounts.iter().find(|account| account.name == name);
        found.ok_or_else(|| {
            let names = self.accounts.iter().map(|account| account.name.as_str());
            let hint = match source::nearest(name, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the accounts are {}", names.collect::<Vec<_>>().join(", ")),
            };
            let message = format!("has no account {}", parse::show(name));
            file_error(&self.file, Code::UnknownAccount, &message, &hint).into()
        })
    }

    /// What the meaning of a run at an account depends on (rules.md 7), besides its identity.
    pub fn semantic(&self, account: &AccountConfig) -> Vec<(&'static str, String)> {
        let mut all = account.semantic();
        all.push(("precedence", self.precedence.join(",")));
        all
    }
}

fn file_error(path: &Path, code: Code, message: &str, hint: &str) -> ConfigError {
    ConfigError {
        code,
        file: path.display().to_string(),
        at: None,
        path: String::new(),
        message: message.to_owned(),
        hint: hint.to_owned(),
        excerpt: None,
    }
}

/// Nothing was wrong and yet there is no configuration: a mistake of ours, not of the file.
fn internal(file: &str) -> ConfigError {
    let hint = "this is a fault of onfile; please report it with the file";
    file_error(Path::new(file), Code::ConfigUnreadable, "could not be understood", hint)
}

/// TOML's own errors, in our words: the parser's would repeat characters of the text.
fn syntax_error(
    source: &source::Source<'_>,
    file: String,
    error: &toml_span::Error,
) -> ConfigError {
    let mut code = Code::ConfigSyntax;
    let mut hint = "TOML is `key = value`, with text in double quotes".to_owned();
    let line_of = |span: &Span| source.position(span.start).line;
    let message = match &error.kind {
        ErrorKind::DuplicateKey { key, first } => {
            code = Code::DuplicateKey;
            hint = format!("it is also in line {}; keep one", line_of(first));
            format!("the key {key} is there twice")
        }
        ErrorKind::DuplicateTable { name, first } => {
            code = Code::DuplicateKey;
            hint = format!("it is also in line {}; keep one", line_of(first));
            format!("the table {name} is there twice")
        }
        ErrorKind::UnquotedString => {
            hint = "put text in double quotes".to_owned();
            "a text is not in quotes".to_owned()
        }
        ErrorKind::UnterminatedString | ErrorKind::InvalidCharInString('\n') => {
            hint = "a text ends with the quote it began with, in the same line".to_owned();
            "a text does not end".to_owned()
        }
        ErrorKind::InvalidCharInString(_) => "a text holds a control character".to_owned(),
        ErrorKind::InvalidEscape(_)
        | ErrorKind::InvalidHexEscape(_)
        | ErrorKind::InvalidEscapeValue(_) => {
            hint = "write a backslash as `\\\\`, or the text in single quotes".to_owned();
            "a backslash in a text starts no escape".to_owned()
        }
        ErrorKind::InvalidNumber => {
            hint = "put text and dates in double quotes".to_owned();
            "a number cannot be read".to_owned()
        }
        ErrorKind::Wanted { expected, found } => format!("expected {expected}, found {found}"),
        ErrorKind::UnexpectedEof => "the file ends in the middle of something".to_owned(),
        ErrorKind::ExceededDepthLimit => "tables are nested too deep".to_owned(),
        ErrorKind::RedefineAsArray => "a table becomes a list".to_owned(),
        ErrorKind::MultilineStringKey => "a key spans lines".to_owned(),
        ErrorKind::DottedKeyInvalidType { first } => {
            hint = format!("line {} gives it a value that is no table", line_of(first));
            "a dotted key goes into something that is no table".to_owned()
        }
        _ => "cannot be read as TOML".to_owned(),
    };
    ConfigError {
        code,
        file,
        at: Some(source.position(error.span.start)),
        path: String::new(),
        message,
        hint,
        excerpt: Some(source.excerpt(source.head(error.span))),
    }
}
