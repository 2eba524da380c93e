//! The command line where no database matters: configuration, demo, keys, sandbox.

use std::future::Future;
use std::path::Path;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::binary::Onfile;
use crate::env::Env;

type Result = anyhow::Result<()>;

fn case<F, Fut>(env: &Env, name: &str, run: F) -> Trial
where
    F: FnOnce(tempfile::TempDir) -> Fut + Send + 'static,
    Fut: Future<Output = Result>,
{
    env.trial("cli", name, async move || run(tempfile::tempdir()?).await)
}

pub fn trials(env: &Env) -> Vec<Trial> {
    vec![
        case(env, "demo_needs_nothing", demo),
        case(env, "init_writes_once_and_check_says_everything", init),
        case(env, "keys_are_32_bytes", keys),
        case(env, "wrong_configurations_exit_4", wrong_configurations),
        case(env, "a_file_that_is_wrong_as_a_whole_says_where", wrong_files),
        case(env, "observe_goes_with_dry_run", observe_alone),
        case(env, "an_import_in_the_wrong_order_says_so", wrong_order),
        case(env, "help_has_commands_and_topics", help),
        case(env, "every_call_is_logged_with_its_permit", call_log),
    ]
}

/// As on a machine without a network: a proxy at a closed port, no certificates.
fn cut_off(folder: &Path) -> Onfile {
    Onfile::new(folder)
        .with_env("HTTP_PROXY", "http://127.0.0.1:9")
        .with_env("http_proxy", "http://127.0.0.1:9")
        .with_env("HTTPS_PROXY", "http://127.0.0.1:9")
        .with_env("ALL_PROXY", "http://127.0.0.1:9")
        .with_env("SSL_CERT_FILE", "/nonexistent")
        .with_env("SSL_CERT_DIR", "/nonexistent")
        .with_env("TMPDIR", &folder.display().to_string())
}

async fn demo(folder: tempfile::TempDir) -> Result {
    let ran = cut_off(folder.path()).run(&["demo"]).await?.expect(0)?;
    for text in [
        "balanced: every row has one outcome",
        "POST /api/saved-payment-methods/import",
        "16 seen",
        "unchanged             20",
        "18 seen: 18 unchanged",
        "5 of 5 rows created: 5 customers, 4 payment methods",
        "4 of 4 rows created: 4 customers, 0 payment methods",
        "3 of 3 rows created: 2 customers, 3 payment methods",
        "Morales Pottery            from main",
        "+38761000101               from eu",
        "0x52908400…                from chain",
    ] {
        ensure!(ran.stdout.contains(text), "not said: {text}\n{}", ran.stdout);
    }
    let (_, page) = ran.stdout.trim_end().rsplit_once(' ').context("it says no path")?;
    let page = std::fs::read_to_string(page).with_context(|| page.to_owned())?;
    ensure!(page.contains("All 20 rows are in place at gov."), "{page}");
    let ran = cut_off(folder.path()).run(&["demo", "--json"]).await?.expect(0)?;
    ensure!(ran.json()?.pointer("/jobs/2/calls/changing") == Some(&0.into()), "{ran:?}");
    Ok(())
}

async fn init(folder: tempfile::TempDir) -> Result {
    let onfile = Onfile::new(folder.path());
    onfile.run(&["init"]).await?.expect(0)?;
    let again = onfile.run(&["init"]).await?.expect(1)?;
    ensure!(again.stderr.contains("is there already"), "{again:?}");
    // Nothing is set: each missing variable is named, all at once.
    let ran = onfile.run(&["check"]).await?.expect(4)?;
    for name in ["ONFILE_KEY", "GOV_ID", "GOV_SECRET"] {
        ensure!(ran.stderr.contains(name), "{name}: {}", ran.stderr);
    }
    // With all of them, what the template leaves to be filled in is.
    let set = onfile.with_env("ONFILE_KEY", crate::jobs::KEY);
    let ran = set.with_env("GOV_ID", "i").with_env("GOV_SECRET", "s").run(&["check"]).await?;
    let ran = ran.expect(4)?;
    for place in ["onfile.toml:29:23: error[placeholder]", "onfile.toml:30:13: error[placeholder]"]
    {
        ensure!(ran.stderr.contains(place), "{place}: {}", ran.stderr);
    }
    ensure!(ran.stderr.contains("2 errors"), "{}", ran.stderr);
    Ok(())
}

