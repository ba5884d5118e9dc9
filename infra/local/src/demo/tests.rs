use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::*;

/// Every file below a folder, by path.
fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Rows of a file by column name.
fn rows_of(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let named = |row: csv::StringRecord| header.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect();
    reader.records().map(|row| named(row.unwrap())).collect()
}

fn demo(seed: u64) -> (tempfile::TempDir, DemoFiles) {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), seed).unwrap();
    (dir, files)
}

#[test]
fn the_same_seed_writes_the_same_bytes_and_another_seed_others() {
    let (first, second, other) = (demo(7), demo(7), demo(8));
    assert_eq!(first.1.defects, second.1.defects);
    let files = files_below(first.0.path());
    assert_eq!(files, files_below(second.0.path()));
    assert_ne!(files, files_below(other.0.path()));
}

#[test]
fn every_delivery_has_all_tables_of_both_hospitals_and_its_claims() {
    let (_dir, files) = demo(SEED);
    let rows: u64 = files.deliveries.iter().map(|delivery| delivery.rows).sum();
    assert!((15_000..40_000).contains(&rows), "{rows}");
    for delivery in &files.deliveries {
        for datasource in ["hos-a", "hos-b"] {
            for table in ["patients", "providers", "departments", "encounters", "transactions"] {
                assert!(delivery.emr.join(datasource).join(format!("{table}.csv")).exists());
            }
        }
        for hospital in ["hospital1", "hospital2"] {
            assert!(delivery.landing.join(format!("claims/{hospital}_claims_{}.csv", delivery.month)).exists());
        }
    }
    assert!(files.deliveries[0].landing.join("cptcodes/cptcodes.csv").exists());
}

#[test]
fn every_defect_is_in_a_file_that_was_written() {
    let (dir, files) = demo(SEED);
    assert_eq!(files.defects.len(), 16);
    for defect in files.defects {
        let path = dir.path().join(format!("month-{}", defect.month)).join(defect.file);
        assert!(path.exists(), "{}", path.display());
    }
}

#[test]
fn the_defects_are_what_they_are_said_to_be() {
    let (dir, _) = demo(SEED);
    let rows = |path: &str| rows_of(&dir.path().join(path));
    let count =
        |path: &str, test: fn(&BTreeMap<String, String>) -> bool| rows(path).iter().filter(|row| test(row)).count();
    assert_eq!(count("month-1/emr/hos-b/patients.csv", |row| row["F_Name"].eq_ignore_ascii_case("null")), 2);
    assert_eq!(count("month-1/emr/hos-a/patients.csv", |row| row["Address"].contains('\n')), 1);
    assert_eq!(count("month-1/emr/hos-b/transactions.csv", |row| row["Amount"].parse::<f64>().is_err()), 1);
    assert_eq!(count("month-2/emr/hos-a/encounters.csv", |row| row["EncounterID"].is_empty()), 1);
    let slashed = count("month-2/emr/hos-b/encounters.csv", |row| row["ModifiedDate"].contains('/'));
    assert!((50..400).contains(&slashed), "{slashed}");
    assert_eq!(count("month-2/emr/hos-a/patients.csv", |row| row["PhoneNumber"].starts_with("-5")), 1);
    assert_eq!(count("month-2/landing/claims/hospital2_claims_2024-09.csv", |row| row.len() == 11), 1);
    assert_eq!(count("month-3/landing/claims/hospital1_claims_2024-10.csv", |row| row["Coinsurance"] == "12.34"), 5);

    let distinct: BTreeSet<_> = rows("month-2/emr/hos-b/transactions.csv").into_iter().collect();
    assert_eq!(rows("month-2/emr/hos-b/transactions.csv").len() - distinct.len(), 5);
    let august: BTreeSet<_> = rows("month-1/landing/claims/hospital1_claims_2024-08.csv").into_iter().collect();
    let september = rows("month-2/landing/claims/hospital1_claims_2024-09.csv");
    assert_eq!(september.iter().filter(|row| august.contains(*row)).count(), 20);
    let departments = |month: u32| rows(&format!("month-{month}/emr/hos-a/departments.csv")).len();
    assert_eq!((departments(2), departments(3)), (10, 9));

    let bytes = |path: &str| fs::read(dir.path().join(path)).unwrap();
    assert!(bytes("month-1/landing/claims/hospital2_claims_2024-08.csv").starts_with(b"\xef\xbb\xbf"));
    assert!(bytes("month-3/landing/claims/hospital1_claims_2024-10_supplement.csv").starts_with(b"\xff\xfe"));
    assert!(bytes("month-2/landing/claims/hospital1_claims_2024-09.csv").starts_with(b"ServiceDate,ClaimDate,"));
    assert_eq!(
        bytes("month-2/landing/claims/hospital2_claims_2024-09.csv"),
        bytes("month-3/landing/claims/hospital2_claims_2024-10.csv")
    );
}

