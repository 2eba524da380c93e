//! A PostgreSQL for the trials: the one `ONFILE_TEST_PG_URL` names, or one of our own that lives
//! as long as this process.
//!
//! Ours runs under a small shell that waits for the end of its standard input, and takes orders
//! there. That is a pipe whose other end only this process has, so the server and its folder go
//! when this process does, however it ends. It runs with `fsync=off` and `full_page_writes=off`: for speed, and because
//! nothing of it outlives the run. Its default collation is an ICU one where there is ICU, so that
//! a text column that forgot `COLLATE "C"` is found.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long a server may take to accept the first connection.
const START: Duration = Duration::from_secs(30);

/// The shell that ties the server's life to this process.
const KEEPER: &str = r#"trap '' INT
folder=$1
shift
"$@" </dev/null &
server=$!
while read -r word; do
    case $word in
        kill) kill -QUIT "$server" && wait "$server" ;;
        start) "$@" </dev/null & server=$! ;;
    esac
done
kill -QUIT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf -- "$folder"
"#;

/// A PostgreSQL that trials make their databases in.
#[derive(Debug)]
pub struct Server {
    /// Up to and without the database's name.
    base: String,
    /// What follows the database's name.
    query: String,
    /// Where databases are created from.
    admin: String,
    said: String,
    made: AtomicU32,
    own: Option<Own>,
}

/// A server of our own. Fields drop in order: first the process, then its folder.
#[derive(Debug)]
struct Own {
    keeper: Keeper,
    folder: TempDir,
}

#[derive(Debug)]
struct Keeper(Child);

impl Keeper {
    fn order(&self, line: &str) -> anyhow::Result<()> {
        let mut to = self.0.stdin.as_ref().context("its keeper is gone")?;
        Ok(to.write_all(line.as_bytes())?)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // The shell has the server killed and waits for it; it cannot be stopped by its server.
        let _ = self.0.wait();
    }
}

/// The user that initdb and postgres run as, where this process may not be it.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Server {
    /// The server named by `url`, or one of our own.
    pub async fn start(url: Option<&str>) -> anyhow::Result<Self> {
        match url {
            Some(url) => Self::given(url).await,
            None => Self::own().await,
        }
    }

    /// Whether a server of our own can be started here.
    pub fn is_installed() -> bool {
        programs().is_ok()
    }

    /// One line for people.
    pub fn said(&self) -> &str {
        &self.said
    }

    async fn given(url: &str) -> anyhow::Result<Self> {
        let (rest, query) = url
            .split_once('?')
            .map_or((url, String::new()), |(rest, query)| (rest, format!("?{query}")));
        let from = rest.find("://").map_or(0, |at| at + 3);
        let base = rest
            .get(from..)
            .and_then(|tail| tail.find('/'))
            .and_then(|at| rest.get(..from + at))
            .unwrap_or(rest)
            .to_owned();
        let version = version(url).await.context("ONFILE_TEST_PG_URL does not answer")?;
        Ok(Self {
            base,
            query,
            admin: url.to_owned(),
            said: format!("PostgreSQL {version} (given by ONFILE_TEST_PG_URL)"),
            made: AtomicU32::new(0),
            own: None,
        })
    }

    async fn own() -> anyhow::Result<Self> {
        let programs = programs()?;
        for _ in 0..5 {
            let folder = tempfile::Builder::new().prefix("onfile-pg-").tempdir_in(place())?;
            let user = unprivileged(folder.path())?;
            if let Some(user) = user {
                chown(folder.path(), Some(user.uid), Some(user.gid))?;
            }
            init(&programs, folder.path(), user)?;
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let log = folder.path().join("log");
            let keeper = run(&programs, folder.path(), &log, port, user)?;
            let base = format!("postgres://onfile@127.0.0.1:{port}");
            let admin = format!("{base}/postgres?sslmode=disable");
            if let Some(version) = wait(&admin, &log, 0).await? {
                return Ok(Self {
                    base,
                    query: "?sslmode=disable".to_owned(),
                    admin,
                    said: format!("PostgreSQL {version} (started by this run, 127.0.0.1:{port})"),
                    made: AtomicU32::new(0),
                    own: Some(Own { keeper, folder }),
                });
            }
            // Somebody else took the port in between: the keeper goes, and another one is drawn.
        }
        bail!("five free ports were all taken before postgres could listen")
    }

    fn own_one(&self) -> anyhow::Result<&Own> {
        self.own.as_ref().context("somebody else's server is left alone")
    }

    /// Kills a server of our own: it writes nothing more, and whoever is connected is cut off.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.own_one()?.keeper.order("kill\n")?;
        let deadline = Instant::now() + START;
        while version(&self.admin).await.is_ok() {
            ensure!(Instant::now() < deadline, "it was not killed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Starts it again, and waits until it has recovered.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        let own = self.own_one()?;
        let log = own.folder.path().join("log");
        let before = fs::metadata(&log)?.len();
        own.keeper.order("start\n")?;
        let up = wait(&self.admin, &log, before).await?;
        up.map(drop).context("its port was taken")
    }

    /// Makes an empty database and says its name and its url.
    pub async fn create_database(&self) -> anyhow::Result<(String, String)> {
        let no = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("onfile_test_{}_{no}", std::process::id());
        let mut admin = PgConnection::connect(&self.admin).await?;
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        admin.execute(AssertSqlSafe(sql)).await?;
        admin.close().await?;
        let url = format!("{}/{name}{}", self.base, self.query);
        Ok((name, url))
    }

    /// Removes a database, whoever is still connected.
    pub async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect(&self.admin).await?;
        let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        admin.execute(AssertSqlSafe(sql)).await?;
        admin.close().await?;
        Ok(())
    }
}

