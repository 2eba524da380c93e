//! Wrong accounts, and the exact text that says so.

use super::{EXAMPLE, GOV, ONE, STORE, all, whole_example, wrong};

#[test]
fn an_unknown_key_names_the_nearest() {
    let text = &[
        STORE,
        "\n",
        GOV,
        r#"payment_acount_uid = "pa_1"
foo = 1
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:9:1: error[unknown_key]: accounts.gov.payment_acount_uid is not a key of a proxy-token account
  9 | payment_acount_uid = "pa_1"
    | ^^^^^^^^^^^^^^^^^^
  hint: did you mean `payment_account_uid`?

onfile.toml:10:1: error[unknown_key]: accounts.gov.foo is not a key of a proxy-token account
  10 | foo = …
     | ^^^
  hint: its keys are kind, base_url, environment, rate, timeout_seconds, late_seconds, quarantine_seconds, reference_namespace, match_by_email, in_step, methods_max_age, calls_budget, on_unfit_field, proxy, ca_file, webhook_secret, replay_window, payment_account_uid, token_url, client_id, client_secret, scope, bearer, import_batch, import_dedupes

2 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn a_plain_secret_is_refused_and_not_shown() {
    let text = &[
        STORE,
        r#"
[accounts.gov]
kind = "proxy-token"
payment_account_uid = "pa_1"
token_url = "https://login.example/oauth2/token"
client_id = { env = "GOV_ID" }
client_secret = "hunter2"
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:10:17: error[plain_secret]: accounts.gov.client_secret is written in the file; a secret belongs in the environment or in a file of its own
  10 | client_secret = "…"
     |                 ^^^
  hint: write `client_secret = { env = "GOV_SECRET" }`"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn keys_of_another_kind_say_whose_they_are() {
    let text = &[
        STORE,
        "\n",
        GOV,
        r#"api_key = { env = "X" }
casing = "camel"
merchant_key = { env = "X" }
transliterate = true
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:9:1: error[other_kind]: accounts.gov.api_key is a key of ecrypt and noderails accounts, this one is proxy-token
  9 | api_key = { env = "X" }
    | ^^^^^^^
  hint: remove the line

onfile.toml:10:1: error[other_kind]: accounts.gov.casing is a key of ecrypt accounts, this one is proxy-token
  10 | casing = "camel"
     | ^^^^^^
  hint: remove the line

onfile.toml:11:1: error[other_kind]: accounts.gov.merchant_key is a key of v2 accounts, this one is proxy-token
  11 | merchant_key = { env = "X" }
     | ^^^^^^^^^^^^
  hint: remove the line

onfile.toml:12:1: error[other_kind]: accounts.gov.transliterate is a key of ecrypt accounts, this one is proxy-token
  12 | transliterate = true
     | ^^^^^^^^^^^^^
  hint: remove the line

4 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn kinds_that_are_unknown_or_not_built() {
    let text = &[
        STORE,
        r#"
[accounts.a]
kind = "proxytoken"
payment_account_uid = "pa_1"

[accounts.b]
kind = "v2"
authenticity_token = "at_1"
merchant_key = { env = "GOV_ID" }

[accounts.c]
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:6:8: error[unknown_kind]: accounts.a.kind = "proxytoken" is not a kind that onfile knows
  6 | kind = "proxytoken"
    |        ^^^^^^^^^^^^
  hint: did you mean "proxy-token"?

onfile.toml:10:8: error[kind_not_built]: accounts.b.kind = "v2" is not in this build
  10 | kind = "v2"
     |        ^^^^
  hint: this build has: proxy-token

onfile.toml:14:11: error[missing_key]: accounts.c.kind is missing
  14 | [accounts.c]
     |           ^
  hint: add `kind = "…"`; this build has: proxy-token

3 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn a_quarantine_that_is_too_short() {
    let text = &[
        STORE,
        "\n",
        GOV,
        "timeout_seconds = 30
late_seconds = 20
quarantine_seconds = 50
",
    ]
    .concat();
    let expected = "onfile.toml:11:22: error[quarantine_short]: accounts.gov.quarantine_seconds = 50 is too short: a lost call may still take effect for 53 s (3 to send + 30 timeout + 20 late)
  11 | quarantine_seconds = 50
     |                      ^^
  hint: write at least `quarantine_seconds = 53`";
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn numbers_outside_their_range() {
    let text = &[
        STORE,
        "\n",
        GOV,
        r#"rate = { per_second = 0, burst = 0, in_flight = 1001, brst = 2 }
timeout_seconds = "30"
methods_max_age = 0
replay_window = "4 hours"
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:9:23: error[out_of_range]: accounts.gov.rate.per_second must be a number above 0, at most 10000, found 0
  9 | rate = { per_second = 0, burst = 0, in_flight = 1001, brst = 2 }
    |                       ^
  hint: `per_second`: calls a second, on average

onfile.toml:9:34: error[out_of_range]: accounts.gov.rate.burst must be an integer from 1 to 10000, found 0
  9 | rate = { per_second = 0, burst = 0, in_flight = 1001, brst = 2 }
    |                                  ^
  hint: `burst`: calls that may start at once; a sliding second holds at most per_second + burst

onfile.toml:9:49: error[out_of_range]: accounts.gov.rate.in_flight must be an integer from 1 to 1000, found 1001
  9 | rate = { per_second = 0, burst = 0, in_flight = 1001, brst = 2 }
    |                                                 ^^^^
  hint: `in_flight`: calls that may be under way together

onfile.toml:9:55: error[unknown_key]: accounts.gov.rate.brst is not a key of `rate`
  9 | rate = { per_second = 0, burst = 0, in_flight = 1001, brst = 2 }
    |                                                       ^^^^
  hint: did you mean `burst`?

onfile.toml:10:19: error[wrong_type]: accounts.gov.timeout_seconds must be seconds, a number from 0.1 to 600, found text
  10 | timeout_seconds = "30"
     |                   ^^^^
  hint: write `timeout_seconds = 30`

onfile.toml:11:19: error[wrong_type]: accounts.gov.methods_max_age must be a length of time such as "0", "90m", "12h", "7d", found an integer
  11 | methods_max_age = 0
     |                   ^
  hint: write `methods_max_age = "0"`

onfile.toml:12:17: error[bad_value]: accounts.gov.replay_window must be a length of time such as "0", "90m", "12h", "7d", found "4 hours"
  12 | replay_window = "4 hours"
     |                 ^^^^^^^^^
  hint: write `replay_window = "12h"`

7 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn two_ways_to_sign_in() {
    let text = &[
        STORE,
        "\n",
        GOV,
        r#"client_id = { env = "GOV_ID" }
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:9:13: error[conflict]: accounts.gov.client_id and bearer exclude each other
  9 | client_id = { env = "GOV_ID" }
    |             ^^^^^^^^^^^^^^^^^^
  hint: keep one way to sign in"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn names() {
    let text = &[
        STORE,
        r#"
[canonical]
precedence = ["gvo", "file", "file"]

[accounts.gov]
kind = "proxy-token"
payment_account_uid = "pa_1"
bearer = { env = "GOV_BEARER" }

[accounts.Gov2]
kind = "proxy-token"
payment_account_uid = "pa_1"
token_url = "https://login.example/token"
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:6:15: error[unknown_account]: canonical.precedence[0] = "gvo" is no account of this file
  6 | precedence = ["gvo", "file", "file"]
    |               ^^^^^
  hint: did you mean "gov"?

onfile.toml:6:30: error[duplicate_name]: canonical.precedence[2] = "file" is there twice
  6 | precedence = ["gvo", "file", "file"]
    |                              ^^^^^^
  hint: remove the second

onfile.toml:13:11: error[name_bad]: accounts.Gov2 must be named with 1 to 64 of a-z, 0-9, _ and -, starting with a letter or digit
  13 | [accounts.Gov2]
     |           ^^^^
  hint: rename the account; its name is also in `POST /hooks/{account}`

onfile.toml:13:11: error[missing_key]: accounts.Gov2.client_id is missing
  13 | [accounts.Gov2]
     |           ^^^^
  hint: add `client_id = { env = "GOV2_ID" }`; the three OAuth keys belong together

onfile.toml:13:11: error[missing_key]: accounts.Gov2.client_secret is missing
  13 | [accounts.Gov2]
     |           ^^^^
  hint: add `client_secret = { env = "GOV2_SECRET" }`; the three OAuth keys belong together

5 errors in onfile.toml"#;
    assert_eq!(wrong(text, ONE), expected);
}

#[test]
fn noderails_keys() {
    let text = &[
        STORE,
        r#"
[accounts.chain]
kind = "noderails"
environment = "live"
app_id = "not-a-uuid"
api_key = { env = "CHAIN_PK" }

[accounts.chain2]
kind = "noderails"
environment = "live"
app_id = "0b54a9b4-52a3-4a5f-8f1b-1f0b2f6a9c11"
api_key = { env = "CHAIN_TEST" }
"#,
    ]
    .concat();
    let expected = r#"onfile.toml:8:10: error[bad_value]: accounts.chain.app_id must be a UUID, found "not-a-uuid"
  8 | app_id = "not-a-uuid"
    |          ^^^^^^^^^^^^
  hint: write `app_id = "00000000-0000-0000-0000-000000000000"`

onfile.toml:9:11: error[secret_bad]: accounts.chain.api_key is a publishable key (pk)
  9 | api_key = { env = "CHAIN_PK" }
    |           ^^^^^^^^^^^^^^^^^^^^
  hint: use the secret key, which starts with nr_live_sk_ or nr_test_sk_

onfile.toml:15:11: error[conflict]: accounts.chain2.api_key is a test key, environment is live
  15 | api_key = { env = "CHAIN_TEST" }
     |           ^^^^^^^^^^^^^^^^^^^^^^
  hint: use a live key, or change `environment`

3 errors in onfile.toml"#;
    assert_eq!(wrong(text, &all()), expected);
}

#[test]
fn a_template_that_is_not_filled_in() {
    let expected = r#"onfile.toml:29:23: error[placeholder]: accounts.gov.payment_account_uid is not filled in
  29 | payment_account_uid = "pa_REPLACE_ME"
     |                       ^^^^^^^^^^^^^^^
  hint: write your own value: the merchant, sent with every call; a wrong one acts on another merchant

onfile.toml:30:13: error[placeholder]: accounts.gov.token_url is not filled in
  30 | token_url = "https://REPLACE-ME.example.com/oauth2/token"
     |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: write your own value: where OAuth tokens come from

2 errors in onfile.toml"#;
    assert_eq!(wrong(EXAMPLE, ONE), expected);
    let whole = wrong(&whole_example(), &all());
    assert_eq!(whole.matches("error[placeholder]").count(), 4, "{whole}");
    assert!(whole.ends_with("4 errors in onfile.toml"), "{whole}");
    let brackets = wrong(&format!("{STORE}{}", GOV.replace("pa_1", "<your uid>")), ONE);
    assert!(brackets.contains("error[placeholder]"), "{brackets}");
}
