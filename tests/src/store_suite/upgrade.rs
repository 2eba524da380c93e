//! A database of the first schema, opened by today's store: what stood in it still does.

use anyhow::Context as _;
use model::{AccountType, BankFacts, Last4, MethodFacts, Outcome, Token, TokenKind};
use secrecy::ExposeSecret as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};
use store::{SealedToken, Which};

use crate::env::Database;
use crate::store_suite::cases;
use crate::store_suite::support::{Cx, LEASE, account_row, at, card_facts, name, new_run, owner};

cases![rows_of_the_first_schema_are_still_there,];

const FIRST: [&str; 2] = [
    include_str!("../../../migrations/sqlite/0001_first.sql"),
    include_str!("../../../migrations/postgres/0001_first.sql"),
];

/// Takes everything away and makes the first schema in its place, recorded as the store records it.
async fn first_schema(cx: &Cx) -> anyhow::Result<()> {
    cx.store.close().await;
    let [sqlite, postgres] = FIRST;
    let migrator = |sql: &'static str| {
        let kind = MigrationType::Simple;
        let first = Migration::new(1, "first".into(), kind, sql.into_sql_str(), false);
        Migrator::with_migrations(vec![first])
    };
    match cx.db.database {
        Database::Sqlite => {
            for entry in std::fs::read_dir(cx.db.folder())? {
                std::fs::remove_file(entry?.path())?;
            }
            let url = format!("{}?mode=rwc", cx.db.url());
            let mut connection = SqliteConnection::connect(&url).await?;
            migrator(sqlite).run_direct(None, &mut connection, false).await?;
            connection.close().await?;
        }
        Database::Postgres => {
            let mut connection = PgConnection::connect(cx.db.url()).await?;
            for sql in ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"] {
                sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
            }
            migrator(postgres).run_direct(None, &mut connection, false).await?;
            connection.close().await?;
        }
    }
    Ok(())
}

/// Bytes as a literal.
fn bytes(cx: &Cx, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match cx.db.database {
        Database::Sqlite => format!("x'{hex}'"),
        Database::Postgres => format!("'\\x{hex}'::bytea"),
    }
}

