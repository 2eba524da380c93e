//! Opening a SQLite file: where it may lie, how it is set up, its schema and its keys.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{RunId, Timestamp};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _, SqliteConnection};

use super::Writer;
use crate::keys::KeyRow;
use crate::{Keys, StoreError, WrapKey};

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(15);
const READERS: u32 = 4;

const HAS_KEYS: &str = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'keys'";
const KEYS: &str = "SELECT purpose, wrapped_by, wrapped FROM keys";
const ADD_KEY: &str =
    "INSERT INTO keys (purpose, wrapped_by, wrapped, created_at) VALUES (?1, ?2, ?3, ?4)";
const INCARNATION: &str = "SELECT value FROM meta WHERE key = 'incarnation'";
const ADD_INCARNATION: &str = "INSERT INTO meta (key, value) VALUES ('incarnation', ?1) \
     ON CONFLICT (key) DO NOTHING";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[HAS_KEYS, KEYS, ADD_KEY, INCARNATION, ADD_INCARNATION];

/// File systems on which file locks do not hold between machines, or do not hold at all.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.gcsfuse",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "sshfs",
];

const MIGRATIONS: [(i64, &str, &str); 10] = [
    (1, "first", include_str!("../../../../migrations/sqlite/0001_first.sql")),
    (
        2,
        "staged in file order",
        include_str!("../../../../migrations/sqlite/0002_staged_in_file_order.sql"),
    ),
    (3, "expiry", include_str!("../../../../migrations/sqlite/0003_expiry.sql")),
    (4, "match by email", include_str!("../../../../migrations/sqlite/0004_match_by_email.sql")),
    (5, "rebind", include_str!("../../../../migrations/sqlite/0005_rebind.sql")),
    (6, "changes by run", include_str!("../../../../migrations/sqlite/0006_changes_by_run.sql")),
    (7, "changes sent", include_str!("../../../../migrations/sqlite/0007_changes_sent.sql")),
    (8, "attributes", include_str!("../../../../migrations/sqlite/0008_attributes.sql")),
    (9, "scans config", include_str!("../../../../migrations/sqlite/0009_scans_config.sql")),
    (10, "schedules", include_str!("../../../../migrations/sqlite/0010_schedules.sql")),
];

fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            let sql = sql.into_sql_str();
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// The path that a URL names: `sqlite:///var/lib/a.db`, `sqlite://a.db` or `sqlite:a.db`.
pub(super) fn path_of(url: &str) -> Result<PathBuf, StoreError> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() {
        return Err(StoreError::Url("it names no file".into()));
    }
    if path.starts_with(":memory:") {
        return Err(StoreError::Url(
            "a store in memory would forget what was sent; name a file".into(),
        ));
    }
    if path.contains(['?', '#']) {
        return Err(StoreError::Url("a SQLite URL takes no parameters".into()));
    }
    Ok(PathBuf::from(path))
}

/// The type of the file system that a path lies on, by a text of `/proc/self/mountinfo`.
fn filesystem_of(path: &Path, mounts: &str) -> Option<String> {
    mounts
        .lines()
        .filter_map(|line| {
            // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw
            let (before, after) = line.split_once(" - ")?;
            let point = before.split(' ').nth(4)?.replace("\\040", " ").replace("\\011", "\t");
            let kind = after.split(' ').next()?.to_owned();
            path.starts_with(&point).then_some((point.len(), kind))
        })
        // Of two mounts on one point the later one is on top.
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

fn refuse_network(folder: &Path) -> Result<(), StoreError> {
    // Where there is no such file (not Linux), nothing can be said.
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else { return Ok(()) };
    match filesystem_of(folder, &mounts) {
        Some(kind) if NETWORK.contains(&kind.as_str()) => {
            Err(StoreError::NetworkFilesystem { filesystem: kind })
        }
        _ => Ok(()),
    }
}

/// Makes the file, readable by its owner alone, where there is none yet.
fn prepare_file(path: &Path) -> Result<PathBuf, StoreError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(parent).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            StoreError::Url(format!("the folder {} does not exist", parent.display()))
        }
        _ => StoreError::Url(format!("the folder {} cannot be used: {error}", parent.display())),
    })?;
    let name = path.file_name().ok_or_else(|| StoreError::Url("it names no file".into()))?;
    refuse_network(&folder)?;
    let file = folder.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(&file) {
        Ok(_) => Ok(file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(file),
        Err(error) => Err(StoreError::Url(format!("{} cannot be made: {error}", file.display()))),
    }
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        // Of a file that is made: half as many pages to write as with the usual 4096 bytes.
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .statement_cache_capacity(256)
        // Rows come over a channel: each time it is full costs two changes of thread.
        .row_buffer_size(1024)
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "-8192")
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging()
}

