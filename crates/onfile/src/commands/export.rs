//! `onfile export`: what the store holds, a page at a time.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use model::AccountName;
use report::{Cells, Exported, LinkAt, csv_cells};
use serde_json::json;
use store::{ExportedCustomer, ExportedMethod, PageKey, Store};

use super::{jobs, report as reports, runs};
use crate::cli::{Export, ExportFormat, ExportWhat, Global};
use crate::exit::Exit;
use crate::out;

const PAGE: u32 = 1000;

/// How it is written.
#[derive(Clone, Copy)]
struct How {
    json: bool,
    cells: Cells,
    /// The rows of one account, with the provider's ids.
    theirs: bool,
}

/// What was written.
#[derive(Default)]
struct Written {
    rows: u64,
    /// Without a reference: an import declines them.
    nameless: u64,
}

pub(crate) async fn run(global: &Global, args: Export) -> Result<Exit> {
    let json = match (args.format, global.json && args.out.is_none()) {
        (Some(ExportFormat::Csv), true) => {
            let message = "--json prints one JSON document, and --format csv asks for CSV";
            return Ok(jobs::misused(
                global,
                message,
                "leave one of the two out, or add --out FILE",
            ));
        }
        (format, json) => json || format == Some(ExportFormat::Json),
    };
    if args.spreadsheet_safe && json {
        let message = "--spreadsheet-safe is about cells of CSV";
        return Ok(jobs::misused(global, message, "leave it out, or write --format csv"));
    }
    let cells = if args.spreadsheet_safe { Cells::SpreadsheetSafe } else { Cells::Verbatim };
    let how = How { json, cells, theirs: args.account.is_some() };
    let written = runs::with_store(global, async |opened| {
        let account = match &args.account {
            Some(name) => Some(AccountName::new(opened.config.account(name)?.name.clone())?),
            None => None,
        };
        let mut accounts = Vec::new();
        for one in &opened.config.accounts {
            accounts.push(AccountName::new(one.name.clone())?);
        }
        accounts.sort_unstable();
        let accounts = account.clone().map_or(accounts, |account| vec![account]);
        let pages = Pages { store: &*opened.store, account, accounts };
        let mut file: Box<dyn Write> = match &args.out {
            Some(path) => Box::new(reports::private(path)?),
            None => Box::new(BufWriter::new(io::stdout())),
        };
        let written = match args.what {
            ExportWhat::Customers => write::<ExportedCustomer>(&pages, how, &mut *file).await,
            ExportWhat::Methods => write::<ExportedMethod>(&pages, how, &mut *file).await,
            ExportWhat::Links => write::<LinkAt>(&pages, how, &mut *file).await,
        };
        match written {
            // A reader that went away wants no more of it.
            Err(error) if args.out.is_none() && is_broken_pipe(&error) => Ok(Written::default()),
            other => other.context("the export is not whole"),
        }
    })
    .await?;
    say(global, &args.out, args.what, &written);
    Ok(Exit::Clean)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn say(global: &Global, path: &Option<std::path::PathBuf>, what: ExportWhat, written: &Written) {
    let Written { rows, nameless } = written;
    if let Some(path) = path {
        if global.json {
            out::json(&json!({ "rows": rows, "without_reference": nameless, "file": path }));
        } else {
            out::line(&format!("wrote {rows} rows to {}", Path::display(path)));
        }
    }
    if *nameless > 0 && what != ExportWhat::Links && !global.quiet {
        out::error_line(&format!(
            "{nameless} of {rows} rows have no reference: an import rejects them"
        ));
    }
}

/// Where pages come from.
struct Pages<'a> {
    store: &'a dyn Store,
    account: Option<AccountName>,
    /// Those whose links are listed.
    accounts: Vec<AccountName>,
}

/// What is exported page by page. `part` counts the accounts where those follow each other.
trait Paged: Exported + Sized {
    async fn page(pages: &Pages<'_>, part: usize, after: &PageKey) -> Result<Vec<Self>>;
    fn key(&self) -> &PageKey;
    fn has_reference(&self) -> bool;
    /// Keys of metadata, or names of attributes.
    fn keys(&self) -> impl Iterator<Item = &String>;
    /// How many parts there are.
    fn parts(_: &Pages<'_>) -> usize {
        1
    }
}

impl Paged for ExportedCustomer {
    async fn page(pages: &Pages<'_>, _: usize, after: &PageKey) -> Result<Vec<Self>> {
        Ok(pages.store.export_customers(pages.account.as_ref(), after, PAGE).await?)
    }

    fn key(&self) -> &PageKey {
        &self.key
    }

    fn has_reference(&self) -> bool {
        self.reference.is_some()
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.profile.metadata.keys()
    }
}

impl Paged for ExportedMethod {
    async fn page(pages: &Pages<'_>, _: usize, after: &PageKey) -> Result<Vec<Self>> {
        Ok(pages.store.export_methods(pages.account.as_ref(), after, PAGE).await?)
    }

    fn key(&self) -> &PageKey {
        &self.key
    }

    fn has_reference(&self) -> bool {
        self.reference.is_some()
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.attributes.keys()
    }
}

impl Paged for LinkAt {
    async fn page(pages: &Pages<'_>, part: usize, after: &PageKey) -> Result<Vec<Self>> {
        let Some(account) = pages.accounts.get(part) else { return Ok(Vec::new()) };
        let links = pages.store.export_links(account, after, PAGE).await?;
        Ok(links.into_iter().map(|link| Self { account: account.to_string(), link }).collect())
    }

    fn key(&self) -> &PageKey {
        &self.link.key
    }

    fn has_reference(&self) -> bool {
        self.link.reference.is_some()
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        std::iter::empty()
    }

    fn parts(pages: &Pages<'_>) -> usize {
        pages.accounts.len()
    }
}

/// Does something with each, in their order.
async fn each<T: Paged>(pages: &Pages<'_>, mut work: impl FnMut(&T) -> Result<()>) -> Result<()> {
    for part in 0..T::parts(pages) {
        let mut after = PageKey::default();
        loop {
            let page = T::page(pages, part, &after).await?;
            let Some(last) = page.last() else { break };
            after = last.key().clone();
            page.iter().try_for_each(&mut work)?;
        }
    }
    Ok(())
}

async fn write<T: Paged>(pages: &Pages<'_>, how: How, file: &mut dyn Write) -> Result<Written> {
    let mut written = Written::default();
    let mut keys = BTreeSet::new();
    if how.json {
        write!(file, "{{\"{}\":[", T::WHAT)?;
    } else {
        each(pages, |one: &T| {
            for key in one.keys() {
                if !keys.contains(key) {
                    keys.insert(key.clone());
                }
            }
            Ok(())
        })
        .await?;
        writeln!(file, "{}", csv_cells(T::columns(&keys, how.theirs), how.cells))?;
    }
    each(pages, |one: &T| {
        if how.json {
            let comma = if written.rows > 0 { "," } else { "" };
            write!(file, "{comma}\n{}", one.json())?;
        } else {
            writeln!(file, "{}", csv_cells(one.cells(&keys, how.theirs), how.cells))?;
        }
        written.rows += 1;
        written.nameless += u64::from(!one.has_reference());
        Ok(())
    })
    .await?;
    if how.json {
        writeln!(file, "\n]}}")?;
    }
    file.flush()?;
    Ok(written)
}
