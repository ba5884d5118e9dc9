//! Bytes per second of CSV that become a Parquet file of texts, beside a plain CSV reader and a copy of the bytes.
//!
//! `cargo bench -p rcm-platform --bench csv -- --rows 500000`
//!
//! A made-up file in a temporary folder. Hashing alone is timed too: an extract that has not changed ends after it.
//! Each is timed right after the other, and the best of some rounds counts.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

#[path = "../../../tests/bench/timing.rs"]
mod timing;

use std::fmt::Write as _;

use rcm_platform::csv_stream::{self, Csv, Wanted};
use rcm_platform::lake::Lake;
use url::Url;

use self::timing::best;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--rows");
    let rows = at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(250_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transactions.csv");
    let text = text(rows);
    std::fs::write(&path, &text).unwrap();
    let lake = Lake::open(Url::from_directory_path(folder.path()).unwrap().as_str()).unwrap();
    let csv = Csv::on_disk(path, "hos-a/transactions.csv".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();

    let copied = best(|| std::hint::black_box(text.clone().into_bytes()).len());
    let read =
        best(|| csv::Reader::from_reader(text.as_bytes()).byte_records().map(|record| record.unwrap().len()).sum());
    let hashed = best(|| runtime.block_on(csv_stream::content_hash(&csv)).unwrap().len());
    let to_parquet = || csv_stream::to_parquet(&csv, Wanted::default(), &lake, "bronze/x/data/1.parquet");
    let loaded = best(|| runtime.block_on(to_parquet()).unwrap().rows as usize);
    println!("{rows} records, {} MiB", text.len() >> 20);
    println!("{:<28} {:>9} {:>12} {:>9} {:>10}", "", "time", "records/s", "MiB/s", "x reader");
    for (name, time) in
        [("copy of the bytes", copied), ("plain reader", read), ("hash", hashed), ("to Parquet in bronze", loaded)]
    {
        let seconds = time.as_secs_f64();
        let (records, bytes) = (rows as f64 / seconds, text.len() as f64 / seconds / f64::from(1 << 20));
        println!("{name:<28} {seconds:>7.4} s {records:>12.0} {bytes:>9.0} {:>10.2}", seconds / read.as_secs_f64());
    }
}

/// Made-up transactions as an export writes them.
fn text(rows: usize) -> String {
    let mut text = "TransactionID,EncounterID,PatientID,ServiceDate,Amount,Note,ModifiedDate\n".to_owned();
    for number in 0..rows {
        let (encounter, patient, amount) = (number % 50_000, number % 20_000, number % 999);
        _ = writeln!(
            text,
            "TRANS{number:09},ENC{encounter:06},HOSP1-{patient:06},2024-01-02,{amount}.25,\"made up, no {number}\",2024-01-02"
        );
    }
    text
}