/// What opening gives.
pub(super) struct Opened {
    pub(super) writer: Writer,
    pub(super) readers: SqlitePool,
    pub(super) keys: Keys,
    pub(super) incarnation: String,
}

async fn key_rows(conn: &mut SqliteConnection) -> Result<Vec<KeyRow>, StoreError> {
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(KEYS).fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|(purpose, wrapped_by, wrapped)| KeyRow { purpose, wrapped_by, wrapped })
        .collect())
}

/// Checks the keys, brings the schema up to date, adds what is missing: one transaction, so that
/// of two processes that open a new file one does it all and the other finds it done.
async fn set_up(
    writer: &mut Writer,
    wraps: &[WrapKey],
    now: Timestamp,
) -> Result<(Keys, String), StoreError> {
    if wraps.is_empty() {
        return Err(StoreError::NoKey);
    }
    let mut tx = writer.begin_durable().await?;
    let has_keys: i64 = sqlx::query_scalar(HAS_KEYS).fetch_one(&mut *tx).await?;
    if has_keys > 0 {
        Keys::open(&key_rows(&mut tx).await?, wraps)?;
    }
    migrator().run_direct(None, &mut *tx, false).await?;
    let (keys, missing) = Keys::open(&key_rows(&mut tx).await?, wraps)?;
    for row in missing {
        sqlx::query(ADD_KEY)
            .bind(row.purpose)
            .bind(row.wrapped_by)
            .bind(row.wrapped)
            .bind(now.micros())
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(ADD_INCARNATION).bind(RunId::generate().as_str()).execute(&mut *tx).await?;
    let incarnation = sqlx::query_scalar(INCARNATION).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok((keys, incarnation))
}

pub(super) async fn open(
    url: &str,
    wraps: &[WrapKey],
    now: Timestamp,
) -> Result<Opened, StoreError> {
    let file = prepare_file(&path_of(url)?)?;
    let options = options(&file);
    let deadline = tokio::time::Instant::now() + BUSY;
    let conn = loop {
        // Turning a new file to WAL does not wait for another process that does the same.
        match options.connect().await.map_err(StoreError::from) {
            Err(StoreError::Unavailable(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => break done?,
        }
    };
    let mut writer = Writer::new(conn, options.clone());
    let (keys, incarnation) = match set_up(&mut writer, wraps, now).await {
        Ok(done) => done,
        Err(error) => {
            writer.into_inner().close().await.ok();
            return Err(error);
        }
    };
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        .test_before_acquire(false)
        .acquire_timeout(BUSY)
        // Each has a cache of its own, and the system has one for all of them.
        .connect_lazy_with(options.pragma("query_only", "ON").pragma("cache_size", "-4096"));
    Ok(Opened { writer, readers, keys, incarnation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files() {
        for (url, path) in [
            ("sqlite:///var/lib/a.db", "/var/lib/a.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:a/b.db", "a/b.db"),
        ] {
            assert_eq!(path_of(url).expect("a path"), PathBuf::from(path));
        }
        for url in ["sqlite:", "sqlite://", "sqlite::memory:", "sqlite://:memory:", "sqlite://a?b"]
        {
            assert!(matches!(path_of(url), Err(StoreError::Url(_))), "{url}");
        }
    }

    #[test]
    fn the_innermost_mount_says_the_file_system() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda rw\n\
                      2 1 0:50 / /mnt/a\\040share rw shared:1 - nfs4 host:/x rw\n\
                      3 1 0:51 / /mnt/ab rw - tmpfs tmpfs rw\n";
        let kind = |path: &str| filesystem_of(Path::new(path), mounts);
        assert_eq!(kind("/var/lib").as_deref(), Some("ext4"));
        assert_eq!(kind("/mnt/a share/db").as_deref(), Some("nfs4"));
        assert_eq!(kind("/mnt/ab").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/mnt/abc").as_deref(), Some("ext4"));
    }
}
