//! The reference of the configuration as Markdown, made from the same specs that read the file.

use std::fmt::Write as _;

use super::error::Code;
use super::keys::SECTIONS;
use super::kinds::KINDS;
use super::leaf::show_seconds;
use super::spec::{Absent, KeySpec, Role, Type};

const HEAD: &str = "# Configuration

One TOML file: `--config FILE`, else `ONFILE_CONFIG`, else `./onfile.toml`. `onfile init` writes one with comments,
`onfile check` reports everything that is wrong with it at once. This page is made from the code that reads the file.

- A secret is never in the file itself: `{ env = \"NAME\" }` takes it from an environment variable, `{ file = \"PATH\" }`
  from a file (the newline at its end does not count).
- Relative paths, and the file of `sqlite://`, start at the folder of the configuration.
- A key that is not known here is an error.
- (i): part of the account's identity; with data in the store a change is refused: another merchant is another account.
  (s): runs that began before a change of it do not resume.

";

/// The whole page: a table for each section and each kind of account, and the codes of errors.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    for (name, keys) in SECTIONS {
        let head = match *name {
            "accounts" => "[accounts.NAME]",
            "schedules" => "[[schedules]]",
            other => &format!("[{other}]"),
        };
        section(&mut out, &format!("## `{head}`"), keys);
        if *name == "accounts" {
            out.push_str(
                "`NAME` is 1 to 64 of `a-z 0-9 _ -`, starting with a letter or digit, and not \
                 `file`.\n\n",
            );
            kinds(&mut out);
        }
    }
    out.push_str("## Errors\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in Code::ALL {
        row(&mut out, &[&format!("`{code}`"), meaning]);
    }
    out
}

fn kinds(out: &mut String) {
    for kind in KINDS {
        section(out, &format!("### `kind = \"{}\"`: {}", kind.kind, kind.vendor), kind.keys);
        let mut line = format!("Address: `{}`", kind.base_url);
        if let Some(test) = kind.test_url {
            line.push_str(&format!(", with `environment = \"test\"` `{test}`"));
        }
        line.push('.');
        for (key, why) in kind.without {
            line.push_str(&format!(" No `{key}`: {why}."));
        }
        out.push_str(&line);
        out.push_str("\n\n");
    }
}

fn section(out: &mut String, head: &str, keys: &[KeySpec]) {
    out.push_str(head);
    out.push_str("\n\n| key | takes | default | meaning |\n|---|---|---|---|\n");
    rows(out, "", keys);
    out.push('\n');
}

fn rows(out: &mut String, path: &str, keys: &[KeySpec]) {
    for key in keys {
        let name = format!("`{path}{}`", key.name);
        let role = match key.role {
            Role::Plain => "",
            Role::Identity => " (i)",
            Role::Semantic => " (s)",
        };
        row(out, &[&name, &key.words(), &absent(key), &format!("{}{role}", key.doc)]);
        if let Type::Table(inner) = key.ty {
            rows(out, &format!("{path}{}.", key.name), inner);
        }
    }
}

fn absent(key: &KeySpec) -> String {
    match key.absent {
        Absent::Required => "**required**".to_owned(),
        Absent::Means(words) => words.to_owned(),
        Absent::Str(text) => format!("`\"{text}\"`"),
        Absent::Int(number) => format!("`{number}`"),
        Absent::Bool(truth) => format!("`{truth}`"),
        Absent::Seconds(seconds) => format!("`{}`", show_seconds(key, seconds)),
        Absent::Table => String::new(),
    }
}

fn row(out: &mut String, cells: &[&str]) {
    for cell in cells {
        // Writing into a String cannot fail.
        let _ = write!(out, "| {} ", cell.replace('|', "\\|"));
    }
    out.push_str("|\n");
}
