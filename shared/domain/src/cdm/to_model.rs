//! From a source's own columns to the model's.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use polars::prelude::*;

use rcm_model::cdm::reading::IdCase;
use rcm_model::cdm::{
    ColumnSource, ColumnType, DateReader, Entity, EntityMapping, Filter, KEY_SEPARATOR, Mapping, entity,
};

use super::dates::{dates, moments};
use super::texts::{Affixes, amounts, filled, ids, keys_of, mapped, with_affixes, without_nulls};
use super::{dtype, timestamp};
use crate::quality::expression;
use crate::scd2::IS_DELETE;

/// Column that [`to_model`] returns: names of the columns whose value could not be read, separated
/// by blanks; empty for a row that could be read whole.
pub const UNPARSEABLE: &str = "unparseable";
/// Column that [`to_model`] returns: the same of optional columns, which are null then and only counted.
pub const UNREADABLE: &str = "unreadable";

/// Turns the rows of one load into rows of the model, in the same order and number.
///
/// Columns that it returns: the entity's key, its source id, `datasource`, the tracked columns,
/// `src_inserted_at`, `src_modified_at` (`extracted_at` where the source has no modified time),
/// [`UNPARSEABLE`], [`UNREADABLE`] and [`IS_DELETE`]. A value that cannot be read is null and its column is named
/// there.
///
/// # Errors
/// A mapped column is missing, or a condition cannot be asked of the rows.
pub fn to_model(
    raw: &DataFrame,
    entity: &Entity,
    mapping: &Mapping,
    columns: &EntityMapping,
    extracted_at: DateTime<Utc>,
) -> PolarsResult<DataFrame> {
    let source = SourceFrame { raw, mapping, columns, extracted_at };
    let id = entity.id();
    let mut model = vec![source.durable_key(entity.key, id, entity.name)?];
    if let Some(source_id) = entity.source_id {
        model.push(source.id(source_id)?.alias(source_id));
    }
    model.push(lit(mapping.datasource.clone()).alias("datasource"));
    let untracked = columns.untracked(entity);
    let (mut needed, mut optional) = (Vec::new(), Vec::new());
    for column in entity.tracked {
        let (value, text) = source.read(column.name, column.kind)?;
        model.push(value);
        if untracked.contains(&column.name) { optional.extend(text) } else { needed.extend(text) }
    }
    let (inserted, text) = source.moment("src_inserted_at")?;
    model.push(inserted);
    optional.extend(text);
    if columns.has("src_modified_at") {
        let (modified, text) = source.moment("src_modified_at")?;
        model.push(modified);
        needed.extend(text);
    } else {
        model.push(lit(extracted_at.timestamp_micros()).cast(timestamp()).alias("src_modified_at"));
    }
    model.push(match &columns.deleted_where {
        Some(condition) => is_true_where(condition)?.alias(IS_DELETE),
        None => lit(false).alias(IS_DELETE),
    });
    let mut rows = raw.clone().lazy().select(model).collect()?;
    for (name, texts) in [(UNPARSEABLE, needed), (UNREADABLE, optional)] {
        rows.with_column(unread(raw, &rows, &texts)?.with_name(name.into()))?;
    }
    Ok(rows)
}

/// Tells which rows of a source an entity is made of; none where it is made of all.
///
/// # Errors
/// The condition cannot be asked of the rows.
pub fn wanted_rows(raw: &DataFrame, columns: &EntityMapping) -> PolarsResult<Option<BooleanChunked>> {
    let Some(condition) = &columns.filter else { return Ok(None) };
    let wanted = raw.clone().lazy().select([is_true_where(condition)?.alias("wanted")]).collect()?;
    Ok(Some(wanted.column("wanted")?.bool()?.clone()))
}

