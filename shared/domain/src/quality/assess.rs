//! What the rules say about the rows of one load.

use polars::prelude::*;

use super::rule::{Kind, Rule, Rulebook, Severity};
use crate::cdm::{Entity, UNPARSEABLE};
use crate::codes;

/// Rules that hold for every entity and cannot be switched off: without them a row has no place in
/// history.
const MALFORMED: &str = "malformed_record";
const KEY_MISSING: &str = "key_missing";
const MODIFIED_AT_MISSING: &str = "modified_at_missing";
const UNPARSEABLE_VALUE: &str = "unparseable_value";

/// What the rules say about the rows of one load.
#[derive(Debug)]
pub struct Assessment {
    /// One value per row: the ids of the error rules it fails, separated by `; `; null for a row
    /// that may go to silver.
    pub reasons: StringChunked,
    pub tallies: Vec<Tally>,
}

/// How many rows of a load failed one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub rule: String,
    pub severity: Severity,
    pub failed: u64,
}

/// Holds the rules against the rows of one load.
///
/// `rows` is what [`crate::cdm::to_model`] answers; `malformed` says which of them did not fit
/// their file's header.
///
/// # Errors
/// An expression of a rule does not fit the columns' types.
pub fn assess(
    rows: &DataFrame,
    malformed: &BooleanChunked,
    entity: &Entity,
    rulebook: &Rulebook,
) -> PolarsResult<Assessment> {
    let checks = checks(entity, rulebook)?;
    let mut frame = rows.clone();
    frame.with_column(malformed.clone().with_name(MALFORMED.into()).into_column())?;
    let verdicts = frame.lazy().select(verdicts(&checks)).collect()?;
    let mut tallies = Vec::with_capacity(checks.len());
    for check in &checks {
        let failed = verdicts.column(&check.id)?.bool()?.sum().unwrap_or(0).into();
        tallies.push(Tally { rule: check.id.clone(), severity: check.severity, failed });
    }
    let reasons = verdicts.column("reasons")?.str()?.clone();
    Ok(Assessment { reasons, tallies })
}

/// Rows of a whole table whose key is in none of the parents, per `references` rule.
///
/// `rows` has the rules' columns; `parents` gives the current keys of an entity.
///
/// # Errors
/// A parent cannot be read.
pub fn check_references(
    rows: &LazyFrame,
    rulebook: &Rulebook,
    mut parents: impl FnMut(&str) -> PolarsResult<Option<LazyFrame>>,
) -> PolarsResult<Vec<Tally>> {
    let mut tallies = Vec::new();
    for rule in rulebook.rules.iter().filter(|rule| rule.kind == Kind::References) {
        let (Some(column), Some(parent)) = (rule.columns.first(), &rule.entity) else { continue };
        let Some(parents) = parents(parent)? else { continue };
        let key = col(PlSmallStr::from_str(column));
        let keys = parents.select([nth(0).as_expr().alias("parent")]);
        let orphans = rows
            .clone()
            .select([key.clone()])
            .drop_nulls(None)
            .join(keys, [key], [col("parent")], JoinArgs::new(JoinType::Anti))
            .select([len()])
            .collect()?;
        let failed = orphans.columns()[0].get(0)?.extract::<u64>().unwrap_or(0);
        tallies.push(Tally { rule: rule.id.clone(), severity: rule.severity, failed });
    }
    Ok(tallies)
}

/// A rule as it is asked of a row.
struct Check {
    id: String,
    severity: Severity,
    /// True for a row that fails; never null.
    fails: Expr,
    /// What the row's list of reasons says.
    reason: Expr,
}

impl Check {
    fn new(id: &str, severity: Severity, fails: Expr) -> Self {
        Self { id: id.to_owned(), severity, fails: fails.fill_null(lit(false)), reason: lit(format!("{id}; ")) }
    }
}

