//! What is counted of a column while its rows pass: bounded, whatever the number of rows.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, NaiveTime, Utc};
use rcm_model::cdm::{DateReader, shape};

/// Distinct values up to which they are counted exactly.
const EXACT: usize = 65_536;
/// Different patterns that are counted; further ones are counted together.
const PATTERNS: usize = 1_000;
/// Different values that are kept of a column whose values may be shown.
const VALUES: usize = 50;
/// Letters of a run that a pattern shows at most, so that names of any length look alike.
const RUN: usize = 4;

/// What was counted of a column.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub rows: u64,
    /// Nulls and empty texts.
    pub nulls: u64,
    /// Texts that are the word NULL in any case; they count as values too.
    pub null_words: u64,
    pub dates: u64,
    pub times: u64,
    pub numbers: u64,
    /// Numbers without a fraction, among the numbers.
    pub whole_numbers: u64,
    pub distinct: Distinct,
    pub patterns: BTreeMap<String, u64>,
    /// Values of a column that may be shown, as long as there are few; none where there are many.
    pub values: Option<BTreeMap<String, u64>>,
    pub range: Range,
    may_be_shown: bool,
}

/// The least and the greatest value of a column that may be shown, as numbers, as moments and as texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Range {
    pub number: Option<(f64, f64)>,
    pub moment: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub text: Option<(String, String)>,
}

impl Tally {
    /// Counts of no row. Values are kept only if they may be shown.
    pub(super) fn new(may_be_shown: bool) -> Self {
        Self { may_be_shown, values: may_be_shown.then(BTreeMap::new), ..Self::default() }
    }

    /// Values, without nulls.
    pub(super) fn values(&self) -> u64 {
        self.rows - self.nulls
    }

    /// Counts a value.
    pub(super) fn add(&mut self, text: Option<&str>, dates: &DateReader) {
        self.rows += 1;
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            self.nulls += 1;
            return;
        };
        self.distinct.add(text);
        self.add_pattern(text);
        if text.eq_ignore_ascii_case("null") {
            self.null_words += 1;
            return;
        }
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        if let Some(number) = number {
            self.numbers += 1;
            self.whole_numbers += u64::from(!text.contains(['.', 'e', 'E']));
            if self.may_be_shown {
                widen(&mut self.range.number, number, |a, b| a < b);
            }
        }
        let may_be_a_date =
            number.is_none() && text.len() >= 6 && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if let Some(moment) = may_be_a_date.then(|| dates.moment(text)).flatten() {
            let is_time = moment.time() != NaiveTime::MIN || text.contains(':');
            *(if is_time { &mut self.times } else { &mut self.dates }) += 1;
            if self.may_be_shown {
                widen(&mut self.range.moment, moment, |a, b| a < b);
            }
        }
        if self.may_be_shown {
            self.keep(text);
        }
    }

    fn keep(&mut self, text: &str) {
        match &mut self.range.text {
            Some((least, greatest)) => {
                if text < least.as_str() {
                    text.clone_into(least);
                }
                if text > greatest.as_str() {
                    text.clone_into(greatest);
                }
            }
            none => *none = Some((text.to_owned(), text.to_owned())),
        }
        let Some(values) = &mut self.values else { return };
        *values.entry(text.to_owned()).or_default() += 1;
        if values.len() > VALUES {
            self.values = None;
        }
    }

    fn add_pattern(&mut self, text: &str) {
        let pattern = pattern(text);
        let has_room = self.patterns.len() < PATTERNS;
        match self.patterns.get_mut(&pattern) {
            Some(count) => *count += 1,
            None if has_room => {
                self.patterns.insert(pattern, 1);
            }
            None => {}
        }
    }

    /// The most frequent patterns, with their rows.
    pub(super) fn top_patterns(&self, top: usize) -> Vec<(String, u64)> {
        let mut patterns: Vec<(String, u64)> =
            self.patterns.iter().map(|(pattern, rows)| (pattern.clone(), *rows)).collect();
        patterns.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        patterns.truncate(top);
        patterns
    }
}

