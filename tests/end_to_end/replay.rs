//! Any order, split and repetition of landed files gives the same history in silver.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use polars::prelude::*;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rcm::functions;
use serde_json::json;

use crate::scratch::Scratch;

/// A claim as the payer sends it: id, day of its modified time, status.
type Row = (u8, u8, Option<&'static str>);

/// A version: key, status, day from, day to.
type Version = (u8, Option<String>, u8, Option<u8>);

fn any_batches() -> impl Strategy<Value = (Vec<Vec<Row>>, Vec<bool>)> {
    let row = (1_u8..4, 1_u8..9, select(vec![None, Some("Pending"), Some("Paid")]));
    let batches = proptest::collection::vec(proptest::collection::vec(row, 1..6), 1..5);
    let batches = (batches, proptest::collection::vec(any::<proptest::sample::Index>(), 0..2));
    let batches = batches.prop_flat_map(|(batches, repeated)| {
        let mut all = batches.clone();
        all.extend(repeated.iter().map(|index| index.get(&batches).clone()));
        Just(all).prop_shuffle()
    });
    (batches, proptest::collection::vec(any::<bool>(), 6))
}

/// Sorts all observations of a key and derives its versions. Of two statuses with one modified time the one that was
/// first observed later wins; the other is an empty version.
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

/// Writes a file of claims with a later time than the files before it.
fn write(batch: &[Row], path: &Path, later: u64) {
    let mut text = "ClaimID,TransactionID,PatientID,EncounterID,ProviderID,DeptID,ServiceDate,ClaimDate,PayorID,ClaimAmount,PaidAmount,ClaimStatus,PayorType,Deductible,Coinsurance,Copay,InsertDate,ModifiedDate\n".to_owned();
    for (key, day, kind) in batch {
        let kind = kind.unwrap_or_default();
        writeln!(text, "C{key},T1,P1,E1,PROV1,DEPT1,2024-01-01,2024-01-01,PAYOR1,100,0,{kind},Private,0,0,0,2024-01-01,2024-01-0{day}").unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_725_000_000 + later);
    fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
}

/// Every batch is one landed file; silver runs after some of them, with a value of `rows_at_once`.
async fn fed(batches: &[Vec<Row>], silver_after: &[bool], rows_at_once: u64) -> BTreeSet<Version> {
    let scratch = Scratch::new().await;
    scratch.edit("configs/sources.toml", "rows_at_once = 20000000", &format!("rows_at_once = {rows_at_once}"));
    let context = scratch.context(&scratch.beside("emr")).await;
    for (index, batch) in batches.iter().enumerate() {
        let key = format!("landing/claims/hospital1_{index}.csv");
        write(batch, &scratch.path(&key), index as u64);
        let landed = json!({"run_id": "replay", "key": key, "force": false});
        functions::call("landing-to-bronze", context.clone(), landed).await.unwrap();
        if silver_after[index % silver_after.len()] || index + 1 == batches.len() {
            let silver = json!({"run_id": "replay", "as_of": null});
            functions::call("silver-claims", context.clone(), silver).await.unwrap();
        }
    }
    versions(&scratch.rows("silver/claims").await.unwrap())
}

fn versions(rows: &DataFrame) -> BTreeSet<Version> {
    let text = |column: &str| rows.column(column).unwrap().cast(&DataType::String).unwrap().str().unwrap().clone();
    let (key, kind, from, to) =
        (text("src_claim_id"), text("claim_status"), text("effective_from"), text("effective_to"));
    let day = |moment: &str| moment[8..10].parse::<u8>().unwrap();
    (0..rows.height())
        .map(|row| {
            let key = key.get(row).unwrap()[1..].parse().unwrap();
            (key, kind.get(row).map(str::to_owned), day(from.get(row).unwrap()), to.get(row).map(day))
        })
        .collect()
}

#[test]
fn any_order_split_and_repetition_of_landed_files_gives_the_history_of_the_reference() {
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
