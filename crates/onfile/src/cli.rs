//! What a person can type.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps customers and saved payment methods in step across payment providers.
#[derive(Debug, Parser)]
#[command(name = "onfile", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The configuration file
    #[arg(long, global = true, env = "ONFILE_CONFIG", default_value = "onfile.toml")]
    pub(crate) config: PathBuf,
    /// One JSON document on stdout, nothing else there
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say less on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more on stderr: -v every call to a provider, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No colours
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// How logs are written on stderr
    #[arg(
        long,
        global = true,
        env = "ONFILE_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The main job in a temporary folder, against a simulated provider: no account needed
    Demo,
    /// Writes a commented configuration, where --config says if no path is given
    Init {
        /// Where
        path: Option<PathBuf>,
    },
    /// Says everything that is wrong with the configuration, then tries each account with a read
    Check {
        /// These accounts only
        accounts: Vec<String>,
    },
    #[command(flatten)]
    Job(Job),
    /// Does what [[schedules]] say when it is due, and answers on HTTP, until it is stopped
    ///
    /// A slot that is due is started by one process of a store alone. The first Ctrl-C or SIGTERM
    /// lets what is in flight end, for `stop_seconds` at most; what is unfinished then goes on when
    /// it is started again.
    Serve,
    /// Schedules: list, show, pause, resume, run
    Schedules {
        #[command(subcommand)]
        what: Option<Schedules>,
    },
    /// Runs: list, show, approve, resume, cancel
    Runs {
        #[command(subcommand)]
        what: Option<Runs>,
    },
    /// What was sent and how that is known: list, show, settle, resolve
    Effects {
        #[command(subcommand)]
        what: Option<Effects>,
    },
    /// What became of a run: the first rows that need somebody, or all of it as report.html,
    /// rows.csv and report.json
    Report {
        /// The run's id
        run: String,
        /// The folder for report.html, rows.csv and report.json
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Show e-mail addresses, phone numbers and postal addresses in report.html, where they
        /// are masked otherwise. rows.csv is never masked
        #[arg(long, requires = "out")]
        with_values: bool,
    },
    /// What the store knows of accounts: rebind
    Accounts {
        #[command(subcommand)]
        what: Accounts,
    },
    /// Links a customer of an account to one of ours, or many by a file; nothing is called
    ///
    /// A pull links each customer once: by its reference, or by its e-mail address where the account
    /// says so. What it left apart, or linked wrongly, a person links with this, and takes apart with
    /// `onfile unlink`.
    Link(Link),
    /// Gives a customer of an account a record of its own; later pulls do not link it again
    Unlink {
        #[command(subcommand)]
        what: UnlinkOne,
    },
    /// Writes customers, payment methods or links of the store, never a token
    Export(Export),
    /// What happened to a customer or a payment method: who saw it when, what changed, what we sent
    History {
        /// Of which sort
        of: HistoryOf,
        /// Our id or a provider's; of a customer also the reference
        id: String,
    },
    /// Encryption keys
    Keys {
        #[command(subcommand)]
        what: Keys,
    },
    /// A simulated provider on this machine, for trying things out
    Sandbox(SandboxArgs),
    /// This help, that of a command, a topic (codes, config, providers, sandbox), one code (codes
    /// CODE), or one kind of provider (providers KIND)
    Help {
        /// A command, or a topic; `codes` may be followed by one, `providers` by a kind
        #[arg(value_name = "COMMAND|TOPIC")]
        what: Vec<String>,
    },
}

/// What a person can do, and a schedule as well.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Job {
    /// Imports a CSV file into an account; importing it again changes nothing
    Import(Import),
    /// Pulls an account's customers and payment methods into the store
    Pull(Pull),
}

/// A job as a schedule has it: no option of the whole command line goes with it.
#[derive(Debug, Parser)]
#[command(
    name = "onfile",
    no_binary_name = true,
    disable_help_flag = true,
    disable_help_subcommand = true
)]
struct JobLine {
    #[command(subcommand)]
    job: Job,
}

