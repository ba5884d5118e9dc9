use rstest::rstest;
use tds_server::{Column, Type, Value};

use crate::database_tests::hospital::{Hospital, Kind, NULL, department_columns, in_hospital};

/// What bronze has of a value of a type, and of a null.
async fn bronze(hospital: &Hospital, kind: Type, value: Value) -> Vec<String> {
    let columns = [department_columns(), vec![Column::new("Extra", kind)]].concat();
    hospital.create("departments", &columns).await;
    let row = |id: i64, value: Value| vec![id.into(), "Name".into(), value];
    let rows = vec![row(1, value.clone()), row(2, Value::Null), row(3, value), row(4, Value::Null)];
    hospital.insert("departments", rows).await;
    hospital.full("departments").await.unwrap();
    let values = hospital.values(&hospital.last_load("hosa/departments").await, &["DeptID", "Extra"]);
    assert_eq!((values[0][1].as_str(), values[1][1].as_str()), (values[2][1].as_str(), NULL));
    values.into_iter().map(|mut row| row.remove(1)).take(1).collect()
}

#[rstest]
#[case::bit(Type::Bit, Value::Bool(true), "true")]
#[case::tinyint(Type::TinyInt, Value::Int(255), "255")]
#[case::smallint(Type::SmallInt, Value::Int(-32_768), "-32768")]
#[case::int(Type::Int, Value::Int(-2_147_483_648), "-2147483648")]
#[case::bigint(Type::BigInt, Value::Int(i64::MIN), "-9223372036854775808")]
#[case::real(Type::Real, Value::Float(0.5), "0.5")]
#[case::float(Type::Float, Value::Float(988.369_995_117_187_5), "988.3699951171875")]
#[case::decimal_5(Type::Decimal(9, 2), Value::decimal("-1234567.89"), "-1234567.89")]
#[case::decimal_9(Type::Decimal(18, 2), Value::decimal("9999999999999999.99"), "9999999999999999.99")]
#[case::decimal_13(
    Type::Numeric(28, 4),
    Value::decimal("-999999999999999999999999.9999"),
    "-999999999999999999999999.9999"
)]
#[case::decimal_17(
    Type::Decimal(38, 0),
    Value::decimal("99999999999999999999999999999999999999"),
    "99999999999999999999999999999999999999"
)]
#[case::decimal_of_nothing_but_a_fraction(
    Type::Numeric(38, 38),
    Value::decimal("0.00000000000000000000000000000000000001"),
    "0.00000000000000000000000000000000000001"
)]
#[case::money(Type::Money, Value::decimal("-922337203685477.5808"), "-922337203685477.5808")]
#[case::smallmoney(Type::SmallMoney, Value::decimal("214748.3647"), "214748.3647")]
#[case::char(Type::Char(6), "ab".into(), "ab    ")]
#[case::varchar(Type::VarChar(20), "Köln, Straße 1".into(), "Köln, Straße 1")]
#[case::varchar_max(Type::VarCharMax, "x".repeat(9_001).into(), &"x".repeat(9_001))]
#[case::varchar_utf8(Type::VarCharUtf8(40), "Łódź 病院".into(), "Łódź 病院")]
#[case::text(Type::Text, "a long text".into(), "a long text")]
#[case::nchar(Type::NChar(4), "é".into(), "é   ")]
#[case::nvarchar(Type::NVarChar(40), "病院 🏥, \"quoted\"\r\n".into(), "病院 🏥, \"quoted\"\r\n")]
#[case::nvarchar_empty(Type::NVarChar(40), "".into(), "")]
#[case::nvarchar_max(Type::NVarCharMax, "病".repeat(9_001).into(), &"病".repeat(9_001))]
#[case::ntext(Type::NText, "病院".into(), "病院")]
#[case::date(Type::Date, Value::date("0001-01-01"), "0001-01-01")]
#[case::last_date(Type::Date, Value::date("9999-12-31"), "9999-12-31")]
#[case::time(Type::Time(7), Value::time("23:59:59.9999999"), "23:59:59.9999999")]
#[case::time_of_seconds(Type::Time(0), Value::time("06:30:05"), "06:30:05")]
#[case::time_of_thousandths(Type::Time(3), Value::time("06:30:05.007"), "06:30:05.007")]
#[case::smalldatetime(Type::SmallDateTime, Value::moment("2079-06-06 23:59:00"), "2079-06-06T23:59:00")]
#[case::datetime(Type::DateTime, Value::moment("2024-11-07 06:30:00.003"), "2024-11-07T06:30:00.003")]
#[case::datetime_up(Type::DateTime, Value::moment("2024-11-07 23:59:59.997"), "2024-11-07T23:59:59.997")]
#[case::first_datetime(Type::DateTime, Value::moment("1753-01-01 00:00:00.007"), "1753-01-01T00:00:00.007")]
#[case::datetime2(Type::DateTime2(7), Value::moment("2024-11-07 06:30:00.1234567"), "2024-11-07T06:30:00.123456")]
#[case::datetime2_of_hundredths(Type::DateTime2(2), Value::moment("2024-11-07 06:30:00.12"), "2024-11-07T06:30:00.120")]
#[case::first_datetime2(Type::DateTime2(4), Value::moment("0001-01-01 00:00:00.0001"), "0001-01-01T00:00:00.000100")]
#[case::datetimeoffset(
    Type::DateTimeOffset(7),
    Value::offset("2024-11-07T23:30:00.5-05:00"),
    "2024-11-08T04:30:00.500Z"
)]
#[case::datetimeoffset_east(
    Type::DateTimeOffset(0),
    Value::offset("2024-11-07T01:00:00+05:30"),
    "2024-11-06T19:30:00Z"
)]
#[case::uniqueidentifier(Type::UniqueIdentifier, Value::Guid(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"), "01234567-89AB-CDEF-0123-456789ABCDEF")]
#[case::binary(Type::Binary(4), Value::Bytes(vec![0, 255]), "0x00FF0000")]
#[case::varbinary(Type::VarBinary(10), Value::Bytes(vec![1, 171]), "0x01AB")]
#[case::varbinary_max(Type::VarBinaryMax, Value::Bytes(vec![]), "0x")]
#[case::image(Type::Image, Value::Bytes(vec![202, 254]), "0xCAFE")]
#[case::xml(Type::Xml, "<a>1</a>".into(), "<a>1</a>")]
#[case::sql_variant(Type::SqlVariant, "anything".into(), "anything")]
#[tokio::test]
async fn every_type_keeps_its_value_and_its_nulls(#[case] kind: Type, #[case] value: Value, #[case] expected: &str) {
    in_hospital(Kind::SqlServer, async |hospital| {
        assert_eq!(bronze(hospital, kind, value).await, [expected]);
    })
    .await;
}

