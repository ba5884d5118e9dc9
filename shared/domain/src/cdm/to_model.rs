//! From a source's own columns to the model's.

use chrono::{DateTime, Utc};
use polars::prelude::*;

use rcm_model::cdm::date_format::has_offset;
use rcm_model::cdm::{Entity, Kind, Mapping, entity};

use super::{dtype, formats, timestamp};

/// Column of [`to_model`]'s answer: names of the columns whose value could not be read, separated
/// by blanks; empty for a row that could be read whole.
pub const UNPARSEABLE: &str = "unparseable";

/// Turns the rows of one load into rows of the model, in the same order and number.
///
/// Columns of the answer: the entity's key, its source id, `datasource`, the tracked columns,
/// `src_inserted_at`, `src_modified_at` (`extracted_at` where the source has no modified time) and
/// [`UNPARSEABLE`]. A value that cannot be read is null and its column is named there.
///
/// # Errors
/// A mapped column is missing.
pub fn to_model(
    raw: &DataFrame,
    entity: &Entity,
    mapping: &Mapping,
    extracted_at: DateTime<Utc>,
) -> PolarsResult<DataFrame> {
    let source = Source { raw, entity, mapping };
    let id = entity.id();
    let mut columns = vec![source.durable_key(entity.key, id, entity.name)?];
    if let Some(source_id) = entity.source_id {
        columns.push(source.text(source_id)?);
    }
    columns.push(lit(mapping.datasource.clone()).alias("datasource"));
    let mut readable = Vec::new();
    for column in entity.tracked {
        let (value, failed) = source.read(column.name, column.kind)?;
        columns.push(value);
        readable.extend(failed);
    }
    for moment in ["src_inserted_at", "src_modified_at"] {
        let (value, failed) = source.moment(moment)?;
        columns.push(value);
        readable.extend(failed);
    }
    if mapping.source_column(entity.name, "src_modified_at").is_none() {
        let extracted = lit(extracted_at.timestamp_micros()).cast(timestamp());
        columns.pop();
        columns.push(extracted.alias("src_modified_at"));
    }
    columns.push(unparseable(&readable));
    raw.clone().lazy().select(columns).collect()
}

/// An amount that a decimal of 18 digits with two behind the point cannot hold.
const TOO_MUCH_MONEY: f64 = 1e16;

/// A load's rows and how to read them.
struct Source<'a> {
    raw: &'a DataFrame,
    entity: &'a Entity,
    mapping: &'a Mapping,
}

