//! `configs/quality/<entity>.toml`: the rules of one entity.

use polars::prelude::{DataType, PolarsResult};
use rcm_model::cdm::{self, Entity};
use rcm_model::event::{Dimension, Severity};
use schemars::JsonSchema;
use serde::Deserialize;

use super::builtin::RESERVED;
use super::sql::{expression, looks_at_other_rows};
use super::trial;

/// Share of a load's rows that may be quarantined where a file says nothing else.
const QUARANTINED_SHARE: f64 = 0.5;
/// Rows of the smallest load that it holds for: of a handful, half says nothing.
const QUARANTINED_SHARE_FROM: u64 = 20;

/// The rules of one entity, in the order of its file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rulebook {
    /// Share of a load's rows that may be quarantined before the run of this table fails; of loads of some rows
    /// half, where nothing is said.
    #[serde(default)]
    pub max_quarantined_share: Option<f64>,
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

impl Rulebook {
    /// All that decides which rows go to quarantine, in one form: two rulebooks with the same text let the same
    /// rows through. Descriptions, thresholds and rules that only warn are not in it.
    #[must_use]
    pub fn canonical_errors(&self) -> String {
        let errors = self.rules.iter().filter(|rule| rule.severity == Severity::Error);
        let mut lines: Vec<String> = errors
            .map(|rule| {
                // Without `..`, so that the compiler asks for every new field whether it decides which rows pass.
                let Rule {
                    kind,
                    columns,
                    values,
                    ignore_case,
                    pattern,
                    min,
                    max,
                    expression,
                    id: _,
                    severity: _,
                    description: _,
                    max_failed_share: _,
                    entity: _,
                } = rule;
                format!("{kind:?} {columns:?} {values:?} {ignore_case} {pattern:?} {min:?} {max:?} {expression:?}")
            })
            .collect();
        lines.sort_unstable();
        lines.join("\n")
    }
}

/// One rule: what must hold of a row.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: String,
    pub kind: RuleKind,
    #[serde(default)]
    pub columns: Vec<String>,
    pub severity: Severity,
    pub description: String,
    /// Share of a load's rows that may fail this rule before the run of this table fails.
    #[serde(default)]
    pub max_failed_share: Option<f64>,
    /// For `accepted_values`.
    #[serde(default)]
    pub values: Vec<String>,
    /// For `accepted_values`: letters count alike in any case.
    #[serde(default)]
    pub ignore_case: bool,
    /// For `matches`: a regular expression.
    #[serde(default)]
    pub pattern: Option<String>,
    /// For `range`, inclusive.
    #[serde(default)]
    pub min: Option<f64>,
    /// For `range`, inclusive.
    #[serde(default)]
    pub max: Option<f64>,
    /// For `references`: the entity that must know the column's key.
    #[serde(default)]
    pub entity: Option<String>,
    /// For `expression`: SQL over the entity's columns; a row where it is false fails.
    #[serde(default)]
    pub expression: Option<String>,
}

/// What a rule looks at. Nulls pass every kind but `not_null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    NotNull,
    /// Not the word NULL, in any case, that some exports write for a null.
    NotLiteralNull,
    /// No two keys of the load share the value.
    Unique,
    AcceptedValues,
    Matches,
    Range,
    /// The first column is not later than the second.
    DateOrder,
    /// Not later than the load: a date than its day, a time than its time.
    NotAfterLoad,
    /// The key is in another entity. Parents may come after their children, so it can only warn.
    References,
    NpiCheckDigit,
    #[serde(rename = "icd10_syntax")]
    Icd10Syntax,
    CptSyntax,
    /// At least seven digits, and no negative number.
    PlausiblePhone,
    Expression,
}

impl RuleKind {
    /// What the share of rows that pass says of a table.
    #[must_use]
    pub fn dimension(self) -> Dimension {
        match self {
            Self::NotNull | Self::NotLiteralNull => Dimension::Completeness,
            Self::Unique => Dimension::Uniqueness,
            Self::References => Dimension::ReferentialIntegrity,
            Self::AcceptedValues
            | Self::Matches
            | Self::Range
            | Self::DateOrder
            | Self::NotAfterLoad
            | Self::NpiCheckDigit
            | Self::Icd10Syntax
            | Self::CptSyntax
            | Self::PlausiblePhone
            | Self::Expression => Dimension::Validity,
        }
    }
}

/// Why a rulebook cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("{0}")]
    Syntax(String),
    #[error("there is no entity `{0}`")]
    UnknownEntity(String),
    #[error("rule `{rule}`: {reason}")]
    Rule { rule: String, reason: String },
}

