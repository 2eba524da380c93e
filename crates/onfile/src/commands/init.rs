//! `onfile init`: a configuration to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cli::Global;
use crate::config::EXAMPLE;
use crate::exit::Exit;
use crate::out;

pub(crate) fn run(global: &Global, path: &Path) -> Result<Exit> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; it was left as it is", path.display())
        }
        Err(error) => return Err(error).context(format!("cannot write {}", path.display())),
    };
    file.write_all(EXAMPLE.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    if global.json {
        out::json(&serde_json::json!({ "written": path }));
    } else {
        out::line(&format!(
            "wrote {}\n\nNext: `onfile keys generate` prints a key for ONFILE_KEY; fill in the \
             account; then `onfile check`.",
            path.display()
        ));
    }
    Ok(Exit::Clean)
}
