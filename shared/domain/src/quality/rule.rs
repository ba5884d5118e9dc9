//! `configs/quality/<entity>.toml`: the rules of one entity.

use rcm_model::cdm::{self, Entity};
use serde::Deserialize;

use super::assess::RESERVED;
use super::trial;

/// The rules of one entity, in the order of its file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rulebook {
    /// Share of a load's rows that may be quarantined before the run of this table fails.
    #[serde(default)]
    pub max_quarantined_share: Option<f64>,
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// One rule: what must hold of a row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: String,
    pub kind: Kind,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
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

/// What becomes of a row that fails a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It goes to quarantine.
    Error,
    /// It is counted.
    Warn,
}

impl Severity {
    /// The word in the configuration and in `audit/quality_metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
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
}

impl Rule {
    fn check(&self, entity: &Entity) -> Result<(), String> {
        let schema = trial::schema(entity);
        if let Some(column) = self.columns.iter().find(|column| !schema.contains(column)) {
            return Err(format!("`{}` has no column `{column}`", entity.name));
        }
        let (wanted, or_more) = match self.kind {
            Kind::Expression => (0, true),
            Kind::DateOrder => (2, false),
            Kind::References => (1, false),
            _ => (1, true),
        };
        if self.columns.len() < wanted || (self.columns.len() > wanted && !or_more) {
            return Err(format!("its kind needs {wanted} column(s)"));
        }
        // What a kind is told by: without it the rule asks nothing, with another's it would ask less than
        // its reader believes.
        let told_by = [
            (Kind::AcceptedValues, "values", !self.values.is_empty()),
            (Kind::Matches, "pattern", self.pattern.is_some()),
            (Kind::Range, "min or max", self.min.is_some() || self.max.is_some()),
            (Kind::References, "entity", self.entity.is_some()),
            (Kind::Expression, "expression", self.expression.is_some()),
        ];
        for (kind, name, is_given) in told_by {
            match (self.kind == kind, is_given) {
                (true, false) => return Err(format!("its kind needs `{name}`")),
                (false, true) => return Err(format!("its kind does not go with `{name}`")),
                _ => {}
            }
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
    fn the_id_of_a_rule_that_needs_no_file_is_refused(#[case] id: &str) {
        let rule = format!("[[rule]]\nid='{id}'\nkind='not_null'\ncolumns=['dob']\nseverity='error'\ndescription=''");
        let error = Rulebook::parse("patients", &rule).unwrap_err().to_string();
        assert!(error.contains(&format!("rule `{id}`")) && error.contains("needs no file"), "{error}");
    }
}
