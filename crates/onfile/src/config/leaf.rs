//! Reads single values by their type.

use std::time::Duration;

use toml_span::Value;
use toml_span::value::ValueInner;

use super::error::Code;
use super::parse::{Allowed, Walk, join, show};
use super::secret::{EncryptionKey, Secret, SecretSource, decode_key};
use super::source::nearest;
use super::spec::{KeySpec, Setting, Type};
use super::values::{
    UrlFault, is_placeholder, is_title, may_hold_password, may_hold_secret, parse_duration,
    parse_proxy, parse_store_url, parse_url, show_duration,
};

/// A checked value; `None` once what is wrong with it is noted.
type Found = Option<Setting>;

impl Walk<'_> {
    /// One value, checked; `None` once its errors are noted.
    pub(super) fn value<'v>(&mut self, path: &str, spec: &KeySpec, value: &'v Value<'v>) -> Found {
        let example = spec.example(&self.prefix);
        match spec.ty {
            Type::Secret(_) => self.secret(path, value, &example).map(Setting::Secret),
            Type::Secrets(_) => self.secrets(path, value, &example),
            Type::Key => self.one_key(path, value, &example),
            Type::Keys => self.many_keys(path, value, &example),
            Type::Proxy => self.proxy(path, value),
            Type::Names => self.names(path, value, &example),
            Type::Int(min, max) => match value.as_integer() {
                Some(number) if (min..=max).contains(&number) => Some(Setting::Int(number)),
                Some(number) => self.out_of_range(path, spec, value, &number.to_string()),
                None => self.not_of_type(path, spec, value, &example),
            },
            Type::Number(_) | Type::Seconds(..) => self.number(path, spec, value),
            Type::Bool => match value.as_bool() {
                Some(truth) => Some(Setting::Bool(truth)),
                None => self.not_of_type(path, spec, value, &example),
            },
            Type::Table(keys) => {
                let table = self.as_table(path, value, &example)?;
                let what = format!("`{}`", spec.name);
                let allowed = Allowed { what, keys: keys.iter().collect(), ..Allowed::default() };
                let head = self.src.head(value.span);
                Some(Setting::Table(self.table(path, head, table, &allowed).settings))
            }
            Type::Str
            | Type::Form { .. }
            | Type::OneOf(_)
            | Type::Duration
            | Type::Url
            | Type::File
            | Type::Socket
            | Type::StoreUrl => match (value.as_str(), value.as_integer()) {
                (Some(text), _) => self.text(path, spec, value, text),
                (None, Some(0)) if matches!(spec.ty, Type::Duration) => {
                    self.not_of_type(path, spec, value, &format!("{} = \"0\"", spec.name))
                }
                _ => self.not_of_type(path, spec, value, &example),
            },
        }
    }

    fn not_of_type(
        &mut self,
        path: &str,
        spec: &KeySpec,
        value: &Value<'_>,
        example: &str,
    ) -> Found {
        self.wrong_type(path, value, &spec.words(), example);
        None
    }

    fn out_of_range(
        &mut self,
        path: &str,
        spec: &KeySpec,
        value: &Value<'_>,
        found: &str,
    ) -> Found {
        let message = format!("must be {}, found {found}", spec.words());
        let at = self.place(value);
        let hint = format!("`{}`: {}", spec.name, spec.doc);
        self.fail(Code::OutOfRange, at, path, &message, &hint);
        None
    }

    fn number(&mut self, path: &str, spec: &KeySpec, value: &Value<'_>) -> Found {
        let number = match value.as_ref() {
            ValueInner::Integer(whole) => i32::try_from(*whole).map_or(f64::INFINITY, f64::from),
            ValueInner::Float(number) => *number,
            _ => return self.not_of_type(path, spec, value, &spec.example(&self.prefix)),
        };
        let found = match value.as_integer() {
            Some(whole) => whole.to_string(),
            None => number.to_string(),
        };
        match spec.ty {
            Type::Number(max) if number > 0.0 && number <= max => Some(Setting::Number(number)),
            Type::Seconds(min, max) if (min..=max).contains(&number) => {
                Some(Setting::Duration(Duration::from_secs_f64(number)))
            }
            _ => self.out_of_range(path, spec, value, &found),
        }
    }

    fn text(&mut self, path: &str, spec: &KeySpec, value: &Value<'_>, text: &str) -> Found {
        let at = self.place(value);
        if is_placeholder(text) {
            let hint = format!("write your own value: {}", spec.doc);
            self.fail(Code::Placeholder, at, path, "is not filled in", &hint);
            return None;
        }
        match spec.ty {
            Type::Str if !text.trim().is_empty() => return Some(Setting::Str(text.to_owned())),
            Type::Str => {
                let hint = format!("`{}`: {}", spec.name, spec.doc);
                self.fail(Code::BadValue, at, path, "is empty", &hint);
                return None;
            }
            Type::Form { check, .. } if check(text) => return Some(Setting::Str(text.to_owned())),
            Type::OneOf(words) if words.contains(&text) => {
                return Some(Setting::Str(text.to_owned()));
            }
            Type::OneOf(words) => {
                let near = nearest(text, words.iter().copied()).or(words.first().copied());
                let hint = format!("write `{} = \"{}\"`", spec.name, near.unwrap_or_default());
                let message = format!("must be {}, found {}", spec.words(), show(text));
                self.fail(Code::BadValue, at, path, &message, &hint);
                return None;
            }
            Type::Duration => {
                if let Some(time) = parse_duration(text) {
                    return Some(Setting::Duration(time));
                }
            }
            Type::Socket => {
                if let Ok(address) = text.parse() {
                    return Some(Setting::Socket(address));
                }
            }
            Type::Url => return self.url(path, value, text, parse_url(text).map(Setting::Url)),
            Type::StoreUrl if may_hold_password(text) => {
                let message = "holds a password; a secret belongs in the environment or in a file \
                               of its own";
                let hint = "take it out of the address and write `password = { env = \
                            \"ONFILE_DB_PASSWORD\" }` in [store]";
                self.fail(Code::PlainSecret, at, path, message, hint);
                return None;
            }
            Type::StoreUrl => {
                let url = parse_store_url(text, self.folder).map(Setting::Store);
                return self.url(path, value, text, url);
            }
            Type::File => return self.file(path, value, text),
            _ => {}
        }
        let message = format!("must be {}, found {}", spec.words(), show(text));
        let hint = format!("write `{}`", spec.example(&self.prefix));
        self.fail(Code::BadValue, at, path, &message, &hint);
        None
    }

    fn url(
        &mut self,
        path: &str,
        value: &Value<'_>,
        text: &str,
        url: Result<Setting, UrlFault>,
    ) -> Found {
        url.map_err(|UrlFault { why, hint }| {
            let at = self.place(value);
            let found = if self.src.is_hidden(value.span) { "…".to_owned() } else { show(text) };
            self.fail(Code::BadUrl, at, path, &format!("= {found} {why}"), &hint);
        })
        .ok()
    }

    fn file(&mut self, path: &str, value: &Value<'_>, text: &str) -> Found {
        let at = self.place(value);
        if text.is_empty() {
            self.fail(Code::BadValue, at, path, "is empty", "name a file, or remove the line");
            return None;
        }
        let file = self.folder.join(text);
        if self.resolve
            && let Err(error) = std::fs::File::open(&file)
        {
            let message = format!("= {} cannot be read: {}", file.display(), error.kind());
            let hint = "a relative path starts at the folder of the configuration";
            self.fail(Code::FileMissing, at, path, &message, hint);
            return None;
        }
        Some(Setting::Path(file))
    }

    fn secret(&mut self, path: &str, value: &Value<'_>, example: &str) -> Option<Secret> {
        let source = self.source_of(path, value, example, false)?;
        let secret = self.secret_of(path, value, &source).ok()?;
        Some(Secret::new(source, secret))
    }

    fn secrets(&mut self, path: &str, value: &Value<'_>, example: &str) -> Found {
        let Some(list) = value.as_array() else {
            return self.secret(path, value, example).map(|one| Setting::Secrets(vec![one]));
        };
        if list.is_empty() {
            let hint = format!("write `{example}`, or remove the line");
            let at = self.place(value);
            self.fail(Code::BadValue, at, path, "is an empty list", &hint);
            return None;
        }
        let all: Vec<Option<Secret>> = list
            .iter()
            .enumerate()
            .map(|(index, value)| self.secret(&format!("{path}[{index}]"), value, example))
            .collect();
        all.into_iter().collect::<Option<Vec<_>>>().map(Setting::Secrets)
    }

    fn proxy(&mut self, path: &str, value: &Value<'_>) -> Found {
        let example = format!("proxy = {{ env = \"{}_PROXY\" }}", self.prefix);
        let (source, secret, text) = match value.as_str() {
            Some(text) if may_hold_password(text) => {
                self.source_of(path, value, &example, false)?;
                return None;
            }
            Some(text) => (SecretSource::Inline, Some(text.into()), Some(text.to_owned())),
            None => {
                let source = self.source_of(path, value, &example, false)?;
                let secret = self.secret_of(path, value, &source).ok()?;
                (source, secret, None)
            }
        };
        let address = secret.as_ref().map(secrecy::ExposeSecret::expose_secret).map(parse_proxy);
        if let Some(Err(UrlFault { why, hint })) = address {
            let at = self.place(value);
            let text = text.filter(|text| !may_hold_secret(text));
            let found = text.map_or_else(|| "…".to_owned(), |text| show(&text));
            self.fail(Code::BadUrl, at, path, &format!("= {found} {why}"), &hint);
            return None;
        }
        Some(Setting::Secret(Secret::new(source, secret)))
    }

    fn one_key(&mut self, path: &str, value: &Value<'_>, example: &str) -> Found {
        let source = self.source_of(path, value, example, false)?;
        let key = self.key(path, value, "default".to_owned(), source)?;
        Some(Setting::Keys(vec![key]))
    }

    fn many_keys(&mut self, path: &str, value: &Value<'_>, example: &str) -> Found {
        let list = match value.as_array() {
            Some(list) if !list.is_empty() => list,
            _ => {
                self.wrong_type(path, value, "a list of at least one key", example);
                return None;
            }
        };
        let mut ids: Vec<&str> = Vec::new();
        let mut keys = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let id = value.as_table().map(|table| table.get("id"));
            let source = self.source_of(&path, value, example, true);
            let id = match id {
                Some(Some(id)) => match id.as_str() {
                    Some(text) if is_title(text) && ids.contains(&text) => {
                        let at = self.place(id);
                        let message = format!("= {} is there twice", show(text));
                        let hint = "each key has an id of its own";
                        self.fail(Code::DuplicateName, at, &join(&path, "id"), &message, hint);
                        None
                    }
                    Some(text) if is_title(text) => {
                        ids.push(text);
                        Some(text.to_owned())
                    }
                    _ => {
                        let at = self.place(id);
                        let message = "must be text of 1 to 64 characters";
                        let hint = "write `id = \"2026\"`; it is kept beside what the key wraps";
                        self.fail(Code::NameBad, at, &join(&path, "id"), message, hint);
                        None
                    }
                },
                Some(None) => {
                    let at = self.place(value);
                    let hint = "add `id = \"2026\"`; it is kept beside what the key wraps";
                    self.fail(Code::MissingKey, at, &join(&path, "id"), "is missing", hint);
                    None
                }
                None => None,
            };
            // Both are looked at before either ends it, so that all errors are seen.
            keys.push(match (id, source) {
                (Some(id), Some(source)) => self.key(&path, value, id, source),
                _ => None,
            });
        }
        keys.into_iter().collect::<Option<Vec<_>>>().map(Setting::Keys)
    }

    fn key(
        &mut self,
        path: &str,
        value: &Value<'_>,
        id: String,
        source: SecretSource,
    ) -> Option<EncryptionKey> {
        let bytes = match self.secret_of(path, value, &source).ok()? {
            None => None,
            Some(secret) => match decode_key(&secret) {
                Ok(bytes) => Some(bytes),
                Err(found) => {
                    let at = self.place(value);
                    let message = format!("must be 32 bytes in base64; {source:?} {found}");
                    let hint = "`onfile keys generate` prints a key";
                    self.fail(Code::SecretBad, at, path, &message, hint);
                    return None;
                }
            },
        };
        Some(EncryptionKey::new(id, source, bytes))
    }

    fn names(&mut self, path: &str, value: &Value<'_>, example: &str) -> Found {
        let Some(list) = value.as_array() else {
            self.wrong_type(path, value, "a list of names", example);
            return None;
        };
        let names: Vec<Option<String>> = list
            .iter()
            .enumerate()
            .map(|(index, value)| {
                if value.as_str().is_none() {
                    self.wrong_type(&format!("{path}[{index}]"), value, "a name", example);
                }
                value.as_str().map(str::to_owned)
            })
            .collect();
        names.into_iter().collect::<Option<Vec<_>>>().map(Setting::List)
    }
}

/// A default length of time, for the reference.
pub(super) fn show_seconds(spec: &KeySpec, seconds: u64) -> String {
    match spec.ty {
        Type::Duration => format!("\"{}\"", show_duration(seconds)),
        _ => seconds.to_string(),
    }
}
