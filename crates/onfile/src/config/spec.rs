//! The keys as data: what may stand where, of which type, with which default. The reader
//! (`parse.rs`) and the reference (`reference.rs`) both work from these.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::secret::{EncryptionKey, Secret};
use super::types::StoreUrl;

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Text, not empty.
    Str,
    /// Text of a form: `words` says it ("a UUID"), `check` tells why a text is not of it.
    Form {
        /// The form, as in "must be …".
        words: &'static str,
        /// A value of the form, for hints.
        example: &'static str,
        /// True for text of the form.
        check: fn(&str) -> bool,
    },
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// An integer, both ends included.
    Int(i64, i64),
    /// A number above 0 and at most this.
    Number(f64),
    /// Seconds, with decimals or without, both ends included.
    Seconds(f64, f64),
    /// A length of time as text: `"0"`, `"90m"`, `"7d"`, `"1d12h"`.
    Duration,
    /// `true` or `false`.
    Bool,
    /// An http(s) address; plain http only for loopback hosts; no user, password, query.
    Url,
    /// A proxy's http(s) address, or a secret that holds one.
    Proxy,
    /// A secret; the text is the end of a fitting variable's name (`SECRET` of `GOV_SECRET`).
    Secret(&'static str),
    /// One secret or a list of them.
    Secrets(&'static str),
    /// A list of names.
    Names,
    /// A readable file, relative to the folder of the configuration.
    File,
    /// An address to listen on.
    Socket,
    /// `sqlite://…` or `postgres://…`.
    StoreUrl,
    /// The one encryption key: a secret of 32 bytes in base64.
    Key,
    /// Several encryption keys, each with an id.
    Keys,
    /// A table with keys of its own.
    Table(&'static [KeySpec]),
}

/// The value of a key that is absent.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// Absence is an error.
    Required,
    /// Absence means this, in words; the settings then have no such key.
    Means(&'static str),
    /// This text.
    Str(&'static str),
    /// This number (also where decimals are allowed).
    Int(i64),
    /// This truth.
    Bool(bool),
    /// This length of time, in seconds.
    Seconds(u64),
    /// The defaults of the table's own keys.
    Table,
}

/// What changing a value means for data that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Plain,
    /// It says whose account this is (rules.md 1): a change needs `accounts rebind`.
    Identity,
    /// It says what is sent (rules.md 7): a run started before the change does not resume.
    Semantic,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub ty: Type,
    /// Its default.
    pub absent: Absent,
    /// What it means, with the unit, for the reference.
    pub doc: &'static str,
    /// What a change of it means.
    pub role: Role,
}

impl KeySpec {
    /// A key with everything but a role.
    pub const fn new(name: &'static str, ty: Type, absent: Absent, doc: &'static str) -> Self {
        Self { name, ty, absent, doc, role: Role::Plain }
    }

    /// The same key as part of the account's identity.
    pub const fn identity(mut self) -> Self {
        self.role = Role::Identity;
        self
    }

    /// The same key as part of what a run's meaning depends on.
    pub const fn semantic(mut self) -> Self {
        self.role = Role::Semantic;
        self
    }

    /// Whether values of it must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.ty, Type::Secret(_) | Type::Secrets(_) | Type::Key | Type::Keys)
    }

    /// What it takes, in words, as in "must be …".
    pub fn words(&self) -> String {
        match self.ty {
            Type::Str => "text".to_owned(),
            Type::Form { words, .. } => words.to_owned(),
            Type::OneOf(all) => {
                all.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
            }
            Type::Int(min, max) => format!("an integer from {min} to {max}"),
            Type::Number(max) => format!("a number above 0, at most {max}"),
            Type::Seconds(min, max) => format!("seconds, a number from {min} to {max}"),
            Type::Duration => "a length of time such as \"0\", \"90m\", \"12h\", \"7d\"".to_owned(),
            Type::Bool => "true or false".to_owned(),
            Type::Url => "an https address (http only for a loopback host)".to_owned(),
            Type::Proxy => "an http address without a password, or a secret".to_owned(),
            Type::Secret(_) => "a secret: { env = \"…\" } or { file = \"…\" }".to_owned(),
            Type::Secrets(_) => "a secret, or a list of secrets".to_owned(),
            Type::Names => "a list of names".to_owned(),
            Type::File => "the path of a file".to_owned(),
            Type::Socket => "an address and port such as \"127.0.0.1:8080\"".to_owned(),
            Type::StoreUrl => "sqlite://FILE or postgres://USER@HOST/DATABASE".to_owned(),
            Type::Key => "a secret of 32 bytes in base64".to_owned(),
            Type::Keys => "a list of { id = \"…\", env = \"…\" } or { id, file }".to_owned(),
            Type::Table(_) => "a table".to_owned(),
        }
    }

    /// A line that would be right, for hints; `prefix` starts the names of variables.
    pub fn example(&self, prefix: &str) -> String {
        let value = match self.ty {
            Type::Str => "\"…\"".to_owned(),
            Type::Form { example, .. } => format!("\"{example}\""),
            Type::OneOf(all) => format!("\"{}\"", all.first().copied().unwrap_or_default()),
            Type::Int(min, _) => match self.absent {
                Absent::Int(default) => default.to_string(),
                _ => min.to_string(),
            },
            Type::Number(_) => "10".to_owned(),
            Type::Seconds(..) => "30".to_owned(),
            Type::Duration => "\"12h\"".to_owned(),
            Type::Bool => "true".to_owned(),
            Type::Url => "\"https://…\"".to_owned(),
            Type::Proxy => "\"http://proxy.example:3128\"".to_owned(),
            Type::Secret(end) | Type::Secrets(end) => format!("{{ env = \"{prefix}_{end}\" }}"),
            Type::Names => "[\"…\"]".to_owned(),
            Type::File => "\"ca.pem\"".to_owned(),
            Type::Socket => "\"127.0.0.1:8080\"".to_owned(),
            Type::StoreUrl => "\"sqlite://onfile.db\"".to_owned(),
            Type::Key => format!("{{ env = \"{prefix}_KEY\" }}"),
            Type::Keys => format!("[{{ id = \"2026\", env = \"{prefix}_KEY\" }}]"),
            Type::Table(_) => "{ … }".to_owned(),
        };
        format!("{} = {value}", self.name)
    }

    /// The setting that stands for an absent key, if there is one.
    pub(super) fn default_setting(&self) -> Option<Setting> {
        match self.absent {
            Absent::Required | Absent::Means(_) => None,
            Absent::Str(text) => Some(match self.ty {
                Type::Socket => Setting::Socket(text.parse().ok()?),
                _ => Setting::Str(text.to_owned()),
            }),
            Absent::Int(number) => Some(match self.ty {
                Type::Number(_) => Setting::Number(f64::from(i32::try_from(number).ok()?)),
                _ => Setting::Int(number),
            }),
            Absent::Bool(value) => Some(Setting::Bool(value)),
            Absent::Seconds(seconds) => Some(Setting::Duration(Duration::from_secs(seconds))),
            Absent::Table => match self.ty {
                Type::Table(keys) => Some(Setting::Table(Settings::defaults(keys))),
                _ => None,
            },
        }
    }
}

/// A checked value.
#[derive(Debug, Clone)]
pub enum Setting {
    /// Text.
    Str(String),
    /// An integer.
    Int(i64),
    /// A number that may have decimals.
    Number(f64),
    /// A truth.
    Bool(bool),
    /// A length of time.
    Duration(Duration),
    /// An address.
    Url(Url),
    /// A file, made absolute against the configuration's folder.
    Path(PathBuf),
    /// Names.
    List(Vec<String>),
    /// One secret.
    Secret(Secret),
    /// Some secrets.
    Secrets(Vec<Secret>),
    /// The encryption keys.
    Keys(Vec<EncryptionKey>),
    /// Where the store is.
    Store(StoreUrl),
    /// An address to listen on.
    Socket(SocketAddr),
    /// A table.
    Table(Settings),
}

/// Checked values by key. A getter answers `None` when the key is absent and has no default, and
/// for a key of another type.
#[derive(Debug, Clone, Default)]
pub struct Settings(pub(super) BTreeMap<&'static str, Setting>);

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $out:ty, $value:ident => $give:expr) => {
        $(#[$doc])*
        pub fn $name(&self, key: &str) -> Option<$out> {
            match self.0.get(key) {
                Some(Setting::$variant($value)) => Some($give),
                _ => None,
            }
        }
    };
}

impl Settings {
    /// The defaults of some keys.
    pub fn defaults(keys: &[KeySpec]) -> Self {
        Self(keys.iter().filter_map(|key| Some((key.name, key.default_setting()?))).collect())
    }

    /// Any setting.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.0.iter().map(|(key, setting)| (*key, setting))
    }

    getter!(/// Text.
        str, Str, &str, value => value.as_str());
    getter!(/// An integer.
        int, Int, i64, value => *value);
    getter!(/// A number.
        number, Number, f64, value => *value);
    getter!(/// A truth.
        bool, Bool, bool, value => *value);
    getter!(/// A length of time.
        duration, Duration, Duration, value => *value);
    getter!(/// An address.
        url, Url, &Url, value => value);
    getter!(/// A file.
        path, Path, &Path, value => value.as_path());
    getter!(/// Names.
        list, List, &[String], value => value.as_slice());
    getter!(/// One secret.
        secret, Secret, &Secret, value => value);
    getter!(/// Some secrets.
        secrets, Secrets, &[Secret], value => value.as_slice());
    getter!(/// The encryption keys.
        keys, Keys, &[EncryptionKey], value => value.as_slice());
    getter!(/// Where the store is.
        store, Store, &StoreUrl, value => value);
    getter!(/// An address to listen on.
        socket, Socket, SocketAddr, value => *value);
    getter!(/// A table.
        table, Table, &Settings, value => value);
}
