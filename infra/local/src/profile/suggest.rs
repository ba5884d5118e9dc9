//! Rules that would hold for nearly all rows of a profile. Nothing clever: a rule on one column, from enough rows, with
//! few exceptions, and how many those are.

use std::cmp::Reverse;
use std::fmt::Write;

use rcm_domain::quality::{RuleKind, Rulebook};
use rcm_model::cdm::{Column, ColumnType, Entity, Identifying};
use serde::Serialize;

use super::tally::Tally;

/// Rows without which nothing is suggested.
pub const ROWS_FROM: u64 = 200;
/// One row in so many may be an exception.
const EXCEPTION_IN: u64 = 100;
/// Rules that are suggested for a table at most.
pub const MOST: usize = 5;
/// Values that a list of accepted ones has at most.
const ACCEPTED: usize = 10;

/// A rule that is suggested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    pub id: String,
    pub kind: &'static str,
    pub column: &'static str,
    /// Of `accepted_values`; never those of a column that may identify a patient.
    pub values: Vec<String>,
    /// Rows of the profile that would fail it.
    pub fires: u64,
    pub rows: u64,
}

impl Suggestion {
    /// The rule as a quality file has it. It only warns until somebody decides otherwise.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let quoted = |text: &str| toml_text(text);
        let values: Vec<String> = self.values.iter().map(|value| quoted(value)).collect();
        let values = if values.is_empty() { String::new() } else { format!("values = [{}]\n", values.join(", ")) };
        let description = match self.kind {
            "not_null" => format!("{} has a value.", self.column),
            "not_literal_null" => format!("{} is not the word NULL.", self.column),
            _ => format!("{} has one of the known values.", self.column),
        };
        format!(
            "[[rule]]\nid = {}\nkind = \"{}\"\ncolumns = [\"{}\"]\n{values}severity = \"warn\"\ndescription = {}\n",
            quoted(&self.id),
            self.kind,
            self.column,
            quoted(&description)
        )
    }
}

/// A text as TOML writes it.
fn toml_text(text: &str) -> String {
    let escaped: String = text.chars().flat_map(char::escape_default).collect();
    // `\'` and `\u{…}` are Rust's; TOML has the first bare, the second as \UXXXXXXXX.
    let mut toml = String::new();
    let mut rest = escaped.as_str();
    while let Some(place) = rest.find("\\u{") {
        let (before, after) = rest.split_at(place);
        let Some((digits, end)) = after[3..].split_once('}') else { break };
        toml += before;
        let _ = write!(toml, "\\U{digits:0>8}");
        rest = end;
    }
    format!("\"{}\"", (toml + rest).replace("\\'", "'"))
}

