//! What the configuration takes, what it says when it does not, and what it never shows.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::ExposeSecret as _;

use super::spec::{KeySpec, Type};
use super::values::{parse_duration, show_duration};
use super::*;

mod wrong;
mod wrong_accounts;

/// The kinds of a build with one provider.
const ONE: &[&str] = &["proxy-token"];

/// The kinds of this build.
fn all() -> Vec<&'static str> {
    crate::registry::kinds()
}

const STORE: &str = r#"[store]
url = "sqlite://onfile.db"
encryption_key = { env = "ONFILE_KEY" }
"#;

const GOV: &str = r#"[accounts.gov]
kind = "proxy-token"
payment_account_uid = "pa_1"
bearer = { env = "GOV_BEARER" }
"#;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The environment of the tests; every secret in it has `canary` in it.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "ONFILE_KEY" | "ONFILE_KEY_2026" => KEY,
        "EMPTY" => "",
        "SHORT" => "Y2FuYXJ5",
        "NOT_BASE64" => "canary!",
        "CHAIN_PK" => "nr_live_pk_canary",
        "CHAIN_TEST" => "nr_test_sk_canary",
        "CHAIN_KEY" => "nr_live_sk_canary",
        "GOV_ID" | "GOV_SECRET" | "GOV_BEARER" | "GOV_WEBHOOK" | "MAIN_KEY" | "MAIN_WEBHOOK"
        | "EU_KEY" | "ONFILE_ALERTS" | "ONFILE_DASHBOARD" | "ONFILE_DB_PASSWORD" => "canary",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(text: &str, built: &[&str]) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("onfile.toml"), &env, &LoadOptions::default(), built)
}

/// What is printed for a wrong file.
fn wrong(text: &str, built: &[&str]) -> String {
    parse(text, built).unwrap_err().to_string()
}

