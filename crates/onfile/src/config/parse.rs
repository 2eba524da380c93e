//! Reads tables of the file by their specs and collects everything that is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;
use toml_span::value::{Table, ValueInner};
use toml_span::{Span, Value};

use super::error::{Code, ConfigError, ConfigErrors};
use super::secret::{Env, SecretFault, SecretSource, resolve};
use super::source::{Source, nearest};
use super::spec::{Absent, KeySpec, Settings};
use super::types::Environment;
use super::values::is_env_name;

/// What goes along through the whole file.
pub(super) struct Walk<'a> {
    pub(super) src: &'a Source<'a>,
    pub(super) file: &'a str,
    pub(super) folder: &'a Path,
    pub(super) env: &'a Env<'a>,
    /// Whether secrets and files of the table at hand are read.
    pub(super) resolve: bool,
    /// What the names of variables in hints begin with.
    pub(super) prefix: String,
    errors: Vec<(Option<usize>, ConfigError)>,
}

/// A table as read: settings with defaults, and what stood in the file.
pub(super) struct Read<'v> {
    pub(super) path: String,
    pub(super) at: Span,
    pub(super) settings: Settings,
    raw: BTreeMap<&'v str, &'v Value<'v>>,
    bad: Vec<&'static str>,
    meant: Vec<&'static str>,
}

impl<'v> Read<'v> {
    /// A key's value as it stands in the file.
    pub(super) fn raw(&self, key: &str) -> Option<&'v Value<'v>> {
        self.raw.get(key).copied()
    }

    /// Whether the key is in the file, right, wrong or misspelt.
    pub(super) fn has(&self, key: &str) -> bool {
        self.raw.contains_key(key) || self.meant.contains(&key)
    }