async fn rows_of_the_first_schema_are_still_there(cx: &Cx) -> anyhow::Result<()> {
    // The keys of a store that anybody made, and tokens that it sealed.
    let hex = match cx.db.database {
        Database::Sqlite => "hex(wrapped)",
        Database::Postgres => "encode(wrapped, 'hex')",
    };
    let wrapped = cx.texts(&format!("SELECT purpose, wrapped_by, {hex} FROM keys")).await?;
    assert_eq!(wrapped.len(), 2);
    let run = new_run("alpha", true, 1)?;
    let identity = account_row("alpha", 0)?.identity();
    let seal = |line: u64, token: &str| {
        let token = Token {
            kind: TokenKind::Processor,
            value: token.to_owned().into(),
            created_at: Some(at(5)),
        };
        cx.store.keys().seal(&run.id, line, &identity, &token, true)
    };
    let (card, bank, spent) = (seal(2, "tok-card"), seal(3, "tok-bank"), seal(4, "tok-spent"));

    first_schema(cx).await?;
    for row in wrapped {
        let [purpose, by, wrapped] = <[_; 3]>::try_from(row)
            .ok()
            .and_then(|row| row.into_iter().collect::<Option<Vec<_>>>())
            .and_then(|row| <[String; 3]>::try_from(row).ok())
            .context("a key")?;
        let wrapped = match cx.db.database {
            Database::Sqlite => format!("x'{wrapped}'"),
            Database::Postgres => format!("'\\x{wrapped}'::bytea"),
        };
        cx.execute(&format!(
            "INSERT INTO keys (purpose, wrapped_by, wrapped, created_at) \
             VALUES ('{purpose}', '{by}', {wrapped}, 1)"
        ))
        .await?;
    }
    cx.execute(&format!(
        "INSERT INTO runs (id, job, account, cause, writing, state, args, created_at) \
         VALUES ('{}', 'import', 'alpha', 'person', 1, 'paused', '{{}}', 1)",
        run.id
    ))
    .await?;
    cx.execute(&format!(
        "INSERT INTO parts (run, no, state, rows_done, epoch, lease_until, deliveries) \
         VALUES ('{}', 0, 'ready', 0, 1, 0, 1)",
        run.id
    ))
    .await?;
    // A card and a bank account that wait, one that is done and whose token is forgotten, a
    // customer alone, a row that could not be read.
    let bank_facts = MethodFacts::BankAccount(BankFacts {
        account_type: Some(AccountType::Savings),
        last4: Some(Last4::new("6789")?),
        ..BankFacts::default()
    });
    let facts = |facts: &MethodFacts| serde_json::to_string(facts);
    let token = |token: &SealedToken, kept: bool| {
        let sealed = if kept { bytes(cx, &token.sealed) } else { "NULL".to_owned() };
        format!("'processor', {sealed}, {}, {}", bytes(cx, token.fp.as_bytes()), at(5).micros())
    };
    let none = "NULL, NULL, NULL, NULL";
    let ada = r#"{"name":"Ada \"A.\" Łoś","email":"ada@example.com","metadata":{"tier":"gold"}}"#;
    let rows = [
        (
            2,
            "'r1'",
            ada,
            format!("'{}'", facts(&card_facts("4242")?)?),
            "'{\"city\":\"Riga\"}'",
            "1",
            token(&card, true),
            "NULL, NULL",
        ),
        (
            3,
            "'r1'",
            ada,
            format!("'{}'", facts(&bank_facts)?),
            "NULL",
            "0",
            token(&bank, true),
            "NULL, NULL",
        ),
        (
            4,
            "'r2'",
            "{}",
            format!("'{}'", facts(&card_facts("1881")?)?),
            "'{}'",
            "NULL",
            token(&spent, false),
            "'created', NULL",
        ),
        (
            5,
            "'r3'",
            "{\"name\":\"Cid\"}",
            "NULL".to_owned(),
            "NULL",
            "NULL",
            none.to_owned(),
            "'linked', 'already_there'",
        ),
        (
            6,
            "NULL",
            "{}",
            "NULL".to_owned(),
            "NULL",
            "NULL",
            none.to_owned(),
            "'rejected', 'bad_value'",
        ),
    ];
    for (line, reference, profile, facts, billing, default, token, ended) in rows {
        cx.execute(&format!(
            "INSERT INTO staged_rows (run, line, part, row_id, reference, profile, facts, billing, \
             is_default, token_kind, token, token_fp, token_created_at, outcome, code, \
             remote_customer_id, done) VALUES ('{}', {line}, 0, 'id-{line}', {reference}, \
             '{profile}', {facts}, {billing}, {default}, {token}, {ended}, 'cus-{line}', \
             'create_customer')",
            run.id
        ))
        .await?;
    }

    let store = cx.another().await?;
    assert!(store.info().await?.schema >= 2);
    let listed = store.rows(&run.id, 0, 100).await?;
    let shown: Vec<_> = listed
        .iter()
        .map(|row| (row.line, row.row_id.as_str(), row.reference.as_deref(), row.outcome))
        .collect();
    assert_eq!(
        shown,
        [
            (2, "id-2", Some("r1"), None),
            (3, "id-3", Some("r1"), None),
            (4, "id-4", Some("r2"), Some(Outcome::Created)),
            (5, "id-5", Some("r3"), Some(Outcome::Linked)),
            (6, "id-6", None, Some(Outcome::Rejected)),
        ]
    );
    let tally = store.tally(&run.id).await?;
    assert_eq!((tally.ledger.read, tally.ledger.created), (5, 1));
    assert_eq!((tally.ledger.linked, tally.ledger.rejected), (1, 1));
    assert_eq!(tally.codes.get("bad_value"), Some(&1));

    // What waited can go on, with both its rows and what they state.
    let part = store.claim_part(&run.id, &owner("w1"), LEASE).await?.context("the part")?;
    let page = store.load_groups(&part.fence, &name("alpha")?, 0, Which::Open, 10).await?;
    let [group] = page.groups.as_slice() else { panic!("{:?}", page.groups) };
    assert_eq!(group.reference.as_str(), "r1");
    let [first, second] = group.rows.as_slice() else { panic!("{:?}", group.rows) };
    assert_eq!((first.line, second.line), (2, 3));
    assert_eq!(first.profile.name.as_deref(), Some("Ada \"A.\" Łoś"));
    assert_eq!(first.profile.metadata.get("tier").map(String::as_str), Some("gold"));
    for (row, facts, default, token) in [
        (first, card_facts("4242")?, Some(true), "tok-card"),
        (second, bank_facts, Some(false), "tok-bank"),
    ] {
        let method = row.method.as_ref().context("a payment method")?;
        assert_eq!((&method.facts, method.default), (&facts, default));
        let sealed = method.sealed.as_ref().context("a token")?;
        assert_eq!(sealed.created_at, Some(at(5)));
        let open = store.keys().open_token(&run.id, row.line, sealed)?;
        assert_eq!(open.value.expose_secret(), token);
        assert_eq!((open.kind, open.created_at), (TokenKind::Processor, Some(at(5))));
    }
    let city = first.method.as_ref().and_then(|method| method.billing.city.clone());
    assert_eq!(city.as_deref(), Some("Riga"));
    // What is done keeps its fingerprint, and no token.
    let groups = store.load_heads(&part.fence, &name("alpha")?, &[4, 5]).await?;
    let [done, alone] = groups.as_slice() else { panic!("{groups:?}") };
    let method = done.rows.first().and_then(|row| row.method.as_ref()).context("a method")?;
    let sealed = method.sealed.as_ref().context("a fingerprint")?;
    assert_eq!((sealed.fp, sealed.sealed.is_empty(), method.default), (spent.fp, true, None));
    assert!(alone.rows.iter().all(|row| row.method.is_none()));
    store.close().await;
    Ok(())
}
