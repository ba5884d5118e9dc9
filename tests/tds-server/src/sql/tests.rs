use super::{parse, select};
use crate::tokens::SqlError;
use crate::types::{Column, Type};
use crate::value::{Row, Value};

fn columns() -> Vec<Column> {
    vec![
        Column::required("Id", Type::Int),
        Column::new("Changed", Type::DateTime2(7)),
        Column::new("Odd ]name", Type::Money),
    ]
}

fn rows() -> Vec<Row> {
    let row = |id: i64, changed: Option<&str>| {
        vec![id.into(), changed.map_or(Value::Null, Value::moment), Value::decimal("1.0000")]
    };
    vec![
        row(1, Some("2024-10-01 08:00:00")),
        row(2, None),
        row(3, Some("2024-10-03 08:00:00.0000001")),
        row(4, Some("2024-10-03 08:00:00")),
    ]
}

fn answer(statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
    Ok(select(&parse(statement)?, &columns(), &rows(), parameters)?.rows)
}

fn ids(condition: &str, parameters: &[Value]) -> Vec<Value> {
    let statement = format!("SELECT [Id] FROM [dbo].[patients] WHERE {condition}");
    answer(&statement, parameters).unwrap().concat()
}

fn numbers(ids: &[i64]) -> Vec<Value> {
    ids.iter().map(|id| Value::Int(*id)).collect()
}

#[test]
fn a_window_has_its_right_end_and_not_its_left_one() {
    let (last, high) = (Value::moment("2024-10-01 08:00:00"), Value::moment("2024-10-03 08:00:00"));
    assert_eq!(ids("[Changed] > @P1 AND [Changed] <= @P2", &[last, high]), numbers(&[4]));
}

#[test]
fn a_null_is_neither_newer_nor_older() {
    let last = [Value::moment("2024-10-01 08:00:00")];
    assert_eq!(ids("[Changed] > @P1 OR [Changed] <= @P1", &last), numbers(&[1, 3, 4]));
    assert_eq!(ids("([Changed] > @P1) OR [Changed] IS NULL", &last), numbers(&[2, 3, 4]));
    assert_eq!(ids("[Changed] > @P1 AND [Id] IS NOT NULL", &[Value::Null]), numbers(&[]));
}

#[test]
fn and_binds_closer_than_or() {
    assert_eq!(ids("[Id] = 1 OR [Id] = 2 AND [Id] = 3", &[]), numbers(&[1]));
    assert_eq!(ids("([Id] = 1 OR [Id] = 2) AND [Id] = 2", &[]), numbers(&[2]));
}

#[test]
fn an_aggregate_answers_one_row() {
    assert_eq!(answer("SELECT MAX([Changed]) FROM t", &[]).unwrap(), [[Value::moment("2024-10-03 08:00:00.0000001")]]);
    assert_eq!(answer("SELECT COUNT_BIG(*) FROM t WHERE Id > 1", &[]).unwrap(), [[Value::Int(3)]]);
    assert_eq!(answer("SELECT MAX(Changed) FROM t WHERE Id > 9", &[]).unwrap(), [[Value::Null]]);
}

#[test]
fn a_row_is_found_by_its_place_in_an_order() {
    let statement = "SELECT [Id] FROM t ORDER BY [Changed] OFFSET @P1 ROWS FETCH NEXT 1 ROWS ONLY";
    assert_eq!(answer(statement, &[Value::Int(2)]).unwrap(), [[Value::Int(4)]]);
}

#[test]
fn a_column_is_cast_under_its_own_name() {
    let statement = parse("SELECT CAST([Odd ]]name] AS nvarchar(max)) AS [Odd ]]name] FROM t").unwrap();
    let found = select(&statement, &columns(), &rows()[..1], &[]).unwrap();
    assert_eq!((found.columns[0].name.as_str(), found.columns[0].kind), ("Odd ]name", Type::NVarCharMax));
    assert_eq!(found.rows, [["1.0000".into()]]);
}

#[test]
fn what_it_does_not_understand_is_an_error_of_sql_server() {
    let number = |statement: &str| answer(statement, &[]).unwrap_err().number;
    assert_eq!(number("DELETE FROM t"), 102);
    assert_eq!(number("SELECT [Id] FROM t; DROP TABLE t"), 102);
    assert_eq!(number("SELECT [Nothing] FROM t"), 207);
    assert_eq!(number("SELECT [Id] FROM t WHERE [Id] > @P1"), 137);
    assert_eq!(number("SELECT [Id] FROM t WHERE [Id] > [Changed]"), 206);
}