fn widen<T: Copy>(range: &mut Option<(T, T)>, value: T, is_less: impl Fn(&T, &T) -> bool) {
    *range = Some(match *range {
        None => (value, value),
        Some((least, greatest)) => (
            if is_less(&value, &least) { value } else { least },
            if is_less(&greatest, &value) { value } else { greatest },
        ),
    });
}

/// The shape of a value with long runs of letters cut, so that `Ann` and `Bartholomew` differ little.
fn pattern(text: &str) -> String {
    let mut pattern = String::new();
    let (mut last, mut run) = (None, 0);
    for letter in shape(text).chars() {
        run = if last == Some(letter) { run + 1 } else { 1 };
        last = Some(letter);
        if run <= RUN || !matches!(letter, 'a' | 'A') {
            pattern.push(letter);
        }
    }
    pattern
}

/// Counts distinct values: exactly up to some, from the smallest hashes beyond.
#[derive(Debug, Clone, Default)]
pub(super) struct Distinct {
    smallest: BTreeSet<u64>,
    is_full: bool,
}

impl Distinct {
    fn add(&mut self, text: &str) {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.add_hash(hasher.finish());
    }

    fn add_hash(&mut self, hash: u64) {
        if self.is_full && self.smallest.last().is_some_and(|greatest| hash >= *greatest) {
            return;
        }
        self.smallest.insert(hash);
        if self.smallest.len() > EXACT {
            self.smallest.pop_last();
            self.is_full = true;
        }
    }

    /// How many there are, and whether that is exact.
    pub(super) fn count(&self) -> (u64, bool) {
        let kept = self.smallest.len() as u64;
        match self.smallest.last() {
            // Of hashes spread evenly, the k-th smallest lies at k ÷ (n + 1) of the whole range.
            Some(greatest) if self.is_full => {
                let share = (*greatest as f64 + 1.0) / 2_f64.powi(64);
                (((kept - 1) as f64 / share).round() as u64, false)
            }
            _ => (kept, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::Mapping;

    use super::*;

    fn dates() -> DateReader {
        let mapping =
            Mapping::parse("x.toml", "datasource = \"x\"\ndate_formats = [\"%d.%m.%Y\", \"%d.%m.%Y %H:%M\"]").unwrap();
        DateReader::of(&mapping).unwrap()
    }

    fn tally(values: &[&str], may_be_shown: bool) -> Tally {
        let mut tally = Tally::new(may_be_shown);
        for value in values {
            tally.add(Some(value), &dates());
        }
        tally
    }

    #[test]
    fn a_pattern_is_a_shape_of_bounded_runs() {
        for (text, expected) in [
            ("Ann", "Aaa"),
            ("Bartholomew", "Aaaaa"),
            ("C-00123", "A-99999"),
            ("NULL", "NULL"),
            ("2024-09-10", "9999-99-99"),
        ] {
            assert_eq!(pattern(text), expected);
        }
    }

    #[test]
    fn values_are_counted_by_what_they_are() {
        let tally = tally(&["31.10.2024", "31.10.2024 08:15", "", "12", "12.50", "null", "x"], true);
        assert_eq!((tally.rows, tally.nulls, tally.null_words), (7, 1, 1));
        assert_eq!((tally.dates, tally.times, tally.numbers, tally.whole_numbers), (1, 1, 2, 1));
        assert_eq!(tally.distinct.count(), (6, true));
        assert_eq!(tally.range.number, Some((12.0, 12.5)));
    }

    #[test]
    fn a_column_that_may_identify_a_person_keeps_no_value() {
        let tally = tally(&["Quillon", "1984-11-07", "5550100"], false);
        assert!(tally.values.is_none() && tally.range.text.is_none());
        assert!(tally.range.number.is_none() && tally.range.moment.is_none());
        assert!(!format!("{tally:?}").contains("Quillon"));
    }

    #[test]
    fn more_distinct_values_than_are_kept_are_estimated() {
        let mut distinct = Distinct::default();
        for number in 0..200_000_u64 {
            distinct.add(&format!("value {number}"));
            distinct.add(&format!("value {number}"));
        }
        let (count, is_exact) = distinct.count();
        assert!(!is_exact && (195_000..205_000).contains(&count), "{count}");
    }
}
