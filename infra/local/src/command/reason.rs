//! Who decided about a file or a load, and why. Every decision records both.

use rcm_platform::StageError;

/// The reason for a decision, from the command line.
#[derive(Debug, clap::Args)]
pub(super) struct ReasonArguments {
    /// Reason of the decision; it is recorded.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    who: Who,
}

/// The person who decides.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Person who decides; it is recorded.
    #[arg(long, env = "USER", hide_env_values = true)]
    by: Option<String>,
}

/// Asks for values of columns that identify a patient, from the command line.
#[derive(Debug, clap::Args)]
pub(super) struct ValuesArguments {
    /// Show columns that may identify a patient as they are, and not as shapes. Who reads them and why is recorded
    /// in the lake.
    #[arg(long, requires = "why")]
    values: bool,
    /// Reason for reading values; it is recorded.
    #[arg(long)]
    why: Option<String>,
    /// Person who reads values; it is recorded.
    #[arg(long, env = "USER", hide_env_values = true)]
    by: Option<String>,
}

impl ValuesArguments {
    /// Returns who reads values and why; none where no values are asked for.
    ///
    /// # Errors
    /// `BadConfig` if the reason is empty.
    pub(super) fn check(self) -> Result<Option<Reason>, StageError> {
        let Self { values, why, by } = self;
        match why {
            Some(why) if values => ReasonArguments { why, who: Who { by } }.check().map(Some),
            _ => Ok(None),
        }
    }
}

impl Who {
    /// Returns the name that is recorded.
    pub(super) fn name(self) -> String {
        self.by.unwrap_or_else(|| "unknown".to_owned())
    }
}

/// The reason for a decision, as recorded.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) who: String,
    pub(super) why: String,
}

impl ReasonArguments {
    /// Checks that the reason is not empty.
    ///
    /// # Errors
    /// `BadConfig` if it is empty.
    pub(super) fn check(self) -> Result<Reason, StageError> {
        let why = self.why.trim().to_owned();
        if why.is_empty() {
            return Err(StageError::bad_config("--why is empty; hint: give a reason, it is recorded".to_owned()));
        }
        Ok(Reason { who: self.who.name(), why })
    }
}
