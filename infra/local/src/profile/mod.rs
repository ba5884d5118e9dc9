//! Profiles a file or a table: what its columns look like, and which rules they would keep.
//!
//! Rows are streamed and counted. Of a column that may identify a patient no value is kept; a column of a file that no
//! mapping names counts as one.

mod file;
mod suggest;
mod table;
mod tally;

use rcm_model::cdm::{Entity, Identifying};
use serde::Serialize;

pub use self::file::{FileRequest, of_file};
pub use self::suggest::{MOST, ROWS_FROM, Suggestion};
pub use self::table::of_table;
use self::tally::Tally;

/// What a file or a table looks like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// The file or the table.
    pub name: String,
    pub rows: u64,
    /// Records that do not fit the header of a file.
    pub malformed: u64,
    /// Delimiter of a file.
    pub delimiter: Option<char>,
    /// Entity and datasource whose mapping fits the header of a file, such as `patients of hos-a`; of a table its entity.
    pub entity: Option<String>,
    pub columns: Vec<ColumnProfile>,
    /// Rules that would hold; none unless they were asked for.
    pub rules: Vec<Suggestion>,
}

/// What a column looks like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnProfile {
    pub name: String,
    /// Whether it may identify a patient: then no value of it is told.
    pub is_identifying: bool,
    pub looks_like: String,
    pub nulls: u64,
    pub distinct: u64,
    pub distinct_is_exact: bool,
    /// Values beyond the first of each, in a column of ids.
    pub repeated: Option<u64>,
    pub null_words: u64,
    pub least: Option<String>,
    pub greatest: Option<String>,
    /// Shapes, the most frequent first, with their rows.
    pub patterns: Vec<(String, u64)>,
    /// Values of a column that has few and may be shown, with their rows.
    pub values: Vec<(String, u64)>,
}

/// Distinct values up to which a column is one of few values.
const FEW: usize = 12;
/// Of a hundred values so many must be alike for a column to be of a kind.
const NEARLY_ALL: u64 = 95;

/// What is known of a column before it is read.
#[derive(Debug, Clone)]
struct Known {
    name: String,
    /// What the mapping or the model says.
    identifying: Option<Identifying>,
    /// Whether its values may be shown.
    may_be_shown: bool,
    /// Whether it has the ids of the rows.
    is_id: bool,
    /// Column of the model that it is; none where it is none, or one of several.
    of_model: Option<&'static str>,
}

impl Known {
    fn profile(&self, tally: &Tally, top: usize) -> ColumnProfile {
        let (distinct, distinct_is_exact) = tally.distinct.count();
        let few = tally
            .values
            .as_ref()
            .filter(|values| self.may_be_shown && values.len() <= FEW && tally.values() > values.len() as u64);
        let looks_like = self.looks_like(tally, few.map(std::collections::BTreeMap::len));
        let (least, greatest) =
            if few.is_some() && looks_like.ends_with("values") { (None, None) } else { ends(tally) };
        let mut values: Vec<(String, u64)> =
            few.into_iter().flatten().map(|(value, rows)| (value.clone(), *rows)).collect();
        values.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        values.truncate(top.max(FEW));
        ColumnProfile {
            name: self.name.clone(),
            is_identifying: !self.may_be_shown,
            repeated: (self.is_id && distinct_is_exact).then(|| tally.values().saturating_sub(distinct)),
            values: if looks_like.ends_with("values") { values } else { Vec::new() },
            looks_like,
            nulls: tally.nulls,
            distinct,
            distinct_is_exact,
            null_words: tally.null_words,
            least,
            greatest,
            patterns: tally.top_patterns(top),
        }
    }

    fn looks_like(&self, tally: &Tally, few: Option<usize>) -> String {
        let values = tally.values() - tally.null_words;
        if values == 0 {
            return "empty".to_owned();
        }
        if self.is_id {
            return "id".to_owned();
        }
        let nearly_all = |count: u64| count * 100 >= values * NEARLY_ALL;
        let word = match self.identifying {
            Some(Identifying::Name) => "name",
            Some(Identifying::Address) => "address",
            Some(Identifying::PhoneNumber) => "phone number",
            Some(Identifying::SocialSecurityNumber | Identifying::RecordNumber | Identifying::HealthPlanNumber) => "id",
            _ if nearly_all(tally.times) => "time",
            _ if nearly_all(tally.dates + tally.times) => "date",
            _ if few.is_some() => return format!("{} values", few.unwrap_or_default()),
            _ if nearly_all(tally.whole_numbers) => "whole number",
            _ if nearly_all(tally.numbers) => "number",
            _ => "text",
        };
        word.to_owned()
    }
}

/// The least and the greatest value that may be told: of what the column looks like.
fn ends(tally: &Tally) -> (Option<String>, Option<String>) {
    let values = tally.values() - tally.null_words;
    let is_all = |count: u64| count == values && values > 0;
    let ends = if is_all(tally.numbers) {
        tally.range.number.map(|(least, greatest)| (least.to_string(), greatest.to_string()))
    } else if is_all(tally.dates + tally.times) {
        let day = |moment: chrono::DateTime<chrono::Utc>| moment.format("%Y-%m-%d").to_string();
        tally.range.moment.map(|(least, greatest)| (day(least), day(greatest)))
    } else {
        tally.range.text.clone()
    };
    ends.unzip()
}

/// Rules that would hold for the columns of an entity.
fn rules(
    entity: &'static Entity,
    columns: &[(Known, Tally)],
    has_own_words: impl Fn(&str) -> bool,
    known: &rcm_domain::quality::Rulebook,
) -> Vec<Suggestion> {
    let counted: Vec<(&'static str, &Tally)> =
        columns.iter().filter_map(|(known, tally)| Some((known.of_model?, tally))).collect();
    suggest::suggest(entity, &counted, has_own_words, known)
}
