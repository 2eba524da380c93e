//! What is remembered of a profile field that the file stated: a short text, as the store keeps it.

use std::fmt;

/// Before the hash of a value that was left out.
const LEFT_OUT: char = '-';
/// Before the hash of a value that was not sent, and before that of the value it would replace.
const NOT_SENT: char = '~';

/// What the file stated of a field the last time, and what the provider had of it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stated<'a> {
    /// The keyed hash of the file's value.
    pub(super) hash: &'a str,
    pub(super) there: There<'a>,
}

/// What the provider had when the file stated a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There<'a> {
    /// The same value.
    Same,
    /// None: it does not take the file's.
    LeftOut,
    /// The value of this hash, or none, before any file stated one: the file's was listed as
    /// different and not sent.
    Other(Option<&'a str>),
}

impl<'a> Stated<'a> {
    /// Reads the text.
    pub(super) fn parse(text: &'a str) -> Self {
        if let Some(hash) = text.strip_prefix(LEFT_OUT) {
            return Self { hash, there: There::LeftOut };
        }
        let Some(rest) = text.strip_prefix(NOT_SENT) else {
            return Self { hash: text, there: There::Same };
        };
        match rest.split_once(NOT_SENT) {
            Some((theirs, hash)) => Self { hash, there: There::Other(Some(theirs)) },
            None => Self { hash: rest, there: There::Other(None) },
        }
    }

    /// The hash of the value that the provider had.
    pub(super) const fn theirs(&self) -> Option<&'a str> {
        match self.there {
            There::Same => Some(self.hash),
            There::LeftOut => None,
            There::Other(theirs) => theirs,
        }
    }

    /// Whether the value was listed as different, and not sent.
    pub(super) const fn was_not_sent(&self) -> bool {
        matches!(self.there, There::Other(_))
    }
}

impl fmt::Display for Stated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.there {
            There::Same => {}
            There::LeftOut => write!(f, "{LEFT_OUT}")?,
            There::Other(None) => write!(f, "{NOT_SENT}")?,
            There::Other(Some(theirs)) => write!(f, "{NOT_SENT}{theirs}{NOT_SENT}")?,
        }
        f.write_str(self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_reads_back() {
        for (text, there, theirs) in [
            ("a1", There::Same, Some("a1")),
            ("-a1", There::LeftOut, None),
            ("~a1", There::Other(None), None),
            ("~b2~a1", There::Other(Some("b2")), Some("b2")),
        ] {
            let stated = Stated::parse(text);
            assert_eq!(stated, Stated { hash: "a1", there });
            assert_eq!(stated.theirs(), theirs);
            assert_eq!(stated.to_string(), text);
        }
    }
}