fn checks(entity: &Entity, rulebook: &Rulebook) -> PolarsResult<Vec<Check>> {
    let well_formed = col(MALFORMED).not();
    let unparseable = col(UNPARSEABLE).neq(lit(""));
    let modified_at_unparseable = col(UNPARSEABLE).str().contains_literal(lit("src_modified_at"));
    let mut checks = vec![
        Check::new(MALFORMED, Severity::Error, col(MALFORMED)),
        Check::new(KEY_MISSING, Severity::Error, well_formed.clone().and(col(entity.key).is_null())),
        Check::new(
            MODIFIED_AT_MISSING,
            Severity::Error,
            well_formed.clone().and(col("src_modified_at").is_null()).and(modified_at_unparseable.not()),
        ),
        Check {
            reason: concat_str([lit(format!("{UNPARSEABLE_VALUE}: ")), col(UNPARSEABLE), lit("; ")], "", false),
            ..Check::new(UNPARSEABLE_VALUE, Severity::Error, unparseable)
        },
    ];
    for rule in rulebook.rules.iter().filter(|rule| rule.kind != Kind::References) {
        let fails = fails(rule, entity)?;
        // A value that could not be read is reported as that, not as missing too.
        let readable = rule.columns.iter().fold(well_formed.clone(), |readable, column| {
            readable.and(col(UNPARSEABLE).str().contains_literal(lit(format!("{column} "))).not())
        });
        checks.push(Check::new(&rule.id, rule.severity, readable.and(fails)));
    }
    Ok(checks)
}

fn verdicts(checks: &[Check]) -> Vec<Expr> {
    let mut verdicts: Vec<Expr> =
        checks.iter().map(|check| check.fails.clone().alias(PlSmallStr::from_str(&check.id))).collect();
    let errors = checks.iter().filter(|check| check.severity == Severity::Error);
    let reasons: Vec<Expr> = errors
        .map(|check| when(check.fails.clone()).then(check.reason.clone()).otherwise(lit("")))
        .collect();
    let reasons = concat_str(reasons, "", false).str().strip_chars_end(lit("; "));
    verdicts.push(when(reasons.clone().eq(lit(""))).then(lit(NULL)).otherwise(reasons).alias("reasons"));
    verdicts
}

/// Whether a row fails a rule; null counts as passed.
fn fails(rule: &Rule, entity: &Entity) -> PolarsResult<Expr> {
    if let Some(expression) = &rule.expression {
        return Ok(polars::sql::sql_expr(expression)?.not());
    }
    if rule.kind == Kind::DateOrder {
        let [earlier, later] = [0, 1].map(|index| col(PlSmallStr::from_str(&rule.columns[index])));
        return Ok(later.lt(earlier));
    }
    rule.columns.iter().try_fold(lit(false), |any, column| {
        Ok(any.or(fails_on(rule, col(PlSmallStr::from_str(column)), entity)?))
    })
}

fn fails_on(rule: &Rule, value: Expr, entity: &Entity) -> PolarsResult<Expr> {
    Ok(match rule.kind {
        Kind::NotNull => value.is_null(),
        Kind::NotLiteralNull => value.str().to_lowercase().eq(lit("null")),
        Kind::Unique => col(entity.key).n_unique().over([value.clone()])?.gt(lit(1)).and(value.is_not_null()),
        Kind::AcceptedValues => {
            let accepted = Series::new("accepted".into(), &rule.values);
            value.is_in(lit(accepted).implode(true), false).not()
        }
        Kind::Matches => not_matching(value, rule.pattern.as_deref().unwrap_or("")),
        Kind::Range => {
            let value = value.cast(DataType::Float64);
            let below = rule.min.map(|min| value.clone().lt(lit(min)));
            let above = rule.max.map(|max| value.gt(lit(max)));
            below.into_iter().chain(above).reduce(Expr::or).unwrap_or_else(|| lit(false))
        }
        Kind::NpiCheckDigit => text_fails(value, |npi| !codes::is_valid_npi(npi)),
        Kind::Icd10Syntax => not_matching(value, codes::ICD10_PATTERN),
        Kind::CptSyntax => not_matching(value, codes::CPT_PATTERN),
        Kind::PlausiblePhone => text_fails(value, |phone| !codes::is_plausible_phone(phone)),
        Kind::DateOrder | Kind::References | Kind::Expression => lit(false),
    })
}

fn not_matching(value: Expr, pattern: &str) -> Expr {
    value.str().contains(lit(pattern.to_owned()), true).not()
}

fn text_fails(value: Expr, fails: impl Fn(&str) -> bool + Send + Sync + 'static) -> Expr {
    value.map(
        move |texts| {
            let texts = texts.str()?;
            let verdicts: BooleanChunked = texts.iter().map(|text| text.map(&fails)).collect();
            Ok(verdicts.with_name(texts.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean)),
    )
}
