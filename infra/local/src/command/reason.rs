//! Who decided about a file or a load, and why. Every decision records both.

use rcm_platform::StageError;

/// The reason for a decision, from the command line.
#[derive(Debug, clap::Args)]
pub(super) struct ReasonArguments {
    /// Reason of the decision; it is recorded.
    #[arg(long)]
    why: String,
    /// Person who decides; it is recorded.
    #[arg(long, env = "USER", hide_env_values = true)]
    by: Option<String>,
}

/// The reason for a decision, as recorded.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) who: String,
    pub(super) why: String,
}

impl ReasonArguments {
    /// The reason to show values; none where none are asked for.
    ///
    /// # Errors
    /// `BadConfig` if values are asked for without a reason, or a reason is given without.
    pub(super) fn of_values(
        values: bool,
        why: Option<String>,
        by: Option<String>,
    ) -> Result<Option<Reason>, StageError> {
        match (values, why) {
            (true, Some(why)) => Self { why, by }.check().map(Some),
            (true, None) => {
                Err(StageError::bad_config("--values needs a reason, which is recorded; hint: --values --why TEXT"))
            }
            (false, Some(_)) => Err(StageError::bad_config("--why goes with --values, which shows the values")),
            (false, None) => Ok(None),
        }
    }

    /// Checks that the reason is not empty.
    ///
    /// # Errors
    /// `BadConfig` if it is empty.
    pub(super) fn check(self) -> Result<Reason, StageError> {
        let why = self.why.trim().to_owned();
        if why.is_empty() {
            return Err(StageError::bad_config("--why is empty; hint: give a reason, it is recorded".to_owned()));
        }
        Ok(Reason { who: self.by.unwrap_or_else(|| "unknown".to_owned()), why })
    }
}
