//! Events per second that become history, beside a plain sort of the same events.
//!
//! `cargo bench --workspace --bench scd2 -- --rows 250000`
//!
//! One bucket of made-up transactions: all of them new, all of them said again, a tenth of them
//! changed, and a tenth with a correction that comes late. A sort by key is what any way of laying
//! events along time has to do at least; each is timed right after the other, and the best of some
//! rounds counts.
//!
//! `cargo bench --workspace --bench scd2 -- --snapshots 365 --rows 10000`
//!
//! As many daily full extracts of a table without a modified time, in which nothing changes: what must not grow.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_domain::cdm::{UNPARSEABLE, silver_schema, to_model};
use rcm_domain::scd2::{ExtractBatch, ExtractLoad, LOAD_ID, events, plan_events, plan_extracts, triage};
use rcm_model::cdm::{Mapping, TRANSACTIONS};

const ROUNDS: usize = 3;
const MAPPING: &str = r#"
    datasource = "hos-a"
    [entities.transactions]
    src_transaction_id = "TransactionID"
    encounter_key = "EncounterID"
    patient_key = "PatientID"
    provider_key = "ProviderID"
    service_date = "ServiceDate"
    amount = "Amount"
    paid_amount = "PaidAmount"
    src_modified_at = "ModifiedDate"
"#;

/// Rows of one load: which of every how many transactions, on which day they were modified.
#[derive(Clone, Copy)]
struct Load {
    sequence: i64,
    every: usize,
    day: usize,
    amount: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| -> Option<usize> {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse().ok()
    };
    let rows = number("--rows").unwrap_or(250_000);
    if let Some(days) = number("--snapshots") {
        return snapshots(rows, days);
    }
    let first = Load { sequence: 1, every: 1, day: 10, amount: 1 };
    let empty = DataFrame::empty_with_schema(&silver_schema(&TRANSACTIONS));
    let stored = taken_in(&empty, &load(rows, first));
    println!("{rows} transactions of {} columns in a bucket", stored.width());
    println!("{:<16} {:>9} {:>10} {:>12} {:>8}", "", "events", "time", "events/s", "x sort");
    let changed = Load { sequence: 2, every: 10, day: 20, amount: 2 };
    let scenarios = [
        ("new keys", &empty, first),
        ("said again", &stored, Load { sequence: 2, ..first }),
        ("a tenth changed", &stored, changed),
        ("a tenth late", &stored, Load { day: 5, ..changed }),
    ];
    for (name, stored, given) in scenarios {
        let batch = load(rows, given);
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            best.0 = best.0.min(timed(|| batch.sort([TRANSACTIONS.key], SortMultipleOptions::default()).unwrap()));
            best.1 = best.1.min(timed(|| taken_in(stored, &batch)));
        }
        let (sort, time) = (best.0.as_secs_f64(), best.1.as_secs_f64());
        let (events, per_second) = (batch.height(), batch.height() as f64 / time);
        println!("{name:<16} {events:>9} {time:>8.3} s {per_second:>12.0} {:>8.1}", time / sort);
    }
}

