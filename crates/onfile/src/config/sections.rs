//! The file from its tables: each section read by its spec, then what holds between keys.

use std::time::Duration;

use toml_span::Value;
use toml_span::value::Table;

use super::error::Code;
use super::keys::{CANONICAL, PRIVACY, SECTIONS, SERVER, STORE};
use super::parse::{Allowed, Read, Walk, join, show};
use super::source::nearest;
use super::spec::{KeySpec, Settings};
use super::types::{PrivacyConfig, ServerConfig, StoreConfig, StoreUrl};
use super::{Config, LoadOptions};

/// What it takes to read the sections.
pub(super) struct Sections<'w, 'a> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) options: &'w LoadOptions,
    pub(super) built: &'w [&'w str],
}

impl Sections<'_, '_> {
    /// The whole file; what is returned counts only if no error was noted.
    pub(super) fn read<'v>(
        &mut self,
        root: &'v Table<'v>,
        file: &std::path::Path,
    ) -> Option<Config> {
        for key in root.keys() {
            let known = SECTIONS.iter().map(|(name, _)| *name);
            if !known.clone().any(|name| name == key.name) {
                let hint = match nearest(&key.name, known.clone()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("its sections are {}", known.collect::<Vec<_>>().join(", ")),
                };
                let path = join("", &key.name);
                let message = "is not a section of this file";
                self.walk.fail(Code::UnknownKey, key.span, &path, message, &hint);
            }
        }
        let store = self.store(root);
        let names: Vec<&str> = match root.get("accounts").and_then(Value::as_table) {
            Some(accounts) => accounts.keys().map(|key| &*key.name).collect(),
            None => Vec::new(),
        };
        let precedence = self.precedence(root, &names);
        let accounts = self.accounts(root, &precedence);
        let schedules = self.schedules(root, &names);
        let server = self.server(root);
        let alerts = self.alerts(root);
        let privacy = self.privacy(root);
        let file = file.to_owned();
        Some(Config {
            file,
            store: store?,
            precedence,
            accounts,
            schedules,
            server,
            alerts,
            privacy,
        })
    }

    /// A section that is one table; absent, its defaults.
    pub(super) fn section<'v>(
        &mut self,
        root: &'v Table<'v>,
        name: &str,
        keys: &'static [KeySpec],
        resolve: bool,
    ) -> Option<Read<'v>> {
        let (key, value) = root.get_key_value(name)?;
        let table = self.walk.as_table(name, value, &format!("[{name}]"))?;
        let allowed = Allowed {
            what: format!("[{name}]"),
            keys: keys.iter().collect(),
            ..Allowed::default()
        };
        self.walk.resolve = self.options.resolve_secrets && resolve;
        "ONFILE".clone_into(&mut self.walk.prefix);
        Some(self.walk.table(name, key.span, table, &allowed))
    }

    fn store(&mut self, root: &Table<'_>) -> Option<StoreConfig> {
        if !root.contains_key("store") {
            let hint = "add `[store]` with `url` and `encryption_key`; `onfile init` writes an \
                        example";
            self.walk.fail_file(Code::MissingKey, "store", "is missing", hint);
        }
        let read = self.section(root, "store", STORE, true)?;
        match (read.raw("encryption_key"), read.raw("encryption_keys")) {
            (Some(one), Some(many)) => {
                let later = if one.span.start > many.span.start { one } else { many };
                let at = self.walk.place(later);
                let message = "and encryption_keys exclude each other";
                let hint = "keep the list, with the single key in it as `id = \"default\"`";
                self.walk.fail(Code::Conflict, at, "store.encryption_key", message, hint);
            }
            (None, None) if !read.has("encryption_key") && !read.has("encryption_keys") => {
                let hint = "add `encryption_key = { env = \"ONFILE_KEY\" }`; `onfile keys \
                            generate` prints a key";
                let path = "store.encryption_key";
                self.walk.fail(Code::MissingKey, read.at, path, "is missing", hint);
            }
            _ => {}
        }
        let settings = &read.settings;
        let sqlite = matches!(settings.store("url"), Some(StoreUrl::Sqlite(_)));
        for key in ["password", "ca_file"].into_iter().filter(|_| sqlite) {
            if let Some(value) = read.raw(key) {
                let at = self.walk.place(value);
                let message = "is for PostgreSQL, the store is SQLite";
                self.walk.fail(Code::Conflict, at, &read.key(key), message, "remove the line");
            }
        }
        let keys = settings.keys("encryption_keys").or_else(|| settings.keys("encryption_key"));
        Some(StoreConfig {
            url: settings.store("url")?.clone(),
            password: settings.secret("password").cloned(),
            ca_file: settings.path("ca_file").map(ToOwned::to_owned),
            keys: keys?.to_vec(),
        })
    }

    fn precedence(&mut self, root: &Table<'_>, accounts: &[&str]) -> Vec<String> {
        let Some(read) = self.section(root, "canonical", CANONICAL, true) else {
            return Vec::new();
        };
        let list = read.raw("precedence").and_then(Value::as_array);
        let mut seen: Vec<&str> = Vec::new();
        for (index, value) in list.into_iter().flatten().enumerate() {
            let Some(name) = value.as_str() else { continue };
            let path = format!("canonical.precedence[{index}]");
            let at = self.walk.place(value);
            if seen.contains(&name) {
                let message = format!("= {} is there twice", show(name));
                let hint = "remove the second";
                self.walk.fail(Code::DuplicateName, at, &path, &message, hint);
            } else if name != "file" && !accounts.contains(&name) {
                let message = format!("= {} is no account of this file", show(name));
                let near = nearest(name, accounts.iter().copied().chain(["file"]));
                let hint = match near {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("name an account ({}) or \"file\"", accounts.join(", ")),
                };
                self.walk.fail(Code::UnknownAccount, at, &path, &message, &hint);
            }
            seen.push(name);
        }
        read.settings.list("precedence").unwrap_or_default().to_vec()
    }

    fn server(&mut self, root: &Table<'_>) -> ServerConfig {
        let read = self.section(root, "server", SERVER, self.options.server);
        let settings = read.map_or_else(|| Settings::defaults(SERVER), |read| read.settings);
        ServerConfig {
            listen: settings.socket("listen").unwrap_or_else(|| ([127, 0, 0, 1], 8080).into()),
            dashboard_token: settings.secret("dashboard_token").cloned(),
            stop: Duration::from_secs(small(&settings, "stop_seconds").into()),
        }
    }

    fn privacy(&mut self, root: &Table<'_>) -> PrivacyConfig {
        let read = self.section(root, "privacy", PRIVACY, true);
        let settings = read.map_or_else(|| Settings::defaults(PRIVACY), |read| read.settings);
        PrivacyConfig {
            removed_days: small(&settings, "removed_days"),
            changes_days: small(&settings, "changes_days"),
            events_days: small(&settings, "events_days"),
            run_rows_days: small(&settings, "run_rows_days"),
        }
    }
}

pub(super) fn small(settings: &Settings, key: &str) -> u32 {
    settings.int(key).and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}
