//! The report of a run: it is there, it is of the run's date, and no patient is in it.

use clap::Parser;
use rcm::command::{Arguments, carry_out};
use rcm::demo;

use crate::scratch::{Scratch, SmallHospital, as_of};

async fn a_run() -> (Scratch, SmallHospital) {
    let scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    scratch.set_clock(demo::EXTRACTED_AT[1]);
    scratch.land(&hospital.landing[1]).await;
    let run = scratch.run(&hospital.emr[1], as_of()).await;
    assert!(run.is_complete(), "{:?}", run.failures);
    (scratch, hospital)
}

fn page(scratch: &Scratch, date: &str) -> String {
    std::fs::read_to_string(scratch.path(&format!("report/{date}/index.html"))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_leaves_a_report_of_its_date_that_names_no_patient() {
    let (scratch, _) = a_run().await;
    let page = page(&scratch, "latest");
    assert!(page.contains("As of 7 November 2024"), "{page}");
    // 100.10 less 80 paid, and 250.
    assert!(page.contains("data-v=\"270.10\""), "the balance is not there");
    assert!(page.contains("data-v=\"80.00\""), "what was paid on it is not there");
    assert!(page.contains("Every feed reaches to") || page.contains("late"), "{page}");
    for of_patients in ["HOSP1-0000", "Example", "900-00-000", "First Street", "TRANS0000", "CLAIM0000"] {
        assert!(!page.contains(of_patients), "{of_patients}");
    }
    let workbook = std::fs::read(scratch.path("report/latest/figures.xlsx")).unwrap();
    assert!(workbook.starts_with(b"PK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_another_date_is_made_with_the_kpis_of_that_date_and_copied() {
    let (scratch, _) = a_run().await;
    let (lake, out) = (scratch.path(""), scratch.beside("out"));
    let arguments =
        ["rcm", "report", "--lake", lake.to_str().unwrap(), "--as-of", "2024-10-10", "--out", out.to_str().unwrap()];
    let answer = carry_out(Arguments::parse_from(arguments)).await.unwrap();
    assert!(answer.text.contains("index.html") && answer.text.contains("figures.xlsx"), "{}", answer.text);
    let copied = std::fs::read_to_string(out.join("index.html")).unwrap();
    // Nothing was paid by then.
    assert!(copied.contains("As of 10 October 2024") && copied.contains("data-v=\"350.10\""), "{copied}");
    assert_eq!(copied, page(&scratch, "2024-10-10"));
    assert!(page(&scratch, "2024-11-07").contains("As of 7 November 2024"), "the other one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_in_quarantine_are_told_without_their_values() {
    let (scratch, _) = a_run().await;
    let lake = scratch.path("").to_str().unwrap().to_owned();
    let told = |arguments: Vec<&str>| {
        let arguments = [vec!["rcm", "quarantine"], arguments, vec!["--lake", &lake]].concat();
        carry_out(Arguments::parse_from(arguments))
    };
    // A patient without a first name, and a transaction whose amount is a word: neither has a version.
    let list = told(vec!["list"]).await.unwrap().text;
    assert!(list.starts_with("2 rows in quarantine: 2 are missing from the lake"), "{list}");
    let of_patients: serde_json::Value =
        serde_json::from_str(&told(vec!["list", "--entity", "patients", "--json"]).await.unwrap().text).unwrap();
    assert_eq!((of_patients["rows"].as_u64(), of_patients["rules"][0]["missing"].as_u64()), (Some(1), Some(1)));
    let show = told(vec!["show", "hosa/patients:1:3"]).await.unwrap().text;
    assert!(show.contains("AAAA9-999999") && show.contains("first_name"), "{show}");
    for value in ["HOSP1-000003", "900-00-0003", "Fourth"] {
        assert!(!list.contains(value) && !show.contains(value), "{value}");
    }
    assert!(told(vec!["show", "hosa/patients:9:9"]).await.unwrap().text.contains("no row in quarantine is"));
    let unknown = told(vec!["list", "--entity", "patient"]).await.unwrap_err();
    assert!(unknown.to_string().contains("entities are"), "{unknown}");
}
