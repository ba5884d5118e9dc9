//! A datasource with several streams of one entity.

use proptest::prelude::*;
use rcm_model::cdm::PROVIDERS;
use rcm_platform::bronze::SourceObject;
use rcm_platform::voids::{self, Decision, VoidMark};

use super::*;

/// Whole tables of the hospital.
const EXTRACTS: &str = "hosa/departments";
/// Lists that its staff drop.
const LISTS: &str = "departments/hos-a";

/// A load of one of the two streams.
#[derive(Debug, Clone)]
struct Delivery {
    is_list: bool,
    /// Day of March that the file was written on, whenever it lands.
    written: i64,
    /// The departments with a number for their name.
    departments: Vec<(u8, u8)>,
}

fn deliveries() -> impl Strategy<Value = Vec<Delivery>> {
    let departments = prop::collection::btree_map(0_u8..3, 0_u8..2, 1..3);
    let delivery = (any::<bool>(), 1_i64..4, departments).prop_map(|(is_list, written, departments)| Delivery {
        is_list,
        written,
        departments: departments.into_iter().collect(),
    });
    prop::collection::vec(delivery, 2..6)
}

fn lake_with_both() -> TestLake {
    let lake = TestLake::new();
    let feed = "[[landing]]\nfolder = \"departments\"\nentity = \"departments\"\nload = \"upsert\"\n\n[silver.buckets]";
    lake.edit("configs/sources.toml", "[silver.buckets]", feed);
    lake.edit("configs/cdm/hos-a.toml", "[landing]", "[landing]\ndepartments = [\"*\"]");
    lake
}

async fn deliver(lake: &TestLake, sequence: u64, list_kind: LoadKind, delivery: &Delivery) {
    lake.wait(TimeDelta::days(1));
    let context = lake.context().await;
    let rows: Vec<Row> = delivery
        .departments
        .iter()
        .map(|(id, name)| Row::Fields(vec![Some(format!("D{id}")), Some(format!("Name {name}"))]))
        .collect();
    let stream = if delivery.is_list { LISTS } else { EXTRACTS };
    let now = context.now();
    let written = "2024-03-01T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let written = written + TimeDelta::days(delivery.written);
    let (name, kind, at) = if delivery.is_list {
        (format!("landing/departments/{sequence}.csv"), list_kind, written)
    } else {
        ("hos-a/departments.csv".to_owned(), LoadKind::Snapshot, now)
    };
    let source = SourceObject { name, size: None, last_modified: Some(at) };
    let file = bronze_rows::write(&context, stream, source.clone(), &["DeptID", "Name"], &rows).await.unwrap();
    let made = Manifest {
        load_id: file.load_id,
        entity: DEPARTMENTS.name.to_owned(),
        kind,
        source,
        rows: file.rows,
        data_files: vec![file.data_key],
        extracted_at: at,
        ..manifest(stream, sequence, now)
    };
    LoadLog::new(&context.lake, stream).commit(&made).await.unwrap();
}

/// Every version of the table, but for when it was written.
async fn history(context: &Context) -> DataFrame {
    let table = Table::open(&context.lake, &lake::silver(DEPARTMENTS.name)).await.unwrap().unwrap();
    let rows = table.scan(table.files()).await.unwrap();
    let columns = ["src_dept_id", "name", "effective_from", "effective_to", "is_current", "is_deleted", "observations"];
    let rows = rows.select(columns.map(col)).sort(columns[..6].to_vec(), SortMultipleOptions::default());
    blocking(move || Ok(rows.collect()?)).await.unwrap()
}