#[test]
fn late_corrections_lie_before_the_version_that_september_made_current() {
    let (dir, _) = demo(SEED);
    let claims = |month: &str| rows_of(&dir.path().join(format!("{month}.csv")));
    let september = claims("month-2/landing/claims/hospital1_claims_2024-09");
    for late in claims("month-3/landing/claims/hospital1_claims_2024-10") {
        if late["Coinsurance"] == "12.34" {
            let current = september.iter().find(|row| row["ClaimID"] == late["ClaimID"]).unwrap();
            assert!(late["ModifiedDate"] < current["ModifiedDate"]);
        }
    }
}

#[test]
fn what_a_month_adds_is_modified_after_the_month_before() {
    let (dir, _) = demo(SEED);
    for (table, key) in [("encounters", "EncounterID"), ("transactions", "TransactionID"), ("patients", "PatientID")] {
        let path = |month: u32| dir.path().join(format!("month-{month}/emr/hos-a/{table}.csv"));
        let before = rows_of(&path(2));
        let last = before.iter().map(|row| row["ModifiedDate"].clone()).max().unwrap();
        let known: BTreeMap<_, _> = before.iter().map(|row| (&row[key], row)).collect();
        let after = rows_of(&path(3));
        let (mut new, mut changed) = (0, 0);
        for row in &after {
            match known.get(&row[key]) {
                None => new += 1,
                Some(old) if *old != row => changed += 1,
                Some(_) => continue,
            }
            assert!(row["ModifiedDate"] > last, "{table}");
        }
        assert!(new > 0 && changed > 0, "{table}: {new} new, {changed} changed");
    }
}

/// The transactions of both hospitals, the datasource first.
fn transactions() -> Vec<(&'static str, BTreeMap<String, String>)> {
    let (dir, _) = demo(SEED);
    let rows = |datasource| {
        let rows = rows_of(&dir.path().join(format!("month-3/emr/{datasource}/transactions.csv")));
        rows.into_iter().map(move |row| (datasource, row))
    };
    rows("hos-a").chain(rows("hos-b")).collect()
}

/// Whether a transaction is billed to the payer that stalls.
fn is_stalled(datasource: &str, row: &BTreeMap<String, String>) -> bool {
    datasource == "hos-b" && row["LineOfBusiness"] == months::STALL.payer.line_of_business()
}

/// Amount, paid amount, days from service to payment, age on [`AS_OF`] of every transaction but those of the payer that
/// stalls.
fn receivables() -> Vec<(f64, f64, Option<i64>, i64)> {
    let rows = transactions().into_iter().filter(|(datasource, row)| !is_stalled(datasource, row));
    rows.filter_map(|(_, row)| {
        let service: NaiveDate = row["ServiceDate"].parse().unwrap();
        let days = row["PaidDate"].parse::<NaiveDate>().ok().map(|paid| (paid - service).num_days());
        let amount = row["Amount"].parse().ok()?;
        Some((amount, row["PaidAmount"].parse().unwrap(), days, (AS_OF - service).num_days()))
    })
    .collect()
}

#[test]
fn the_older_a_balance_the_less_of_it_is_collected() {
    let rows = receivables();
    let yields: Vec<f64> = [30, 60, 90]
        .into_iter()
        .map(|k| {
            let cohort = rows.iter().filter(|(_, _, _, age)| *age >= k);
            let (mut open, mut collected) = (0.0, 0.0);
            for (amount, paid, days, _) in cohort {
                match days {
                    Some(days) if *days <= k => open += amount - paid,
                    Some(_) => (open, collected) = (open + amount, collected + paid),
                    None => open += amount,
                }
            }
            collected / open
        })
        .collect();
    let near_the_benchmarks = [0.80..0.95, 0.70..0.88, 0.50..0.78];
    assert!(yields.iter().zip(near_the_benchmarks).all(|(share, range)| range.contains(share)), "{yields:?}");
    assert!(yields.is_sorted_by(|older, younger| older > younger), "{yields:?}");
}

