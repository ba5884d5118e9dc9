//! Any order, split and repetition of what arrives gives the same history, through bronze and silver.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use polars::prelude::*;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rcm_model::event::{ExtractInput, StageInput};
use rcm_model::load_config::{LoadRow, LoadType};

use crate::scratch::Scratch;

/// An encounter as the hospital sends it: id, day of its modified time, type.
type Row = (u8, u8, Option<&'static str>);

/// A version: key, type, day from, day to.
type Version = (u8, Option<String>, u8, Option<u8>);

fn any_batches() -> impl Strategy<Value = (Vec<Vec<Row>>, Vec<bool>)> {
    let row = (1_u8..4, 1_u8..9, select(vec![None, Some("Inpatient"), Some("Outpatient")]));
    let batches = proptest::collection::vec(proptest::collection::vec(row, 1..6), 1..5);
    let batches = (batches, proptest::collection::vec(any::<proptest::sample::Index>(), 0..2));
    let batches = batches.prop_flat_map(|(batches, repeated)| {
        let mut all = batches.clone();
        all.extend(repeated.iter().map(|index| index.get(&batches).clone()));
        Just(all).prop_shuffle()
    });
    (batches, proptest::collection::vec(any::<bool>(), 6))
}

/// Sorts everything that was seen of a key and walks along it. Of two types with one modified time
/// the one first seen later wins; the other is an empty version.
fn reference(batches: &[Vec<Row>]) -> BTreeSet<Version> {
    let mut seen: BTreeMap<(u8, u8), Vec<Option<&str>>> = BTreeMap::new();
    for (key, day, kind) in batches.iter().flatten() {
        let kinds = seen.entry((*key, *day)).or_default();
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    let mut versions: Vec<Version> = Vec::new();
    let mut open: Option<usize> = None;
    for ((key, day), kinds) in seen {
        let text = |kind: Option<&str>| kind.map(str::to_owned);
        let (winner, losers) = kinds.split_last().unwrap();
        versions.extend(losers.iter().map(|kind| (key, text(*kind), day, Some(day))));
        if let Some(index) = open.filter(|index| versions[*index].0 == key) {
            if versions[index].1 == text(*winner) {
                continue;
            }
            versions[index].3 = Some(day);
        }
        versions.push((key, text(*winner), day, None));
        open = Some(versions.len() - 1);
    }
    versions.into_iter().collect()
}

fn write(batch: &[Row], path: &Path) {
    let mut text = "EncounterID,PatientID,EncounterDate,EncounterType,ProviderID,DepartmentID,ProcedureCode,InsertedDate,ModifiedDate\n".to_owned();
    for (key, day, kind) in batch {
        let kind = kind.unwrap_or_default();
        writeln!(text, "ENC{key},HOSP1-1,2024-01-01,{kind},PROV1,DEPT1,99213,2024-01-01,2024-01-0{day}").unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every batch is one landed extract; silver runs after some of them, and takes in so many rows at once.
async fn fed(batches: &[Vec<Row>], silver_after: &[bool], rows_at_once: u64) -> BTreeSet<Version> {
    let scratch = Scratch::new().await;
    // A source whose every extract is taken whole, whatever its watermark: late rows are the point.
    scratch.edit("configs/sources.toml", "overlap_days = 1", "overlap_days = 999");
    scratch.edit("configs/sources.toml", "rows_at_once = 500000", &format!("rows_at_once = {rows_at_once}"));
    let emr = scratch.beside("emr");
    let context = scratch.context(&emr).await;
    let extract = ExtractInput {
        run_id: "replay".to_owned(),
        row: LoadRow {
            database: "db".to_owned(),
            datasource: "hos-a".to_owned(),
            tablename: "dbo.encounters".to_owned(),
            loadtype: LoadType::Incremental,
            watermark: "ModifiedDate".to_owned(),
            is_active: true,
            targetpath: "hosa".to_owned(),
        },
        force: false,
    };
    let silver = StageInput { run_id: "replay".to_owned(), as_of: None };
    for (index, batch) in batches.iter().enumerate() {
        write(batch, &emr.join("hos-a/encounters.csv"));
        emr_extract::handle(context.clone(), extract.clone()).await.unwrap();
        if silver_after[index % silver_after.len()] || index + 1 == batches.len() {
            silver_encounters::handle(context.clone(), silver.clone()).await.unwrap();
        }
    }
    versions(&scratch.rows("silver/encounters").await.unwrap())
}

fn versions(rows: &DataFrame) -> BTreeSet<Version> {
    let text = |column: &str| rows.column(column).unwrap().cast(&DataType::String).unwrap().str().unwrap().clone();
    let (key, kind, from, to) =
        (text("src_encounter_id"), text("encounter_type"), text("effective_from"), text("effective_to"));
    let day = |moment: &str| moment[8..10].parse::<u8>().unwrap();
    (0..rows.height())
        .map(|row| {
            let key = key.get(row).unwrap()[3..].parse().unwrap();
            (key, kind.get(row).map(str::to_owned), day(from.get(row).unwrap()), to.get(row).map(day))
        })
        .collect()
}

#[test]
fn any_order_split_and_repetition_of_extracts_gives_the_history_of_the_reference() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, max_shrink_iters: 40, ..Config::default() });
    runner
        .run(&(any_batches(), select(vec![1, 5, 1_000_000])), |((batches, silver_after), rows_at_once)| {
            let found = runtime.block_on(fed(&batches, &silver_after, rows_at_once));
            prop_assert_eq!(found, reference(&batches));
            Ok(())
        })
        .unwrap();
}
