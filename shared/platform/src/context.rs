//! What every stage is handed: the lake, the settings and the clock.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use chrono_tz::Tz;

use crate::config::{Environment, Settings};
use crate::error::{Result, StageError};
use crate::lake::Lake;

/// What every stage is handed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    pub lake: Lake,
    pub environment: Environment,
    pub settings: Arc<Settings>,
    pub clock: Clock,
}

impl Context {
    /// The context of a lake: reads its configuration.
    ///
    /// # Errors
    /// A configuration file is missing or unusable.
    pub async fn of(lake: Lake, environment: Environment, clock: Clock) -> Result<Self> {
        let settings = Arc::new(Settings::read(&lake).await?);
        Ok(Self { lake, environment, settings, clock })
    }

    /// The time, in whole microseconds as the lake keeps it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The day that it is in the zone of the environment.
    ///
    /// # Errors
    /// As [`Context::day_of`].
    pub fn today(&self) -> Result<NaiveDate> {
        self.day_of(self.now())
    }

    /// The day of a moment in the zone of the environment.
    ///
    /// # Errors
    /// `BadConfig` if there is no such zone.
    pub fn day_of(&self, moment: DateTime<Utc>) -> Result<NaiveDate> {
        let Some(name) = &self.environment.time_zone else { return Ok(moment.date_naive()) };
        let zone: Tz = name.parse().map_err(|_| {
            StageError::bad_config(format!("RCM_TIME_ZONE: there is no time zone `{name}`; one is `America/New_York`"))
        })?;
        Ok(moment.with_timezone(&zone).date_naive())
    }
}

/// Where a stage takes the time from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn system() -> Self {
        Self(Arc::new(Utc::now))
    }

    /// A clock that a test turns.
    pub fn from_fn(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time, in whole microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)().trunc_subsecs(6)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}