impl Job {
    /// Reads a job as it is typed, with or without `onfile` before it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let mut words =
            shell_words::split(line).map_err(|_| "a quote in it does not end".to_owned())?;
        if words.first().is_some_and(|word| word == "onfile") {
            words.remove(0);
        }
        let said = match JobLine::try_parse_from(words) {
            Ok(JobLine { job: Self::Import(import) }) if import.reads_stdin() => {
                return Err("a schedule has no standard input".to_owned());
            }
            Ok(line) => return Ok(line.job),
            Err(error) => error.render().to_string(),
        };
        // What follows is how to use the command line.
        let first: Vec<&str> =
            said.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        Err(first.join(" ").trim_start_matches("error: ").to_owned())
    }

    /// At which account.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Import(import) => &import.account,
            Self::Pull(pull) => &pull.account,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Pull {
    /// The account
    pub(crate) account: String,
    /// Read the customer list a second time, with other page boundaries, to see whether anything
    /// was missed while it shifted
    #[arg(long)]
    pub(crate) confirm: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Import {
    /// The account
    pub(crate) account: String,
    /// The CSV file, also as .gz or .zst; - is standard input
    #[arg(required_unless_present = "inbox", conflicts_with = "inbox")]
    pub(crate) file: Option<PathBuf>,
    /// Import each complete file of this folder, the oldest first, and move it to `done/RUN` or
    /// `failed/RUN` there, with its rows.csv
    ///
    /// A file is complete when nothing was written to it for 10 s; names that begin with a dot, or end
    /// in .part, .partial, .tmp or .filepart, are never. While it is imported it stands in `work/`.
    /// A file whose bytes were imported before is moved, and nothing else.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dry_run", "observe"])]
    pub(crate) inbox: Option<PathBuf>,
    /// Which files of the inbox, by their names
    #[arg(long, value_name = "GLOB", default_value = "*.csv*", requires = "inbox")]
    pub(crate) pattern: glob::Pattern,
    /// Plan only, and say what it would call and how long that takes: nothing is sent, nothing is
    /// read from the provider
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: read at the provider what the import would read, and plan on that; nothing
    /// is changed there
    #[arg(long)]
    pub(crate) observe: bool,
    /// Send nothing if more rows than this are rejected: a number, or a share such as 5%
    #[arg(long, default_value = "5%", value_name = "N|P%")]
    pub(crate) max_rejected: engine::Limit,
    /// Pause when more rows than this are refused or unresolved: a number, or a share of the rows
    /// that have something to be sent. Calls on their way then are still answered, so that a few
    /// more may fail
    #[arg(long, value_name = "N|P%")]
    pub(crate) max_failures: Option<engine::Limit>,
    /// Send the first N rows only (and one of each kind), read them back, and wait for
    /// `onfile runs approve`. With --dry-run: say which they would be
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) canary: Option<u64>,
    /// Wait for the account's writing run to end, instead of failing
    #[arg(long)]
    pub(crate) wait: bool,
    /// Leave unknown columns out
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
    /// Change what the file states otherwise of customers that were there before it
    #[arg(long)]
    pub(crate) update_existing: bool,
    /// Take cells of this column although they look like card numbers: other numbers can. May be
    /// given again, once for each column
    #[arg(long, value_name = "COLUMN")]
    pub(crate) not_pan: Vec<String>,
    /// Import again what was removed at the provider
    #[arg(long)]
    pub(crate) restore_removed: bool,
    /// Decline expired cards
    #[arg(long)]
    pub(crate) reject_expired: bool,
    /// What to do with a new token for a payment method that came from another one
    #[arg(long, default_value = "reject")]
    pub(crate) on_token_change: OnTokenChange,
}