async fn keys(folder: tempfile::TempDir) -> Result {
    let onfile = Onfile::new(folder.path());
    let one = onfile.run(&["keys", "generate"]).await?.expect(0)?.stdout;
    let two = onfile.run(&["keys", "generate"]).await?.expect(0)?.stdout;
    ensure!(one.trim().len() == 44 && one.trim().ends_with('='), "{one}");
    ensure!(one != two);
    Ok(())
}

async fn wrong_configurations(folder: tempfile::TempDir) -> Result {
    let onfile =
        Onfile::new(folder.path()).with_env("ONFILE_KEY", crate::jobs::KEY).with_env("BEARER", "b");
    let good = "[store]\nurl = \"sqlite://s.db\"\nencryption_key = { env = \"ONFILE_KEY\" }\n\n\
                [accounts.gov]\nkind = \"proxy-token\"\npayment_account_uid = \"pa\"\n\
                bearer = { env = \"BEARER\" }\n";
    let cases = [
        ("there is no such file", None, "config_missing"),
        ("not TOML", Some("[store\n".to_owned()), "config_syntax"),
        ("a misspelt key", Some(good.replace("kind", "kinnd")), "unknown_key"),
        (
            "a secret in the file",
            Some(good.replace("{ env = \"BEARER\" }", "\"s3cret-canary\"")),
            "plain_secret",
        ),
        (
            "a variable that is not set",
            Some(good.replace("\"BEARER\"", "\"NOT_SET\"")),
            "secret_missing",
        ),
        ("an unknown kind", Some(good.replace("proxy-token", "proxytoken")), "unknown_kind"),
        ("a rate of nothing", Some(format!("{good}rate = {{ per_second = 0 }}\n")), "out_of_range"),
        (
            "a quarantine that is too short",
            Some(format!("{good}quarantine_seconds = 10\n")),
            "quarantine_short",
        ),
    ];
    for (what, text, code) in cases {
        if let Some(text) = &text {
            std::fs::write(folder.path().join("onfile.toml"), text)?;
        }
        let ran = onfile.run(&["check"]).await?.expect(4)?;
        ensure!(ran.stderr.contains(&format!("error[{code}]")), "{what}: {}", ran.stderr);
        ensure!(ran.stderr.contains("hint:"), "{what}: {}", ran.stderr);
        ensure!(!ran.stderr.contains("s3cret-canary"), "{what}: {}", ran.stderr);
        ensure!(!folder.path().join("s.db").exists(), "{what}: a store was made");
    }
    Ok(())
}

async fn wrong_files(folder: tempfile::TempDir) -> Result {
    let onfile = one_account(folder.path())?;
    let cases: [(&[u8], &str); 6] = [
        (b"", "empty_file"),
        (b"name\nAda\n", "missing_column"),
        (b"reference,nmae\nC-1,Ada\n", "unknown_column"),
        (b"reference,name,name\nC-1,Ada,Ada\n", "duplicate_column"),
        (b"\xff\xfer\0e\0f\0", "not_utf8"),
        (b"reference,na\"me\n", "bad_header"),
    ];
    for (bytes, wanted) in cases {
        std::fs::write(folder.path().join("f.csv"), bytes)?;
        let ran = onfile.run(&["import", "gov", "f.csv"]).await?.expect(1)?;
        ensure!(ran.stderr.contains(wanted), "{wanted}: {}", ran.stderr);
        ensure!(ran.stderr.contains("hint:"), "{wanted}: {}", ran.stderr);
    }
    std::fs::write(folder.path().join("f.csv"), "reference,nmae\nC-1,Ada\n")?;
    let ran = onfile.run(&["import", "gov", "f.csv", "--json"]).await?.expect(1)?.json()?;
    let place = ["file", "line", "column"].map(|key| ran.pointer(&format!("/errors/0/{key}")));
    ensure!(place == [Some(&"f.csv".into()), Some(&1.into()), Some(&"nmae".into())], "{ran}");
    let runs = onfile.run(&["runs", "--json"]).await?.expect(0)?;
    ensure!(runs.json()?.pointer("/runs") == Some(&serde_json::json!([])), "{runs:?}");
    Ok(())
}

async fn wrong_order(folder: tempfile::TempDir) -> Result {
    let onfile = one_account(folder.path())?;
    std::fs::write(folder.path().join("f.csv"), "reference,name\nC-1,Ada\n")?;
    let ran = onfile.run(&["import", "f.csv", "gov"]).await?.expect(1)?;
    ensure!(ran.stderr.contains("did you mean `onfile import gov f.csv`?"), "{ran:?}");
    let ran = onfile.run(&["import", "f.csv", "gov", "--json"]).await?.expect(1)?.json()?;
    ensure!(ran.pointer("/errors/0/code") == Some(&"usage".into()), "{ran}");
    // A file that is not there, and an account that is not there, are what they are.
    for args in [["import", "g.csv", "gov"], ["import", "f.csv", "gow"]] {
        let ran = onfile.run(&args).await?.expect(4)?;
        ensure!(ran.stderr.contains("error[unknown_account]"), "{ran:?}");
    }
    Ok(())
}

