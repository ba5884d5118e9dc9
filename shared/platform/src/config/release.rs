//! What a whole list says of its own date in its file's name.

use chrono::{Datelike, NaiveDate};
use regex_lite::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Month in which a fiscal year of the United States begins, in the calendar year before.
const FISCAL_MONTH: u32 = 10;

/// A pattern that finds the date of a list in its file's name: a regular expression with the groups
/// `year`, `month` and `day`, of which the later ones may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Release(String);

impl Release {
    /// Checks the pattern.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with its name.
    pub(super) fn check(&self) -> Result<(), String> {
        let regex = self.regex().map_err(|error| format!("is no regular expression: {error}"))?;
        let groups: Vec<&str> = regex.capture_names().flatten().collect();
        let has = |group: &str| groups.contains(&group);
        if let Some(other) = groups.iter().find(|group| !["year", "month", "day"].contains(group)) {
            return Err(format!("has a group `{other}`: year, month and day are what it may have"));
        }
        if !has("year") {
            return Err("has no group `year`: write (?<year>\\d{4}) where the year stands".to_owned());
        }
        if has("day") && !has("month") {
            return Err("has a group `day` but no group `month`".to_owned());
        }
        Ok(())
    }

    /// The date that a file's name says; the first of the month or the year where it says no more. None if
    /// the pattern is not in it, or what it finds is no date.
    fn date(&self, file_name: &str) -> Option<NaiveDate> {
        let found = self.regex().ok()?;
        let found = found.captures(file_name)?;
        let year = found.name("year")?.as_str().parse().ok()?;
        let month = found.name("month").map_or(Some(1), |month| month_of(month.as_str()))?;
        let day = found.name("day").map_or(Some(1), |day| day.as_str().parse().ok())?;
        NaiveDate::from_ymd_opt(year, month, day)
    }

    fn regex(&self) -> Result<Regex, regex_lite::Error> {
        Regex::new(&self.0)
    }
}

/// The date of a list by its file's name, where a pattern is configured; else that of an order file of
/// ICD-10-CM.
pub(super) fn date(release: Option<&Release>, is_order_file: bool, file_name: &str) -> Option<NaiveDate> {
    match release {
        Some(release) => release.date(file_name),
        None if is_order_file => order_file_date(file_name),
        None => None,
    }
}

/// The year in the name of an order file: its first four digits that begin with 20.
#[must_use]
pub fn order_file_year(file_name: &str) -> Option<&str> {
    let starts = file_name.match_indices("20").map(|(start, _)| start);
    starts.filter_map(|start| file_name.get(start..start + 4)).find(|year| year.chars().all(|c| c.is_ascii_digit()))
}

/// The day from which an order file holds. Its year is a fiscal year, which begins in October of the year
/// before. One that is published within the year says the month and the calendar year.
fn order_file_date(file_name: &str) -> Option<NaiveDate> {
    let year = order_file_year(file_name)?.parse().ok()?;
    let mut words = file_name.split(|c: char| !c.is_ascii_alphabetic());
    match words.find_map(name_of_month) {
        Some(month) => NaiveDate::from_ymd_opt(year, month, 1),
        None => NaiveDate::from_ymd_opt(year, FISCAL_MONTH, 1)?.with_year(year - 1),
    }
}

fn month_of(text: &str) -> Option<u32> {
    text.parse().ok().or_else(|| name_of_month(text))
}

/// The number of a month by its English name, whole or its first three letters.
fn name_of_month(word: &str) -> Option<u32> {
    let word = word.to_ascii_lowercase();
    let is_it = |month: &&str| **month == word || month.get(..3) == Some(word.as_str());
    (1..).zip(&MONTHS).find(|(_, month)| is_it(month)).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_feed(pattern: &str, file_name: &str) -> Option<String> {
        let release = Release(pattern.to_owned());
        release.check().unwrap();
        date(Some(&release), false, file_name).map(|date| date.to_string())
    }

    #[rstest::rstest]
    #[case(r"cpt_(?<year>\d{4})-(?<month>\d{2})", "cpt_2024-07.csv", Some("2024-07-01"))]
    #[case(r"(?<year>\d{4})(?<month>\d{2})(?<day>\d{2})", "list-20240731.csv", Some("2024-07-31"))]
    #[case(r"(?<month>[A-Za-z]+)_(?<year>\d{4})", "codes_July_2024.csv", Some("2024-07-01"))]
    #[case(r"(?<year>\d{4})", "2024.csv", Some("2024-01-01"))]
    #[case(r"(?<year>\d{4})-(?<month>\d{2})", "2024-13.csv", None)]
    #[case(r"(?<year>\d{4})", "codes.csv", None)]
    fn the_date_of_a_list_is_what_the_pattern_finds_in_its_name(
        #[case] pattern: &str,
        #[case] name: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(of_feed(pattern, name).as_deref(), expected);
    }

    #[rstest::rstest]
    #[case("icd10cm_order_2025.txt", Some("2024-10-01"))]
    #[case("icd10cm-order-April-2026.txt", Some("2026-04-01"))]
    #[case("icd10cm-order-2026.txt", Some("2025-10-01"))]
    #[case("ICD10CM_ORDER_APR_2026.TXT", Some("2026-04-01"))]
    #[case("order_20x5.txt", None)]
    fn the_year_of_an_order_file_begins_in_october_of_the_year_before(
        #[case] name: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(date(None, true, name).map(|date| date.to_string()).as_deref(), expected);
    }

    #[rstest::rstest]
    #[case("(?<year>", "is no regular expression")]
    #[case(r"(\d{4})", "has no group `year`")]
    #[case(r"(?<year>\d{4})(?<day>\d{2})", "has a group `day` but no group `month`")]
    #[case(r"(?<year>\d{4})(?<mouth>\d{2})", "has a group `mouth`")]
    fn a_pattern_that_finds_no_date_says_why(#[case] pattern: &str, #[case] expected: &str) {
        let reason = Release(pattern.to_owned()).check().unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}
