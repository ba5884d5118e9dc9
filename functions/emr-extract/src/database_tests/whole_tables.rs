use rcm_model::event::Outcome;
use rcm_model::load_config::{LoadRow, LoadType};
use rcm_platform::config::LoadKind;
use rstest::rstest;
use tds_server::{Column, Type, Value};

use super::hospital::{Hospital, Kind, department_columns, departments, in_hospital};

#[rstest]
#[tokio::test]
async fn a_table_becomes_a_snapshot_with_all_its_columns(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        let columns = [department_columns(), vec![Column::new("Floor", Type::SmallInt)]].concat();
        hospital.create("departments", &columns).await;
        let row = |id: i64, name: &str, floor: i64| vec![id.into(), name.into(), floor.into()];
        hospital.insert("departments", vec![row(1, "Emergency", 0), row(2, "Surgery", 3)]).await;
        let report = hospital.full("departments").await.unwrap();
        assert_eq!((report.outcome, report.loads[0].read), (Outcome::Done, 2));
        assert!(report.notes.contains(&"drift: columns that the mapping does not use: Floor".to_owned()));
        let load = hospital.last_load("hosa/departments").await;
        assert_eq!((load.kind, load.rows, load.malformed), (LoadKind::Snapshot, 2, 0));
        assert!(load.source.name.starts_with("db-a.") && load.source.name.ends_with(".departments"));
        let values = hospital.values(&load, &["DeptID", "Name", "Floor", "_malformed"]);
        assert_eq!(values, [["1", "Emergency", "0", "NULL"], ["2", "Surgery", "3", "NULL"]]);
        assert_eq!(hospital.column(&load, "_position"), ["1", "2"]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_table_that_has_not_changed_makes_no_load(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("departments", &department_columns()).await;
        hospital.insert("departments", departments(10)).await;
        hospital.full("departments").await.unwrap();
        let bronze = hospital.lake.files("bronze");
        hospital.clear("departments").await;
        hospital.insert("departments", departments(10).into_iter().rev().collect()).await;
        let report = hospital.full("departments").await.unwrap();
        assert_eq!(report.outcome, Outcome::NothingNew, "the order of rows is nothing that a table has");
        assert!(report.notes[0].ends_with("has not changed since load 1"), "{:?}", report.notes);
        assert_eq!(hospital.lake.files("bronze"), bronze);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_row_that_is_there_twice_is_a_change(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("departments", &department_columns()).await;
        hospital.insert("departments", departments(3)).await;
        hospital.full("departments").await.unwrap();
        hospital.insert("departments", departments(1)).await;
        assert_eq!(hospital.full("departments").await.unwrap().loads[0].read, 4);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn an_empty_table_is_a_load_of_no_rows(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("departments", &department_columns()).await;
        assert_eq!(hospital.full("departments").await.unwrap().loads[0].read, 0);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_table_that_lost_most_of_its_numbered_keys_is_refused(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("departments", &department_columns()).await;
        hospital.insert("departments", departments(10)).await;
        hospital.full("departments").await.unwrap();
        hospital.clear("departments").await;
        hospital.insert("departments", departments(7)).await;
        assert_eq!(hospital.full("departments").await.unwrap_err().name(), "ThresholdExceeded");
        assert_eq!(hospital.data_files("hosa/departments").len(), 1);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_missing_column_is_named(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("departments", &[Column::new("DeptID", Type::Int)]).await;
        let error = hospital.full("departments").await.unwrap_err();
        assert_eq!(error.name(), "BrokenContract");
        assert!(error.to_string().contains("database `db-a`, table `"), "{error}");
        assert!(error.to_string().contains("lacks the column `Name`"), "{error}");
        assert_eq!(hospital.lake.files("bronze"), [""; 0]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_missing_table_is_a_broken_contract(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        let error = hospital.full("departments").await.unwrap_err();
        assert_eq!(error.name(), "BrokenContract");
        let expected = if kind == Kind::Postgres { "PostgreSQL error 42P01" } else { "SQL Server error 208" };
        assert!(error.to_string().contains(expected), "{error}");
    })
    .await;
}

#[rstest]
#[case::integers(Column::required("DeptID", Type::Int), (1..=100).map(Value::Int).collect())]
#[case::texts(Column::new("DeptID", Type::VarChar(20)), (1..=100).map(|id| format!("DEPT{id:03}").into()).collect())]
#[case::the_same_key_often(Column::new("DeptID", Type::Int), vec![Value::Int(7); 100])]
#[case::nulls(Column::new("DeptID", Type::BigInt), (1..=100).map(|id| (id % 3 > 0).then_some(id).into()).collect())]
#[case::hardly_any(Column::new("DeptID", Type::Int), vec![Value::Int(2), Value::Int(1)])]
#[case::none(Column::new("DeptID", Type::Int), vec![])]
#[tokio::test]
async fn ranges_of_keys_are_read_at_once_and_make_one_load(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
    #[case] key: Column,
    #[case] keys: Vec<Value>,
) {
    in_hospital(kind, async |hospital| {
        hospital.set_stream("hosa/departments", "shards = 4");
        hospital.create("departments", &[key, Column::new("Name", Type::NVarChar(50))]).await;
        hospital.insert("departments", keys.iter().map(|key| vec![key.clone(), "Name".into()]).collect()).await;
        let report = hospital.full("departments").await.unwrap();
        assert_eq!((report.loads.len(), report.loads[0].read), (1, keys.len() as u64));
        let load = hospital.last_load("hosa/departments").await;
        let text = |key: &Value| if *key == Value::Null { "NULL".to_owned() } else { key.to_text() };
        let mut expected: Vec<String> = keys.iter().map(text).collect();
        expected.sort();
        assert_eq!(hospital.column(&load, "DeptID"), expected);
        let mut positions: Vec<i64> = hospital.column(&load, "_position").iter().map(|p| p.parse().unwrap()).collect();
        positions.sort_unstable();
        assert!(positions.into_iter().eq(1..=keys.len() as i64));
        assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::NothingNew);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn names_may_be_in_quotes(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("departments", &department_columns()).await;
        hospital.insert("departments", departments(2)).await;
        let row = hospital.row("departments", LoadType::Full);
        let (schema, table) = row.tablename.split_once('.').unwrap();
        let row = LoadRow { tablename: format!("{}.{}", hospital.quoted(schema), hospital.quoted(table)), ..row };
        assert_eq!(hospital.extract(row).await.unwrap().loads[0].read, 2);
    })
    .await;
}

#[rstest]
#[case::a_statement("x; DROP TABLE departments--.departments", "")]
#[case::an_open_bracket("[dbo.departments", "")]
#[case::another_database("other.dbo.departments", "")]
#[case::a_watermark("dbo.patients", "ModifiedDate > 0 OR 1")]
#[tokio::test]
async fn what_is_no_name_is_refused_before_a_connection_is_opened(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
    #[case] tablename: &str,
    #[case] watermark: &str,
) {
    let hospital = Hospital::start(kind).await;
    let loadtype = if watermark.is_empty() { LoadType::Full } else { LoadType::Incremental };
    let row = LoadRow {
        tablename: tablename.to_owned(),
        watermark: watermark.to_owned(),
        ..hospital.row("departments", loadtype)
    };
    assert_eq!(hospital.extract(row).await.unwrap_err().name(), "BadConfig");
    assert_eq!(hospital.connections(), 0);
}
