//! What the rules say about the rows of one load.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::Entity;
use rcm_model::codes;
use rcm_model::event::{Dimension, Severity};

use super::builtin::{self, MALFORMED, REASONS};
use super::rule::{Rule, RuleKind, Rulebook};
use super::{sql, trial};
use crate::cdm::{UNPARSEABLE, timestamp};
use crate::scd2::IS_DELETE;

/// What the rules say about the rows of one load.
#[derive(Debug)]
pub struct Assessment {
    /// One value per row: the ids of the error rules it fails, separated by `; `; null for a row
    /// that may go to silver.
    pub reasons: StringChunked,
    pub tallies: Vec<FailedRows>,
    /// Rules that were not asked, since the source lacks what they look at.
    pub not_run: Vec<NotRun>,
}

/// A rule that was not asked of a load, and the first of its columns that the source does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRun {
    pub rule: String,
    pub column: String,
}

/// What a load says about its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadNature {
    /// That they are so as of its own time.
    Extract,
    /// That they changed at their modified times.
    Event,
}

/// What the rules want to know of a load beside its rows.
#[derive(Debug, Clone, Copy)]
pub struct LoadFacts<'a> {
    pub nature: LoadNature,
    /// Time of the extract, or of the landed file.
    pub extracted_at: DateTime<Utc>,
    /// Columns of the model that the source has; the key and its id count as had.
    pub columns: &'a BTreeSet<String>,
    /// The source's own names of the columns that make its id, in their order.
    pub key_headers: &'a [&'a str],
}

/// How many rows of a load failed one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRows {
    pub rule: String,
    pub severity: Severity,
    pub dimension: Dimension,
    pub failed: u64,
}

/// Holds the rules against the rows of one load.
///
/// `rows` is what [`crate::cdm::to_model`] returns; `malformed` says which of them did not fit
/// their file's header.
///
/// # Errors
/// An expression of a rule does not fit the columns' types.
pub fn assess(
    rows: &DataFrame,
    malformed: &BooleanChunked,
    entity: &Entity,
    rulebook: &Rulebook,
    load: &LoadFacts,
) -> PolarsResult<Assessment> {
    let shown = Shown {
        malformed: malformed.any(),
        unreadable: rows.column(UNPARSEABLE)?.str()?.iter().any(|names| names != Some("")),
    };
    let mut checks = builtin::checks(rows, entity, load, shown);
    let mut not_run = Vec::new();
    for rule in &rulebook.rules {
        let columns = columns_of(rule)?;
        if let Some(column) = columns.iter().find(|column| !has(load, entity, column)) {
            not_run.push(NotRun { rule: rule.id.clone(), column: column.clone() });
        } else if rule.kind != RuleKind::References {
            let mut check = check(rule, &columns, entity, load.extracted_at, shown)?;
            if rows.schema().contains(IS_DELETE) {
                // What deletes its key need not say what the key was.
                check.fails = check.fails.and(col(IS_DELETE).not());
            }
            checks.push(check);
        }
    }
    let mut frame = rows.clone();
    frame.with_column(malformed.clone().with_name(MALFORMED.into()).into_column())?;
    let fails = checks.iter().enumerate().map(|(number, check)| check.fails.clone().alias(verdict(number)));
    let verdicts = frame.lazy().select(fails.collect::<Vec<_>>()).collect()?;
    let mut tallies = Vec::with_capacity(checks.len());
    for (number, check) in checks.iter().enumerate() {
        let failed = verdicts.column(&verdict(number))?.bool()?.sum().unwrap_or(0).into();
        tallies.push(FailedRows {
            rule: check.id.clone(),
            severity: check.severity,
            dimension: check.dimension,
            failed,
        });
    }
    Ok(Assessment { reasons: reasons(rows, &verdicts, &checks)?, tallies, not_run })
}

/// Name of the column with what a check says of every row.
fn verdict(number: usize) -> PlSmallStr {
    PlSmallStr::from_string(number.to_string())
}