/// Whether what a condition of a source says of a row depends on other rows of its load.
///
/// # Errors
/// A condition cannot be read.
pub fn looks_at_other_rows(columns: &EntityMapping) -> PolarsResult<bool> {
    for condition in columns.filter.iter().chain(&columns.deleted_where) {
        if crate::quality::looks_at_other_rows(&expression(condition.sql())?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks that the conditions of a mapping are conditions.
///
/// # Errors
/// The entity of the first that is none, and why.
pub fn check_conditions(mapping: &Mapping) -> Result<(), (String, String)> {
    for (entity, columns) in mapping.all_columns() {
        let conditions = [("where", &columns.filter), ("deleted_where", &columns.deleted_where)];
        for (key, condition) in conditions {
            let Some(condition) = condition else { continue };
            let refuse =
                |error: &dyn std::fmt::Display| (entity.to_owned(), format!("{key} = `{}`: {error}", condition.sql()));
            let names: BTreeSet<&str> = condition.columns().collect();
            let texts = names.into_iter().map(|name| Column::new(PlSmallStr::from_str(name), ["text"])).collect();
            let row = DataFrame::new_infer_height(texts).map_err(|error| refuse(&error))?;
            let asked =
                is_true_where(condition).and_then(|is_true| row.lazy().select([is_true.alias("is_true")]).collect());
            let asked = asked.map_err(|error| refuse(&error))?;
            if asked.column("is_true").map(Column::dtype).ok() != Some(&DataType::Boolean) {
                return Err(refuse(&"is neither true nor false"));
            }
        }
    }
    Ok(())
}

/// Whether a condition holds of a row; one that is null does not.
fn is_true_where(condition: &Filter) -> PolarsResult<Expr> {
    Ok(expression(condition.sql())?.fill_null(lit(false)))
}

/// The zone of a source's times; none where they are those of UTC.
#[must_use]
pub fn zone_of(mapping: &Mapping) -> Option<TimeZone> {
    // `Mapping::parse` has checked the name.
    TimeZone::opt_try_new(mapping.time_zone.as_deref().map(PlSmallStr::from_str)).ok().flatten()
}

/// An amount that a decimal of 18 digits with two behind the point cannot hold.
const TOO_MUCH_MONEY: f64 = 1e16;

/// A load's rows and how to read them.
struct SourceFrame<'a> {
    raw: &'a DataFrame,
    mapping: &'a Mapping,
    columns: &'a EntityMapping,
    extracted_at: DateTime<Utc>,
}

/// What a column of the model is read from, which may hold what cannot be read.
struct Text {
    /// The column of the model.
    column: &'static str,
    /// The source's own column.
    source: PlSmallStr,
    /// What is there to be read, null where that is nothing.
    readable: Expr,
}

impl SourceFrame<'_> {
    /// The source's own type of one of its columns and the expression of its raw value.
    fn raw(&self, name: &str) -> PolarsResult<(Expr, DataType)> {
        let dtype = self.raw.column(name)?.dtype().clone();
        Ok((col(PlSmallStr::from_str(name)), dtype))
    }

    /// The source's own type of a model column and the expression of its raw value; none where the
    /// source does not have it.
    fn raw_of(&self, column: &str) -> PolarsResult<Option<(Expr, DataType)>> {
        let name = self.columns.source(column).and_then(|source| source.columns().next());
        name.map(|name| self.raw(name)).transpose()
    }

    /// Text without blanks around it, in the model's words; null where nothing is left.
    fn text(&self, column: &str) -> PolarsResult<Expr> {
        let value = match self.columns.source(column) {
            Some(ColumnSource::Constant(constant)) => lit(constant.constant.clone()),
            Some(source) => {
                let Some((raw, dtype)) = self.raw_of(column)? else { return Ok(lit(NULL).cast(DataType::String)) };
                // Tables that came out of a spreadsheet have their codes as floats.
                let text = if dtype.is_float() { filled(raw).str().strip_suffix(lit(".0")) } else { filled(raw) };
                if source.null_words().is_empty() { text } else { without_nulls(text, source.null_words().to_vec()) }
            }
            None => lit(NULL).cast(DataType::String),
        };
        Ok(match self.mapping.values(column) {
            Some(values) => mapped(value, values).alias(column),
            None => value.alias(column),
        })
    }

    /// The source's id, without what spreadsheets put around it; its parts together where there are several.
    fn id(&self, column: &str) -> PolarsResult<Expr> {
        let case = self.mapping.id_case;
        let mut parts: Vec<Expr> =
            self.parts_of_id(column)?.into_iter().map(|(part, words)| ids(part, words, case)).collect();
        Ok(match parts.len() {
            0 => lit(NULL).cast(DataType::String),
            1 => parts.remove(0),
            // Null where a part is: half a key is no key.
            _ => concat_str(parts, KEY_SEPARATOR, false),
        })
    }

    /// The columns of a source that make an id together, each with its words for nothing.
    fn parts_of_id(&self, column: &str) -> PolarsResult<Vec<(Expr, Vec<String>)>> {
        let Some(source) = self.columns.source(column) else { return Ok(Vec::new()) };
        let words = [self.mapping.null_words.as_slice(), source.null_words()].concat();
        source.columns().map(|name| Ok((self.raw(name)?.0, words.clone()))).collect()
    }

    fn durable_key(&self, column: &str, id: &str, of: &str) -> PolarsResult<Expr> {
        let case = self.mapping.id_case;
        let is_of_datasource = entity(of).is_some_and(|entity| entity.source_id.is_some());
        let suffix = if is_of_datasource { format!("-{}", self.mapping.datasource) } else { String::new() };
        let prefixes = self.mapping.id_prefixes(of).iter().map(|prefix| folded(prefix, case)).collect();
        let affixes = Affixes { prefixes, suffix };
        let mut parts = self.parts_of_id(id)?;
        let key = match parts.pop() {
            Some((part, words)) if parts.is_empty() => keys_of(part, words, case, affixes),
            _ => with_affixes(self.id(id)?, affixes),
        };
        Ok(key.alias(column))
    }

    fn read(&self, column: &'static str, kind: ColumnType) -> PolarsResult<(Expr, Option<Text>)> {
        match kind {
            ColumnType::Text => Ok((self.text(column)?, None)),
            ColumnType::KeyOf(entity) => Ok((self.durable_key(column, column, entity)?, None)),
            ColumnType::Money | ColumnType::Boolean => self.cast(column, &dtype(kind)),
            ColumnType::Date => {
                let Some((raw, dtype)) = self.raw_of(column)? else { return Ok(absent(column, &DataType::Date)) };
                let value = match dtype {
                    DataType::Datetime(_, Some(_)) => self.to_local(raw.clone()).cast(DataType::Date),
                    dtype if dtype.is_temporal() => raw.clone().cast(DataType::Date),
                    _ => dates(self.readable(column, raw.clone()), self.reader_of(column)?),
                };
                Ok(self.checked(column, value, raw))
            }
        }
    }

    fn cast(&self, column: &'static str, dtype: &DataType) -> PolarsResult<(Expr, Option<Text>)> {
        let Some((raw, raw_dtype)) = self.raw_of(column)? else { return Ok(absent(column, dtype)) };
        let value = match (raw_dtype, dtype) {
            (DataType::String, DataType::Boolean) => is_true(self.readable(column, raw.clone())),
            (_, DataType::Boolean) => raw.clone().cast(dtype.clone()),
            (DataType::String, _) => amounts(self.readable(column, raw.clone())),
            (raw_dtype, _) if raw_dtype.is_float() => {
                let fits = raw.clone().abs().lt(lit(TOO_MUCH_MONEY));
                let amount = when(fits).then(raw.clone()).otherwise(lit(NULL));
                amount.round(2, RoundMode::HalfAwayFromZero).cast(dtype.clone())
            }
            (DataType::Decimal(..), _) => amounts(raw.clone().cast(DataType::String)),
            _ => raw.clone().cast(dtype.clone()),
        };
        Ok(self.checked(column, value, raw))
    }

    fn moment(&self, column: &'static str) -> PolarsResult<(Expr, Option<Text>)> {
        let Some((raw, dtype)) = self.raw_of(column)? else { return Ok(absent(column, &timestamp())) };
        let value = match dtype {
            DataType::Datetime(_, Some(_)) => raw.clone().cast(timestamp()),
            DataType::Datetime(_, None) | DataType::Date => self.to_utc(raw.clone()),
            _ => moments(self.readable(column, raw.clone()), self.reader_of(column)?),
        };
        Ok(self.checked(column, value, raw))
    }

    /// A text of a date, a number or a truth value: null where it is one of the words for nothing.
    fn readable(&self, column: &str, raw: Expr) -> Expr {
        let own = self.columns.source(column).map_or(&[][..], ColumnSource::null_words);
        without_nulls(filled(raw), [self.mapping.null_words.as_slice(), own].concat())
    }

    /// The reader of the texts of a column with dates or times.
    fn reader_of(&self, column: &str) -> PolarsResult<DateReader> {
        let reader = DateReader::of(self.mapping).map_err(|reason| polars_err!(ComputeError: "{reason}"))?;
        // Nobody was born after the extract: a year of two digits is then one of the century before.
        Ok(if column == "dob" { reader.not_after(self.extracted_at) } else { reader })
    }

    /// A moment with a zone, on the clock of the source: its day is the hospital's.
    fn to_local(&self, moment: Expr) -> Expr {
        match zone_of(self.mapping) {
            Some(zone) => {
                let local = moment.dt().convert_time_zone(zone);
                local.dt().replace_time_zone(None, lit("earliest"), NonExistent::Null)
            }
            None => moment,
        }
    }

    /// A moment without a zone, in the zone of the source, as UTC. An hour that a clock change
    /// skips is unreadable; one that it repeats is taken as the earlier.
    fn to_utc(&self, moment: Expr) -> Expr {
        let moment = moment.cast(DataType::Datetime(TimeUnit::Microseconds, None));
        match zone_of(self.mapping) {
            None => moment.dt().replace_time_zone(Some(TimeZone::UTC), lit("raise"), NonExistent::Raise),
            Some(zone) => moment
                .dt()
                .replace_time_zone(Some(zone), lit("earliest"), NonExistent::Null)
                .dt()
                .convert_time_zone(TimeZone::UTC),
        }
    }

    /// A value, and what it is read from.
    fn checked(&self, column: &'static str, value: Expr, raw: Expr) -> (Expr, Option<Text>) {
        let source = self.columns.source(column).and_then(|source| source.columns().next());
        let text = source.map(|source| Text {
            column,
            source: PlSmallStr::from_str(source),
            readable: self.readable(column, raw),
        });
        (value.alias(column), text)
    }
}

/// A prefix in the case of the ids.
fn folded(prefix: &str, case: Option<IdCase>) -> String {
    match case {
        Some(IdCase::Upper) => prefix.to_uppercase(),
        Some(IdCase::Lower) => prefix.to_lowercase(),
        None => prefix.to_owned(),
    }
}

fn is_true(text: Expr) -> Expr {
    let text = text.str().to_lowercase();
    let yes = ["1", "true", "y", "yes", "t"];
    let no = ["0", "false", "n", "no", "f"];
    let among = |words: [&str; 5]| text.clone().is_in(lit(Series::new("words".into(), words)).implode(true), false);
    when(among(yes)).then(lit(true)).when(among(no)).then(lit(false)).otherwise(lit(NULL))
}

/// A column that the source does not have.
fn absent(column: &'static str, dtype: &DataType) -> (Expr, Option<Text>) {
    (lit(NULL).cast(dtype.clone()).alias(column), None)
}

/// Names of the columns of every row whose value is missing although the source has something there, each followed by a
/// blank.
fn unread(raw: &DataFrame, rows: &DataFrame, texts: &[Text]) -> PolarsResult<Column> {
    let mut names: Vec<String> = Vec::new();
    for Text { column, source, readable } in texts {
        let missing = &rows.column(column)?.is_null() & &raw.column(source)?.is_not_null();
        if !missing.any() {
            continue;
        }
        let left = raw.select([source.clone()])?.filter(&missing)?;
        let left = left.lazy().select([readable.clone()]).collect()?.columns()[0].is_not_null();
        let at = missing.iter().enumerate().filter(|(_, missing)| *missing == Some(true));
        for ((row, _), _) in at.zip(left.iter()).filter(|(_, is_left)| *is_left == Some(true)) {
            names.resize(raw.height(), String::new());
            names[row].push_str(column);
            names[row].push(' ');
        }
    }
    Ok(if names.is_empty() {
        Column::new_scalar(PlSmallStr::EMPTY, Scalar::from(PlSmallStr::EMPTY), raw.height())
    } else {
        Column::new(PlSmallStr::EMPTY, names)
    })
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::{PROVIDERS, TRANSACTIONS};

    use super::*;

    const MAPPING: &str = r#"
        datasource = "hos-x"
        date_formats = ["%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y %H:%M"]
        time_zone = "America/New_York"
        [id_prefixes]
        providers = ["H1-"]
        [entities.transactions]
        src_transaction_id = "Id"
        provider_key = "Doctor"
        service_date = "Day"
        amount = "Amount"
        src_modified_at = "Changed"
        [entities.providers]
        src_provider_id = "Id"
    "#;

    fn model(raw: &DataFrame) -> DataFrame {
        let mapping = Mapping::parse("x.toml", MAPPING).unwrap();
        to_model(raw, &TRANSACTIONS, &mapping, mapping.columns("transactions", "").unwrap(), DateTime::UNIX_EPOCH)
            .unwrap()
    }

    fn transaction(doctor: &str, day: &str, amount: &str, changed: &str) -> DataFrame {
        df!("Id" => [" T1 "], "Doctor" => [doctor], "Day" => [day], "Amount" => [amount], "Changed" => [changed])
            .unwrap()
    }

    fn value(rows: &DataFrame, column: &str) -> Option<String> {
        rows.column(column).unwrap().cast(&DataType::String).unwrap().str().unwrap().get(0).map(str::to_owned)
    }

    #[rstest::rstest]
    #[case("988.3699951171875", Some("988.37"))] // a float32 on its way through a CSV
    #[case(" 12 ", Some("12.00"))]
    #[case("-0.004", Some("0.00"))]
    #[case("1e3", Some("1000.00"))]
    #[case("12.345", Some("12.35"))]
    #[case("-12.345", Some("-12.35"))]
    #[case("12.3449999", Some("12.34"))]
    #[case("", None)]
    fn money_is_rounded_to_the_cent(#[case] text: &str, #[case] expected: Option<&str>) {
        let rows = model(&transaction("PROV1", "2024-01-01", text, "2024-01-01"));
        assert_eq!(value(&rows, "amount").as_deref(), expected);
        assert_eq!(value(&rows, UNPARSEABLE).as_deref(), Some(""));
    }

    #[test]
    fn a_float_that_no_amount_can_be_is_one_rows_trouble() {
        let amounts = [12.345, 1e17, -1e300, f64::NAN];
        let rows = df!("Id" => ["1", "2", "3", "4"], "Doctor" => [""; 4], "Day" => ["2024-01-01"; 4], "Amount" => amounts, "Changed" => ["2024-01-01"; 4]);
        let rows = model(&rows.unwrap());
        assert_eq!(value(&rows, "amount").as_deref(), Some("12.35"));
        let unparseable: Vec<_> = rows.column(UNPARSEABLE).unwrap().str().unwrap().iter().flatten().collect();
        assert_eq!(unparseable, ["", "amount ", "amount ", "amount "]);
    }

    #[rstest::rstest]
    #[case("2024-02-29", Some("2024-02-29"))]
    #[case("02/29/2024", Some("2024-02-29"))]
    #[case("2024-02-29 10:30:00", Some("2024-02-29"))]
    #[case("2023-02-29", None)]
    #[case("soon", None)]
    fn dates_are_read_in_any_of_the_formats(#[case] text: &str, #[case] expected: Option<&str>) {
        let rows = model(&transaction("PROV1", text, "1", "2024-01-01"));
        assert_eq!(value(&rows, "service_date").as_deref(), expected);
        let unparseable = if expected.is_some() { "" } else { "service_date " };
        assert_eq!(value(&rows, UNPARSEABLE).as_deref(), Some(unparseable));
    }

    #[test]
    fn formats_may_be_mixed_in_one_column() {
        let days = ["2024-01-02", "01/03/2024", "", "never"];
        let rows = df!("Id" => ["1", "2", "3", "4"], "Doctor" => [""; 4], "Day" => days, "Amount" => ["1"; 4], "Changed" => ["2024-01-01"; 4]);
        let dates = model(&rows.unwrap()).column("service_date").unwrap().cast(&DataType::String).unwrap();
        let dates: Vec<Option<&str>> = dates.str().unwrap().iter().collect();
        assert_eq!(dates, [Some("2024-01-02"), Some("2024-01-03"), None, None]);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_null_and_named() {
        let rows = model(&transaction("PROV1", "2024-01-01", "many", "yesterday"));
        assert_eq!(value(&rows, "amount"), None);
        assert_eq!(value(&rows, UNPARSEABLE).as_deref(), Some("amount src_modified_at "));
    }

    #[test]
    fn local_times_become_utc() {
        let rows = model(&transaction("PROV1", "2024-01-01", "1", "01.07.2024 20:30"));
        assert!(value(&rows, "src_modified_at").unwrap().starts_with("2024-07-02 00:30:00"));
    }

    #[rstest::rstest]
    #[case("2024-07-02 20:30 -0400", "2024-07-02", "2024-07-03 00:30:00")]
    #[case("2024-07-03 00:30 +0000", "2024-07-02", "2024-07-03 00:30:00")]
    #[case("2024-11-03 01:30 -0500", "2024-11-03", "2024-11-03 06:30:00")] // the later of two such hours
    #[case("2024-07-02", "2024-07-02", "2024-07-02 04:00:00")]
    fn a_text_with_an_offset_is_that_moment_and_its_day_is_the_hospitals(
        #[case] text: &str,
        #[case] day: &str,
        #[case] moment: &str,
    ) {
        let mapping = MAPPING.replace("%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M %z");
        let mapping = Mapping::parse("x.toml", &mapping).unwrap();
        let rows = to_model(
            &transaction("P", text, "1", text),
            &TRANSACTIONS,
            &mapping,
            mapping.columns("transactions", "").unwrap(),
            DateTime::UNIX_EPOCH,
        )
        .unwrap();
        assert_eq!(value(&rows, "service_date").as_deref(), Some(day));
        assert!(value(&rows, "src_modified_at").unwrap().starts_with(moment));
        assert_eq!(value(&rows, UNPARSEABLE).as_deref(), Some(""));
    }

    #[test]
    fn an_id_with_a_known_prefix_and_without_is_one_key() {
        let with = model(&transaction("H1-PROV0133", "2024-01-01", "1", "2024-01-01"));
        let without = model(&transaction("PROV0133", "2024-01-01", "1", "2024-01-01"));
        assert_eq!(value(&with, "provider_key").as_deref(), Some("PROV0133-hos-x"));
        assert_eq!(value(&with, "provider_key"), value(&without, "provider_key"));
        assert_eq!(value(&with, "transaction_key").as_deref(), Some("T1-hos-x"));
    }

    #[test]
    fn a_source_without_modified_times_is_as_old_as_its_extract() {
        let mapping = Mapping::parse("x.toml", MAPPING).unwrap();
        let extracted_at = DateTime::from_timestamp_micros(1_234_567).unwrap();
        let rows = to_model(
            &df!("Id" => ["H1-P"]).unwrap(),
            &PROVIDERS,
            &mapping,
            mapping.columns("providers", "").unwrap(),
            extracted_at,
        )
        .unwrap();
        assert_eq!(rows.column("src_modified_at").unwrap().datetime().unwrap().physical().get(0), Some(1_234_567));
        assert_eq!(value(&rows, "src_provider_id").as_deref(), Some("H1-P"), "the source's id stays as it is");
    }

    #[test]
    fn typed_columns_of_a_database_are_taken_as_they_are() {
        let raw = df!("Id" => [7_i64], "Doctor" => [Some("P")], "Day" => [19_000_i32], "Amount" => [12.345_f64], "Changed" => [0_i64])
            .unwrap()
            .lazy()
            .with_columns([
                col("Day").cast(DataType::Date),
                col("Changed").cast(DataType::Datetime(TimeUnit::Microseconds, None)),
            ])
            .collect()
            .unwrap();
        let rows = model(&raw);
        assert_eq!(value(&rows, "transaction_key").as_deref(), Some("7-hos-x"));
        assert_eq!(value(&rows, "service_date").as_deref(), Some("2022-01-08"));
        assert_eq!(value(&rows, "amount").as_deref(), Some("12.35"), "half a cent goes away from zero");
        assert!(value(&rows, "src_modified_at").unwrap().starts_with("1970-01-01 05:00:00"));
    }

    #[test]
    fn a_missing_mapped_column_is_an_error() {
        let mapping = Mapping::parse("x.toml", MAPPING).unwrap();
        let error = to_model(
            &df!("Id" => ["1"]).unwrap(),
            &TRANSACTIONS,
            &mapping,
            mapping.columns("transactions", "").unwrap(),
            DateTime::UNIX_EPOCH,
        )
        .unwrap_err();
        assert!(matches!(error, PolarsError::ColumnNotFound(_)));
    }
}
