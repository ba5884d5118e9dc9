//! What waits for a person: a file, a stream or a table that goes no further by itself.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One thing that goes no further until somebody acts. The status of a lake, the result of a run, the alerts
/// and the troubleshooting guide all name it in the same words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    pub kind: StandstillKind,
    /// What stands still: a landed file, a bronze stream or a table. Never a value of a row.
    pub subject: String,
    /// Since when; none where nothing recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Which load or file it stands still because of, and why.
    pub because: String,
    /// What to do.
    pub hint: String,
}

/// What kind of thing stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandstillKind {
    /// A landed file was refused whole.
    FileRefused,
    /// A file lies below `landing/` in a folder that no feed names.
    FileOutsideFeeds,
    /// A load in bronze is not in its silver table, and nothing after it in its stream is either.
    LoadWaits,
    /// A table was made with another mapping or other rules than those of today.
    TableOutdated,
}

impl StandstillKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::FileRefused, Self::FileOutsideFeeds, Self::LoadWaits, Self::TableOutdated];

    /// What it is called in data, such as the dimension of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FileRefused => "file_refused",
            Self::FileOutsideFeeds => "file_outside_feeds",
            Self::LoadWaits => "load_waits",
            Self::TableOutdated => "table_outdated",
        }
    }

    /// What is said of it in a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::FileRefused => "file refused",
            Self::FileOutsideFeeds => "file in a folder of no feed",
            Self::LoadWaits => "load waits",
            Self::TableOutdated => "table outdated",
        }
    }
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, subject, since, because, hint } = self;
        write!(f, "{}: {subject}", kind.title())?;
        if let Some(since) = since {
            write!(f, " (since {})", since.format("%Y-%m-%d %H:%M:%S"))?;
        }
        write!(f, ": {because}; hint: {hint}")
    }
}
