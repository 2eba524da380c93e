//! Bad input, one line for each: what is given, how onfile ends, and what it says about it.
//!
//! The columns of the table:
//!
//! - **given**: cells that differ from a good row, which stands on line 3 behind another good row
//!   (`/` begins one more row, `=>` begins the file of a second import); or `file` and the text of
//!   a whole file; or `@` and what [`run::Given`] makes.
//! - **options** of `onfile import`.
//! - **exit**, and who speaks: a row (`created`, `rejected`), the `file`, the `config`, the
//!   `store`, or a `warning`.
//! - **code**, and **at**: line and column, for a configuration its key. `-` says nothing.
//! - what the **message** says, and the **hint**.
//! - what the **provider** holds afterwards: `-` is nothing, and it was not called at all.
//!
//! No message, report or log repeats a token, or a cell that was taken for a card number.

mod run;

use libtest_mimic::Trial;

use crate::env::{Database, Env};

const TABLE: &str = r#"
what                                | given                                         | options            | exit | by       | code             | at            | message                       | hint                     | provider
a column is missing                 | file name\nAda\n                              |                    | 1 | file     | missing_column   | 1:reference   | expected it in every file     | is required              | -
there is no header                  | file tok_a,C-1,Ada\ntok_b,C-2,Ben\n           | --ignore-unknown   | 1 | file     | missing_column   | 1:reference   | no column that is known       | names the columns        | -
a column is not known               | file reference,nmae\nC-1,Ada\n                |                    | 1 | file     | unknown_column   | 1:nmae        | is not known, expected        | did you mean `name`?     | -
a column stands twice               | file reference,name,name\nC-1,Ada,Ada\n       |                    | 1 | file     | duplicate_column | 1:name        | expected it once              | keep one                 | -
a card number names a column        | file reference,4111111111111111\nC-1,Ada\n    |                    | 1 | file     | pan_found        | 1:2           | expected the name of a column | is it missing?           | -
a stray quote                       | file reference,name\nG-1,Gus\nB-1,Bo"b\n      |                    | 2 | rejected | bad_quote        | 3:name        | does not begin with one       | write a quote inside it  | G-1:
a card number before a stray quote  | file reference,name\nG-1,Gus\n4111111111111111,Bo"b\n | |  2 | rejected | bad_quote        | 3:name        | does not begin with one       | write a quote inside it  | G-1:
text behind a quote                 | file reference,name\nG-1,Gus\nB-1,"Bo"b\n     |                    | 2 | rejected | bad_quote        | 3:name        | expected the end of the cell  | write a quote inside it  | G-1:
a quote in the header               | file reference,na"me\nG-1,Gus\n               |                    | 1 | file     | bad_header       | 1:2           | a quote stands inside         | names the columns        | -
a quote that does not close         | file reference,name\nG-1,Gus\nB-1,"Bob\nC-1,C\n |                  | 1 | file     | unclosed_quote   | 3:name        | does not close within         | close the quote          | -
bytes that are no text              | file reference,name\nG-1,Gus\nB-1,B\xffb\n    |                    | 2 | rejected | not_utf8         | 3:name        | expected UTF-8                | in UTF-8                 | G-1:
UTF-16                              | file \xff\xfer\0e\0                           |                    | 1 | file     | not_utf8         | 1             | UTF-16, expected UTF-8        | in UTF-8                 | -
a NUL character                     | file reference,name\nG-1,Gus\nB-1,B\0b\n      |                    | 2 | rejected | bad_value        | 3:name        | expected text without NUL     | as the message says      | G-1:
a cell too few                      | file reference,name\nG-1,Gus\nB-1\n           |                    | 2 | rejected | cell_count       | 3             | expected 2 cells              | as many cells            | G-1:
an empty file                       | file                                          |                    | 1 | file     | empty_file       | 1             | expected a header             | names the columns        | -
a header and nothing else           | file reference,name\n                         |                    | 0 | warning  | no_rows          | 1             | expected one row or more      | is it the right file?    | -
no reference                        | reference=                                    |                    | 2 | rejected | missing_value    | 3:reference   | expected your own customer id | fill the cell in         | G-1:4242
no token                            | token=                                        |                    | 2 | rejected | missing_value    | 3:token       | expected a token              | fill the cell in         | G-1:4242
a method of no kind                 | method=credit                                 |                    | 2 | rejected | bad_value        | 3:method      | expected card, bank_account   | as the message says      | G-1:4242
a token of no kind                  | token_kind=permanent                          |                    | 2 | rejected | bad_value        | 3:token_kind  | expected processor, proxynized | as the message says     | G-1:4242
a time without its zone             | token_created_at=2026-01-31 10:00             |                    | 2 | rejected | bad_value        | 3:token_created_at | expected a time with its zone | as the message says | G-1:4242
a last4 of other characters         | last4=tok_wrong_column                        |                    | 2 | rejected | bad_value        | 3:last4       | expected exactly 4 digits     | as the message says      | G-1:4242
a default that is no flag           | default=yes                                   |                    | 2 | rejected | bad_value        | 3:default     | expected true or false        | as the message says      | G-1:4242
a chain that is no number           | method=crypto_wallet, token=, token_kind=, chain_id=eth, wallet_address=0x00 | | 2 | rejected | bad_value | 3:chain_id | expected a whole number | as the message says | G-1:4242
two defaults                        | default=true / default=true, token=tok_2      |                    | 2 | rejected | conflicting_rows | 3:default 4:default | expected one at most    | agree                    | G-1:4242
month 13                            | exp_month=13                                  |                    | 2 | rejected | bad_value        | 3:exp_month   | expected a month from 1 to 12 | as the message says      | G-1:4242
a year out of range                 | exp_year=1999                                 |                    | 2 | rejected | bad_value        | 3:exp_year    | expected a year from 2000     | as the message says      | G-1:4242
two faults in one row               | exp_month=May, default=yes                    |                    | 2 | rejected | bad_value        | 3:exp_month   | ; also default [bad_value]: expected true or false | as the message says | G-1:4242
an expired card                     | exp_year=2020                                 |                    | 0 | created  | card_expired     | 3             | the card has expired          | --reject-expired         | B-1:1881 G-1:4242
an expired card, declined           | exp_year=2020                                 | --reject-expired   | 2 | rejected | card_expired     | 3:exp_year    | expected one that has not     | --reject-expired         | G-1:4242
facts that contradict each other    | name=Ann / name=Ben, token=tok_2, last4=5100  |                    | 2 | rejected | conflicting_rows | 3:name 4:name | expected one value            | agree                    | G-1:4242
a row twice                         | / row_id=again                                |                    | 2 | rejected | duplicate_row    | 4:token       | line 3 has the same token     | the earlier one counts   | B-1:1881 G-1:4242
a token under another reference     | token=pxt_@now_a, token_kind=proxynized => reference=B-2, token=pxt_@now_a, token_kind=proxynized | | 2 | rejected | token_reused | 3:token | under another reference | of its own | B-1:1881 G-1:4242
a token that is too old             | token=pxt_1_a, token_kind=proxynized, token_created_at=2020-01-01T00:00:00Z | | 2 | rejected | token_expired | 3:token_created_at | expected one of the last 15 minutes | a new token | G-1:4242
a method the provider cannot hold   | method=crypto_wallet, token=, token_kind=, chain_id=1, wallet_address=0x00 | | 2 | rejected | method_kind_unsupported | 3:method | cards and bank accounts only | leave the row out | G-1:4242
a fact the provider needs           | last4=                                        |                    | 2 | rejected | field_missing    | 3:last4       | the provider needs it         | fill in the column       | G-1:4242
a token of another kind             | token_kind=gateway                            |                    | 2 | rejected | token_kind_unsupported | 3:token_kind | expected a token of the kind processor or proxynized | of a kind | G-1:4242
a card number in a metadata cell    | metadata.note=4111111111111111                |                    | 2 | rejected | pan_found        | 3:metadata.note | expected none               | --not-pan                | G-1:4242
a card number as the token          | token=4111111111111111                        |                    | 2 | rejected | pan_found        | 3:token       | expected none                 | the provider's token     | G-1:4242
a card number as the row's key      | row_id=4111111111111111                       |                    | 2 | rejected | pan_found        | 3:row_id      | expected none                 | --not-pan                | G-1:4242
a card number as the reference      | reference=4111111111111111                    |                    | 2 | rejected | pan_found        | 3:reference   | expected none                 | --not-pan                | G-1:4242
a card number with spaces           | metadata.note=4111 1111 1111 1111             |                    | 2 | rejected | pan_found        | 3:metadata.note | expected none               | --not-pan                | G-1:4242
a card number in fullwidth digits   | metadata.note=４１１１１１１１１１１１１１１１ |                    | 2 | rejected | pan_found        | 3:metadata.note | expected none               | --not-pan                | G-1:4242
ids that only look like one         | metadata.note=4111111111111111                | --not-pan Metadata.Note | 0 | created | -           | 3             |                               |                          | B-1:1881 G-1:4242
ids in one column, a card in another | metadata.note=4111111111111111, name=5555555555554444 | --not-pan metadata.note | 2 | rejected | pan_found | 3:name   | expected none                 | --not-pan                | G-1:4242
--not-pan of no column              | row_id=b                                      | --not-pan note     | 1 | file     | no_such_column   | 1:note        | expected one of the header's  | metadata.note            | -
a cell of 10 MB                     | @a wide cell                                  |                    | 2 | rejected | row_too_long     | 3:name        | expected at most 64 KiB       | shorten the row          | G-1:
a cell of 10 MB in quotes           | @a wide cell in quotes                        |                    | 1 | file     | unclosed_quote   | 3:name        | within 20 lines and 64 KiB    | close the quote          | -
gzip in two members                 | @two members                                  |                    | 0 | created  | -                | 3             |                               |                          | G-1: G-2:
a decompression bomb                | @a bomb                                       |                    | 1 | file     | file_bomb        | 2             | more than 500 times its size  | unpack it                | -
a gzip file that is cut             | @a cut archive                                |                    | 1 | file     | file_unreadable  | -             | cannot be read                | the file is whole        | -
a disk that is full                 | @a full disk                                  |                    | 1 | store    | disk_full        | -             | its disk is full              | make room                | -
a secret that is not there          | @no secret                                    |                    | 4 | config   | secret_missing   | client_secret | GOV_SECRET                    | GOV_SECRET               | -
another key for the store           | @another key                                  |                    | 4 | store    | wrong_key        | -             | opens this store              | the key this store was made with | -
a folder                            | @a folder                                     |                    | 1 | file     | not_a_file       | -             | a folder, expected a file     | name a CSV file          | -
no such file                        | @nothing                                      |                    | 1 | file     | file_unreadable  | -             | there is no such file         | check the path           | -
a file that may not be read         | @a locked file                                |                    | 1 | file     | file_unreadable  | -             | may not be read by this user  | let the user             | -
a named pipe                        | @a pipe                                       |                    | 1 | file     | not_a_file       | -             | a named pipe, expected a file | - reads standard input   | -
"#;