/// With one account, where nobody listens.
fn one_account(folder: &Path) -> anyhow::Result<Onfile> {
    std::fs::write(
        folder.join("onfile.toml"),
        "[store]\nurl = \"sqlite://s.db\"\nencryption_key = { env = \"ONFILE_KEY\" }\n\n\
         [accounts.gov]\nkind = \"proxy-token\"\npayment_account_uid = \"pa\"\n\
         bearer = { env = \"BEARER\" }\nbase_url = \"http://127.0.0.1:9\"\n",
    )?;
    Ok(Onfile::new(folder).with_env("ONFILE_KEY", crate::jobs::KEY).with_env("BEARER", "b"))
}

async fn observe_alone(folder: tempfile::TempDir) -> Result {
    let onfile = Onfile::new(folder.path());
    // Before anything is looked at: there is no configuration and no file.
    let ran = onfile.run(&["import", "gov", "f.csv", "--observe"]).await?.expect(1)?;
    ensure!(ran.stderr.contains("--dry-run") && ran.stderr.contains("hint:"), "{ran:?}");
    let ran = onfile.run(&["import", "gov", "f.csv", "--observe", "--json"]).await?.expect(1)?;
    ensure!(ran.json()?.pointer("/errors/0/code") == Some(&"usage".into()), "{ran:?}");
    let help = onfile.run(&["help", "import"]).await?.expect(0)?.stdout;
    ensure!(help.contains("--observe"), "{help}");
    Ok(())
}

async fn help(folder: tempfile::TempDir) -> Result {
    let onfile = Onfile::new(folder.path());
    let codes = onfile.run(&["help", "codes"]).await?.expect(0)?.stdout;
    ensure!(codes.trim() == include_str!("../../crates/model/codes.md").trim(), "{codes}");
    let config = onfile.run(&["help", "config"]).await?.expect(0)?.stdout;
    ensure!(config.contains("## `[accounts.NAME]`"), "{config}");
    let import = onfile.run(&["help", "import"]).await?.expect(0)?.stdout;
    ensure!(import.contains("Usage: onfile import") && import.contains("--not-pan"), "{import}");
    let whole = onfile.run(&["help"]).await?.expect(0)?.stdout;
    ensure!(whole.contains("Usage: onfile") && whole.contains("onfile help TOPIC"), "{whole}");
    let wrong = onfile.run(&["help", "codez"]).await?.expect(1)?;
    ensure!(wrong.stderr.contains("codes, config, providers, sandbox"), "{wrong:?}");
    let one = onfile.run(&["help", "codes", "outcome_unknown"]).await?.expect(0)?.stdout;
    for text in [
        "No answer, or one that does not tell",
        "unresolved",
        "hint: `onfile effects list` names it",
    ] {
        ensure!(one.contains(text), "{text}: {one}");
    }
    // A word of both lists.
    let one = onfile.run(&["help", "codes", "bad_value"]).await?.expect(0)?.stdout;
    ensure!(one.contains("a row, which is rejected") && one.contains("the configuration"), "{one}");
    let wrong = onfile.run(&["help", "codes", "outcome_unknwon"]).await?.expect(1)?;
    ensure!(wrong.stderr.contains("did you mean `outcome_unknown`?"), "{wrong:?}");
    Ok(())
}

async fn call_log(folder: tempfile::TempDir) -> Result {
    let ran = cut_off(folder.path()).run(&["-v", "demo"]).await?.expect(0)?;
    let calls: Vec<&str> =
        ran.stderr.lines().filter(|line| line.contains("onfile::calls")).collect();
    // Sixteen customers, one batch, one token, and the pull's reads at the least.
    ensure!(calls.len() >= 36, "{} calls:\n{}", calls.len(), ran.stderr);
    let mut permits = std::collections::BTreeSet::new();
    for call in calls {
        let said = |name: &str| {
            let word = call.split_whitespace().find_map(|word| word.strip_prefix(name));
            word.map(str::to_owned).with_context(|| format!("a call without {name}: {call}"))
        };
        // They are counted for each account.
        let permit = (said("account=")?, said("permit=")?);
        ensure!(permits.insert(permit), "a permit used twice: {call}");
    }
    Ok(())
}
