//! Columns as a database has them: of every type that an extract makes.

use chrono::DateTime;
use polars::prelude::*;

use rcm_model::cdm::{Mapping, TRANSACTIONS};

use super::{UNPARSEABLE, to_model};

/// The model's value of one column, and the names of those that could not be read. `raw` is the one
/// column of the source that counts, of one row.
fn model(column: &str, zone: &str, raw: Column) -> (Option<String>, String) {
    let mapping = format!(
        "datasource = \"x\"\n{zone}\n[entities.transactions]\nsrc_transaction_id = \"Id\"\n{column} = \"Raw\"\n"
    );
    let mapping = Mapping::parse("x.toml", &mapping).unwrap();
    let id = Column::new("Id".into(), ["1"]);
    let frame = DataFrame::new_infer_height(vec![id, raw.with_name("Raw".into())]).unwrap();
    let rows =
        to_model(&frame, &TRANSACTIONS, &mapping, mapping.columns("transactions", "").unwrap(), DateTime::UNIX_EPOCH)
            .unwrap();
    let text = |name: &str| {
        let values = rows.column(name).unwrap().cast(&DataType::String).unwrap();
        values.str().unwrap().get(0).map(str::to_owned)
    };
    (text(column), text(UNPARSEABLE).unwrap())
}

fn decimal(digits: i64, scale: usize) -> Column {
    let text = format!("{digits:0width$}", width = scale + 1);
    let (whole, fraction) = text.split_at(text.len() - scale);
    Column::new("Raw".into(), [format!("{whole}.{fraction}")]).cast(&DataType::Decimal(38, scale)).unwrap()
}

fn timestamp(text: &str, zone: Option<TimeZone>) -> Column {
    let micros = text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros();
    Column::new("Raw".into(), [micros]).cast(&DataType::Datetime(TimeUnit::Microseconds, zone)).unwrap()
}

const NEW_YORK: &str = "time_zone = \"America/New_York\"";

#[rstest::rstest]
#[case::int(Column::new("".into(), [7_i32]), "7.00")]
#[case::bigint(Column::new("".into(), [7_i64]), "7.00")]
#[case::real(Column::new("".into(), [0.1_f32]), "0.10")]
#[case::float(Column::new("".into(), [988.369_995_117_187_5]), "988.37")]
#[case::decimal(decimal(98_837, 2), "988.37")]
#[case::money(decimal(9_883_699, 4), "988.37")]
#[case::money_down(decimal(9_883_649, 4), "988.36")]
#[case::half_a_cent(decimal(123_450, 4), "12.35")]
#[case::half_a_cent_that_is_owed_back(Column::new("".into(), [-12.345]), "-12.35")]
#[case::half_a_cent_from_an_odd_one(decimal(123_550, 4), "12.36")]
#[case::less_than_a_cent(decimal(10_049, 4), "1.00")]
#[case::many_digits(decimal(1_234_567_890_123_456_789, 18), "1.23")]
fn amounts_of_any_type_are_rounded_to_the_cent(#[case] raw: Column, #[case] expected: &str) {
    assert_eq!(model("amount", "", raw), (Some(expected.to_owned()), String::new()));
}

#[rstest::rstest]
#[case::text(Column::new("".into(), [" 0042 "]), "0042")]
#[case::int(Column::new("".into(), [42_i32]), "42")]
#[case::bigint(Column::new("".into(), [42_i64]), "42")]
#[case::whole_float(Column::new("".into(), [42.0]), "42")]
#[case::float(Column::new("".into(), [42.5]), "42.5")]
#[case::whole_decimal(decimal(42, 0), "42")]
#[case::boolean(Column::new("".into(), [true]), "true")]
fn codes_of_any_type_are_texts(#[case] raw: Column, #[case] expected: &str) {
    assert_eq!(model("procedure_code", "", raw.clone()), (Some(expected.to_owned()), String::new()));
    assert_eq!(model("provider_key", "", raw).0, Some(format!("{expected}-x")));
}

#[rstest::rstest]
#[case::date("", Column::new("".into(), [20_034_i32]).cast(&DataType::Date).unwrap(), "2024-11-07")]
#[case::timestamp("", timestamp("2024-11-07T23:30:00Z", None), "2024-11-07")]
#[case::timestamp_on_the_hospitals_clock(NEW_YORK, timestamp("2024-11-07T23:30:00Z", None), "2024-11-07")]
#[case::with_an_offset("", timestamp("2024-11-08T04:30:00Z", Some(TimeZone::UTC)), "2024-11-08")]
#[case::with_an_offset_on_the_hospitals_day(
    NEW_YORK,
    timestamp("2024-11-08T04:30:00Z", Some(TimeZone::UTC)),
    "2024-11-07"
)]
fn dates_are_the_hospitals_days(#[case] zone: &str, #[case] raw: Column, #[case] expected: &str) {
    assert_eq!(model("service_date", zone, raw), (Some(expected.to_owned()), String::new()));
}

#[rstest::rstest]
#[case::date("", Column::new("".into(), [20_034_i32]).cast(&DataType::Date).unwrap(), "2024-11-07 00:00:00")]
#[case::timestamp("", timestamp("2024-11-07T23:30:00.123456Z", None), "2024-11-07 23:30:00.123456")]
#[case::timestamp_in_a_zone(NEW_YORK, timestamp("2024-11-07T23:30:00Z", None), "2024-11-08 04:30:00")]
#[case::with_an_offset(NEW_YORK, timestamp("2024-11-08T04:30:00Z", Some(TimeZone::UTC)), "2024-11-08 04:30:00")]
fn moments_are_utc(#[case] zone: &str, #[case] raw: Column, #[case] expected: &str) {
    let (found, unparseable) = model("src_modified_at", zone, raw);
    assert!(found.as_deref().is_some_and(|found| found.starts_with(expected)) && unparseable.is_empty(), "{found:?}");
}

#[test]
fn a_null_of_any_type_is_no_value_that_cannot_be_read() {
    let nulls = [DataType::Float64, DataType::Decimal(19, 4), DataType::Int32, DataType::Boolean, DataType::String];
    for dtype in nulls {
        let raw = Column::full_null("Raw".into(), 1, &dtype);
        assert_eq!(model("amount", "", raw), (None, String::new()), "{dtype}");
    }
}
