//! `configs/report.toml`: what the report calls things, and what it holds figures against.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// What the report is told about the group. Everything has a default.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Name of the group.
    pub title: String,
    /// Sign before an amount.
    pub currency: String,
    /// Names of hospitals, by datasource.
    pub hospitals: BTreeMap<String, String>,
    /// Names of payers, each with the words for it in claims and transactions.
    pub payers: BTreeMap<String, Vec<String>>,
    pub targets: Targets,
    pub materiality: Materiality,
    pub freshness: Freshness,
}

/// What the group wants to reach; a figure without a target is compared with nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    pub days_in_ar: Option<f64>,
    /// Shares, from 0 to 1.
    pub over_90_days: Option<f64>,
    pub collected_in_90_days: Option<f64>,
    pub claims_denied: Option<f64>,
}

/// When a figure is worth a word.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Materiality {
    /// Relative change below which a balance is steady.
    pub steady: f64,
    /// Share of a change from which on the largest part of it is named.
    pub culprit: f64,
    /// Relative change of a closed month's balance from which on it is said to be restated.
    pub restated: f64,
    /// Counts from 1 up to one below this are not shown.
    pub small_cells: u64,
    /// Rows of which a rate is made at least.
    pub least_for_rate: u64,
}

/// How old data may be.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Freshness {
    /// Days before D at which the newest row of a feed may lie.
    pub days: u32,
    /// The same of some feeds: `<datasource>/<entity>`.
    pub feeds: BTreeMap<String, u32>,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            title: "Hospital group".to_owned(),
            currency: "$".to_owned(),
            hospitals: BTreeMap::new(),
            payers: BTreeMap::new(),
            targets: Targets::default(),
            materiality: Materiality::default(),
            freshness: Freshness::default(),
        }
    }
}

impl Default for Materiality {
    fn default() -> Self {
        Self { steady: 0.04, culprit: 0.4, restated: 0.005, small_cells: 11, least_for_rate: 100 }
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self { days: 35, feeds: BTreeMap::new() }
    }
}

impl ReportConfig {
    /// Reads `configs/report.toml`.
    ///
    /// # Errors
    /// It is no TOML, has a key that there is not, or a share that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let shares = [
            ("targets.over_90_days", config.targets.over_90_days),
            ("targets.collected_in_90_days", config.targets.collected_in_90_days),
            ("targets.claims_denied", config.targets.claims_denied),
            ("materiality.steady", Some(config.materiality.steady)),
            ("materiality.culprit", Some(config.materiality.culprit)),
            ("materiality.restated", Some(config.materiality.restated)),
        ];
        for (name, share) in shares {
            if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                return Err(format!("{name} is a share, from 0 to 1"));
            }
        }
        if config.targets.days_in_ar.is_some_and(|days| !(days > 0.0 && days.is_finite())) {
            return Err("targets.days_in_ar is a number of days".to_owned());
        }
        Ok(config)
    }

    /// The name of a hospital: the datasource itself where it has none.
    #[must_use]
    pub fn hospital<'a>(&'a self, datasource: &'a str) -> &'a str {
        self.hospitals.get(datasource).map_or(datasource, String::as_str)
    }

    /// The name of a payer: claims and transactions may have other words for it, or write the same one in another way.
    /// A word without a name of its own is shown as it is first written.
    #[must_use]
    pub fn payer(&self, word: &str) -> String {
        let folded = folded(word);
        let is_meant = |name: &str, words: &[String]| {
            folded == self::folded(name) || words.iter().any(|word| folded == self::folded(word))
        };
        let known = self.payers.iter().find(|(name, words)| is_meant(name, words));
        known.map_or_else(|| word.trim().to_owned(), |(name, _)| name.clone())
    }

    /// Days before D at which the newest row of a feed may lie.
    #[must_use]
    pub fn days_of_feed(&self, feed: &str) -> u32 {
        self.freshness.feeds.get(feed).copied().unwrap_or(self.freshness.days)
    }
}

/// Letters and digits of a word, in lower case: `Self-Pay` is `selfpay`.
#[must_use]
pub fn folded(word: &str) -> String {
    word.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_all_defaults() {
        assert_eq!(ReportConfig::parse("").unwrap(), ReportConfig::default());
    }

    #[test]
    fn a_payer_has_one_name_however_it_is_written() {
        let config = ReportConfig::parse("[payers]\n'Self-pay' = ['private pay']\n'Medicare' = []").unwrap();
        for (word, name) in [
            ("SELF PAY", "Self-pay"),
            ("Private-Pay", "Self-pay"),
            ("medicare", "Medicare"),
            (" Commercial ", "Commercial"),
        ] {
            assert_eq!(config.payer(word), name);
        }
    }

    #[rstest::rstest]
    #[case("[targets]\ndays_in_ar = -1", "targets.days_in_ar")]
    #[case("[targets]\nover_90_days = 10", "targets.over_90_days")]
    #[case("[target]", "target")]
    #[case("[materiality]\nculprit = 1.5", "materiality.culprit")]
    #[case("[materiality]\nrestated = -0.1", "materiality.restated")]
    fn what_cannot_be_meant_is_refused_by_name(#[case] text: &str, #[case] expected: &str) {
        let error = ReportConfig::parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn feeds_may_be_allowed_more_days_than_others() {
        let config = ReportConfig::parse("[freshness]\ndays = 3\n[freshness.feeds]\n'hos-a/claims' = 40").unwrap();
        assert_eq!((config.days_of_feed("hos-a/claims"), config.days_of_feed("hos-a/patients")), (40, 3));
    }
}