#[tokio::test]
async fn columns_that_take_no_null_are_read_too() {
    in_hospital(Kind::SqlServer, async |hospital| {
        let required = [
            ("Bit", Type::Bit, Value::Bool(false), "false"),
            ("TinyInt", Type::TinyInt, Value::Int(7), "7"),
            ("SmallInt", Type::SmallInt, Value::Int(-7), "-7"),
            ("BigInt", Type::BigInt, Value::Int(1 << 40), "1099511627776"),
            ("Real", Type::Real, Value::Float(-1.5), "-1.5"),
            ("Float", Type::Float, Value::Float(2.25), "2.25"),
            ("Money", Type::Money, Value::decimal("988.3700"), "988.3700"),
            ("SmallMoney", Type::SmallMoney, Value::decimal("-0.0001"), "-0.0001"),
            ("DateTime", Type::DateTime, Value::moment("2024-11-07 06:30:00"), "2024-11-07T06:30:00"),
            ("SmallDateTime", Type::SmallDateTime, Value::moment("1900-01-01 00:01:00"), "1900-01-01T00:01:00"),
        ];
        let mut columns = department_columns();
        columns.extend(required.iter().map(|(name, kind, ..)| Column::required(name, *kind)));
        hospital.create("departments", &columns).await;
        let mut row = vec![1.into(), "Name".into()];
        row.extend(required.iter().map(|(.., value, _)| value.clone()));
        hospital.insert("departments", vec![row]).await;
        hospital.full("departments").await.unwrap();
        let names: Vec<&str> = required.iter().map(|(name, ..)| *name).collect();
        let values = hospital.values(&hospital.last_load("hosa/departments").await, &names);
        assert_eq!(values, [required.map(|(.., expected)| expected)]);
    })
    .await;
}