    /// Whether none of these keys had an error of its own.
    pub(super) fn sound(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.bad.contains(key))
    }

    pub(super) fn key(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// The keys a table may have.
#[derive(Default)]
pub(super) struct Allowed {
    /// The table in words: `a proxy-token account`.
    pub(super) what: String,
    /// Its keys.
    pub(super) keys: Vec<&'static KeySpec>,
    /// Keys that are looked at if they are there, and never asked for.
    pub(super) maybe: Vec<&'static KeySpec>,
    /// Keys that would be right elsewhere, each with why not here.
    pub(super) elsewhere: Vec<(&'static str, String)>,
}

/// `path.key`, quoted if the key is not a bare one.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key =
        if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Found text, short and on one line.
pub(super) fn show(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        src: &'a Source<'a>,
        file: &'a str,
        folder: &'a Path,
        env: &'a Env<'a>,
    ) -> Self {
        let prefix = "ONFILE".to_owned();
        Self { src, file, folder, env, resolve: false, prefix, errors: Vec::new() }
    }

    /// Notes an error; `message` follows the key path.
    pub(super) fn fail(&mut self, code: Code, at: Span, path: &str, message: &str, hint: &str) {
        let error = ConfigError {
            code,
            file: self.file.to_owned(),
            at: Some(self.src.position(at.start)),
            path: path.to_owned(),
            message: format!("{path} {message}"),
            hint: hint.to_owned(),
            excerpt: Some(self.src.excerpt(at)),
        };
        self.errors.push((Some(at.start), error));
    }

    /// Notes an error that no line is at fault for.
    pub(super) fn fail_file(&mut self, code: Code, path: &str, message: &str, hint: &str) {
        let error = ConfigError {
            code,
            file: self.file.to_owned(),
            at: None,
            path: path.to_owned(),
            message: format!("{path} {message}"),
            hint: hint.to_owned(),
            excerpt: None,
        };
        self.errors.push((None, error));
    }

    /// All that was noted, in the order of the file.
    pub(super) fn finish(mut self) -> Option<ConfigErrors> {
        self.errors.sort_by_key(|(at, _)| *at);
        let errors: Vec<_> = self.errors.into_iter().map(|(_, error)| error).collect();
        (!errors.is_empty()).then(|| ConfigErrors::new(errors))
    }

    /// The table at a key, or `None` and an error.
    pub(super) fn as_table<'v>(
        &mut self,
        path: &str,
        value: &'v Value<'v>,
        example: &str,
    ) -> Option<&'v Table<'v>> {
        let table = value.as_table();
        if table.is_none() {
            self.wrong_type(path, value, "a table", example);
        }
        table
    }

    pub(super) fn wrong_type(&mut self, path: &str, value: &Value<'_>, want: &str, example: &str) {
        let found = match value.as_ref() {
            ValueInner::String(_) => "text",
            ValueInner::Integer(_) => "an integer",
            ValueInner::Float(_) => "a number with decimals",
            ValueInner::Boolean(_) => "true or false",
            ValueInner::Array(_) => "a list",
            ValueInner::Table(_) => "a table",
        };
        let message = format!("must be {want}, found {found}");
        let at = self.place(value);
        self.fail(Code::WrongType, at, path, &message, &format!("write `{example}`"));
    }

    /// Where a value's errors point to.
    pub(super) fn place(&self, value: &Value<'_>) -> Span {
        match value.as_ref() {
            ValueInner::String(_) => self.src.quoted(value.span),
            _ => self.src.head(value.span),
        }
    }

    /// Reads a table; `at` is what its missing keys are reported at.
    pub(super) fn table<'v>(
        &mut self,
        path: &str,
        at: Span,
        table: &'v Table<'v>,
        allowed: &Allowed,
    ) -> Read<'v> {
        let mut read = Read {
            path: path.to_owned(),
            at,
            settings: Settings::default(),
            raw: BTreeMap::new(),
            bad: Vec::new(),
            meant: Vec::new(),
        };
        for (key, value) in table {
            read.raw.insert(&key.name, value);
            let full = join(path, &key.name);
            match allowed.keys.iter().chain(&allowed.maybe).find(|spec| spec.name == key.name) {
                Some(spec) => match self.value(&full, spec, value) {
                    Some(setting) => {
                        read.settings.0.insert(spec.name, setting);
                    }
                    None => read.bad.push(spec.name),
                },
                None => read.meant.extend(self.unknown(&full, &key.name, key.span, allowed)),
            }
        }
        for spec in &allowed.keys {
            if read.settings.get(spec.name).is_some() {
                continue;
            }
            if let Some(setting) = spec.default_setting() {
                read.settings.0.insert(spec.name, setting);
            }
            if matches!(spec.absent, Absent::Required) && !read.has(spec.name) {
                let full = join(path, spec.name);
                let hint = format!("add `{}`: {}", spec.example(&self.prefix), spec.doc);
                self.fail(Code::MissingKey, at, &full, "is missing", &hint);
            }
        }
        read
    }

    /// Notes a key that does not belong here; the key that was meant, if it is plain which.
    fn unknown(
        &mut self,
        full: &str,
        key: &str,
        at: Span,
        allowed: &Allowed,
    ) -> Option<&'static str> {
        if let Some((_, why)) = allowed.elsewhere.iter().find(|(name, _)| *name == key) {
            self.fail(Code::OtherKind, at, full, why, "remove the line");
            return None;
        }
        let message = format!("is not a key of {}", allowed.what);
        let names = || allowed.keys.iter().map(|spec| spec.name);
        let meant = nearest(key, names());
        let hint = match meant {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("its keys are {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.fail(Code::UnknownKey, at, full, &message, &hint);
        meant
    }

    /// Where a secret is kept: from `{ env = … }` or `{ file = … }`. `keyed` also takes an `id`.
    pub(super) fn source_of(
        &mut self,
        path: &str,
        value: &Value<'_>,
        example: &str,
        keyed: bool,
    ) -> Option<SecretSource> {
        let Some(table) = value.as_table() else {
            let message = "is written in the file; a secret belongs in the environment or in a \
                           file of its own";
            let at = self.place(value);
            let hint = format!("write `{example}`");
            if matches!(value.as_ref(), ValueInner::Array(_)) {
                self.wrong_type(path, value, "one secret", example);
            } else {
                self.fail(Code::PlainSecret, at, path, message, &hint);
            }
            return None;
        };
        let before = self.errors.len();
        let mut found: Vec<SecretSource> = Vec::new();
        for (key, value) in table {
            let full = join(path, &key.name);
            if keyed && key.name == "id" {
                continue;
            }
            if key.name != "env" && key.name != "file" {
                let hint = format!("write `{example}`");
                self.fail(Code::UnknownKey, key.span, &full, "is not a key of a secret", &hint);
                continue;
            }
            let at = self.place(value);
            let Some(text) = value.as_str() else {
                let example = format!("{} = \"…\"", key.name);
                self.wrong_type(&full, value, "text", &example);
                continue;
            };
            if key.name == "file" && !text.is_empty() {
                found.push(SecretSource::File(self.folder.join(text)));
            } else if key.name == "env" && is_env_name(text) {
                found.push(SecretSource::Env(text.to_owned()));
            } else {
                let message = "is no name of an environment variable, or of a file";
                let hint = format!("write `{example}`");
                self.fail(Code::BadValue, at, &full, message, &hint);
            }
        }
        let at = self.place(value);
        match found.as_slice() {
            _ if self.errors.len() > before => None,
            [one] => Some(one.clone()),
            [] => {
                let hint = format!("write `{example}`");
                self.fail(Code::MissingKey, at, path, "names neither `env` nor `file`", &hint);
                None
            }
            _ => {
                let message = "names both `env` and `file`";
                self.fail(Code::Conflict, at, path, message, "keep one of the two");
                None
            }
        }
    }

    /// The secret itself, if secrets are read at all: `Err` once the error is noted.
    pub(super) fn secret_of(
        &mut self,
        path: &str,
        value: &Value<'_>,
        source: &SecretSource,
    ) -> Result<Option<SecretString>, ()> {
        if !self.resolve {
            return Ok(None);
        }
        match resolve(source, self.env) {
            Ok(secret) => Ok(Some(secret)),
            Err(SecretFault { why, hint }) => {
                let at = self.place(value);
                self.fail(Code::SecretMissing, at, path, &format!("has no value: {why}"), &hint);
                Err(())
            }
        }
    }
}

