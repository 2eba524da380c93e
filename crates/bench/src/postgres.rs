//! A PostgreSQL with its usual settings, for as long as a row takes.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long it may take to accept the first connection.
const START: Duration = Duration::from_secs(30);

/// Fields drop in order: first the process, then its folder.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    _folder: TempDir,
    port: u16,
}

/// Whom postgres runs as, which refuses to be root.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

/// The folder that has initdb and postgres.
pub(crate) fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = packaged.map(|version| version.path().join("bin")).collect();
    packaged.sort();
    std::env::split_paths(&path)
        .chain(packaged.into_iter().rev())
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

impl Server {
    pub(crate) async fn start(dir: &Path) -> Result<Self> {
        let programs = programs().context("no initdb and postgres are installed")?;
        let folder = crate::home::temporary(dir)?;
        let user = unprivileged(folder.path())?;
        if let Some(user) = user {
            chown(folder.path(), Some(user.uid), Some(user.gid))?;
        }
        let data = folder.path().join("data");
        let made = command(&programs, "initdb", folder.path(), user)
            .arg("-D")
            .arg(&data)
            .args(["--username=onfile", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--no-instructions"])
            .output()
            .await?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = command(&programs, "postgres", folder.path(), user)
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let server = Self { child, _folder: folder, port };
        server.wait().await?;
        Ok(server)
    }

    async fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            match PgConnection::connect(&self.url("postgres")).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) => {
                    let late = Instant::now() > deadline;
                    ensure!(!late, "postgres did not answer within {START:?}: {error}");
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://onfile@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Makes an empty database in the place of the one before, and says its address.
    pub(crate) async fn fresh(&self, name: &str) -> Result<String> {
        let mut admin = PgConnection::connect(&self.url("postgres")).await?;
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        admin.execute(AssertSqlSafe(drop)).await?;
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
        admin.close().await?;
        Ok(self.url(name))
    }

    /// The size of a database.
    pub(crate) async fn megabytes(&self, name: &str) -> Result<f64> {
        let mut admin = PgConnection::connect(&self.url(name)).await?;
        let query = sqlx::query_scalar("SELECT pg_database_size(current_database())");
        let bytes: i64 = query.fetch_one(&mut admin).await?;
        admin.close().await?;
        Ok(crate::numbers::float(u64::try_from(bytes)?) / 1e6)
    }

    /// Ends it in order, so that its folder can go.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().context("postgres has ended")?.to_string();
        let sent = Command::new("kill").args(["-s", "INT", &id]).status().await?;
        ensure!(sent.success(), "postgres cannot be stopped");
        self.child.wait().await?;
        Ok(())
    }
}

/// Whom to run as instead of root; `None` when this process is not root.
fn unprivileged(own: &Path) -> Result<Option<User>> {
    if std::fs::metadata(own)?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some(User { uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
    };
    let user = find("postgres").or_else(|| find("nobody"));
    Ok(Some(user.context("running as root, and there is neither a user postgres nor nobody")?))
}

fn command(programs: &Path, program: &str, folder: &Path, user: Option<User>) -> Command {
    let mut command = Command::new(programs.join(program));
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null());
    command.current_dir(folder);
    if let Some(user) = user {
        command.gid(user.gid).uid(user.uid);
    }
    command
}