impl Import {
    fn reads_stdin(&self) -> bool {
        self.file.as_deref() == Some(Path::new("-"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnTokenChange {
    /// Reject the row
    Reject,
    /// Save it as well
    Add,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// Each schedule: its last run, its last good one, and when it is due
    List,
    /// What became of the latest slots of a schedule, and why those that were skipped were
    Show {
        /// Its name
        name: String,
    },
    /// Skips its slots until it is resumed; a run that is at work goes on
    Pause {
        /// Its name
        name: String,
    },
    /// Lets a paused schedule go on, from its next slot
    Resume {
        /// Its name
        name: String,
    },
    /// Does its job now, in this process; not beside a run of it that is at work
    Run {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// The latest runs
    List,
    /// One run
    Show {
        /// Its id
        run: String,
    },
    /// Lets a run that waits for you go on: an import sends the rest behind its canary, a pull marks
    /// what is gone however much it is
    Approve {
        /// The run's id
        run: String,
    },
    /// Goes on with a run that was stopped: an import from its rows, a pull with the payment methods
    /// that it has not read
    Resume {
        /// The run's id
        run: String,
    },
    /// Ends a run that waits for approval or is paused; its tokens are destroyed
    ///
    /// Rows that something was sent for without an answer become `unresolved`, and keep their
    /// tokens: settling them may need those. Of a run that failed, the rows that it left and their
    /// tokens are ended in the same way; it stays `failed`.
    Cancel {
        /// The run's id
        run: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Effects {
    /// Effects that are not settled, the oldest first
    List {
        /// At this account only
        account: Option<String>,
        /// Of this run only
        #[arg(long)]
        run: Option<String>,
        /// Those as well that are settled, or planned: not sent, or known to have had no effect
        #[arg(long)]
        all: bool,
    },
    /// One effect: what was sent, what is known of it, what to do
    Show {
        /// Its id
        id: String,
    },
    /// Asks the provider what became of every effect whose answer was lost; nothing is sent
    ///
    /// Waits for the account's quarantine where only that can tell. Every import does the same for
    /// the effects in its way.
    Settle {
        /// The account
        account: String,
    },
    /// Writes what you saw at the provider of an effect that reading could not settle
    ///
    /// `--as done` is read back there. `--as absent` is refused while the provider shows something
    /// that agrees with what was sent. As long as it is not sent again, what was said to be absent
    /// can still be resolved as done.
    Resolve {
        /// Its id
        id: String,
        /// What you saw
        #[arg(long = "as", value_name = "SEEN")]
        seen: Seen,
        /// With `done`: the provider's id of the payment method that it made, if several may be it
        #[arg(long, value_name = "ID")]
        remote_id: Option<String>,
        /// With `absent`: take my word without looking. If it is there all the same, the next
        /// import makes it twice
        #[arg(long)]
        force: bool,
        /// Why, for whoever asks later
        #[arg(long)]
        note: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Seen {
    /// It took effect: the provider shows it
    Done,
    /// It had no effect: the next import may send it again
    Absent,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Link {
    #[command(subcommand)]
    pub(crate) what: Option<LinkOne>,
    /// The account
    #[arg(required = true)]
    pub(crate) account: Option<String>,
    /// A CSV file with the columns reference or customer_id, remote_customer_id, and for a payment
    /// method remote_method_id and method_id, as `onfile export links` writes them; - is standard
    /// input. If one line is wrong nothing is linked
    #[arg(required = true)]
    pub(crate) file: Option<PathBuf>,
    /// Say what would be moved, and move nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkOne {
    /// One customer, its payment methods with it: by their facts, else with records of their own
    Customer {
        /// The account
        account: String,
        /// The provider's id of the customer
        #[arg(value_name = "REMOTE_CUSTOMER_ID")]
        remote_customer: String,
        /// Our id of the customer to link it to
        #[arg(conflicts_with = "reference", required_unless_present = "reference")]
        to: Option<String>,
        /// The reference of the customer to link it to
        #[arg(long, value_name = "REF")]
        reference: Option<String>,
        /// Say what would be moved, and move nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UnlinkOne {
    /// One customer, its payment methods with it
    Customer {
        /// The account
        account: String,
        /// The provider's id of the customer
        #[arg(value_name = "REMOTE_CUSTOMER_ID")]
        remote_customer: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// What
    pub(crate) what: ExportWhat,
    /// The format; csv unless --json is given
    #[arg(long)]
    pub(crate) format: Option<ExportFormat>,
    /// What is live at this account, as it shows it, with the provider's ids. Without it: our own
    /// records, those left out that live nowhere any more
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// The file to write, for its owner alone; standard output without it
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Put an apostrophe before cells that a spreadsheet would run as a formula; cells are as they
    /// are without it
    #[arg(long)]
    pub(crate) spreadsheet_safe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportWhat {
    /// With the columns that an import reads; row_id is our id
    Customers,
    /// The same of payment methods, without tokens; with --account what else it says of each and
    /// nobody can set, as attributes.NAME
    Methods,
    /// Which customer and payment method of an account is which of ours
    Links,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A table
    Csv,
    /// One document, with where each value comes from
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HistoryOf {
    /// A customer
    Customer,
    /// A payment method
    Method,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Takes the host, merchant or environment of the configuration for that of an account that has
    /// data: the same account, reached otherwise
    ///
    /// Every pull and every import looks for customers that are known before it believes the account.
    /// For another merchant's account make an account of its own.
    Rebind {
        /// The account
        account: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Prints a new key for `encryption_key`
    Generate,
}

#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// Which provider is simulated
    #[arg(long, value_name = "KIND", default_value = "proxy-token",
          value_parser = PossibleValuesParser::new(::sandbox::Kind::ALL.iter().map(|kind| kind.as_str())))]
    pub(crate) provider: String,
    /// Decides every id and every name
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Customers that are there from the start
    #[arg(long, default_value_t = 0)]
    pub(crate) customers: usize,
    /// Faults, such as `bulk_import:2=drop_after`; `--faults help` explains
    #[arg(long, value_name = "SPEC")]
    pub(crate) faults: Option<String>,
    /// Where to listen: a loopback address
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// The provider's rate limit, calls a second
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Milliseconds before each call is carried out
    #[arg(long, default_value_t = 0)]
    pub(crate) latency: u64,
}