/// An account's keys, for the check of its kind.
pub struct KindCheck<'w, 'a> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) read: &'w Read<'w>,
    pub(super) keys: &'w [&'static KeySpec],
}

impl KindCheck<'_, '_> {
    /// Whether the file has the key, right, wrong or misspelt.
    pub fn has(&self, key: &str) -> bool {
        self.read.has(key)
    }

    /// A secret, if it was read.
    pub fn secret(&self, key: &str) -> Option<SecretString> {
        self.read.settings.secret(key)?.value().cloned()
    }

    /// `environment`, if it is stated.
    pub fn environment(&self) -> Option<Environment> {
        match self.read.settings.str("environment")? {
            "live" => Some(Environment::Live),
            "test" => Some(Environment::Test),
            _ => None,
        }
    }

    /// Notes that a key has to be there, and why.
    pub fn missing(&mut self, key: &str, why: &str) {
        let path = self.read.key(key);
        let example = self.keys.iter().find(|spec| spec.name == key);
        let example = example.map(|spec| spec.example(&self.walk.prefix)).unwrap_or_default();
        let hint = format!("add `{example}`; {why}");
        self.walk.fail(Code::MissingKey, self.read.at, &path, "is missing", &hint);
    }

    /// Notes an error at a key; the message follows the key's path.
    pub fn fail(&mut self, code: Code, key: &str, message: &str, hint: &str) {
        let path = self.read.key(key);
        let at = match self.read.raw(key) {
            Some(value) => self.walk.place(value),
            None => self.read.at,
        };
        self.walk.fail(code, at, &path, message, hint);
    }
}