/// A column that may hold values that cannot be read: its name and whether a row's is one.
type Unreadable = (&'static str, Expr);

impl Source<'_> {
    /// The source's own type of a model column and the expression of its raw value; none where the
    /// source does not have it.
    fn raw(&self, column: &str) -> PolarsResult<Option<(Expr, DataType)>> {
        let Some(name) = self.mapping.source_column(self.entity.name, column) else { return Ok(None) };
        let dtype = self.raw.column(name)?.dtype().clone();
        Ok(Some((col(PlSmallStr::from_str(name)), dtype)))
    }

    /// Text without blanks around it; null where nothing is left.
    fn text(&self, column: &str) -> PolarsResult<Expr> {
        let value = match self.raw(column)? {
            None => lit(NULL).cast(DataType::String),
            // Tables that came out of a spreadsheet have their ids as floats.
            Some((raw, dtype)) if dtype.is_float() => trimmed(raw).str().strip_suffix(lit(".0")),
            Some((raw, _)) => trimmed(raw),
        };
        Ok(value.alias(column))
    }

    fn durable_key(&self, column: &str, id: &str, of: &str) -> PolarsResult<Expr> {
        let mut value = self.text(id)?;
        for prefix in self.mapping.id_prefixes(of) {
            value = value.str().strip_prefix(lit(prefix.clone()));
        }
        if entity(of).is_some_and(|entity| entity.source_id.is_some()) {
            value = value + lit(format!("-{}", self.mapping.datasource));
        }
        Ok(value.alias(column))
    }

    fn read(&self, column: &'static str, kind: Kind) -> PolarsResult<(Expr, Option<Unreadable>)> {
        match kind {
            Kind::Text => Ok((self.text(column)?, None)),
            Kind::KeyOf(entity) => Ok((self.durable_key(column, column, entity)?, None)),
            Kind::Money | Kind::Boolean => self.cast(column, &dtype(kind)),
            Kind::Date => {
                let Some((raw, dtype)) = self.raw(column)? else { return Ok(absent(column, &DataType::Date)) };
                let value = match dtype {
                    DataType::Datetime(_, Some(_)) => self.to_local(raw.clone()).cast(DataType::Date),
                    dtype if dtype.is_temporal() => raw.clone().cast(DataType::Date),
                    _ => self.parsed(
                        &raw,
                        |local| local.cast(DataType::Date),
                        |moment| self.to_local(moment).cast(DataType::Date),
                    ),
                };
                Ok(checked(column, value, raw))
            }
        }
    }

    fn cast(&self, column: &'static str, dtype: &DataType) -> PolarsResult<(Expr, Option<Unreadable>)> {
        let Some((raw, raw_dtype)) = self.raw(column)? else { return Ok(absent(column, dtype)) };
        let value = match (raw_dtype, dtype) {
            (DataType::String, DataType::Boolean) => is_true(trimmed(raw.clone())),
            (DataType::String, _) => trimmed(raw.clone()).cast(dtype.clone()),
            (raw_dtype, _) if raw_dtype.is_float() => {
                let fits = raw.clone().abs().lt(lit(TOO_MUCH_MONEY));
                let amount = when(fits).then(raw.clone()).otherwise(lit(NULL));
                amount.round(2, RoundMode::HalfToEven).cast(dtype.clone())
            }
            _ => raw.clone().cast(dtype.clone()),
        };
        Ok(checked(column, value, raw))
    }

    fn moment(&self, column: &'static str) -> PolarsResult<(Expr, Option<Unreadable>)> {
        let Some((raw, dtype)) = self.raw(column)? else { return Ok(absent(column, &timestamp())) };
        let value = match dtype {
            DataType::Datetime(_, Some(_)) => raw.clone().cast(timestamp()),
            DataType::Datetime(_, None) | DataType::Date => self.to_utc(raw.clone()),
            _ => self.parsed(&raw, |local| self.to_utc(local), |moment| moment),
        };
        Ok(checked(column, value, raw))
    }

    /// A text read by the first of the mapping's formats that fits: `of_local` of a moment without a
    /// zone, `of_utc` of one that a format with an offset has read.
    fn parsed(&self, raw: &Expr, of_local: impl FnOnce(Expr) -> Expr, of_utc: impl FnOnce(Expr) -> Expr) -> Expr {
        let formats = self.mapping.date_formats().map(str::to_owned);
        let (with_offset, without): (Vec<String>, Vec<String>) = formats.partition(|format| has_offset(format));
        let local = of_local(read_texts(raw, without, None));
        if with_offset.is_empty() {
            return local;
        }
        coalesce(&[local, of_utc(read_texts(raw, with_offset, Some(TimeZone::UTC)))])
    }

    /// A moment with a zone, on the clock of the source: its day is the hospital's.
    fn to_local(&self, moment: Expr) -> Expr {
        // `Mapping::parse` has checked the name.
        let zone = self.mapping.time_zone.as_deref().map(PlSmallStr::from_str);
        match TimeZone::opt_try_new(zone).ok().flatten() {
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
        match &self.mapping.time_zone {
            None => moment.dt().replace_time_zone(Some(TimeZone::UTC), lit("raise"), NonExistent::Raise),
            Some(zone) => {
                // `Mapping::parse` has checked the name.
                let zone = TimeZone::opt_try_new(Some(PlSmallStr::from_str(zone))).ok().flatten();
                moment
                    .dt()
                    .replace_time_zone(zone, lit("earliest"), NonExistent::Null)
                    .dt()
                    .convert_time_zone(TimeZone::UTC)
            }
        }
    }
}

/// Texts read by the first of some formats that fits, as moments in a zone or without one.
fn read_texts(raw: &Expr, formats: Vec<String>, zone: Option<TimeZone>) -> Expr {
    let dtype = DataType::Datetime(TimeUnit::Microseconds, zone.clone());
    trimmed(raw.clone()).map(
        move |texts| formats::read(&texts, &formats, zone.as_ref()),
        move |_, field| Ok(Field::new(field.name().clone(), dtype.clone())),
    )
}

/// Text without blanks around it, null where nothing is left.
fn trimmed(raw: Expr) -> Expr {
    let text = raw.cast(DataType::String).str().strip_chars(lit(NULL));
    when(text.clone().eq(lit(""))).then(lit(NULL)).otherwise(text)
}

fn is_true(text: Expr) -> Expr {
    let text = text.str().to_lowercase();
    let yes = ["1", "true", "y", "yes", "t"];
    let no = ["0", "false", "n", "no", "f"];
    let among = |words: [&str; 5]| text.clone().is_in(lit(Series::new("words".into(), words)).implode(true), false);
    when(among(yes)).then(lit(true)).when(among(no)).then(lit(false)).otherwise(lit(NULL))
}

/// A column that the source does not have.
fn absent(column: &'static str, dtype: &DataType) -> (Expr, Option<Unreadable>) {
    (lit(NULL).cast(dtype.clone()).alias(column), None)
}

/// A value, and whether it is missing although the source had something there.
fn checked(column: &'static str, value: Expr, raw: Expr) -> (Expr, Option<Unreadable>) {
    let failed = value.clone().is_null().and(trimmed(raw).is_not_null());
    (value.alias(column), Some((column, failed)))
}

fn unparseable(readable: &[Unreadable]) -> Expr {
    let names: Vec<Expr> = readable
        .iter()
        .map(|(column, failed)| when(failed.clone()).then(lit(format!("{column} "))).otherwise(lit("")))
        .collect();
    if names.is_empty() {
        return lit("").alias(UNPARSEABLE);
    }
    concat_str(names, "", false).alias(UNPARSEABLE)
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
        to_model(raw, &TRANSACTIONS, &mapping, DateTime::UNIX_EPOCH).unwrap()
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
        assert_eq!(value(&rows, "amount").as_deref(), Some("12.34"));
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
        let rows = to_model(&transaction("P", text, "1", text), &TRANSACTIONS, &mapping, DateTime::UNIX_EPOCH).unwrap();
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
        let rows = to_model(&df!("Id" => ["H1-P"]).unwrap(), &PROVIDERS, &mapping, extracted_at).unwrap();
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
        assert_eq!(value(&rows, "amount").as_deref(), Some("12.34"), "half a cent goes to the even one");
        assert!(value(&rows, "src_modified_at").unwrap().starts_with("1970-01-01 05:00:00"));
    }

    #[test]
    fn a_missing_mapped_column_is_an_error() {
        let mapping = Mapping::parse("x.toml", MAPPING).unwrap();
        let error = to_model(&df!("Id" => ["1"]).unwrap(), &TRANSACTIONS, &mapping, DateTime::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, PolarsError::ColumnNotFound(_)));
    }
}