/// Suggests rules for columns of an entity, those with exceptions first. `counted` are the columns of the model that
/// were counted; `has_own_words` says for which of them the mapping translates the source's words.
#[must_use]
pub(super) fn suggest(
    entity: &Entity,
    counted: &[(&'static str, &Tally)],
    has_own_words: impl Fn(&str) -> bool,
    known: &Rulebook,
) -> Vec<Suggestion> {
    let mut found: Vec<Suggestion> = Vec::new();
    for (name, tally) in counted {
        let Some(column) = entity.tracked.iter().find(|column| column.name == *name) else { continue };
        if tally.rows < ROWS_FROM {
            continue;
        }
        found.extend(of_column(column, tally, entity.identifying(name), has_own_words(name)));
    }
    let is_new = |rule: &Suggestion| {
        known.rules.iter().all(|known| {
            known.id != rule.id
                && !(kind_name(known.kind) == Some(rule.kind)
                    && known.columns.iter().any(|column| column == rule.column))
        })
    };
    found.retain(is_new);
    found.sort_by_key(|rule| Reverse(rule.fires));
    found.truncate(MOST);
    found
}

fn kind_name(kind: RuleKind) -> Option<&'static str> {
    match kind {
        RuleKind::NotNull => Some("not_null"),
        RuleKind::NotLiteralNull => Some("not_literal_null"),
        RuleKind::AcceptedValues => Some("accepted_values"),
        _ => None,
    }
}

fn of_column(
    column: &Column,
    tally: &Tally,
    identifying: Option<Identifying>,
    has_own_words: bool,
) -> impl Iterator<Item = Suggestion> {
    let rows = tally.rows;
    let are_few = move |fires: u64| fires * EXCEPTION_IN <= rows;
    let suggestion = move |suffix: &str, kind, values, fires| Suggestion {
        id: format!("{}_{suffix}", column.name),
        kind,
        column: column.name,
        values,
        fires,
        rows,
    };
    let is_text = column.kind == ColumnType::Text;
    let literal = (is_text && tally.null_words > 0 && are_few(tally.null_words))
        .then(|| suggestion("literal_null", "not_literal_null", Vec::new(), tally.null_words));
    // In a text the word stays; in a date, an amount or a key it is read as a null.
    let missing = if is_text { tally.nulls } else { tally.nulls + tally.null_words };
    let missing = (missing > 0 && are_few(missing)).then(|| suggestion("missing", "not_null", Vec::new(), missing));
    let values = (is_text && identifying.is_none() && !has_own_words).then(|| accepted(tally)).flatten();
    let values = values.filter(|(_, fires)| are_few(*fires));
    let values = values.map(|(values, fires)| suggestion("values", "accepted_values", values, fires));
    literal.into_iter().chain(missing).chain(values)
}

/// The values that are no exceptions, and the rows with others.
fn accepted(tally: &Tally) -> Option<(Vec<String>, u64)> {
    let values = tally.values.as_ref()?;
    let is_frequent = |rows: u64| rows * EXCEPTION_IN > tally.rows;
    let frequent: Vec<String> =
        values.iter().filter(|(_, rows)| is_frequent(**rows)).map(|(value, _)| value.clone()).collect();
    let fires = values.values().filter(|rows| !is_frequent(**rows)).sum::<u64>() + tally.null_words;
    ((2..=ACCEPTED).contains(&frequent.len())).then_some((frequent, fires))
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::{DateReader, Mapping, PATIENTS};

    use super::*;

    fn tally(values: &[(&str, u64)], may_be_shown: bool) -> Tally {
        let dates = DateReader::of(&Mapping::parse("x.toml", "datasource = \"x\"").unwrap()).unwrap();
        let mut tally = Tally::new(may_be_shown);
        for (value, count) in values {
            for _ in 0..*count {
                tally.add(Some(value), &dates);
            }
        }
        tally
    }

    fn suggested(column: &'static str, values: &[(&str, u64)], may_be_shown: bool) -> Vec<Suggestion> {
        suggest(&PATIENTS, &[(column, &tally(values, may_be_shown))], |_| false, &Rulebook::default())
    }

    #[test]
    fn rules_with_few_exceptions_are_suggested_and_say_on_how_many_rows_they_fire() {
        let told = |rules: Vec<Suggestion>| {
            rules.into_iter().map(|rule| (rule.id, rule.kind, rule.values, rule.fires)).collect::<Vec<_>>()
        };
        let gender = [("Female", 150), ("Male", 149), ("F?", 1)];
        assert_eq!(
            told(suggested("gender", &gender, true)),
            [("gender_values".to_owned(), "accepted_values", vec!["Female".to_owned(), "Male".to_owned()], 1)]
        );
        let names = [("Quillon", 298), ("NULL", 2)];
        assert_eq!(
            told(suggested("first_name", &names, false)),
            [("first_name_literal_null".to_owned(), "not_literal_null", Vec::new(), 2)]
        );
        let born = [("1984-11-07", 297), ("", 2), ("NULL", 1)];
        assert_eq!(told(suggested("dob", &born, false)), [("dob_missing".to_owned(), "not_null", Vec::new(), 3)]);
    }

    #[rstest::rstest]
    #[case::too_few_rows("dob", &[("1984-11-07", 198), ("", 1)])]
    #[case::too_many_exceptions("dob", &[("1984-11-07", 296), ("", 4)])]
    #[case::one_value("gender", &[("Female", 300)])]
    fn nothing_is_suggested_from_too_little(#[case] column: &'static str, #[case] values: &[(&str, u64)]) {
        assert_eq!(suggested(column, values, true), []);
    }

    #[test]
    fn a_list_of_values_is_never_suggested_for_a_column_that_may_identify_a_patient() {
        assert_eq!(suggested("last_name", &[("Quillon", 150), ("Fictor", 150)], true), []);
    }

    #[test]
    fn a_suggested_rule_is_one_that_the_product_reads_and_is_suggested_once() {
        let values = [("A \"b\" 'c' é", 150), ("Male", 150)];
        let [rule] = suggested("gender", &values, true).try_into().unwrap();
        let book = Rulebook::parse("patients", &rule.to_toml()).unwrap();
        assert_eq!(book.rules[0].values, ["A \"b\" 'c' é", "Male"]);
        let counted = tally(&values, true);
        assert_eq!(suggest(&PATIENTS, &[("gender", &counted)], |_| false, &book), []);
    }
}
