//! `[npi]` and `[icd]` of `configs/sources.toml`: registries that are asked over HTTP.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Result, StageError};

/// Longest time that a setting of [`Http`] may have.
const LONGEST: Duration = Duration::from_hours(24);

/// The NPI registry (NPPES, version 2.1 of its API).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Npi {
    pub base_url: String,
    /// Days after which an identifier, or a search, is asked for again.
    #[serde(default = "default_npi_age")]
    pub max_age_days: u32,
    /// Searches beside the identifiers of the lake's providers.
    #[serde(default)]
    pub searches: Vec<NpiSearch>,
    /// Taxonomies that a search without one is cut by where the registry shows no more of it.
    #[serde(default)]
    pub taxonomies: Vec<String>,
    #[serde(default)]
    pub http: Http,
}

/// What providers are searched by; the names are the registry's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NpiSearch {
    pub state: Option<String>,
    pub city: Option<String>,
    /// Five or nine digits, or at least two and `*`.
    pub postal_code: Option<String>,
    pub country_code: Option<String>,
    pub taxonomy_description: Option<String>,
    /// `NPI-1` for persons, `NPI-2` for organizations.
    pub enumeration_type: Option<String>,
    pub organization_name: Option<String>,
    pub last_name: Option<String>,
}

/// The ICD API of the WHO, or a server that speaks as it does.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Icd {
    pub base_url: String,
    /// Where a token is asked for; none for a server that wants none.
    #[serde(default)]
    pub token_url: Option<String>,
    /// Name or ARN of the secret with `client_id` and `client_secret`; `RCM_ICD_SECRET` says it
    /// where nothing is said here.
    #[serde(default)]
    pub secret: Option<String>,
    /// Release of ICD-10, such as `2019`.
    pub release: String,
    #[serde(default = "default_language")]
    pub language: String,
    /// Chapters or blocks to walk, such as `I` or `A00-A09`; the whole release where none is named.
    #[serde(default)]
    pub chapters: Vec<String>,
    /// Days after which the same chapters are walked again.
    #[serde(default = "default_icd_age")]
    pub max_age_days: u32,
    #[serde(default)]
    pub http: Http,
}

/// How politely and how patiently a registry is asked.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Requests that wait for an answer at the same time.
    pub concurrency: usize,
    pub requests_per_second: f64,
    /// How long one answer may take.
    pub timeout_seconds: f64,
    /// Tries of one request, the first one included.
    pub tries: u32,
    /// Pause before the second try; it doubles with every further one.
    pub first_pause_seconds: f64,
    /// Longest pause; a server that asks for a longer one is left to a later run.
    pub longest_pause_seconds: f64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            concurrency: 4,
            requests_per_second: 10.0,
            timeout_seconds: 30.0,
            tries: 5,
            first_pause_seconds: 0.5,
            longest_pause_seconds: 60.0,
        }
    }
}

fn default_npi_age() -> u32 {
    30
}

fn default_icd_age() -> u32 {
    180
}

fn default_language() -> String {
    "en".to_owned()
}

impl Http {
    /// A number of seconds of this table as a time.
    ///
    /// # Errors
    /// It is negative, no number, or longer than a day.
    pub fn seconds(name: &str, seconds: f64) -> Result<Duration> {
        let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST);
        time.ok_or_else(|| StageError::bad_config(format!("configs/sources.toml: {name} cannot be {seconds}")))
    }

    /// Time between the starts of two requests.
    ///
    /// # Errors
    /// There are to be none per second, or fewer.
    pub fn interval(&self) -> Result<Duration> {
        if self.requests_per_second <= 0.0 {
            let message = "configs/sources.toml: requests_per_second must be more than 0".to_owned();
            return Err(StageError::bad_config(message));
        }
        Self::seconds("requests_per_second", self.requests_per_second.recip())
    }
}

impl NpiSearch {
    /// The criteria that are set, by the registry's names, in the order of the fields.
    #[must_use]
    pub fn criteria(&self) -> Vec<(&'static str, &str)> {
        [
            ("state", &self.state),
            ("city", &self.city),
            ("postal_code", &self.postal_code),
            ("country_code", &self.country_code),
            ("taxonomy_description", &self.taxonomy_description),
            ("enumeration_type", &self.enumeration_type),
            ("organization_name", &self.organization_name),
            ("last_name", &self.last_name),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0.0, true)]
    #[case(86_400.0, true)]
    #[case(86_401.0, false)]
    #[case(1e18, false)]
    #[case(-1.0, false)]
    #[case(f64::NAN, false)]
    fn a_time_is_a_day_at_most(#[case] seconds: f64, #[case] expected: bool) {
        assert_eq!(Http::seconds("timeout_seconds", seconds).is_ok(), expected);
    }
}
