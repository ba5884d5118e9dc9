//! Probing and splicing of a data file, beside what any reader or writer of it has to do at least.
//!
//! `cargo bench -p rcm-tables --bench chunks -- --rows 1000000`
//!
//! A made-up file of transactions with several row groups. The probe decodes the columns that planning looks at, beside
//! a plain decoding of the whole file; the splice copies the file with new columns for the ends of versions, beside a copy
//! of its bytes and beside encoding the file anew. Each is timed right after the other, and the best of some rounds counts.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

#[path = "../../../tests/bench/timing.rs"]
mod timing;

use std::io::Cursor;
use std::time::Duration;

use polars::prelude::*;
use rcm_tables::kernels;

use self::timing::best;

const ROWS_PER_GROUP: usize = 131_072;
/// Texts that never change in a version.
const ATTRIBUTES: usize = 14;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--rows");
    let rows = at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(4 * ROWS_PER_GROUP);
    let groups = (rows / ROWS_PER_GROUP).max(1);
    let rows = versions(groups * (rows / groups));
    let group = rows.height() / groups;
    let file = kernels::file(&rows, group).unwrap();
    let (count, bytes) = (rows.height(), file.len());
    println!("{count} versions of {} columns in {groups} row groups, {} MiB", rows.width(), bytes >> 20);
    println!("{:<44} {:>9} {:>12} {:>9} {:>8}", "", "time", "rows/s", "MiB/s", "ratio");

    let whole = best(|| ParquetReader::new(Cursor::new(file.clone())).finish().unwrap().height());
    print("decode the whole file", whole, whole, count, bytes);
    let probed = ["key", "row_hash", "effective_from", "effective_to", "is_current"];
    print("probe", best(|| kernels::probe(&file, &probed).unwrap().height()), whole, count, bytes);

    let copy = best(|| file.to_vec().len());
    print("copy the bytes of the file", copy, copy, count, bytes);
    let ends = rows.select(["effective_to", "is_current"]).unwrap().slice(0, group);
    let splice = best(|| kernels::splice(&file, &ends, rows.schema()).unwrap().len());
    print("splice two columns of each row group", splice, copy, count, bytes);
    print("encode the file anew", best(|| kernels::file(&rows, group).unwrap().len()), copy, count, bytes);
}

fn print(name: &str, time: Duration, baseline: Duration, rows: usize, bytes: usize) {
    let (seconds, ratio) = (time.as_secs_f64(), time.as_secs_f64() / baseline.as_secs_f64());
    let (rows, bytes) = (rows as f64 / seconds, bytes as f64 / seconds / f64::from(1 << 20));
    println!("{name:<44} {seconds:>7.4} s {rows:>12.0} {bytes:>9.0} {ratio:>8.2}");
}

/// Made-up versions, a tenth of which have ended.
fn versions(count: usize) -> DataFrame {
    let numbers: Vec<i64> = (0..count as i64).collect();
    let shuffled = |number: &i64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
    let mut rows = df!(
        "key" => numbers.iter().map(|number| format!("TRANS{number:09}-hos-a")).collect::<Vec<_>>(),
        "row_hash" => numbers.iter().map(shuffled).collect::<Vec<_>>(),
        "effective_from" => numbers.iter().map(|number| 1_700_000_000_000_000 + number * 1000).collect::<Vec<_>>(),
    )
    .unwrap();
    for attribute in 0..ATTRIBUTES {
        let text = |number: &i64| format!("{attribute}-{}", shuffled(number).unsigned_abs() % 5000);
        let texts: Vec<String> = numbers.iter().map(text).collect();
        rows.with_column(Column::new(format!("attribute_{attribute}").into(), texts)).unwrap();
    }
    let ended = |number: &i64| number % 10 == 0;
    let ends: Vec<Option<i64>> = numbers.iter().map(|number| ended(number).then_some(1_700_000_100_000_000)).collect();
    rows.with_column(Column::new("effective_to".into(), ends)).unwrap();
    let current: Vec<bool> = numbers.iter().map(|number| !ended(number)).collect();
    rows.with_column(Column::new("is_current".into(), current)).unwrap();
    rows
}
