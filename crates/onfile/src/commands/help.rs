//! `onfile help`: the commands, one command, or a topic.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::CommandFactory as _;
use model::{Code, Scope};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::registry::{PROVIDERS, kinds};
use crate::{config, out};

/// A page that `onfile help TOPIC` prints, and how it is made.
type Topic = (&'static str, &'static str, fn() -> String);

const TOPICS: [Topic; 4] = [
    ("codes", "every code of a row, a file or a run, or the one named behind it", Code::page),
    ("config", "the configuration, key by key", config::reference),
    (
        "providers",
        "what each provider can do, hold and be found to differ in; behind it a kind",
        || include_str!("../../docs/providers.md").to_owned(),
    ),
    ("sandbox", "the simulated provider and its faults", || ::sandbox::DOCS.to_owned()),
];

/// What is known of one code, in the published list and in that of the configuration.
fn code(word: &str) -> Result<String> {
    let mut text = String::new();
    if let Some(code) = Code::parse(word) {
        let outcomes: Vec<_> = code.outcomes().iter().map(|outcome| outcome.as_str()).collect();
        let of = match code.scope() {
            Scope::Row => format!("a row, which is {}", outcomes.join(" or ")),
            Scope::File => "a file as a whole".into(),
            Scope::Run => "a run, or the store".into(),
        };
        let hint = code.hint().unwrap_or("nothing has to be done");
        let _infallible =
            writeln!(text, "{word}: {}\n  said of: {of}\n  hint: {hint}", code.meaning());
    }
    let mut of_config = config::Code::ALL.iter();
    if let Some((_, meaning)) = of_config.find(|(code, _)| code.as_str() == word) {
        let _infallible = writeln!(
            text,
            "{word}: {meaning}\n  said of: the configuration\n  hint: `onfile check` shows the \
             line and what to write there"
        );
    }
    if text.is_empty() {
        let all = Code::ALL.iter().map(|code| code.as_str());
        let all = all.chain(config::Code::ALL.iter().map(|(code, _)| code.as_str()));
        match config::nearest(word, all) {
            Some(near) => bail!("there is no code {word:?}; did you mean `{near}`?"),
            None => bail!("there is no code {word:?}; `onfile help codes` lists them"),
        }
    }
    Ok(text)
}

/// Prints the topic or the command of that name, the codes named behind the topic `codes`, or the kind
/// behind `providers`;
/// without one, all topics and commands.
pub(crate) fn run(asked: &[String]) -> Result<Exit> {
    if let [topic, words @ ..] = asked
        && topic == "codes"
        && !words.is_empty()
    {
        for word in words {
            out::line(code(word)?.trim_end());
        }
        return Ok(Exit::Clean);
    }
    if let [topic, kind] = asked
        && topic == "providers"
    {
        let Some(provider) = PROVIDERS.iter().find(|provider| provider.kind == kind) else {
            bail!("there is no provider {kind:?}; the kinds are {}", kinds().join(", "));
        };
        out::line(provider.docs.trim_end());
        return Ok(Exit::Clean);
    }
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
            out::line(&format!("  {topic:<9} {what}"));
        }
    }
    Ok(Exit::Clean)
}