#[test]
fn every_ageing_bucket_holds_some_balance_and_the_youngest_the_most() {
    let mut buckets = [0.0; 5];
    for (amount, paid, _, age) in receivables() {
        buckets[((age - 1).max(0) as usize / 30).min(4)] += amount - paid;
    }
    assert!(buckets.iter().all(|balance| *balance > 0.0), "{buckets:?}");
    assert!(buckets[1..].iter().all(|balance| *balance < buckets[0] / 2.0), "{buckets:?}");
}

#[test]
fn one_payer_pays_no_claim_of_one_hospital_from_a_day_on_and_all_others_pay() {
    let from = months::STALL.from.to_string();
    let claims = transactions().into_iter().filter(|(_, row)| !row["ClaimID"].is_empty());
    let paid = claims.filter(|(_, row)| !row["PaidDate"].is_empty());
    let (stalled, others): (Vec<_>, Vec<_>) = paid.partition(|(datasource, row)| is_stalled(datasource, row));
    assert!(stalled.len() > 50 && stalled.iter().all(|(_, row)| row["PaidDate"] < from), "{}", stalled.len());
    for payer in ["Medicare", "Medicaid", "Commercial"] {
        let late = others.iter().filter(|(_, row)| row["LineOfBusiness"] == payer && row["PaidDate"] >= from);
        assert!(late.count() > 50, "{payer}");
    }
}

#[test]
fn about_a_tenth_of_the_claims_is_denied_and_one_in_twenty_five_rejected() {
    let (dir, _) = demo(SEED);
    let mut status = BTreeMap::new();
    for (month, name) in MONTHS.iter().enumerate() {
        for row in rows_of(&dir.path().join(format!("month-{}/landing/claims/hospital1_claims_{name}.csv", month + 1)))
        {
            status.insert(row["ClaimID"].clone(), row["ClaimStatus"].clone());
        }
    }
    let share = |of: &str| status.values().filter(|status| *status == of).count() as f64 / status.len() as f64;
    assert!((0.08..0.13).contains(&share("Denied")), "{}", share("Denied"));
    assert!((0.03..0.06).contains(&share("Rejected")), "{}", share("Rejected"));
}

#[test]
fn a_benchmark_has_the_rows_that_were_asked_for_and_changes_that_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let files = generate(4_000, 0.1, 3, dir.path()).unwrap();
    assert_eq!(files, generate(4_000, 0.1, 3, dir.path()).unwrap());
    let both = |folder: &Path, path: fn(&str, &str) -> String| -> Vec<BTreeMap<String, String>> {
        let read = |(datasource, hospital)| rows_of(&folder.join(path(datasource, hospital)));
        [("hos-a", "hospital1"), ("hos-b", "hospital2")].into_iter().flat_map(read).collect()
    };
    let transactions = |folder| both(folder, |datasource, _| format!("emr/{datasource}/transactions.csv"));
    let (base, changes) = (transactions(&files.base), transactions(&files.changes));
    assert_eq!(base.len(), 4_000);
    assert!((380..=500).contains(&changes.len()), "{}", changes.len());
    let last = base.iter().map(|row| &row["ModifiedDate"]).max().unwrap();
    assert!(changes.iter().all(|row| row["ModifiedDate"] > *last));
    assert_eq!(both(&files.base, |_, hospital| format!("landing/claims/{hospital}_claims_base.csv")).len(), 2_000);
    assert_eq!(both(&files.base, |datasource, _| format!("emr/{datasource}/encounters.csv")).len(), 2_000);
    let providers = |folder| both(folder, |datasource, _| format!("emr/{datasource}/providers.csv"));
    assert_eq!(providers(&files.base).len(), providers(&files.changes).len());
    assert_ne!(providers(&files.base), providers(&files.changes));
}
