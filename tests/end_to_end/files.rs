//! Files of real senders: stray quotes, encodings, delimiters, and files that are not tables.

use crate::ledger::{COLUMNS, Ledger, Load, csv};

#[rstest::rstest]
#[case::closed_three_lines_later(&[
    "C1,\"P,2024-09-01,10,,,2024-09-10",
    "C2,P,2024-09-01,10,,,2024-09-10",
    "C3,P,2024-09-01,10,,,2024-09-10",
    "C4,P\",2024-09-01,10,,,2024-09-10",
])]
#[case::closed_by_the_next_line(&[
    "C1,\"P,2024-09-01,10,,,2024-09-10",
    "C2,P,2024-09-01,10,,,2024-09-10",
    "C3,P\",2024-09-01,10,,,2024-09-10",
    "C4,P,2024-09-01,10,,,2024-09-10",
])]
#[tokio::test(flavor = "multi_thread")]
async fn a_stray_quote_swallows_no_row(#[case] rows: &[&str]) {
    let ledger = Ledger::new().await;
    let rows = [rows, &["C5,P,2024-09-01,10,,,2024-09-10", "C6,P,2024-09-01,10,,,2024-09-10"]].concat();
    ledger.take(Load::Full, &rows).await.whole();
    let (current, quarantined) = (ledger.amounts().await, ledger.quarantined("transactions").await);
    assert_eq!(current.len() + quarantined.len(), 6, "{current:?} {quarantined:?}");
    for good in ["C5|10.00", "C6|10.00"] {
        assert!(current.iter().any(|row| row == good), "{current:?}");
    }
    assert!(!current.iter().any(|row| row.starts_with("C1|")), "{current:?}");
    assert!(quarantined.iter().any(|row| row.contains("C1")), "{quarantined:?}");
    assert!(quarantined.iter().all(|row| row.matches("2024-09-01").count() == 1), "{quarantined:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quoted_field_of_several_lines_is_one_field() {
    let ledger = Ledger::new().await;
    let rows =
        ["A,\"P\nof the second line, with a comma\n1\",2024-09-01,10,,,2024-09-10", "B,P,2024-09-01,10,,,2024-09-10"];
    ledger.take(Load::Full, &rows).await.whole();
    assert_eq!(ledger.amounts().await, ["A|10.00", "B|10.00"]);
    assert_eq!(ledger.quarantined("transactions").await, Vec::<String>::new());
}

#[rstest::rstest]
#[case("|", '|')]
#[case("\\t", '\t')]
#[case(";", ';')]
#[tokio::test(flavor = "multi_thread")]
async fn extract_files_have_the_configured_delimiter(#[case] said: &str, #[case] delimiter: char) {
    let ledger = Ledger::new().await;
    let settings = format!("[emr.files.\"hos-x\"]\ndelimiter = \"{said}\"\n");
    ledger.add_to("configs/sources.toml", &settings);
    let rows = ["A,P,2024-09-01,100,,,2024-09-10", "B,P,2024-09-01,200,2024-10-01,50,2024-10-01"];
    ledger.send("transactions", csv(COLUMNS, &rows).replace(',', &delimiter.to_string()));
    assert_eq!(ledger.run().await.whole().ar(), "250.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn extract_files_have_the_configured_encoding() {
    let ledger = Ledger::new().await;
    ledger.add_to("configs/sources.toml", "[emr.files.\"hos-x\"]\nencoding = \"windows-1252\"\n");
    let text = csv(COLUMNS, &["A,Ren#,2024-09-01,100,,,2024-09-10"]);
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'#' { 0xe9 } else { byte }).collect();
    ledger.send("transactions", bytes);
    ledger.run().await.whole();
    assert_eq!(ledger.current("transactions", &["patient_key"]).await, ["René-hos-x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_of_landed_files_has_its_own_delimiter_and_encoding() {
    let ledger = Ledger::with_claims().await;
    let feed = "folder = \"claims\"\n";
    ledger.edit("configs/sources.toml", feed, &format!("{feed}delimiter = \"|\"\nencoding = \"windows-1252\"\n"));
    let text = csv(crate::ledger::CLAIM_COLUMNS, &["C1,A,P,2024-09-01,2024-09-05,100,20,Paid,Sant#,2024-09-10"]);
    let bytes: Vec<u8> = text.replace(',', "|").bytes().map(|byte| if byte == b'#' { 0xe9 } else { byte }).collect();
    ledger.land("claims/hosx_1.csv", bytes);
    ledger.take(Load::Full, &["A,P,2024-09-01,100,,,2024-09-10"]).await.whole();
    assert_eq!(ledger.current("claims", &["src_claim_id", "payor_id", "paid_amount"]).await, ["C1|Santé|20.00"]);
}

/// Returns the beginning of a zip archive with one file.
fn archive(of: &str) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00".to_vec();
    bytes.extend([0; 12]);
    bytes.extend(u16::try_from(of.len()).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(of.bytes());
    bytes.extend([0, 255, 1, 254, 10, 3, 200, 0, 0, 0]);
    bytes
}

#[rstest::rstest]
#[case::a_zip(archive("transactions.csv"), &["zip"])]
#[case::a_workbook(archive("[Content_Types].xml"), &["xlsx", "Excel"])]
#[case::pipes(csv(COLUMNS, &["A,P,2024-09-01,100,,,2024-09-10"]).replace(',', "|").into_bytes(), &["|", "pipe"])]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_type_is_refused_with_its_type(#[case] bytes: Vec<u8>, #[case] names: &[&str]) {
    let ledger = Ledger::new().await;
    ledger.send("transactions", bytes);
    let told = ledger.run().await;
    assert_eq!(told.exit_code(), 1);
    let errors = told.errors();
    assert!(names.iter().any(|name| errors.contains(name)), "{errors}");
    assert!(!errors.contains("UTF-16"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_type_stops_no_other_hospital() {
    let ledger = Ledger::new().await;
    let of_y = std::fs::read_to_string(ledger.path("configs/cdm/hos-x.toml")).unwrap().replace("hos-x", "hos-y");
    crate::ledger::write(&ledger.path("configs/cdm/hos-y.toml"), of_y);
    ledger.add_to("configs/emr/load_config.csv", "ledger-db,hos-y,dbo.transactions,Full,,1,hosy\n");
    ledger.send("transactions", archive("transactions.csv"));
    let rows = csv(COLUMNS, &["A,P,2024-09-01,100,,,2024-09-10"]);
    crate::ledger::write(&ledger.beside("emr").join("hos-y/transactions.csv"), rows);
    let told = ledger.run().await;
    assert_eq!((told.exit_code(), told.ar().as_str()), (1, "100.00"));
}