/// The reasons of every row for which it may not go to silver; null where there are none.
fn reasons(rows: &DataFrame, verdicts: &DataFrame, checks: &[Check]) -> PolarsResult<StringChunked> {
    let mut errors = Vec::new();
    let mut any = BooleanChunked::full(REASONS.into(), false, rows.height());
    for (number, check) in checks.iter().enumerate().filter(|(_, check)| check.severity == Severity::Error) {
        let fails = verdicts.column(&verdict(number))?.bool()?;
        if fails.any() {
            any = &any | fails;
            errors.push(when(col(verdict(number))).then(check.reason.clone()).otherwise(lit("")));
        }
    }
    if errors.is_empty() {
        return Ok(StringChunked::full_null(REASONS.into(), rows.height()));
    }
    // Few rows fail: only theirs are written.
    let mut failed = verdicts.filter(&any)?;
    failed.with_column(rows.column(UNPARSEABLE)?.filter(&any)?)?;
    let reasons = concat_str(errors, "", false).str().strip_chars_end(lit("; "));
    let reasons = failed.lazy().select([reasons.alias(REASONS)]).collect()?;
    let mut reasons = reasons.column(REASONS)?.str()?.iter();
    let of_row = |fails: Option<bool>| fails.filter(|fails| *fails).and_then(|_| reasons.next().flatten());
    Ok(any.iter().map(of_row).collect::<StringChunked>().with_name(REASONS.into()))
}

/// Whether there is any row of a kind: what is asked of every row need not ask whether it is one where there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// A record that did not fit its file's header.
    pub(super) malformed: bool,
    /// A value that could not be read.
    pub(super) unreadable: bool,
}

impl Shown {
    pub(super) fn well_formed(self) -> Expr {
        if self.malformed { col(MALFORMED).not() } else { lit(true) }
    }

    /// Whether a column is among those that could not be read: `amount` is none of `paid_amount `.
    pub(super) fn is_unreadable(self, column: &str) -> Expr {
        if !self.unreadable {
            return lit(false);
        }
        (lit(" ") + col(UNPARSEABLE)).str().contains_literal(lit(format!(" {column} ")))
    }
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
) -> PolarsResult<Vec<FailedRows>> {
    let mut tallies = Vec::new();
    for rule in rulebook.rules.iter().filter(|rule| rule.kind == RuleKind::References) {
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
        let failed = orphans.columns()[0].get(0)?.extract::<u64>();
        let failed = failed.ok_or_else(|| polars_err!(ComputeError: "rows cannot be counted"))?;
        tallies.push(FailedRows {
            rule: rule.id.clone(),
            severity: rule.severity,
            dimension: rule.kind.dimension(),
            failed,
        });
    }
    Ok(tallies)
}

/// A rule as it is asked of a row.
pub(super) struct Check {
    pub(super) id: String,
    pub(super) severity: Severity,
    pub(super) dimension: Dimension,
    /// True for a row that fails; never null.
    pub(super) fails: Expr,
    /// What the row's list of reasons says.
    pub(super) reason: Expr,
}

impl Check {
    pub(super) fn new(id: &str, severity: Severity, fails: Expr) -> Self {
        let (dimension, fails) = (Dimension::default(), fails.fill_null(lit(false)));
        Self { id: id.to_owned(), severity, dimension, fails, reason: lit(format!("{id}; ")) }
    }

    pub(super) fn about(self, dimension: Dimension) -> Self {
        Self { dimension, ..self }
    }
}

/// Asks a rule where its columns could be read: a value that could not is reported as that, not as missing too.
fn check(
    rule: &Rule,
    columns: &[String],
    entity: &Entity,
    extracted_at: DateTime<Utc>,
    shown: Shown,
) -> PolarsResult<Check> {
    let unread = columns.iter().map(|column| shown.is_unreadable(column));
    let readable = unread.fold(shown.well_formed(), |readable, unread| readable.and(unread.not()));
    let fails = readable.and(fails(rule, entity, extracted_at)?);
    Ok(Check::new(&rule.id, rule.severity, fails).about(rule.kind.dimension()))
}

/// All columns that a rule looks at.
fn columns_of(rule: &Rule) -> PolarsResult<Vec<String>> {
    let mut columns = rule.columns.clone();
    if let Some(expression) = &rule.expression {
        columns.extend(sql::columns(&sql::expression(expression)?));
    }
    Ok(columns)
}

/// Whether the source has a column of the model. It always has a key and a name.
fn has(load: &LoadFacts, entity: &Entity, column: &str) -> bool {
    column == entity.key || column == entity.id() || column == "datasource" || load.columns.contains(column)
}

