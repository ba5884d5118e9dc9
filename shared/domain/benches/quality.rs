//! Rows per second that the rules look at, beside one pass that only looks for nulls.
//!
//! `cargo bench -p rcm-domain --bench quality -- --rows 500000`
//!
//! Rows of made-up transactions as `to_model` returns them, and the rules that come with the product. Reading the source's
//! texts as the model is timed too, since both happen to every row. Each is timed right after the other, and the best of
//! some rounds counts.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

#[path = "../../../tests/bench/timing.rs"]
mod timing;

use std::collections::BTreeSet;

use chrono::DateTime;
use polars::prelude::*;
use rcm_domain::cdm::to_model;
use rcm_domain::quality::{LoadFacts, LoadNature, Rulebook, assess};
use rcm_model::cdm::{Mapping, TRANSACTIONS};

use self::timing::best;

const RULES: &str = include_str!("../../../infra/config/quality/transactions.toml");
const MAPPING: &str = include_str!("../../../infra/config/cdm/hos-a.toml");

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--rows");
    let rows = at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(250_000);
    let mapping = Mapping::parse("hos-a.toml", MAPPING).unwrap();
    let rulebook = Rulebook::parse(TRANSACTIONS.name, RULES).unwrap();
    let columns = mapping.columns(TRANSACTIONS.name, "").unwrap();
    let raw = raw(rows);
    let model = || to_model(&raw, &TRANSACTIONS, &mapping, columns, DateTime::UNIX_EPOCH).unwrap();
    let read = model();
    let malformed = BooleanChunked::full("malformed".into(), false, rows);
    let had: BTreeSet<String> = read.get_column_names().iter().map(ToString::to_string).collect();
    let facts = LoadFacts {
        nature: LoadNature::Extract,
        extracted_at: DateTime::UNIX_EPOCH,
        columns: &had,
        key_headers: &["TransactionID"],
    };
    let nulls = || read.clone().lazy().select([all().as_expr().is_null().sum()]).collect().unwrap().height();
    println!("{rows} transactions, {} rules", rulebook.rules.len());
    println!("{:<36} {:>9} {:>12} {:>9}", "", "time", "rows/s", "x nulls");
    let baseline = best(nulls);
    let assessed = best(|| assess(&read, &malformed, &TRANSACTIONS, &rulebook, &facts).unwrap().tallies.len());
    let modelled = best(|| model().height());
    for (name, time) in [("count nulls", baseline), ("rules", assessed), ("texts of the source as the model", modelled)]
    {
        let (seconds, ratio) = (time.as_secs_f64(), time.as_secs_f64() / baseline.as_secs_f64());
        println!("{name:<36} {seconds:>7.4} s {:>12.0} {ratio:>9.1}", rows as f64 / seconds);
    }
}

/// Made-up rows as a load has them: texts.
fn raw(rows: usize) -> DataFrame {
    let numbers: Vec<usize> = (0..rows).collect();
    let text = |prefix: &str, below: usize| -> Vec<String> {
        numbers.iter().map(|number| format!("{prefix}{:06}", number % below)).collect()
    };
    let same = |value: &str| vec![value.to_owned(); rows];
    df!(
        "TransactionID" => text("TRANS", rows.max(1)),
        "EncounterID" => text("ENC", 50_000),
        "PatientID" => text("HOSP1-", 20_000),
        "ProviderID" => text("PROV", 500),
        "DeptID" => text("DEPT", 20),
        "VisitDate" => same("2024-01-02"),
        "ServiceDate" => same("2024-01-02"),
        "PaidDate" => same("2024-02-03"),
        "VisitType" => same("Routine"),
        "Amount" => numbers.iter().map(|number| format!("{}.25", number % 999)).collect::<Vec<_>>(),
        "AmountType" => same("Insurance"),
        "PaidAmount" => same("12.5"),
        "ClaimID" => text("CLAIM", 50_000),
        "PayorID" => text("PAYOR", 20),
        "ProcedureCode" => same("99213"),
        "ICDCode" => same("I10"),
        "LineOfBusiness" => same("Commercial"),
        "MedicaidID" => same(""),
        "MedicareID" => same(""),
        "InsertDate" => same("2024-01-02"),
        "ModifiedDate" => same("2024-01-02"),
    )
    .unwrap()
}