/// Takes in a full extract of the same rows on every day, and prints what the table holds then.
fn snapshots(rows: usize, days: usize) {
    let extract = load(rows, Load { sequence: 1, every: 1, day: 10, amount: 1 });
    let mut stored = DataFrame::empty_with_schema(&silver_schema(&TRANSACTIONS));
    println!(
        "{:<6} {:>10} {:>14} {:>18} {:>12} {:>9}",
        "day", "versions", "observations", "bytes of them", "rows read", "time"
    );
    for day in 1..=days {
        let extracted_at = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(20_000 + day as i64);
        let mut extract = extract.clone();
        let modified =
            Scalar::new_datetime(extracted_at.timestamp_micros(), TimeUnit::Microseconds, Some(TimeZone::UTC));
        extract.with_column(Column::new_scalar("src_modified_at".into(), modified, rows)).unwrap();
        let load = ExtractLoad {
            load_id: "load".to_owned(),
            datasource: "hos-a".to_owned(),
            extracted_at,
            is_full: true,
            untracked: Vec::new(),
            corrected_by: Vec::new(),
        };
        let named = df!("key" => Vec::<String>::new(), LOAD_ID => Vec::<String>::new()).unwrap();
        let batch = ExtractBatch { loads: &[load], rows: &extract, named: &named, may_hash_otherwise: false };
        let started = Instant::now();
        let closed = batch.needs_closed(&TRANSACTIONS, &stored).unwrap();
        assert!(day == 1 || closed.height() == 0);
        let none = stored.clear();
        let read = stored.height();
        let plan = plan_extracts(&TRANSACTIONS, &stored, &none, &batch, extracted_at).unwrap();
        let time = started.elapsed().as_secs_f64();
        stored = plan.applied_to(&stored, TRANSACTIONS.surrogate).unwrap();
        if [1, 2, days / 2, days].contains(&day) {
            let column = stored.column("observations").unwrap();
            let observations =
                column.explode(ExplodeOptions { empty_as_null: false, keep_nulls: false }).unwrap().len();
            let (versions, bytes) = (stored.height(), column.as_materialized_series().estimated_size());
            println!("{day:<6} {versions:>10} {observations:>14} {bytes:>18} {read:>12} {time:>7.3} s");
        }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    std::hint::black_box(work());
    started.elapsed()
}

/// The bucket's current rows after a batch, as silver has them.
fn taken_in(stored: &DataFrame, batch: &DataFrame) -> DataFrame {
    let found = triage(&TRANSACTIONS, stored, batch).unwrap();
    let touched = found.need_history.clone().lazy();
    let key = [col(TRANSACTIONS.key)];
    let history = stored.clone().lazy().join(touched, key, [col("key")], JoinArgs::new(JoinType::Semi));
    let history = history.collect().unwrap();
    let now = DateTime::<Utc>::UNIX_EPOCH;
    let plan = plan_events(&TRANSACTIONS, &[], stored, &history, batch, &found, now).unwrap();
    plan.applied_to(stored, TRANSACTIONS.surrogate).unwrap()
}

/// Events of a load, in an order that looks as if it were drawn.
fn load(rows: usize, load: Load) -> DataFrame {
    let numbers: Vec<usize> = (0..rows).step_by(load.every).map(shuffled).collect();
    let text = |prefix: &str, below: usize| -> Vec<String> {
        numbers.iter().map(|number| format!("{prefix}{:06}", number % below)).collect()
    };
    let raw = df!(
        "TransactionID" => numbers.iter().map(|number| format!("TRANS{number:09}")).collect::<Vec<_>>(),
        "EncounterID" => text("ENC", rows / 2),
        "PatientID" => text("HOSP1-", rows / 5),
        "ProviderID" => text("PROV", 500),
        "ServiceDate" => vec!["2024-01-02"; numbers.len()],
        "Amount" => numbers.iter().map(|number| format!("{}.{:02}", number % 999, load.amount)).collect::<Vec<_>>(),
        "PaidAmount" => vec!["0"; numbers.len()],
        "ModifiedDate" => vec![format!("2024-01-{:02}", load.day); numbers.len()],
    );
    let mapping = Mapping::parse("hos-a.toml", MAPPING).unwrap();
    let rows = to_model(
        &raw.unwrap(),
        &TRANSACTIONS,
        &mapping,
        mapping.columns("transactions", "").unwrap(),
        DateTime::UNIX_EPOCH,
    )
    .unwrap();
    let positions = Int64Chunked::from_iter_values("".into(), 1..=rows.height() as i64);
    events(&rows, positions, &TRANSACTIONS, &[], (load.sequence, "load"), 1).unwrap().drop(UNPARSEABLE).unwrap()
}

/// Another number for every one below 2²⁸.
fn shuffled(number: usize) -> usize {
    number.wrapping_mul(0x9E37_79B1) & 0x0FFF_FFFF
}
