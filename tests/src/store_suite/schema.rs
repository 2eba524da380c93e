//! The two migration folders say the same schema.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use libtest_mimic::{Failed, Trial};

/// Trials that need no database.
pub fn trials() -> Vec<Trial> {
    vec![Trial::test("store/both/migrations_say_the_same", migrations_say_the_same)]
}

fn folder(name: &str) -> Result<BTreeMap<String, String>, Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(name);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, plain(&fs::read_to_string(entry.path())?));
    }
    Ok(files)
}

/// A migration without what is particular to its database.
fn plain(sql: &str) -> String {
    let mut text: Vec<String> = Vec::new();
    // Rows that are carried over are each database's own affair: the suite looks at what comes out.
    let mut carries = false;
    for line in sql.lines().filter(|line| !line.trim_start().starts_with("--")) {
        carries |= line.starts_with("INSERT INTO") || line.starts_with("UPDATE");
        if carries {
            carries = !line.ends_with(';');
            continue;
        }
        let mut line = line
            .replace(" COLLATE \"C\"", "")
            .replace(" GENERATED ALWAYS AS IDENTITY", " NOT NULL");
        for (theirs, ours) in [("BYTEA", "BLOB"), ("BIGINT", "INTEGER")] {
            line = line.replace(theirs, ours);
        }
        if let Some(at) = line.find(") WITH (").or_else(|| line.find(") STRICT")) {
            line.truncate(at);
            line.push_str(");");
        }
        text.push(line);
    }
    text.join("\n")
}

fn migrations_say_the_same() -> Result<(), Failed> {
    let (sqlite, postgres) = (folder("sqlite")?, folder("postgres")?);
    if sqlite.keys().ne(postgres.keys()) {
        return Err("the folders do not have the same numbers".into());
    }
    for ((name, ours), theirs) in sqlite.iter().zip(postgres.values()) {
        for (line, other) in ours.lines().zip(theirs.lines()) {
            if line != other {
                return Err(format!("{name}: SQLite says {line:?}, PostgreSQL {other:?}").into());
            }
        }
        if ours.lines().count() != theirs.lines().count() {
            return Err(format!("{name}: one is longer than the other").into());
        }
    }
    Ok(())
}