async fn version(url: &str) -> anyhow::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let version: String =
        sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(version.split(' ').next().unwrap_or_default().to_owned())
}

/// Waits until the server answers; `None` when it could not have the port. What the log said before
/// it was started does not count.
async fn wait(url: &str, log: &Path, before: u64) -> anyhow::Result<Option<String>> {
    let deadline = Instant::now() + START;
    loop {
        let why = match version(url).await {
            Ok(version) => return Ok(Some(version)),
            Err(error) => error,
        };
        let said = fs::read_to_string(log).unwrap_or_default();
        let said = said.get(usize::try_from(before)?..).unwrap_or_default();
        if said.contains("could not create any TCP/IP sockets") {
            return Ok(None);
        }
        if said.contains("shutting down") || said.contains("FATAL:  could not") {
            bail!("postgres did not start:\n{said}");
        }
        if Instant::now() > deadline {
            bail!("postgres did not answer within {START:?}: {why:#}\n{said}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Where the data goes: into memory where there is room, since each trial makes a database of
/// some 8 MB and throws it away; else where temporary files go.
fn place() -> PathBuf {
    const MEMORY: &str = "/dev/shm";
    const ROOM: u64 = 3 * 1024 * 1024;
    let free = Command::new("df").args(["-Pk", MEMORY]).stderr(Stdio::null()).output();
    let free = free.ok().filter(|output| output.status.success()).and_then(|output| {
        let said = String::from_utf8(output.stdout).ok()?;
        said.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()
    });
    if free.is_some_and(|kilobytes| kilobytes >= ROOM) {
        MEMORY.into()
    } else {
        std::env::temp_dir()
    }
}

/// The folder that has both programs.
fn programs() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut packaged: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    packaged.sort();
    folders.extend(packaged.into_iter().rev());
    folders.push("/usr/local/bin".into());
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("no initdb and postgres in PATH, /usr/lib/postgresql/*/bin or /usr/local/bin")
}

/// postgres refuses to run as root: whom to run as instead. `None` when this process is not root.
fn unprivileged(own: &Path) -> anyhow::Result<Option<User>> {
    if fs::metadata(own)?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut cells = line.split(':');
            let found = cells.next()? == name;
            let (uid, gid) = (cells.nth(1)?.parse().ok()?, cells.next()?.parse().ok()?);
            found.then_some(User { uid, gid })
        })
    };
    let user = find("postgres").or_else(|| find("nobody"));
    Ok(Some(user.context("running as root, and there is neither a user postgres nor nobody")?))
}

fn command(program: impl AsRef<OsStr>, folder: &Path, user: Option<User>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null());
    for name in ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGOPTIONS"] {
        command.env_remove(name);
    }
    if let Some(user) = user {
        command.gid(user.gid).uid(user.uid);
    }
    command
}

fn init(programs: &Path, folder: &Path, user: Option<User>) -> anyhow::Result<()> {
    let icu: &[&str] = &["--locale-provider=icu", "--icu-locale=en-US"];
    let mut said = String::new();
    for provider in [icu, &[]] {
        let _ = fs::remove_dir_all(folder.join("data"));
        let output = command(programs.join("initdb"), folder, user)
            .arg("-D")
            .arg(folder.join("data"))
            .args(["--username=onfile", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--no-instructions"])
            .args(provider)
            .output()
            .context("initdb cannot be run")?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    bail!("initdb failed:\n{said}")
}

fn run(
    programs: &Path,
    folder: &Path,
    log: &Path,
    port: u16,
    user: Option<User>,
) -> anyhow::Result<Keeper> {
    let said = fs::File::create(log)?;
    let mut shell = command("/bin/sh", folder, user);
    shell.args(["-c", KEEPER, "keeper"]).arg(folder).arg(programs.join("postgres"));
    shell.arg("-D").arg(folder.join("data"));
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "full_page_writes=off",
        "max_connections=300",
        "shared_buffers=64MB",
        "autovacuum_naptime=5min",
    ] {
        shell.args(["-c", setting]);
    }
    shell.args(["-c", &format!("port={port}")]);
    shell.stdin(Stdio::piped()).stdout(said.try_clone()?).stderr(said);
    Ok(Keeper(shell.spawn().context("/bin/sh cannot be run")?))
}
