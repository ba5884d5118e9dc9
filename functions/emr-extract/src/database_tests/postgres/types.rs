//! Every type of PostgreSQL, and what bronze has of its values.

use crate::database_tests::hospital::{Hospital, Kind, NULL};

/// Types, a value of each as SQL writes it, and what bronze shows of it.
const TYPES: [(&str, &str, &str); 55] = [
    ("boolean", "true", "true"),
    ("smallint", "-32768", "-32768"),
    ("integer", "-2147483648", "-2147483648"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("real", "0.5", "0.5"),
    ("double precision", "988.3699951171875", "988.3699951171875"),
    ("numeric(9,2)", "-1234567.89", "-1234567.89"),
    ("numeric(18,2)", "9999999999999999.99", "9999999999999999.99"),
    ("numeric(28,4)", "-999999999999999999999999.9999", "-999999999999999999999999.9999"),
    ("numeric(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
    ("numeric(38,38)", "0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"),
    ("numeric(10,4)", "10000", "10000.0000"),
    ("numeric(5,2)", "0", "0.00"),
    ("numeric(5,2)", "0.07", "0.07"),
    (
        "numeric",
        "12345678901234567890123456789012345678901234567890.5",
        "12345678901234567890123456789012345678901234567890.5",
    ),
    ("numeric", "1.50", "1.50"),
    ("numeric", "'NaN'", "NaN"),
    ("numeric(60,2)", "1.5", "1.50"),
    ("numeric(3,-2)", "12345", "12300"),
    ("money", "-1234.56", "-1234.56"),
    ("char(6)", "'ab'", "ab    "),
    ("varchar(20)", "'Köln, Straße 1'", "Köln, Straße 1"),
    ("text", "E'病院 🏥, \"quoted\"\\r\\n'", "病院 🏥, \"quoted\"\r\n"),
    ("text", "''", ""),
    ("name", "'a name'", "a name"),
    ("\"char\"", "'x'", "x"),
    ("date", "'0001-01-01'", "0001-01-01"),
    ("date", "'9999-12-31'", "9999-12-31"),
    ("date", "'1969-12-31'", "1969-12-31"),
    ("time", "'23:59:59.999999'", "23:59:59.999999"),
    ("time(0)", "'06:30:05'", "06:30:05"),
    ("timetz", "'06:30:05+02'", "06:30:05+02"),
    ("timestamp", "'2024-11-07 06:30:00.123456'", "2024-11-07T06:30:00.123456"),
    ("timestamp(3)", "'2024-11-07 06:30:00.123'", "2024-11-07T06:30:00.123"),
    ("timestamp", "'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"),
    ("timestamp", "'0001-01-01 00:00:00.0001'", "0001-01-01T00:00:00.000100"),
    ("timestamp", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
    ("timestamptz", "'2024-11-07 23:30:00.5-05'", "2024-11-08T04:30:00.500Z"),
    ("timestamptz", "'2024-11-07 01:00:00+05:30'", "2024-11-06T19:30:00Z"),
    ("interval", "'1 day 02:03:04.5'", "1 day 02:03:04.5"),
    ("uuid", "'01234567-89AB-CDEF-0123-456789ABCDEF'", "01234567-89ab-cdef-0123-456789abcdef"),
    ("bytea", "'\\x01AB'", "0x01AB"),
    ("bytea", "''", "0x"),
    ("json", "'{\"a\":  1}'", "{\"a\":  1}"),
    ("jsonb", "'{\"a\":  1}'", "{\"a\": 1}"),
    ("xml", "'<a>1</a>'", "<a>1</a>"),
    ("rcm.mood", "'so so'", "so so"),
    ("rcm.amount", "12.5", "12.50"),
    ("rcm.pair", "ROW(1, 'b c')", "(1,\"b c\")"),
    ("integer[]", "'{1,NULL,3}'", "{1,NULL,3}"),
    ("daterange", "'[2024-01-01,2024-02-01)'", "[2024-01-01,2024-02-01)"),
    ("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
    ("bit(4)", "B'0101'", "0101"),
    ("point", "'(1.5,2)'", "(1.5,2)"),
    ("oid", "4294967295", "4294967295"),
];

#[tokio::test]
async fn every_type_keeps_its_value_and_its_nulls() {
    let hospital = Hospital::start(Kind::Postgres).await;
    let columns = TYPES.iter().enumerate().map(|(index, (kind, ..))| format!("c{index} {kind}"));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let values = TYPES.map(|(_, value, _)| value).join(", ");
    let nulls = TYPES.map(|_| "NULL").join(", ");
    hospital
        .postgres()
        .server
        .execute(&format!(
            "CREATE TYPE rcm.mood AS ENUM ('so so'); CREATE DOMAIN rcm.amount AS numeric(9,2); \
             CREATE TYPE rcm.pair AS (a integer, b text); \
             CREATE TABLE rcm.departments (\"DeptID\" integer, \"Name\" text, {columns}); \
             INSERT INTO rcm.departments VALUES (1, 'a', {values}), (2, 'b', {nulls}), (3, 'c', {values}); \
             GRANT SELECT ON rcm.departments TO rcm_reader"
        ))
        .await;
    hospital.full("departments").await.unwrap();
    let load = hospital.last_load("hosa/departments").await;
    assert_eq!(load.malformed, 0);
    for (index, (kind, value, expected)) in TYPES.iter().enumerate() {
        let rows = hospital.values(&load, &["DeptID", &format!("c{index}")]);
        let found: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(found, [*expected, NULL, *expected], "{kind} {value}");
    }
}

#[tokio::test]
async fn money_has_no_currency_and_all_its_digits() {
    let hospital = Hospital::start(Kind::Postgres).await;
    let server = &hospital.postgres().server;
    server
        .execute(
            "CREATE TABLE rcm.departments (\"DeptID\" integer, \"Name\" money); \
             INSERT INTO rcm.departments VALUES (1, '92233720368547758.07'); \
             GRANT SELECT ON rcm.departments TO rcm_reader",
        )
        .await;
    hospital.full("departments").await.unwrap();
    assert_eq!(hospital.column(&hospital.last_load("hosa/departments").await, "Name"), ["92233720368547758.07"]);
}
