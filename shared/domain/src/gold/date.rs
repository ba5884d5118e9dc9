//! `dim_date`: one row per day of every year that a fact has a date in, and the unknown day.

use chrono::{Datelike, NaiveDate};
use polars::prelude::*;
use rcm_model::cdm::{ColumnType, Entity};

use super::{UNKNOWN_SK, conform};

/// Name of the gold table.
pub const TABLE: &str = "dim_date";
/// Years that a calendar may span, the last one excluded; a date outside is a slip of the pen.
const YEARS: (i32, i32) = (1900, 2100);

/// The first and the last of some dates.
pub type Span = (NaiveDate, NaiveDate);

/// Columns of the table. `date_sk` reads as a date, such as 20241107; weeks and their days (1 is
/// Monday) are those of ISO 8601.
#[must_use]
pub fn schema() -> Schema {
    let number = |name: &'static str| Field::new(name.into(), DataType::Int32);
    let text = |name: &'static str| Field::new(name.into(), DataType::String);
    let date = |name: &'static str| Field::new(name.into(), DataType::Date);
    Schema::from_iter([
        number("date_sk"),
        date("date"),
        number("year"),
        number("quarter"),
        number("month"),
        text("month_name"),
        date("month_start"),
        number("day"),
        number("iso_year"),
        number("iso_week"),
        number("day_of_week"),
        text("day_name"),
        Field::new("is_weekend".into(), DataType::Boolean),
    ])
}

/// The span of every date in the date columns of an entity's rows; none where there is no date.
///
/// # Errors
/// The rows lack a column.
pub fn span(rows: LazyFrame, entity: &Entity) -> PolarsResult<Option<Span>> {
    let names = entity.tracked.iter().filter(|column| column.kind == ColumnType::Date).map(|column| column.name);
    let bounds = names.flat_map(|name| {
        let year = col(name).dt().year();
        let plausible = col(name).filter(year.clone().gt_eq(lit(YEARS.0)).and(year.lt(lit(YEARS.1))));
        [plausible.clone().min().alias(format!("first {name}")), plausible.max().alias(format!("last {name}"))]
    });
    let bounds = rows.select(bounds.collect::<Vec<_>>()).collect()?;
    let mut dates = Vec::new();
    for bound in bounds.columns() {
        dates.extend(bound.date()?.physical().get(0).and_then(NaiveDate::from_epoch_days));
    }
    Ok(dates.iter().min().copied().zip(dates.iter().max().copied()))
}

/// The span of both spans.
#[must_use]
pub fn joined(one: Option<Span>, other: Option<Span>) -> Option<Span> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

/// The table: whole years, so that a report by year has no hole at its ends.
///
/// # Errors
/// None that a caller could cause.
pub fn build(span: Option<Span>) -> PolarsResult<DataFrame> {
    let first = span.and_then(|(first, _)| NaiveDate::from_ymd_opt(first.year(), 1, 1));
    let last = span.and_then(|(_, last)| NaiveDate::from_ymd_opt(last.year(), 12, 31));
    let days: Vec<NaiveDate> = match (first, last) {
        (Some(first), Some(last)) => first.iter_days().take_while(|day| *day <= last).collect(),
        _ => Vec::new(),
    };
    let days = DataFrame::new_infer_height(vec![Series::new("date".into(), days).into_column()])?.lazy();
    let date = || col("date").dt();
    let calendar = days.with_columns([
        (date().year() * lit(10_000) + month_number() * lit(100) + day_number()).alias("date_sk"),
        date().year().alias("year"),
        date().quarter().alias("quarter"),
        month_number().alias("month"),
        date().strftime("%B").alias("month_name"),
        date().truncate(lit("1mo")).alias("month_start"),
        day_number().alias("day"),
        date().iso_year().alias("iso_year"),
        date().week().alias("iso_week"),
        date().weekday().alias("day_of_week"),
        date().strftime("%A").alias("day_name"),
        date().weekday().gt(lit(5)).alias("is_weekend"),
    ]);
    let mut table = unknown_day()?;
    table.vstack_mut_owned(conform(calendar, &schema())?)?;
    table.rechunk_mut();
    Ok(table)
}

fn month_number() -> Expr {
    col("date").dt().month().cast(DataType::Int32)
}

fn day_number() -> Expr {
    col("date").dt().day().cast(DataType::Int32)
}

fn unknown_day() -> PolarsResult<DataFrame> {
    let schema = schema();
    let columns = schema.iter_fields().map(|field| {
        let value = if field.name() == "date_sk" { lit(UNKNOWN_SK) } else { lit(NULL) };
        value.cast(field.dtype().clone()).alias(field.name().clone())
    });
    DataFrame::empty().lazy().select(columns.collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::ENCOUNTERS;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_calendar_has_every_day_of_the_years_it_touches() {
        let table = build(Some((day("2023-12-31"), day("2024-02-01")))).unwrap();
        assert_eq!(table.height(), 1 + 365 + 366);
        let leap_day = table.lazy().filter(col("date_sk").eq(lit(20_240_229))).collect().unwrap();
        let expected = df!(
            "date" => [day("2024-02-29")],
            "quarter" => [1i32],
            "month_name" => ["February"],
            "month_start" => [day("2024-02-01")],
            "iso_week" => [9i32],
            "day_name" => ["Thursday"],
            "is_weekend" => [false],
        );
        let columns = ["date", "quarter", "month_name", "month_start", "iso_week", "day_name", "is_weekend"];
        assert_eq!(leap_day.select(columns).unwrap(), expected.unwrap());
    }

    #[test]
    fn without_dates_there_is_only_the_unknown_day() {
        let table = build(None).unwrap();
        assert_eq!((table.height(), table.column("date").unwrap().null_count()), (1, 1));
    }

    #[test]
    fn a_date_of_no_plausible_year_does_not_stretch_the_calendar() {
        let rows = df!("encounter_date" => [day("2024-03-01"), day("9999-12-31"), day("2024-03-09")]).unwrap();
        assert_eq!(span(rows.lazy(), &ENCOUNTERS).unwrap(), Some((day("2024-03-01"), day("2024-03-09"))));
    }
}