/// Whether a row fails a rule; null counts as passed.
pub(super) fn fails(rule: &Rule, entity: &Entity, extracted_at: DateTime<Utc>) -> PolarsResult<Expr> {
    if let Some(expression) = &rule.expression {
        return Ok(sql::expression(expression)?.not());
    }
    if rule.kind == RuleKind::DateOrder {
        let [earlier, later] = [0, 1].map(|index| col(PlSmallStr::from_str(&rule.columns[index])));
        return Ok(later.lt(earlier));
    }
    if rule.kind == RuleKind::NotAfterLoad {
        let schema = trial::schema(entity);
        let after = rule.columns.iter().map(|column| {
            let now = lit(extracted_at.timestamp_micros()).cast(timestamp());
            let now = if schema.get(column) == Some(&DataType::Date) { now.cast(DataType::Date) } else { now };
            col(PlSmallStr::from_str(column)).gt(now)
        });
        return Ok(after.reduce(Expr::or).unwrap_or_else(|| lit(false)));
    }
    rule.columns
        .iter()
        .try_fold(lit(false), |any, column| Ok(any.or(fails_on(rule, col(PlSmallStr::from_str(column)), entity)?)))
}

fn fails_on(rule: &Rule, value: Expr, entity: &Entity) -> PolarsResult<Expr> {
    Ok(match rule.kind {
        RuleKind::NotNull => value.is_null(),
        RuleKind::NotLiteralNull => value.str().to_lowercase().eq(lit("null")),
        RuleKind::Unique => col(entity.key).n_unique().over([value.clone()])?.gt(lit(1)).and(value.is_not_null()),
        RuleKind::AcceptedValues => {
            let fold = |text: &String| if rule.ignore_case { text.to_lowercase() } else { text.clone() };
            let accepted = Series::new("accepted".into(), rule.values.iter().map(fold).collect::<Vec<_>>());
            let value = if rule.ignore_case { value.str().to_lowercase() } else { value };
            value.is_in(lit(accepted).implode(true), false).not()
        }
        RuleKind::Matches => not_matching(value, rule.pattern.as_deref().unwrap_or("")),
        RuleKind::Range => {
            let value = value.cast(DataType::Float64);
            let below = rule.min.map(|min| value.clone().lt(lit(min)));
            let above = rule.max.map(|max| value.gt(lit(max)));
            below.into_iter().chain(above).reduce(Expr::or).unwrap_or_else(|| lit(false))
        }
        RuleKind::NpiCheckDigit => text_fails(value, |npi| !codes::is_valid_npi(npi)),
        RuleKind::Icd10Syntax => not_matching(value, codes::ICD10_PATTERN),
        RuleKind::CptSyntax => not_matching(value, codes::CPT_PATTERN),
        RuleKind::PlausiblePhone => text_fails(value, |phone| !codes::is_plausible_phone(phone)),
        RuleKind::DateOrder | RuleKind::NotAfterLoad | RuleKind::References | RuleKind::Expression => lit(false),
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

#[cfg(test)]
pub(super) mod tests {
    use rcm_model::cdm::{CLAIMS, PATIENTS, TRANSACTIONS};

    use super::*;

    /// Columns of a source that has everything.
    pub(in super::super) fn all_columns(entity: &Entity) -> BTreeSet<String> {
        trial::schema(entity).iter_names().map(ToString::to_string).collect()
    }

    fn assess_all(
        rows: &DataFrame,
        malformed: &BooleanChunked,
        entity: &Entity,
        book: &Rulebook,
        left_out: &str,
    ) -> Assessment {
        let mut columns = all_columns(entity);
        columns.remove(left_out);
        let extracted_at = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(10);
        let load = LoadFacts { nature: LoadNature::Extract, extracted_at, columns: &columns, key_headers: &["ID"] };
        assess(rows, malformed, entity, book, &load).unwrap()
    }

    /// Rows of an entity with the given columns; all others are null.
    pub(in super::super) fn rows(entity: &Entity, columns: &DataFrame) -> DataFrame {
        let mut schema = trial::schema(entity);
        schema.with_column(UNPARSEABLE.into(), DataType::String);
        let height = columns.height();
        let nulls = schema.iter().map(|(name, dtype)| Column::full_null(name.clone(), height, dtype));
        let mut rows = DataFrame::new_infer_height(nulls.collect()).unwrap();
        let moments = Column::new_scalar("src_modified_at".into(), Scalar::from(0_i64), height);
        rows.with_column(moments.cast(&timestamp()).unwrap()).unwrap();
        rows.with_column(Column::new_scalar(UNPARSEABLE.into(), Scalar::from(PlSmallStr::EMPTY), height)).unwrap();
        for column in columns.columns() {
            let dtype = schema.get(column.name()).unwrap();
            rows.with_column(column.cast(dtype).unwrap()).unwrap();
        }
        rows
    }

    fn reasons(entity: &Entity, columns: &DataFrame, rules: &str) -> Vec<Option<String>> {
        let rows = rows(entity, columns);
        let malformed = BooleanChunked::full("m".into(), false, rows.height());
        let book = Rulebook::parse(entity.name, rules).unwrap();
        let assessment = assess_all(&rows, &malformed, entity, &book, "");
        assessment.reasons.iter().map(|reasons| reasons.map(str::to_owned)).collect()
    }

    fn rule(kind: &str, more: &str) -> String {
        format!("[[rule]]\nid='r'\nkind='{kind}'\nseverity='error'\ndescription=''\n{more}\n")
    }

    #[rstest::rstest]
    #[case("not_null", "columns=['first_name']", Some("Ada"), None)]
    #[case("not_null", "columns=['first_name']", None, Some("r"))]
    #[case("not_literal_null", "columns=['first_name']", Some("nuLL"), Some("r"))]
    #[case("not_literal_null", "columns=['first_name']", Some("Nullmann"), None)]
    #[case("accepted_values", "columns=['first_name']\nvalues=['Ada', 'Bob']", Some("Bob"), None)]
    #[case("accepted_values", "columns=['first_name']\nvalues=['Ada', 'Bob']", Some("Cleo"), Some("r"))]
    #[case("accepted_values", "columns=['first_name']\nvalues=['Ada']", None, None)]
    #[case("accepted_values", "columns=['first_name']\nvalues=['aDa']\nignore_case=true", Some("ADA"), None)]
    #[case("accepted_values", "columns=['first_name']\nvalues=['Ada']\nignore_case=true", Some("Bob"), Some("r"))]
    #[case("matches", "columns=['first_name']\npattern='^[A-Z]'", Some("ada"), Some("r"))]
    #[case("plausible_phone", "columns=['first_name']", Some("-5550100123"), Some("r"))]
    #[case("icd10_syntax", "columns=['first_name']", Some("I19.4"), None)]
    #[case("icd10_syntax", "columns=['first_name']", Some("19.4"), Some("r"))]
    #[case("icd10_syntax", "columns=['first_name']", Some("QA0.0101"), None)]
    #[case("icd10_syntax", "columns=['first_name']", Some("NULL"), Some("r"))]
    #[case("cpt_syntax", "columns=['first_name']", Some("9921"), Some("r"))]
    #[case("cpt_syntax", "columns=['first_name']", Some("J1100"), None)]
    #[case("cpt_syntax", "columns=['first_name']", Some("LT"), Some("r"))]
    #[case("npi_check_digit", "columns=['first_name']", Some("1234567893"), None)]
    #[case("npi_check_digit", "columns=['first_name']", Some("1234567890"), Some("r"))]
    #[case("expression", "expression=\"first_name = 'Ada'\"", Some("Bob"), Some("r"))]
    #[case("expression", "expression=\"first_name = 'Ada'\"", None, None)]
    fn a_kind_of_rule_looks_at_a_value(
        #[case] kind: &str,
        #[case] more: &str,
        #[case] value: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let columns = df!("patient_key" => ["k"], "first_name" => [value]).unwrap();
        assert_eq!(reasons(&PATIENTS, &columns, &rule(kind, more)), [expected.map(str::to_owned)]);
    }

    #[test]
    fn range_and_date_order_look_at_amounts_and_dates() {
        let columns = || {
            df!("transaction_key" => ["a", "b"], "amount" => ["-1", "5"], "service_date" => [10, 10], "paid_date" => [9, 10])
                .unwrap()
        };
        let range = rule("range", "columns=['amount']\nmin=0\nmax=10");
        assert_eq!(reasons(&TRANSACTIONS, &columns(), &range), [Some("r".to_owned()), None]);
        let order = rule("date_order", "columns=['service_date', 'paid_date']");
        assert_eq!(reasons(&TRANSACTIONS, &columns(), &order), [Some("r".to_owned()), None]);
    }

    #[test]
    fn a_value_that_two_keys_share_is_not_unique() {
        let columns = df!("patient_key" => ["a", "a", "b", "c"], "ssn" => ["1", "1", "2", "2"]).unwrap();
        let found = reasons(&PATIENTS, &columns, &rule("unique", "columns=['ssn']"));
        assert_eq!(found, [None, None, Some("r".to_owned()), Some("r".to_owned())]);
    }

    #[test]
    fn a_row_without_key_or_modified_time_is_quarantined_without_any_rule() {
        let no_time: Option<i64> = None;
        let columns = df!("claim_key" => [None, Some("k")], "src_modified_at" => [Some(1), no_time]).unwrap();
        let found = reasons(&CLAIMS, &columns, "");
        assert_eq!(found, [Some("key_missing".to_owned()), Some("modified_at_missing".to_owned())]);
    }

    #[test]
    fn every_reason_is_named_and_a_value_that_cannot_be_read_is_not_called_missing() {
        let columns = df!("transaction_key" => [None::<&str>], UNPARSEABLE => ["amount "]).unwrap();
        let rules =
            "[[rule]]\nid='amount_missing'\nkind='not_null'\ncolumns=['amount']\nseverity='error'\ndescription=''";
        let found = reasons(&TRANSACTIONS, &columns, rules);
        assert_eq!(found, [Some("key_missing; unparseable_value: amount".to_owned())]);
    }

    #[test]
    fn a_rule_on_a_column_is_asked_where_one_whose_name_ends_alike_cannot_be_read() {
        let columns = df!("transaction_key" => ["k"], UNPARSEABLE => ["paid_amount "]).unwrap();
        let found = reasons(&TRANSACTIONS, &columns, &rule("not_null", "columns=['amount']"));
        assert_eq!(found, [Some("unparseable_value: paid_amount; r".to_owned())]);
    }

    #[test]
    fn a_warning_counts_and_quarantines_nothing() {
        let rows = rows(&PATIENTS, &df!("patient_key" => ["a", "b"], "first_name" => [None, Some("Bob")]).unwrap());
        let malformed = BooleanChunked::full("m".into(), false, 2);
        let book =
            Rulebook::parse("patients", &rule("not_null", "columns=['first_name']").replace("error", "warn")).unwrap();
        let assessment = assess_all(&rows, &malformed, &PATIENTS, &book, "");
        assert_eq!(assessment.reasons.null_count(), 2);
        let tally = assessment.tallies.iter().find(|tally| tally.rule == "r").unwrap();
        assert_eq!((tally.failed, tally.severity), (1, Severity::Warn));
    }

    #[test]
    fn a_malformed_record_has_that_one_reason() {
        let rows = rows(&PATIENTS, &df!("patient_key" => [None::<&str>]).unwrap());
        let malformed = BooleanChunked::full("m".into(), true, 1);
        let book = Rulebook::parse("patients", &rule("not_null", "columns=['dob']")).unwrap();
        let assessment = assess_all(&rows, &malformed, &PATIENTS, &book, "");
        assert_eq!(assessment.reasons.get(0), Some("malformed_record"));
    }

    #[rstest::rstest]
    #[case(rule("not_null", "columns=['encounter_key']"), "encounter_key")]
    #[case(rule("not_null", "columns=['amount', 'encounter_key']"), "encounter_key")]
    #[case(rule("date_order", "columns=['service_date', 'paid_date']"), "paid_date")]
    #[case(rule("expression", "expression=\"amount > 0 and claim_id is not null\""), "claim_id")]
    #[case(rule("references", "columns=['encounter_key']\nentity='encounters'").replace("error", "warn"), "encounter_key")]
    fn a_rule_on_a_column_that_the_source_lacks_is_not_asked_and_named(#[case] rule: String, #[case] lacks: &str) {
        let rows = rows(&TRANSACTIONS, &df!("transaction_key" => ["k"]).unwrap());
        let malformed = BooleanChunked::full("m".into(), false, 1);
        let book = Rulebook::parse("transactions", &rule).unwrap();
        let assessment = assess_all(&rows, &malformed, &TRANSACTIONS, &book, lacks);
        assert_eq!(assessment.not_run, [NotRun { rule: "r".to_owned(), column: lacks.to_owned() }]);
        assert!(assessment.tallies.iter().all(|tally| tally.rule != "r"));
        assert_eq!(assessment.reasons.get(0), None);
    }

    #[test]
    fn dates_and_times_after_the_load_are_found() {
        let columns = df!("transaction_key" => ["a", "b", "c"], "service_date" => [Some(11), Some(10), None]).unwrap();
        let found = reasons(&TRANSACTIONS, &columns, &rule("not_after_load", "columns=['service_date']"));
        assert_eq!(found, [Some("r".to_owned()), None, None]);
        let columns = df!("transaction_key" => ["a"], "src_inserted_at" => [864_000_000_001_i64]).unwrap();
        let found = reasons(&TRANSACTIONS, &columns, &rule("not_after_load", "columns=['src_inserted_at']"));
        assert_eq!(found, [Some("r".to_owned())]);
    }
}
