//! Wrong files, and the exact text that says so.

use super::{ONE, STORE, wrong};

#[test]
fn secrets_that_are_not_there() {
    let text = r#"[store]
url = "sqlite://onfile.db"
encryption_key = { env = "NO_SUCH" }

[accounts.gov]
kind = "proxy-token"
payment_account_uid = "pa_1"
bearer = { file = "no-such-file" }
webhook_secret = [{ env = "EMPTY" }, { env = "hunter2" }]
"#;
    let expected = r#"onfile.toml:3:18: error[secret_missing]: store.encryption_key has no value: the environment variable NO_SUCH is not set
  3 | encryption_key = { env = "NO_SUCH" }
    |                  ^^^^^^^^^^^^^^^^^^^
  hint: export NO_SUCH=…

onfile.toml:8:10: error[secret_missing]: accounts.gov.bearer has no value: the file no-such-file is not there
  8 | bearer = { file = "no-such-file" }
    |          ^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: a relative path starts at the folder of the configuration

onfile.toml:9:19: error[secret_missing]: accounts.gov.webhook_secret[0] has no value: the environment variable EMPTY is empty
  9 | webhook_secret = [{ env = "EMPTY" }, { env = "…" }]
    |                   ^^^^^^^^^^^^^^^^^
  hint: export EMPTY=…

onfile.toml:9:38: error[secret_missing]: accounts.gov.webhook_secret[1] has no value: the environment variable named here (not shown: it has small letters) is not set
  9 | webhook_secret = [{ env = "EMPTY" }, { env = "…" }]
    |                                      ^^^^^^^^^^^^^
  hint: `env` takes the name of a variable, not the secret itself

4 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn encryption_keys_of_the_wrong_length() {
    let text = r#"[store]
url = "sqlite://onfile.db"
encryption_keys = [
  { id = "a", env = "SHORT" },
  { id = "a", env = "ONFILE_KEY" },
  { id = "b", env = "NOT_BASE64" },
]
"#;
    let expected = r#"onfile.toml:4:3: error[secret_bad]: store.encryption_keys[0] must be 32 bytes in base64; env SHORT holds 6 bytes, not 32
  4 |   { id = "a", env = "SHORT" },
    |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: `onfile keys generate` prints a key

onfile.toml:5:10: error[duplicate_name]: store.encryption_keys[1].id = "a" is there twice
  5 |   { id = "a", env = "ONFILE_KEY" },
    |          ^^^
  hint: each key has an id of its own

onfile.toml:6:3: error[secret_bad]: store.encryption_keys[2] must be 32 bytes in base64; env NOT_BASE64 is not base64
  6 |   { id = "b", env = "NOT_BASE64" },
    |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: `onfile keys generate` prints a key

3 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn addresses_that_would_leak() {
    let text = r#"[store]
url = "postgres://onfile:hunter2@db.example/onfile"
encryption_key = { env = "ONFILE_KEY" }

[accounts.gov]
kind = "proxy-token"
payment_account_uid = "pa_1"
bearer = { env = "GOV_BEARER" }
base_url = "http://api.example"
proxy = "http://me:hunter2@proxy:3128"
"#;
    let expected = r#"onfile.toml:2:7: error[plain_secret]: store.url holds a password; a secret belongs in the environment or in a file of its own
  2 | url = "…"
    |       ^^^
  hint: take it out of the address and write `password = { env = "ONFILE_DB_PASSWORD" }` in [store]

onfile.toml:9:12: error[bad_url]: accounts.gov.base_url = "http://api.example" would send secrets in clear: http is only for localhost, 127.0.0.0/8 and ::1
  9 | base_url = "http://api.example"
    |            ^^^^^^^^^^^^^^^^^^^^
  hint: use https://

onfile.toml:10:9: error[plain_secret]: accounts.gov.proxy is written in the file; a secret belongs in the environment or in a file of its own
  10 | proxy = "…"
     |         ^^^
  hint: write `proxy = { env = "GOV_PROXY" }`

3 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn schedules() {
    let text = &[
        STORE,
        r#"
[[schedules]]
name = "nightly"
job = "pull gov"
cron = "15 2 * * *"
timezone = "America/Denvr"

[[schedules]]
name = "nightly"
cron = "0 15 2 * * *"
catch_up = "onec"
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:7:7: error[unknown_account]: schedules[0].job names gov, which is no account of this file
  7 | job = "pull gov"
    |       ^^^^^^^^^^
  hint: there is none yet: add [accounts.NAME]

onfile.toml:8:8: error[bad_value]: schedules[0].cron must be six fields: second minute hour day month weekday, found "15 2 * * *"
  8 | cron = "15 2 * * *"
    |        ^^^^^^^^^^^^
  hint: write `cron = "0 15 2 * * *"`

onfile.toml:9:12: error[unknown_timezone]: schedules[0].timezone = "America/Denvr" is no time zone
  9 | timezone = "America/Denvr"
    |            ^^^^^^^^^^^^^^^
  hint: did you mean "America/Denver"?

onfile.toml:11:1: error[missing_key]: schedules[1].job is missing
  11 | [[schedules]]
     | ^^^^^^^^^^^^^
  hint: add `job = "…"`: a job as the command line takes it, such as `pull ACCOUNT` or `import ACCOUNT --inbox DIR`; relative paths start at this file's folder

onfile.toml:12:8: error[duplicate_name]: schedules[1].name = "nightly" is there twice
  12 | name = "nightly"
     |        ^^^^^^^^^
  hint: what a schedule did is kept by its name

onfile.toml:14:12: error[bad_value]: schedules[1].catch_up must be "once" or "skip", found "onec"
  14 | catch_up = "onec"
     |            ^^^^^^
  hint: write `catch_up = "once"`

6 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn broken_toml_is_one_error() {
    let text = r#"[accounts.gov]
client_secret = "hunter2
kind = 1
"#;
    let expected = "onfile.toml:2:25: error[config_syntax]: a text does not end
  2 | client_secret = …
    |                  ^
  hint: a text ends with the quote it began with, in the same line";
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn a_key_twice() {
    let text = r#"[accounts.gov]
client_secret = "hunter2"
client_secret = "hunter3"
"#;
    let expected = "onfile.toml:3:1: error[duplicate_key]: the key client_secret is there twice
  3 | client_secret = …
    | ^^^^^^^^^^^^^
  hint: it is also in line 2; keep one";
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn sections() {
    let text = r#"[stor]
url = "hunter2"

[server]
listen = "8080"
"#;
    let expected = r#"onfile.toml: error[missing_key]: store is missing
  hint: add `[store]` with `url` and `encryption_key`; `onfile init` writes an example

onfile.toml:1:2: error[unknown_key]: stor is not a section of this file
  1 | [stor]
    |  ^^^^
  hint: did you mean `store`?

onfile.toml:5:10: error[bad_value]: server.listen must be an address and port such as "127.0.0.1:8080", found "8080"
  5 | listen = "8080"
    |          ^^^^^^
  hint: write `listen = "127.0.0.1:8080"`

3 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn both_kinds_of_encryption_key() {
    let text = &[
        STORE,
        r#"encryption_keys = [{ id = "a", env = "ONFILE_KEY" }]
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:4:19: error[conflict]: store.encryption_key and encryption_keys exclude each other
  4 | encryption_keys = [{ id = "a", env = "ONFILE_KEY" }]
    |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: keep the list, with the single key in it as `id = "default"`"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn seven_errors_at_once_in_order() {
    let text = r#"[store]
url = "mysql://db"
encryption_key = "hunter2"

[accounts.gov]
kind = "proxy-token"
payment_acount_uid = "pa_1"
bearer = { env = "NO_SUCH" }
rate = { per_second = -1 }
in_step = "yes"

[privacy]
removed_days = 0
"#;
    let expected = r#"onfile.toml:2:7: error[bad_url]: store.url = "mysql://db" has the scheme mysql; no store of that sort
  2 | url = "mysql://db"
    |       ^^^^^^^^^^^^
  hint: write "sqlite://onfile.db" or "postgres://user@host/database"

onfile.toml:3:18: error[plain_secret]: store.encryption_key is written in the file; a secret belongs in the environment or in a file of its own
  3 | encryption_key = "…"
    |                  ^^^
  hint: write `encryption_key = { env = "ONFILE_KEY" }`

onfile.toml:7:1: error[unknown_key]: accounts.gov.payment_acount_uid is not a key of a proxy-token account
  7 | payment_acount_uid = "pa_1"
    | ^^^^^^^^^^^^^^^^^^
  hint: did you mean `payment_account_uid`?

onfile.toml:8:10: error[secret_missing]: accounts.gov.bearer has no value: the environment variable NO_SUCH is not set
  8 | bearer = { env = "NO_SUCH" }
    |          ^^^^^^^^^^^^^^^^^^^
  hint: export NO_SUCH=…

onfile.toml:9:23: error[out_of_range]: accounts.gov.rate.per_second must be a number above 0, at most 10000, found -1
  9 | rate = { per_second = -1 }
    |                       ^^
  hint: `per_second`: calls a second, on average

onfile.toml:10:11: error[wrong_type]: accounts.gov.in_step must be true or false, found text
  10 | in_step = "yes"
     |           ^^^^^
  hint: write `in_step = true`

onfile.toml:13:16: error[out_of_range]: privacy.removed_days must be an integer from 1 to 36500, found 0
  13 | removed_days = 0
     |                ^
  hint: `removed_days`: days until the values of customers and methods that are gone are redacted

7 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}