fn right(text: &str) -> Config {
    parse(text, &all()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The example with every setting that is off turned on, but for the lines that exclude others.
fn whole_example() -> String {
    let off = ["#url", "#password", "#ca_file", "#encryption_keys", "#bearer"];
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !off.iter().any(|key| line.starts_with(key)) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The same with values of one's own.
fn filled(example: &str) -> String {
    let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let uuids = example.replace("00000000-0000-0000-0000-000000000000", uuid);
    uuids.replace("REPLACE_ME", "1").replace("REPLACE-ME", "auth")
}

#[test]
fn the_example_loads() {
    let config = parse(&filled(EXAMPLE), ONE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.accounts.len(), 1);
    assert_eq!(config.precedence, ["gov", "file"]);
}

#[test]
fn the_whole_example_loads_and_shows_the_defaults() {
    let config = right(&filled(&whole_example()));
    let names: Vec<&str> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["gov", "main", "eu", "chain"]);
    let shown = config.account("gov").unwrap();
    let least = right(&filled(EXAMPLE));
    let default = least.account("gov").unwrap();
    assert_eq!(shown.rate, default.rate);
    assert_eq!(shown.base_url, default.base_url);
    assert_eq!(
        (shown.timeout, shown.late, shown.quarantine, shown.replay_window, shown.methods_max_age),
        (
            default.timeout,
            default.late,
            default.quarantine,
            default.replay_window,
            default.methods_max_age
        )
    );
    assert_eq!(shown.semantic(), default.semantic());
    assert_eq!(config.privacy, least.privacy);
    assert_eq!(config.schedules[0].when.as_str(), "0 15 2 * * * America/Denver");
}

#[test]
fn the_example_has_every_key() {
    fn names(keys: &'static [KeySpec]) -> Vec<&'static str> {
        let inner = keys.iter().filter_map(|key| match key.ty {
            Type::Table(inner) => Some(names(inner)),
            _ => None,
        });
        keys.iter().map(|key| key.name).chain(inner.flatten()).collect()
    }
    let tables = keys::SECTIONS.iter().map(|(_, keys)| *keys);
    for key in tables.chain(KINDS.iter().map(|kind| kind.keys)).flat_map(names) {
        assert!(EXAMPLE.contains(&format!("{key} = ")), "the example has no {key}");
    }
}

#[test]
fn the_reference_in_the_docs_is_the_one_of_the_code() {
    let made = reference();
    if made != include_str!("../../docs/config.md") {
        let file = std::env::temp_dir().join("onfile-config.md");
        std::fs::write(&file, made).unwrap();
        panic!("docs differ: cp {} crates/onfile/docs/config.md", file.display());
    }
}

#[test]
fn every_default_is_of_its_keys_type() {
    let config = right(
        &[
            STORE,
            "[accounts.a]\nkind = \"v2\"\nauthenticity_token = \"at\"\n\
        merchant_key = { env = \"EU_KEY\" }\n[server]\n[privacy]\n[canonical]\n",
        ]
        .concat(),
    );
    let account = config.account("a").unwrap();
    assert_eq!(account.rate, Rate { per_second: 5.0, burst: 1, in_flight: 8 });
    assert_eq!(account.timeout.as_secs(), 30);
    assert_eq!(account.quarantine.as_secs(), 60);
    assert_eq!(account.base_url.as_str(), "https://ipg.monri.com/");
    assert!(!account.in_step);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.privacy.changes_days, 2555);
    for key in keys::SECTIONS.iter().flat_map(|(_, keys)| *keys) {
        let wants = !matches!(key.absent, Absent::Required | Absent::Means(_));
        assert_eq!(key.default_setting().is_some(), wants, "{}", key.name);
    }
}

#[test]
fn what_is_written_in_ascii_is_part_of_what_a_run_means() {
    let account = |lines: &str| {
        let config = right(&[STORE, "[accounts.a]\n", lines].concat());
        config.account("a").unwrap().semantic()
    };
    let ecrypt = "kind = \"ecrypt\"\napi_key = { env = \"MAIN_KEY\" }\n";
    let said = |all: &[(&str, String)]| -> Vec<String> {
        let of = all.iter().filter(|(key, _)| *key == "transliterate");
        of.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(said(&account(ecrypt)), ["false"]);
    assert_eq!(said(&account(&format!("{ecrypt}transliterate = true\n"))), ["true"]);
    let v2 = "kind = \"v2\"\nauthenticity_token = \"at\"\nmerchant_key = { env = \"EU_KEY\" }\n";
    let all = account(v2);
    let keys: Vec<&str> = all.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["reference_namespace", "transliterate", "on_unfit_field"]);
    assert_eq!(said(&all), ["false"]);
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:#?}", right(&filled(&whole_example())));
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!shown.contains(KEY), "{shown}");
    assert!(shown.contains("Secret(env GOV_SECRET)"), "{shown}");
}

#[test]
fn a_secret_where_it_does_not_belong_is_never_shown() {
    // Every secret of the whole example in turn is written in the file, in many ways, also under
    // misspelt keys.
    let example = whole_example();
    for (number, line) in example.lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let known = keys::SECTIONS.iter().flat_map(|(_, keys)| *keys);
        let mut known = known.chain(KINDS.iter().flat_map(|kind| kind.keys));
        let secret = known.any(|spec| spec.name == key && spec.is_secret());
        if line.starts_with('#') || !secret {
            continue;
        }
        for value in [
            "\"hunter2\"",
            "'hunter2'",
            "[\"hunter2\"]",
            "{ env = \"hunter2\" }",
            "{ value = \"hunter2\" }",
            "{ env = [\"hunter2\"] }",
            "\"hunter2",
            "hunter2",
            "\"\"\"\nhunter2\"\"\"",
            "\"\\qhunter2\"",
            "\"x\" # hunter2",
        ] {
            for name in [key.to_owned(), format!("{key}x"), format!("other_{key}")] {
                let wrong_line = format!("{name} = {value}");
                let mut lines: Vec<&str> = example.lines().collect();
                lines[number] = &wrong_line;
                let text = lines.join("\n");
                let Err(errors) = parse(&text, &all()) else { panic!("taken: {wrong_line}") };
                let shown = format!("{errors} {}", serde_json::to_string(&errors).unwrap());
                assert!(!shown.contains("hunter2"), "{wrong_line}: {errors}");
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_shows_no_secret() {
    let text = [
        STORE,
        GOV,
        "client_secret = \"hunter2\"\nwebhook_secret = ['hunter2', \"\"\"\n\
        hunter2\"\"\"]\nproxy = \"http://u:hunter2@h\"\n",
    ]
    .concat();
    for (at, _) in text.char_indices() {
        if let Err(errors) = parse(&text[..at], ONE) {
            assert!(!errors.to_string().contains("hunt"), "{errors}");
        }
    }
}

#[test]
fn only_what_is_needed_is_read() {
    let text = [
        STORE,
        GOV,
        "[accounts.other]\nkind = \"proxy-token\"\npayment_account_uid = \"b\"\n\
        bearer = { env = \"NO_SUCH\" }\n[server]\ndashboard_token = { env = \"NO_SUCH\" }\n",
    ]
    .concat();
    let load = |text: &str, options: &LoadOptions| {
        Config::parse(text, Path::new("onfile.toml"), &env, options, ONE)
    };
    let config = load(&text, &LoadOptions::for_accounts(["gov"])).unwrap();
    let bearer = |name: &str| {
        let account = config.account(name).unwrap();
        account.settings.secret("bearer").unwrap().value().map(|s| s.expose_secret().to_owned())
    };
    assert_eq!(bearer("gov").as_deref(), Some("canary"));
    assert_eq!(bearer("other"), None);
    assert!(config.store.keys[0].bytes().is_some());

    let config = load(&text, &LoadOptions::without_secrets()).unwrap();
    assert!(config.store.keys[0].bytes().is_none());
    let errors = load(&text, &LoadOptions::default()).unwrap_err();
    assert_eq!(errors.errors().len(), 2);

    let broken = text.replace("payment_account_uid = \"b\"\n", "");
    let errors = load(&broken, &LoadOptions::for_accounts(["gov"])).unwrap_err();
    assert_eq!(errors.errors()[0].code, Code::MissingKey);
}

#[test]
fn files_start_from_the_folder_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("onfile.toml");
    let missing = Config::load(&file, &env, &LoadOptions::default(), ONE).unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!(
            "{}: error[config_missing]: there is no such file\n  hint: `onfile init` writes one; \
             `--config FILE` or ONFILE_CONFIG names another",
            file.display()
        )
    );
    let text = "[store]\nurl = \"sqlite://data/onfile.db\"\nencryption_key = { file = \"key\" }\n";
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
    let config = Config::load(&file, &env, &LoadOptions::default(), ONE).unwrap();
    assert_eq!(config.store.url, StoreUrl::Sqlite(folder.path().join("data/onfile.db")));
    assert_eq!(config.store.keys[0].id, "default");
    assert_eq!(config.store.keys[0].bytes().unwrap().expose_secret()[31], 31);
    std::fs::write(&file, b"[store]\nurl = \"\xff\"\n").unwrap();
    let unreadable = Config::load(&file, &env, &LoadOptions::default(), ONE).unwrap_err();
    assert!(
        unreadable.to_string().contains("error[config_unreadable]: is not UTF-8 text (line 2)")
    );
}

#[test]
fn the_store_on_postgres() {
    let config = right(
        "[store]\nurl = \"postgres://onfile@db.example/onfile\"\n\
         password = { env = \"ONFILE_DB_PASSWORD\" }\nencryption_keys = [\n\
         { id = \"2026\", env = \"ONFILE_KEY_2026\" }, { id = \"default\", env = \"ONFILE_KEY\" }]\n",
    );
    let url = config.store.connect_url();
    assert_eq!(url.expose_secret(), "postgres://onfile:canary@db.example/onfile");
    let ids: Vec<&str> = config.store.keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["2026", "default"]);
    assert!(
        wrong("[store]\nurl = \"postgres://h/d?password=hunter2\"\n", ONE).contains("url = \"…\"")
    );
}

#[test]
fn an_address_that_may_hold_a_key_is_not_shown() {
    for (key, address) in [
        ("base_url", "https://api.example/?key=hunter2"),
        ("base_url", "https://hunter2@api.example"),
        ("base_url", "ftp://hunter2@api.example"),
        ("token_url", "HTTPS://api.example/token#hunter2"),
        ("proxy", "socks5://hunter2@proxy.example:1080"),
    ] {
        let said = wrong(&format!("{STORE}{GOV}{key} = \"{address}\"\n"), &all());
        assert!(said.contains("bad_url") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn identity_and_meaning() {
    let text = [
        STORE,
        GOV,
        "environment = \"test\"\nbase_url = \"http://127.0.0.1:4010/x\"\n\
        [accounts.main]\nkind = \"ecrypt\"\napi_key = { env = \"MAIN_KEY\" }\n\
        reference_field = \"merchant_identifier\"\n[canonical]\nprecedence = [\"main\"]\n",
    ]
    .concat();
    let config = right(&text);
    let identity: BTreeMap<_, _> = config.account("gov").unwrap().identity().into_iter().collect();
    assert_eq!(identity["host"], "127.0.0.1:4010");
    assert_eq!(identity["environment"], "test");
    assert_eq!(identity["payment_account_uid"], "pa_1");
    let main = config.account("main").unwrap();
    assert!(main.in_step);
    let meaning: BTreeMap<_, _> = config.semantic(main).into_iter().collect();
    assert_eq!(meaning["reference_field"], "merchant_identifier");
    assert_eq!(meaning["casing"], "snake");
    assert_eq!(meaning["on_unfit_field"], "reject");
    assert_eq!(meaning["precedence"], "main");
    assert_eq!(
        config.account("mian").unwrap_err().to_string(),
        "onfile.toml: error[unknown_account]: has no account \"mian\"\n  hint: did you mean `main`?"
    );
}

#[test]
fn places_count_characters_and_survive_tabs_and_byte_order_marks() {
    let text = "\u{feff}[store]\r\n\t\"üml\" = \"ß\"\r\n";
    let errors = parse(text, ONE).unwrap_err();
    let unknown = &errors.errors()[2];
    assert_eq!(
        unknown.to_string(),
        "onfile.toml:2:3: error[unknown_key]: store.\"üml\" is not a key of [store]\n  \
         2 |  \"üml\" = \"…\"\n    |   ^^^\n  hint: its keys are url, password, \
         ca_file, encryption_key, encryption_keys"
    );
}

#[test]
fn an_error_as_json() {
    let errors = parse(&[STORE, "[privacy]\nremoved_days = 0\n"].concat(), ONE).unwrap_err();
    assert_eq!(
        serde_json::to_value(&errors).unwrap()[0],
        serde_json::json!({
            "code": "out_of_range", "file": "onfile.toml", "line": 5, "column": 16,
            "path": "privacy.removed_days",
            "message": "privacy.removed_days must be an integer from 1 to 36500, found 0",
            "hint": "`removed_days`: days until the values of customers and methods that are gone \
                     are redacted",
        })
    );
}

#[test]
fn every_code_is_published_once() {
    let names: Vec<&str> = Code::ALL.iter().map(|(code, _)| code.as_str()).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    for (code, _) in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
}

#[test]
fn lengths_of_time() {
    for (text, seconds) in [("0", 0), ("90s", 90), ("12h", 43_200), ("1d12h", 129_600)] {
        assert_eq!(parse_duration(text).map(|time| time.as_secs()), Some(seconds), "{text}");
    }
    for text in ["", "12", "h", "1.5h", "-1d", "7 d", "7D", "9999999w", "99999999999999999999s"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
    for seconds in [0, 59, 3600, 14_400, 90_061, 604_800] {
        let text = show_duration(seconds);
        assert_eq!(parse_duration(&text).map(|time| time.as_secs()), Some(seconds), "{text}");
    }
}
