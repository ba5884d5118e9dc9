use std::fmt;

/// Which part of an extract failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emr) enum Step {
    Connecting,
    LoggingIn,
    ReadingColumns,
    ReadingHigh,
    FindingShards,
    ReadingRows,
}

impl Step {
    /// Whether there is no session yet that could have done something.
    pub(in crate::emr) fn is_before_login(self) -> bool {
        matches!(self, Self::Connecting | Self::LoggingIn)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connecting => "connecting",
            Self::LoggingIn => "logging in",
            Self::ReadingColumns => "reading the columns",
            Self::ReadingHigh => "reading the latest watermark",
            Self::FindingShards => "cutting it into ranges",
            Self::ReadingRows => "reading the rows",
        })
    }
}
