//! Tables of an older version of the product, whose entity had fewer columns.

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_model::cdm::{Column as EntityColumn, Entity, PROVIDERS};
use rcm_model::event::{StageInput, StageReport};
use rcm_model::standstill::StandstillKind;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::bronze_rows::{self, Row};
use rcm_platform::config::LoadKind;
use rcm_platform::context::Context;
use rcm_platform::lake;
use rcm_platform::testing::{TestLake, manifest};

use super::{PARTITION_COLUMNS, run, standstills};
use crate::delta::{self, Change, Table};
use crate::frames::blocking;
use crate::gold::Tables;

const STREAM: &str = "hosa/providers";
const NEW_ATTRIBUTE: &str = "specialization";

/// Providers as a version of the product had them that knew no specialization.
fn providers_before() -> &'static Entity {
    let known: Vec<EntityColumn> =
        PROVIDERS.tracked.iter().filter(|column| column.name != NEW_ATTRIBUTE).copied().collect();
    Box::leak(Box::new(Entity { tracked: known.leak(), ..PROVIDERS }))
}

/// Makes a load of providers, ids and last names.
async fn load(context: &Context, sequence: u64, providers: &[(&str, &str)]) {
    let headers = ["ProviderID", "FirstName", "LastName", "Specialization", "DeptID", "NPI"];
    let row = |(id, name): &(&str, &str)| {
        let fields = [*id, "Ann", *name, "Surgery", "D1", "1234567893"];
        Row::Fields(fields.iter().map(|field| Some((*field).to_owned())).collect())
    };
    let rows: Vec<Row> = providers.iter().map(row).collect();
    let made = manifest(STREAM, sequence, context.now());
    let written = bronze_rows::write(context, STREAM, made.source.clone(), &headers, &rows).await.unwrap();
    let made = Manifest {
        load_id: written.load_id,
        entity: PROVIDERS.name.to_owned(),
        datasource: "hos-a".to_owned(),
        kind: LoadKind::Snapshot,
        rows: written.rows,
        data_files: vec![written.data_key],
        ..made
    };
    LoadLog::new(&context.lake, STREAM).commit(&made).await.unwrap();
}

async fn take_in(context: &Context, entity: &'static Entity, rebuild: bool) -> StageReport {
    run(context.clone(), entity, StageInput { run_id: "run".to_owned(), rebuild, ..StageInput::default() })
        .await
        .unwrap()
}

async fn table(context: &Context) -> Table {
    Table::open(&context.lake, &lake::silver(PROVIDERS.name)).await.unwrap().unwrap()
}

async fn outdated(context: &Context) -> Vec<String> {
    let found = standstills(context).await.unwrap();
    let outdated = found.into_iter().filter(|standstill| standstill.kind == StandstillKind::TableOutdated);
    outdated.map(|standstill| format!("{}: {}; {}", standstill.subject, standstill.because, standstill.hint)).collect()
}

/// The values of a column in the current versions, as gold reads them.
async fn current(context: &Context, column: &str) -> Vec<Option<String>> {
    let path = lake::silver(PROVIDERS.name);
    let tables = Tables::open(&context.lake, [path.clone()]).await.unwrap();
    let rows = tables.scan_current(&path).await.unwrap().unwrap();
    let values = rows.sort(["provider_key"], SortMultipleOptions::default()).select([col(column)]);
    let values = blocking(move || Ok(values.collect()?)).await.unwrap();
    values.column(column).unwrap().str().unwrap().iter().map(|value| value.map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_attribute_makes_no_version_until_the_table_is_made_anew() {
    let lake = TestLake::new();
    let context = lake.context().await;
    load(&context, 1, &[("H1-P1", "Abel"), ("H1-P2", "Berg"), ("H1-P3", "Cole")]).await;
    take_in(&context, providers_before(), false).await;
    assert_eq!(
        outdated(&context).await,
        ["silver/providers: it has no column specialization, which this version of \
        the product reads; until it is made anew, loads are ingested without it; make it anew from bronze: rcm rebuild \
        providers"]
    );

    load(&context, 2, &[("H1-P1", "Abel"), ("H1-P2", "Berg"), ("H1-P3", "Kohl")]).await;
    let report = take_in(&context, &PROVIDERS, false).await;
    let counts = &report.loads[0];
    assert_eq!((counts.unchanged, counts.changed, counts.new), (2, 1, 0));
    assert!(!table(&context).await.schema().contains(NEW_ATTRIBUTE));
    assert_eq!(current(&context, NEW_ATTRIBUTE).await, [None, None, None]);
    assert_eq!(outdated(&context).await.len(), 1);

    take_in(&context, &PROVIDERS, true).await;
    assert_eq!(current(&context, NEW_ATTRIBUTE).await, vec![Some("Surgery".to_owned()); 3]);
    assert_eq!(outdated(&context).await, Vec::<String>::new());
    load(&context, 3, &[("H1-P1", "Abel"), ("H1-P2", "Berg"), ("H1-P3", "Kohl")]).await;
    assert_eq!(take_in(&context, &PROVIDERS, false).await.loads[0].unchanged, 3);
}

/// Writes the silver table again as a version of the product had made it that knew no `column`.
async fn without_column(lake: &TestLake, context: &Context, column: &str) {
    let whole = table(context).await;
    let path = whole.path().to_owned();
    let taken = whole.transaction(STREAM).await.unwrap().unwrap();
    let buckets = whole.property("rcm.bucket_count").unwrap().unwrap();
    let rows = whole.scan(whole.files()).await.unwrap();
    let rows = blocking(move || Ok(rows.collect()?)).await.unwrap().drop(column).unwrap();
    std::fs::remove_dir_all(lake.path(&path)).unwrap();
    let schema: Schema = silver_schema(&PROVIDERS).iter_fields().filter(|field| field.name() != column).collect();
    let mut add = Vec::new();
    for part in rows.partition_by(PARTITION_COLUMNS, true).unwrap() {
        let bucket = part.column("bucket").unwrap().i32().unwrap().get(0).map(|bucket| bucket.to_string());
        let partition = [("bucket", bucket)];
        let stored = part.drop_many(PARTITION_COLUMNS);
        add.push(delta::write(context, &path, &stored, &partition).await.unwrap());
    }
    let change = Change {
        schema: &schema,
        partition_by: &PARTITION_COLUMNS,
        properties: &[("rcm.bucket_count", buckets)],
        add,
        remove: Vec::new(),
        transactions: vec![(STREAM.to_owned(), taken)],
        run_id: "run",
    };
    delta::commit(&context.lake, &path, None, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_no_attribute_is_added_by_the_next_commit_and_makes_no_version() {
    let lake = TestLake::new();
    let context = lake.context().await;
    load(&context, 1, &[("H1-P1", "Abel"), ("H1-P2", "Berg")]).await;
    take_in(&context, &PROVIDERS, false).await;
    without_column(&lake, &context, "updated_at").await;

    load(&context, 2, &[("H1-P1", "Abel"), ("H1-P2", "Bird")]).await;
    let report = take_in(&context, &PROVIDERS, false).await;
    assert_eq!((report.loads[0].unchanged, report.loads[0].changed), (1, 1));
    let table = table(&context).await;
    assert_eq!(table.schema().get("updated_at"), silver_schema(&PROVIDERS).get("updated_at"));
    assert_eq!(current(&context, "last_name").await, [Some("Abel".to_owned()), Some("Bird".to_owned())]);
    assert_eq!(table.version(), 1, "the columns and the rows are one commit");
    assert_eq!(outdated(&context).await, Vec::<String>::new());
}