async fn is_the_same_made_anew(list_kind: LoadKind, deliveries: &[Delivery]) -> Result<(), TestCaseError> {
    let lake = lake_with_both();
    let mut sequences = [0, 0];
    for delivery in deliveries {
        let sequence = &mut sequences[usize::from(delivery.is_list)];
        *sequence += 1;
        deliver(&lake, *sequence, list_kind, delivery).await;
        take_in(&lake.context().await).await.unwrap();
    }
    let before = history(&lake.context().await).await;
    // All rows of the rebuild are put down in the lake on their way.
    lake.edit("configs/sources.toml", "memory_mb = 256", "memory_mb = 0");
    let context = lake.context().await;
    let input = StageInput { run_id: "rebuild".to_owned(), rebuild: true, ..StageInput::default() };
    run(context.clone(), &DEPARTMENTS, input).await.unwrap();
    let after = history(&context).await;
    prop_assert!(before.equals_missing(&after), "load by load {before}\nmade anew {after}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_table_of_two_streams_is_the_same_load_by_load_and_made_anew(
        deliveries in deliveries(),
        list_kind in prop::sample::select(vec![LoadKind::Snapshot, LoadKind::Upsert]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(is_the_same_made_anew(list_kind, &deliveries))?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_written_before_the_first_extract_comes_after_what_the_table_has() {
    let delivery =
        |is_list, written, departments: &[(u8, u8)]| Delivery { is_list, written, departments: departments.to_vec() };
    let deliveries =
        [delivery(false, 1, &[(0, 0), (1, 0)]), delivery(true, 1, &[(0, 1)]), delivery(false, 1, &[(0, 0), (1, 1)])];
    for list_kind in [LoadKind::Snapshot, LoadKind::Upsert] {
        is_the_same_made_anew(list_kind, &deliveries).await.unwrap();
    }
}

async fn rebuild(context: &Context, force: bool) -> Result<StageReport, StageError> {
    let input = StageInput { run_id: "rebuild".to_owned(), rebuild: true, force, ..StageInput::default() };
    run(context.clone(), &DEPARTMENTS, input).await
}

/// Names of the datasources whose departments are current.
async fn current_datasources(context: &Context) -> Vec<String> {
    let rows = current(context).await;
    rows.column("datasource").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect()
}

const LINE_OF_B: &str = "hos-b,dbo.departments,Full,,1,hosb\n";

/// A table with departments of two hospitals, of which the configuration no longer names the second one's.
async fn lake_without_line_of_b() -> (TestLake, String) {
    let lake = TestLake::new();
    let context = lake.context().await;
    load(&context, OF_A, 1, "Name", 0).await;
    load(&context, OF_B, 1, "Name", 0).await;
    take_in(&context).await.unwrap();
    let lines = lake.read("configs/emr/load_config.csv");
    let without: Vec<&str> = lines.lines().filter(|line| !format!("{line}\n").ends_with(LINE_OF_B)).collect();
    assert_eq!(without.len() + 1, lines.lines().count(), "one line is removed");
    lake.write("configs/emr/load_config.csv", without.join("\n"));
    (lake, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_would_lose_a_stream_is_refused_by_its_name_unless_it_is_forced() {
    let (lake, lines) = lake_without_line_of_b().await;
    let context = lake.context().await;
    let refused = rebuild(&context, false).await.unwrap_err();
    assert_eq!(refused.name(), "BadConfig");
    let told = refused.to_string();
    assert!(
        told.contains("loads of `hosb/departments`,") && told.contains("rcm rebuild departments --force"),
        "{told}"
    );
    assert_eq!(current_datasources(&context).await, ["hos-a", "hos-b"]);

    let notes = rebuild(&context, true).await.unwrap().notes.join("\n");
    assert!(notes.contains("no longer has loads of `hosb/departments`"), "{notes}");
    assert_eq!(current_datasources(&context).await, ["hos-a"]);
    assert!(!rebuild(&context, false).await.unwrap().notes.join("\n").contains("hosb"), "it has none any more");

    lake.write("configs/emr/load_config.csv", lines);
    let context = lake.context().await;
    take_in(&context).await.unwrap();
    assert_eq!(current_datasources(&context).await, ["hos-a", "hos-b"], "its loads are taken in again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_whose_rebuild_would_lose_a_stream_waits_and_is_told_by_every_run() {
    let (lake, lines) = lake_without_line_of_b().await;
    let context = lake.context().await;
    let (who, why) = ("ada".to_owned(), "the file of another month".to_owned());
    let mark = VoidMark { sequence: 1, decision: Decision::Void, who, why, at: context.now() };
    voids::decide(&context.lake, OF_A.0, &mark).await.unwrap();
    for _ in 0..2 {
        let told = take_in(&context).await.unwrap_err().to_string();
        assert!(told.contains("loads of `hosb/departments`"), "{told}");
        assert_eq!(current_datasources(&context).await, ["hos-a", "hos-b"]);
        let waits = crate::silver::standstills(&context).await.unwrap();
        assert!(waits.iter().any(|waits| waits.subject == "silver/departments: hosa/departments"), "{waits:?}");
    }
    lake.write("configs/emr/load_config.csv", lines);
    let context = lake.context().await;
    take_in(&context).await.unwrap();
    assert_eq!(current_datasources(&context).await, ["hos-b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_entities_that_are_read_from_one_table_take_in_its_loads_each_for_itself() {
    const STREAM: &str = "hosa/providers";
    let lake = TestLake::new();
    lake.edit("configs/cdm/hos-a.toml", "[landing]", "[read_from]\ndepartments = \"providers\"\n\n[landing]");
    let context = lake.context().await;
    let columns = ["ProviderID", "FirstName", "LastName", "Specialization", "DeptID", "NPI", "Name"];
    let columns: Vec<&str> = columns.to_vec();
    for sequence in 1..=2 {
        let row = |id: u64| {
            let fields =
                [format!("P{id}"), "A".into(), "B".into(), "C".into(), format!("D{id}"), "1".into(), "N".into()];
            Row::Fields(fields.map(Some).to_vec())
        };
        let source = SourceObject { name: "hos-a/providers.csv".to_owned(), size: None, last_modified: None };
        let rows: Vec<Row> = (0..sequence).map(row).collect();
        let file = bronze_rows::write(&context, STREAM, source.clone(), &columns, &rows).await.unwrap();
        let made = Manifest {
            load_id: file.load_id,
            entity: PROVIDERS.name.to_owned(),
            source,
            rows: file.rows,
            data_files: vec![file.data_key],
            ..manifest(STREAM, sequence, context.now())
        };
        LoadLog::new(&context.lake, STREAM).commit(&made).await.unwrap();
        take_in(&context).await.unwrap();
        assert_eq!(crate::silver::taken(&context, &DEPARTMENTS, STREAM).await.unwrap(), sequence);
        assert_eq!(crate::silver::taken(&context, &PROVIDERS, STREAM).await.unwrap(), 0);
    }
    let input = StageInput { run_id: "run".to_owned(), ..StageInput::default() };
    run(context.clone(), &PROVIDERS, input).await.unwrap();
    for entity in [&DEPARTMENTS, &PROVIDERS] {
        assert_eq!(crate::silver::taken(&context, entity, STREAM).await.unwrap(), 2);
        let table = Table::open(&context.lake, &lake::silver(entity.name)).await.unwrap().unwrap();
        assert_eq!(table.rows(), 2, "{}", entity.name);
    }
    rebuild(&context, false).await.unwrap();
}
