//! Where runs, scans and effects stand: words in the database.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// The word in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

pub(crate) use words;

words! {
    /// Where a run stands.
    RunState {
        /// Planned, not begun.
        Planned = "planned",
        /// Waits for `onfile runs approve`.
        AwaitingApproval = "awaiting_approval",
        /// At work.
        Running = "running",
        /// Stopped, resumable.
        Paused = "paused",
        /// Ended well.
        Done = "done",
        /// Ended by an error.
        Failed = "failed",
        /// Ended by a person.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where a scan stands.
    ScanState {
        /// At work.
        Running = "running",
        /// Reached the end and was confirmed (rule 3).
        Complete = "complete",
        /// Reached the end; no second pass confirmed it.
        Unconfirmed = "unconfirmed",
        /// Did not reach the end.
        Incomplete = "incomplete",
    }
}

words! {
    /// Where an effect stands (rule 5).
    EffectState {
        /// To be sent.
        Planned = "planned",
        /// May be on its way.
        Sending = "sending",
        /// Took place.
        Done = "done",
        /// The provider declined.
        Refused = "refused",
        /// May have taken place: to be settled.
        Unknown = "unknown",
        /// Could not be settled: a person decides.
        Unresolved = "unresolved",
    }
}

impl RunState {
    /// Whether nothing moves it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl EffectState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Planned, Self::Sending, Self::Done, Self::Refused, Self::Unknown, Self::Unresolved];

    /// Whether it is open: at most one such for (account, kind, subject).
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Sending | Self::Unknown | Self::Unresolved)
    }

    /// Whether it may have taken place, and nobody knows yet.
    #[must_use]
    pub const fn is_unsettled(self) -> bool {
        matches!(self, Self::Sending | Self::Unknown | Self::Unresolved)
    }
}
