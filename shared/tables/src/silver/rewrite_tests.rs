//! Random plans on a bucket, and the rows that its files hold then.

use std::collections::BTreeMap;

use polars::prelude::*;
use proptest::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::scd2::Plan;
use rcm_model::cdm::DEPARTMENTS;
use rcm_platform::context::Context;
use rcm_platform::lake;
use rcm_platform::testing::TestLake;

use super::stored::{Bucket, StoredRows};
use super::{PARTITION_COLUMNS, rewrite};
use crate::delta::{self, Change, Table};
use crate::frames::{blocking, conform};

const MICROS: DataType = DataType::Datetime(TimeUnit::Microseconds, None);

/// One plan: how many versions are new, and what becomes of some stored ones, which are counted round.
#[derive(Debug, Clone)]
struct Step {
    new: usize,
    ends: Vec<usize>,
    names: Vec<usize>,
    removed: Vec<usize>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || prop::collection::vec(0_usize..40, 0..4);
    let rarely = prop_oneof![5 => Just(Vec::new()), 1 => some()];
    let step = (0_usize..6, some(), prop_oneof![2 => Just(Vec::new()), 1 => some()], rarely);
    let step = step.prop_map(|(new, ends, names, removed)| Step { new, ends, names, removed });
    prop::collection::vec(step, 1..14)
}

fn moments(values: Vec<i64>) -> Column {
    let zone = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    Column::new("".into(), values).cast(&MICROS).unwrap().cast(&zone).unwrap()
}

/// New versions with surrogate keys from `first` on.
fn new_rows(first: i64, count: usize) -> DataFrame {
    let keys: Vec<i64> = (first..first + count as i64).collect();
    let texts: Vec<String> = keys.iter().map(|key| format!("D{}", key % 7)).collect();
    let rows = df!(
        "dept_sk" => keys.clone(), "dept_key" => texts.clone(), "name" => texts.clone(),
        "row_hash" => keys.clone(), "load_id" => texts, "is_current" => vec![true; count],
        "is_deleted" => vec![false; count],
    );
    let mut rows = rows.unwrap();
    rows.with_column(moments(keys).with_name("effective_from".into())).unwrap();
    conform(&rows, &silver_schema(&DEPARTMENTS)).unwrap()
}

/// Distinct surrogate keys of the rows with some numbers.
fn chosen(stored: &DataFrame, numbers: &[usize]) -> Vec<i64> {
    let keys = stored.column("dept_sk").unwrap().i64().unwrap().clone();
    let mut chosen: Vec<i64> =
        numbers.iter().filter(|_| !keys.is_empty()).filter_map(|number| keys.get(number % keys.len())).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn plan_of(step: &Step, stored: &DataFrame, next: i64) -> Plan {
    let removed = chosen(stored, &step.removed);
    let without_removed = |keys: Vec<i64>| keys.into_iter().filter(|key| !removed.contains(key)).collect::<Vec<_>>();
    let (ends, names) = (without_removed(chosen(stored, &step.ends)), without_removed(chosen(stored, &step.names)));
    let mut patches = Vec::new();
    if !ends.is_empty() {
        let mut patch =
            df!("dept_sk" => ends.clone(), "is_current" => vec![false; ends.len()], "is_deleted" => vec![true; ends.len()])
                .unwrap();
        patch.with_column(moments(vec![next; ends.len()]).with_name("effective_to".into())).unwrap();
        patches.push(patch);
    }
    if !names.is_empty() {
        patches.push(df!("dept_sk" => names.clone(), "name" => vec![format!("at {next}"); names.len()]).unwrap());
    }
    Plan {
        add: new_rows(next, step.new),
        patches,
        remove: df!("dept_sk" => removed).unwrap(),
        outcomes: BTreeMap::new(),
        deleted: BTreeMap::new(),
        warnings: BTreeMap::new(),
        holdings: Vec::new(),
    }
}

async fn carry_out(context: &Context, plan: &Plan) {
    let path = lake::silver(DEPARTMENTS.name);
    let table = Table::open(&context.lake, &path).await.unwrap();
    let bucket = Bucket { context, entity: &DEPARTMENTS, table: table.as_ref(), number: 0 };
    let keys = df!("key" => (0..7).map(|key| format!("D{key}")).collect::<Vec<_>>()).unwrap();
    let StoredRows { files, .. } = bucket.of_keys(&keys, &["dept_key"], true).await.unwrap();
    let rewritten = rewrite::write(bucket, &path, files, plan).await.unwrap();
    let change = Change {
        schema: &silver_schema(&DEPARTMENTS),
        partition_by: &PARTITION_COLUMNS,
        properties: &[],
        add: rewritten.add,
        remove: rewritten.remove,
        transactions: Vec::new(),
        run_id: "run",
    };
    delta::commit(&context.lake, &path, table.as_ref(), change).await.unwrap();
}

fn sorted(rows: &DataFrame) -> DataFrame {
    let columns: Vec<PlSmallStr> = silver_schema(&DEPARTMENTS).iter_names_cloned().collect();
    let rows = rows.select(columns).unwrap();
    rows.sort(["dept_sk"], SortMultipleOptions::default()).unwrap()
}

async fn check(steps: &[Step]) -> Result<(), TestCaseError> {
    let lake = TestLake::new();
    let context = lake.context().await;
    let mut expected = new_rows(0, 0);
    let mut next = 1;
    for step in steps {
        let mut plan = plan_of(step, &expected, next);
        let bucket = Column::new_scalar("bucket".into(), Scalar::from(0_i32), plan.add.height());
        plan.add.with_column(bucket).unwrap();
        next += step.new as i64;
        if plan.is_empty() {
            continue;
        }
        expected = plan.applied_to(&expected, "dept_sk").unwrap();
        carry_out(&context, &plan).await;
        let table = Table::open(&context.lake, &lake::silver(DEPARTMENTS.name)).await.unwrap().unwrap();
        let rows = table.scan(table.files()).await.unwrap();
        let rows = sorted(&blocking(move || Ok(rows.collect()?)).await.unwrap());
        let wanted = sorted(&expected);
        prop_assert!(rows.equals_missing(&wanted), "{rows}\nexpected {wanted}");
        prop_assert_eq!(table.rows(), wanted.height() as u64);
        let open = wanted.column("effective_to").unwrap().null_count() as u64;
        let of_log: u64 = table.files().iter().map(|file| file.nulls("effective_to").unwrap()).sum();
        prop_assert_eq!(of_log, open, "the log counts the versions without an end");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_files_of_a_bucket_hold_what_the_plans_say(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(check(&steps))?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_changes_every_day_keeps_few_files_and_row_groups() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let mut expected = new_rows(0, 0);
    for day in 0..40 {
        let step = Step { new: 2, ends: vec![0, day], names: Vec::new(), removed: Vec::new() };
        let mut plan = plan_of(&step, &expected, 1 + 2 * day as i64);
        let bucket = Column::new_scalar("bucket".into(), Scalar::from(0_i32), plan.add.height());
        plan.add.with_column(bucket).unwrap();
        expected = plan.applied_to(&expected, "dept_sk").unwrap();
        carry_out(&context, &plan).await;
    }
    let table = Table::open(&context.lake, &lake::silver(DEPARTMENTS.name)).await.unwrap().unwrap();
    let open = table.files().iter().filter(|file| super::is_open(file)).count();
    assert!(open <= 2 && table.files().len() <= 10, "{open} of {}", table.files().len());
}