impl Rulebook {
    /// Reads the rules of an entity.
    ///
    /// # Errors
    /// The text is no such TOML, or a rule names a column that the entity does not have, lacks
    /// what its kind needs or has what is another's, cannot be asked of its columns, or has the id of another.
    pub fn parse(entity: &str, text: &str) -> Result<Self, RuleError> {
        let book: Self = toml::from_str(text).map_err(|error| RuleError::Syntax(error.message().to_owned()))?;
        let entity = cdm::entity(entity).ok_or_else(|| RuleError::UnknownEntity(entity.to_owned()))?;
        if book.max_quarantined_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(RuleError::Syntax("max_quarantined_share is a share, from 0 to 1".to_owned()));
        }
        for (index, rule) in book.rules.iter().enumerate() {
            let unusable = |reason: String| RuleError::Rule { rule: rule.id.clone(), reason };
            if book.rules[..index].iter().any(|other| other.id == rule.id) {
                return Err(unusable("there is another rule of this id".to_owned()));
            }
            if RESERVED.contains(&rule.id.as_str()) {
                return Err(unusable("its id is that of a rule that needs no file".to_owned()));
            }
            rule.check(entity).map_err(unusable)?;
        }
        Ok(book)
    }

    /// Whether what a rule says of a row depends on other rows of its load.
    ///
    /// # Errors
    /// An expression cannot be read.
    pub fn looks_at_other_rows(&self) -> PolarsResult<bool> {
        for rule in &self.rules {
            let of_expression = match &rule.expression {
                Some(text) => looks_at_other_rows(&expression(text)?),
                None => false,
            };
            if of_expression || rule.kind == RuleKind::Unique {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The share of a load of so many rows that may be quarantined; none where any may.
    #[must_use]
    pub fn quarantine_limit(&self, rows: u64) -> Option<f64> {
        self.max_quarantined_share.or((rows >= QUARANTINED_SHARE_FROM).then_some(QUARANTINED_SHARE))
    }
}

impl Rule {
    fn check(&self, entity: &Entity) -> Result<(), String> {
        let schema = trial::schema(entity);
        if let Some(column) = self.columns.iter().find(|column| !schema.contains(column)) {
            return Err(format!("`{}` has no column `{column}`", entity.name));
        }
        let (wanted, or_more) = match self.kind {
            RuleKind::Expression => (0, true),
            RuleKind::DateOrder => (2, false),
            RuleKind::References => (1, false),
            _ => (1, true),
        };
        if self.columns.len() < wanted || (self.columns.len() > wanted && !or_more) {
            return Err(format!("its kind needs {wanted} column(s)"));
        }
        // What a kind is told by: without it the rule asks nothing, with another's it would ask less than
        // its reader believes.
        let told_by = [
            (RuleKind::AcceptedValues, "values", !self.values.is_empty()),
            (RuleKind::Matches, "pattern", self.pattern.is_some()),
            (RuleKind::Range, "min or max", self.min.is_some() || self.max.is_some()),
            (RuleKind::References, "entity", self.entity.is_some()),
            (RuleKind::Expression, "expression", self.expression.is_some()),
        ];
        for (kind, name, is_given) in told_by {
            match (self.kind == kind, is_given) {
                (true, false) => return Err(format!("its kind needs `{name}`")),
                (false, true) => return Err(format!("its kind does not go with `{name}`")),
                _ => {}
            }
        }
        if self.ignore_case && self.kind != RuleKind::AcceptedValues {
            return Err("its kind does not go with `ignore_case`".to_owned());
        }
        let is_moment = |column: &String| schema.get(column).is_some_and(DataType::is_temporal);
        if self.kind == RuleKind::NotAfterLoad && !self.columns.iter().all(is_moment) {
            return Err(format!("on `{}`: its kind needs dates or times", entity.name));
        }
        self.check_reference()?;
        trial::try_out(self, entity)
    }

    fn check_reference(&self) -> Result<(), String> {
        let Some(parent) = &self.entity else { return Ok(()) };
        if cdm::entity(parent).is_none() {
            return Err(format!("there is no entity `{parent}`"));
        }
        if self.severity == Severity::Error {
            return Err("a reference can only warn: a parent may come after its child".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("id='a'\nkind='not_null'\ncolumns=['shoe']\nseverity='error'\ndescription=''", "no column `shoe`")]
    #[case("id='a'\nkind='accepted_values'\ncolumns=['gender']\nseverity='warn'\ndescription=''", "values")]
    #[case("id='a'\nkind='date_order'\ncolumns=['dob']\nseverity='warn'\ndescription=''", "2 column")]
    #[case("id='a'\nkind='expression'\nexpression='dob >'\nseverity='warn'\ndescription=''", "expression")]
    #[case("id='a'\nkind='expression'\nexpression='age > 1'\nseverity='warn'\ndescription=''", "age")]
    #[case("id='a'\nkind='expression'\nexpression='gender'\nseverity='warn'\ndescription=''", "true or false")]
    #[case(
        "id='a'\nkind='not_null'\ncolumns=['dob']\nexpression='ssn is not null'\nseverity='warn'\ndescription=''",
        "does not go with `expression`"
    )]
    #[case(
        "id='a'\nkind='references'\ncolumns=['gender']\nentity='npi'\nseverity='error'\ndescription=''",
        "only warn"
    )]
    #[case(
        "id='a'\nkind='references'\ncolumns=['gender', 'ssn']\nentity='npi'\nseverity='warn'\ndescription=''",
        "1 column"
    )]
    #[case(
        "id='a'\nkind='references'\ncolumns=['dob']\nentity='npi'\nseverity='warn'\ndescription=''",
        "on `patients`"
    )]
    #[case(
        "id='a'\nkind='matches'\ncolumns=['ssn']\npattern='['\nseverity='error'\ndescription=''",
        "unclosed character class"
    )]
    #[case("id='a'\nkind='not_literal_null'\ncolumns=['dob']\nseverity='error'\ndescription=''", "on `patients`")]
    #[case("id='a'\nkind='plausible_phone'\ncolumns=['dob']\nseverity='error'\ndescription=''", "on `patients`")]
    #[case(
        "id='a'\nkind='accepted_values'\ncolumns=['dob']\nvalues=['x']\nseverity='error'\ndescription=''",
        "on `patients`"
    )]
    #[case("id='a'\nkind='date_order'\ncolumns=['dob', 'ssn']\nseverity='error'\ndescription=''", "on `patients`")]
    #[case(
        "id='a'\nkind='not_null'\ncolumns=['effective_from']\nseverity='error'\ndescription=''",
        "no column `effective_from`"
    )]
    #[case("id='a'\nkind='not_after_load'\ncolumns=['ssn']\nseverity='warn'\ndescription=''", "dates or times")]
    #[case(
        "id='a'\nkind='not_null'\ncolumns=['ssn']\nignore_case=true\nseverity='warn'\ndescription=''",
        "does not go with `ignore_case`"
    )]
    #[case(
        "id='a'\nkind='expression'\nexpression=\"ssn in (select x from read_csv('a.csv'))\"\nseverity='warn'\ndescription=''",
        "`select`"
    )]
    #[case("id='a'\nkind='expression'\nexpression='is_current'\nseverity='warn'\ndescription=''", "is_current")]
    fn a_rule_that_cannot_work_is_refused_with_its_id(#[case] rule: &str, #[case] expected: &str) {
        let error = Rulebook::parse("patients", &format!("[[rule]]\n{rule}")).unwrap_err().to_string();
        assert!(error.contains("rule `a`") && error.contains(expected), "{error}");
    }

    #[test]
    fn two_rules_of_one_id_are_refused() {
        let rule = "[[rule]]\nid='a'\nkind='not_null'\ncolumns=['dob']\nseverity='error'\ndescription=''\n";
        assert!(Rulebook::parse("patients", &format!("{rule}{rule}")).is_err());
    }

    #[rstest::rstest]
    #[case("key_missing")]
    #[case("malformed_record")]
    #[case("reasons")]
    #[case("trailer_row")]
    #[case("modified_in_future")]
    #[case("unreadable_value")]
    fn the_id_of_a_rule_that_needs_no_file_is_refused(#[case] id: &str) {
        let rule = format!("[[rule]]\nid='{id}'\nkind='not_null'\ncolumns=['dob']\nseverity='error'\ndescription=''");
        let error = Rulebook::parse("patients", &rule).unwrap_err().to_string();
        assert!(error.contains(&format!("rule `{id}`")) && error.contains("needs no file"), "{error}");
    }

    #[rstest::rstest]
    #[case("", 19, None)]
    #[case("", 20, Some(0.5))]
    #[case("max_quarantined_share = 0.2", 10, Some(0.2))]
    #[case("max_quarantined_share = 1.0", 1000, Some(1.0))]
    fn half_of_a_load_may_be_quarantined_where_nothing_else_is_said(
        #[case] text: &str,
        #[case] rows: u64,
        #[case] expected: Option<f64>,
    ) {
        assert_eq!(Rulebook::parse("patients", text).unwrap().quarantine_limit(rows), expected);
    }

    #[test]
    fn a_share_of_more_than_all_is_refused() {
        let error = Rulebook::parse("patients", "max_quarantined_share = 50.0").unwrap_err().to_string();
        assert!(error.contains("from 0 to 1"), "{error}");
    }
}
