//! The steps of a run, as data: what `infra/aws/pipeline.asl.json` says to Step Functions. A test
//! holds the two against each other.

use std::time::Duration;

use crate::functions::SILVER;

/// A step: the functions that it calls and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The work list.
    Plan,
    /// One call per item of the work list, and the pulls from registries, side by side. A source
    /// that fails stops no other.
    Sources(&'static [SourceCall]),
    /// One call of each function, side by side. One that fails stops no other.
    Parallel(&'static [&'static str]),
    /// One call of each function, one after another. The first that fails ends the step.
    Sequence(&'static [&'static str]),
}

/// Where the input of a source's calls comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceCall {
    /// A call per item of this list of the work plan.
    PerItem { function: &'static str, list: &'static str },
    /// One call, with the run's own input.
    Once { function: &'static str },
}

impl SourceCall {
    /// The function that is called.
    #[must_use]
    pub fn function(&self) -> &'static str {
        match self {
            Self::PerItem { function, .. } | Self::Once { function } => function,
        }
    }

    /// The list of the work plan that has a call's input per item.
    #[must_use]
    pub fn list(&self) -> Option<&'static str> {
        match self {
            Self::PerItem { list, .. } => Some(list),
            Self::Once { .. } => None,
        }
    }
}

/// The run.
pub const PIPELINE: [Step; 5] = [
    Step::Plan,
    Step::Sources(&[
        SourceCall::PerItem { function: "emr-extract", list: "extracts" },
        SourceCall::PerItem { function: "landing-to-bronze", list: "files" },
        SourceCall::Once { function: "npi-pull" },
        SourceCall::Once { function: "icd-pull" },
    ]),
    Step::Parallel(&SILVER),
    Step::Sequence(&["gold-dimensions", "gold-facts", "gold-kpis", "gold-report"]),
    Step::Sequence(&["audit"]),
];

/// How a call is tried again after an error that may pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub max_attempts: u32,
    pub interval: Duration,
    pub backoff_rate: u32,
    pub max_delay: Duration,
}

/// How every function is tried again.
pub const RETRY: Retry =
    Retry { max_attempts: 5, interval: Duration::from_secs(2), backoff_rate: 2, max_delay: Duration::from_mins(1) };

impl Retry {
    /// The longest pause before a try, counted from 1 for the first one again. The actual pause is
    /// drawn between zero and this, so that calls that failed together do not come back together.
    #[must_use]
    pub fn longest_pause(&self, attempt: u32) -> Duration {
        let factor = self.backoff_rate.saturating_pow(attempt.saturating_sub(1));
        self.interval.saturating_mul(factor).min(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u64> = (1..=6).map(|attempt| RETRY.longest_pause(attempt).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60]);
    }
}
