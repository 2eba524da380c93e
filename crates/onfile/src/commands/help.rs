//! `onfile help`: the commands, one command, or a topic.

use anyhow::{Result, bail};
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::{config, out};

/// A page that `onfile help TOPIC` prints, and how it is made.
type Topic = (&'static str, &'static str, fn() -> String);

const TOPICS: [Topic; 3] = [
    ("codes", "every code of a row, a file or a run: what it means, what to do", model::Code::page),
    ("config", "the configuration, key by key", config::reference),
    ("sandbox", "the simulated provider and its faults", || ::sandbox::DOCS.to_owned()),
];

/// Prints the topic or the command of that name; without one, all of them.
pub(crate) fn run(asked: &[String]) -> Result<Exit> {
    if let [name] = asked
        && let Some((_, _, page)) = TOPICS.iter().find(|(topic, ..)| topic == name)
    {
        out::line(page().trim_end());
        return Ok(Exit::Clean);
    }
    let mut whole = Cli::command();
    whole.build();
    let mut command = &mut whole;
    for name in asked {
        let Some(found) = command.find_subcommand_mut(name) else {
            let topics = TOPICS.map(|(topic, ..)| topic).join(", ");
            bail!("there is no command and no topic {name:?}; the topics are {topics}");
        };
        command = found;
    }
    // As text without styles.
    out::line(command.render_long_help().to_string().trim_end());
    if asked.is_empty() {
        out::line("\nTopics (onfile help TOPIC):");
        for (topic, what, _) in TOPICS {
            out::line(&format!("  {topic:<8} {what}"));
        }
    }
    Ok(Exit::Clean)
}
