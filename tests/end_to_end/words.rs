//! Values of sources are parsed as their writers mean them.

use polars::prelude::*;

use crate::ledger::{COLUMNS, Ledger, Load, csv};

#[rstest::rstest]
#[case::null("NULL")]
#[case::in_any_case("null")]
#[case::of_a_database_dump("\\N")]
#[tokio::test(flavor = "multi_thread")]
async fn a_null_word_in_a_paid_date_and_amount_means_unpaid_and_is_no_error(#[case] word: &str) {
    let ledger = Ledger::new().await;
    let unpaid = format!("A,P,2024-09-01,100,{word},{word},2024-09-10");
    let told = ledger.take(Load::Full, &[&unpaid, "B,P,2024-09-01,200,2024-10-01,200,2024-10-01"]).await.whole();
    assert_eq!(ledger.quarantined("transactions").await, Vec::<String>::new());
    assert_eq!(told.ar(), "100.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_word_as_an_id_is_no_key() {
    let ledger = Ledger::new().await;
    let rows =
        ["NULL,P,2024-09-01,100,,,2024-09-10", "B,NULL,2024-09-01,200,,,2024-09-10", "C,P,2024-09-01,50,,,2024-09-10"];
    ledger.take(Load::Full, &rows).await.whole();
    assert_eq!(ledger.current("transactions", &["transaction_key"]).await, ["C-hos-x"]);
    let reasons = ledger.rows("quarantine/transactions", lit(true), &["reasons"]).await;
    assert_eq!(reasons, ["key_missing", "patient_key_missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_may_set_its_own_null_words() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("datasource = \"hos-x\"\n", "datasource = \"hos-x\"\nnull_words = [\"n/a\"]\n");
    let told = ledger.take(Load::Full, &["A,P,2024-09-01,100,N/A,n/a,2024-09-10"]).await.whole();
    assert_eq!(told.ar(), "100.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_common_iso_forms_of_a_modified_time_are_read() {
    let forms = [
        "2024-09-10",
        "2024-09-10 12:00",
        "2024-09-10T12:00",
        "2024-09-10 12:00:00",
        "2024-09-10T12:00:00",
        "2024-09-10 12:00:00.123",
        "2024-09-10T12:00:00.1234567",
        "2024-09-10T12:00:00Z",
        "2024-09-10 12:00:00Z",
        "2024-09-10T12:00Z",
        "2024-09-10T12:00:00.123Z",
        "2024-09-10T14:00:00+02:00",
        "2024-09-10 14:00:00 +02:00",
        "2024-09-10T14:00:00+0200",
        "2024-09-10T07:00:00.5-05:00",
    ];
    let ledger = Ledger::new().await;
    let rows: Vec<String> =
        forms.iter().enumerate().map(|(row, form)| format!("T{row},P,2024-09-01,10,,,{form}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let told = ledger.take(Load::Full, &rows).await.whole();
    assert_eq!(ledger.quarantined("transactions").await, Vec::<String>::new());
    assert_eq!(told.ar(), "150.00");
    let at_noon = ledger.current("transactions", &["src_modified_at"]).await;
    let at_noon = at_noon.iter().filter(|moment| moment.starts_with("2024-09-10 12:00:00"));
    assert_eq!(at_noon.count(), forms.len() - 1, "all but the date alone");
}

const PATIENTS: &str = r#"
[entities.patients]
src_patient_id = "Id"
first_name = "Name"
dob = "Born"
src_modified_at = "Mod"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_year_of_two_digits_in_a_birth_date_is_never_in_the_future() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("datasource = \"hos-x\"\n", "datasource = \"hos-x\"\ndate_formats = [\"%m/%d/%y\"]\n");
    ledger.add_to_mapping(PATIENTS);
    ledger.tables(&["patients"], Load::Full);
    ledger.send("patients", "Id,Name,Born,Mod\nP1,Ada,03/09/56,2024-09-10\nP2,Bob,03/09/04,2024-09-10\n");
    ledger.run().await.whole();
    let born = ledger.current("patients", &["src_patient_id", "dob"]).await;
    assert_eq!(born, ["P1|1956-03-09", "P2|2004-03-09"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_of_which_most_rows_are_quarantined_fails() {
    let ledger = Ledger::new().await;
    let rows: Vec<String> = (0..20)
        .map(|row| format!("T{row},P,2024-09-01,10,,,{}", if row < 15 { "on Tuesday" } else { "2024-09-10" }))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let told = ledger.take(Load::Full, &rows).await;
    assert_eq!(told.exit_code(), 1);
    assert!(told.errors().contains("ThresholdExceeded"), "{}", told.errors());
    assert!(told.errors().contains("transactions"), "{}", told.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_source_for_a_status_become_those_of_the_model() {
    let ledger = Ledger::with_claims().await;
    ledger.add_to_mapping("[values.claim_status]\ndenied = [\"4\", \"D\", \"Claim Denied\"]\n");
    let claim = |id: &str, status: &str| format!("{id},A,P,2024-09-01,2024-09-05,100,0,{status},AETNA,2024-09-10");
    let claims = [claim("C1", "D"), claim("C2", "4"), claim("C3", "claim denied"), claim("C4", "Paid")];
    ledger.land_claims("hosx_1.csv", &claims.each_ref().map(String::as_str));
    let told = ledger.take(Load::Full, &["A,P,2024-09-01,100,,,2024-09-10"]).await.whole();
    let claims = told.claims();
    assert_eq!((claims["claims"].as_u64(), claims["denied"].as_u64()), (Some(4), Some(3)), "{claims}");
    assert_eq!(told.counted("status"), 0, "{:?}", told.rules());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmapped_status_is_counted_by_a_warning_and_is_not_clean() {
    let ledger = Ledger::with_claims().await;
    let claims = [
        "C1,A,P,2024-09-01,2024-09-05,100,0,Zapped,AETNA,2024-09-10",
        "C2,A,P,2024-09-01,2024-09-05,100,0,Paid,AETNA,2024-09-10",
    ];
    ledger.land_claims("hosx_1.csv", &claims);
    let told = ledger.take(Load::Full, &["A,P,2024-09-01,100,,,2024-09-10"]).await.whole();
    assert_eq!(told.counted("status"), 1, "{:?}", told.rules());
    let claims = told.claims();
    assert_eq!((claims["claims"].as_u64(), claims["clean_claim_rate"].as_f64()), (Some(2), Some(0.5)), "{claims}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_spellings_of_one_payer_are_one_payer() {
    let ledger = Ledger::with_claims().await;
    ledger.add_to_mapping("[values.payor_id]\nAETNA = [\"Aetna Inc.\", \"aetna\"]\n");
    let claim = |id: &str, payor: &str| format!("{id},A,P,2024-09-01,2024-09-05,100,0,Paid,{payor},2024-09-10");
    let claims = [claim("C1", "Aetna Inc."), claim("C2", "aetna"), claim("C3", "AETNA")];
    ledger.land_claims("hosx_1.csv", &claims.each_ref().map(String::as_str));
    ledger.take(Load::Full, &["A,P,2024-09-01,100,,,2024-09-10"]).await.whole();
    assert_eq!(ledger.rows("gold/kpi_claims", lit(true), &["payor_id", "claims"]).await, ["AETNA|3"]);
}

#[rstest::rstest]
#[case("upper", "A1-hos-x")]
#[case("lower", "a1-hos-x")]
#[tokio::test(flavor = "multi_thread")]
async fn ids_that_differ_only_in_case_are_one_if_the_mapping_sets_id_case(#[case] fold: &str, #[case] key: &str) {
    let ledger = Ledger::new().await;
    let head = format!("datasource = \"hos-x\"\nid_case = \"{fold}\"\n");
    ledger.edit_mapping("datasource = \"hos-x\"\n", &head);
    ledger.take(Load::Full, &["a1,P,2024-09-01,100,,,2024-09-10"]).await.whole();
    let told = ledger.take(Load::Full, &["A1,p,2024-09-01,100,2024-10-01,60,2024-10-01"]).await.whole();
    assert_eq!(ledger.current("transactions", &["transaction_key", "paid_amount"]).await, [format!("{key}|60.00")]);
    assert_eq!(told.ar(), "40.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn additions_of_spreadsheets_are_removed_from_ids() {
    let ledger = Ledger::new().await;
    let rows = [
        "'000123,P,2024-09-01,1,,,2024-09-10",
        "1001.0,P,2024-09-01,2,,,2024-09-10",
        "\u{200b}Z1\u{feff},P,2024-09-01,3,,,2024-09-10",
        "\u{a0}Z2\u{a0},P,2024-09-01,4,,,2024-09-10",
    ];
    ledger.take(Load::Full, &rows).await.whole();
    let keys = ledger.current("transactions", &["transaction_key"]).await;
    assert_eq!(keys, ["000123-hos-x", "1001-hos-x", "Z1-hos-x", "Z2-hos-x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_a_spreadsheet_has_mangled_is_counted() {
    let ledger = Ledger::new().await;
    let rows = ["1.23E+11,P,2024-09-01,100,,,2024-09-10", "E11,P,2024-09-01,100,,,2024-09-10"];
    let told = ledger.take(Load::Full, &rows).await.whole();
    assert_eq!(told.counted("key_looks_mangled"), 1, "{:?}", told.rules());
    assert_eq!(ledger.amounts().await.len(), 2, "it is a warning");
}

const LISTS: &str = r#"
[entities.providers]
src_provider_id = "Id"
last_name = "Name"
dept_key = "Dept"

[entities.departments]
src_dept_id = "Id"
name = "Name"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn trailers_and_repeated_headers_become_no_providers_departments_and_codes() {
    let ledger = Ledger::new().await;
    ledger.add_to_mapping(LISTS);
    ledger.tables(&["providers", "departments"], Load::Full);
    ledger.send("providers", "Id,Name,Dept\nH1,Sample,D1\nId,Name,Dept\nTOTAL,1,1\n");
    ledger.send("departments", "Id,Name\nD1,Cardiology\nId,Name\nTotal,1\n");
    let header = "Procedure Code Category,CPT Codes,Procedure Code Descriptions,Code Status";
    ledger
        .land("cptcodes/list.csv", format!("{header}\nEM,99213,Example visit,No change\n{header}\nTOTAL,TOTAL,1,1\n"));
    let told = ledger.run().await.whole();
    assert_eq!(ledger.current("providers", &["src_provider_id"]).await, ["H1"]);
    assert_eq!(ledger.current("departments", &["src_dept_id"]).await, ["D1"]);
    assert_eq!(ledger.current("cpt_codes", &["cpt_code"]).await, ["99213"]);
    for entity in ["providers", "departments", "cpt_codes"] {
        assert_eq!(ledger.quarantined(entity).await.len(), 2, "{entity}: {:?}", told.rules());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untracked_time_that_cannot_be_read_is_null_and_counted_and_the_money_stays() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("datasource = \"hos-x\"\n", "datasource = \"hos-x\"\ntime_zone = \"America/New_York\"\n");
    ledger.edit_mapping("paid_date = \"PaidOn\"", "src_inserted_at = \"Ins\"\npaid_date = \"PaidOn\"");
    let rows = [
        "A,P,2024-09-01,100,,,2024-09-10,2024-03-10 02:30:00",
        "B,P,2024-09-01,200,,,2024-09-10,2024-03-10 03:30:00",
        "C,P,2024-09-01,300,,,2024-09-10,some day",
    ];
    ledger.send("transactions", csv(&format!("{COLUMNS},Ins"), &rows));
    let told = ledger.run().await.whole();
    assert_eq!(told.ar(), "600.00");
    let inserted = ledger.current("transactions", &["src_transaction_id", "src_inserted_at"]).await;
    assert_eq!((inserted[0].as_str(), inserted[2].as_str()), ("A|null", "C|null"));
    let said = told.counted("src_inserted_at") == 2 || !told.notes_with("src_inserted_at").is_empty();
    assert!(said || told.counted("unreadable") == 2, "{:?} {:?}", told.rules(), told.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_of_the_current_lists_fail_no_syntax_rule() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("amount = \"Amt\"", "amount = \"Amt\"\nicd_code = \"Icd\"\nprocedure_code = \"Cpt\"");
    let columns = format!("{COLUMNS},Icd,Cpt");
    let row = |id: &str, icd: &str, cpt: &str| format!("{id},P,2024-09-01,100,,,2024-09-10,{icd},{cpt}");
    let good = [row("A", "QA0.0101", "J1100"), row("B", "I10", "99213"), row("C", "E11.9", "0001F")];
    ledger.send("transactions", csv(&columns, &good.each_ref().map(String::as_str)));
    let told = ledger.run().await.whole();
    let wrong = |told: &crate::ledger::Told| (told.counted("icd_code_syntax"), told.counted("procedure_code_syntax"));
    assert_eq!(wrong(&told), (0, 0), "{:?}", told.rules());
    let bad = [row("A", "1A0", "J11"), row("B", "I10", "99213"), row("C", "E11.9", "visit")];
    ledger.send("transactions", csv(&columns, &bad.each_ref().map(String::as_str)));
    let told = ledger.run().await.whole();
    assert_eq!(wrong(&told), (1, 2), "{:?}", told.rules());
}