/// One line of the table.
#[derive(Debug, Clone)]
struct Line {
    what: String,
    given: String,
    options: Vec<String>,
    exit: i32,
    by: By,
    /// None where nothing is to be said.
    code: Option<String>,
    at: Vec<At>,
    message: String,
    hint: String,
    /// References with the last 4 of their methods; none: the provider was not called.
    provider: Vec<String>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Row(&'static str),
    File,
    Config,
    Store,
    Warning,
}

/// A place: `3:name`, `3`, or the name of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct At {
    line: Option<u64>,
    column: Option<String>,
}

impl Line {
    fn read(text: &str) -> Self {
        let cells: Vec<&str> = text.split('|').map(str::trim).collect();
        let [what, given, options, exit, by, code, at, message, hint, provider] = cells[..] else {
            panic!("not ten cells: {text}");
        };
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        Self {
            what: what.to_owned(),
            given: given.to_owned(),
            options: options.split_whitespace().map(str::to_owned).collect(),
            exit: exit.parse().expect("an exit code"),
            by: match by {
                "created" => By::Row("created"),
                "rejected" => By::Row("rejected"),
                "file" => By::File,
                "config" => By::Config,
                "store" => By::Store,
                "warning" => By::Warning,
                other => panic!("{other} says nothing"),
            },
            code: some(code),
            at: at.split_whitespace().filter(|at| *at != "-").map(At::read).collect(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            provider: some(provider)
                .map(|held| held.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }
}

impl At {
    fn read(text: &str) -> Self {
        let (line, column) = match text.split_once(':') {
            Some((line, column)) => (line, Some(column.to_owned())),
            None => (text, None),
        };
        match line.parse() {
            Ok(line) => Self { line: Some(line), column },
            Err(_) => Self { line: None, column: Some(text.to_owned()) },
        }
    }
}

pub fn trials(env: &Env) -> Vec<Trial> {
    let mut trials: Vec<Trial> = TABLE
        .trim()
        .lines()
        .skip(1)
        .map(Line::read)
        .map(|line| {
            let name = line.what.replace([' ', ','], "_").replace("__", "_");
            // Whoever may read every file, as root may, cannot be refused one.
            let skipped = line.given == "@a locked file" && run::may_read_all();
            env.trial_on("bad_input", Database::Sqlite, &name, move |db| run::check(line, db))
                .with_ignored_flag(skipped)
        })
        .collect();
    trials.push(env.trial_on(
        "bad_input",
        Database::Sqlite,
        "the_run_records_not_pan",
        run::not_pan_is_recorded,
    ));
    trials
}
