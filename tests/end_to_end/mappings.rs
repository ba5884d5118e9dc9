//! Features of mappings: layouts, filters, constants, deletions, and missing columns.

use polars::prelude::*;

use crate::ledger::{CLAIM_COLUMNS, COLUMNS, Ledger, Load, csv};

const TRANSACTION: &str = "A,P,2024-09-01,100,,,2024-09-10";

#[tokio::test(flavor = "multi_thread")]
async fn several_layouts_of_one_feed_are_told_apart_by_their_files_names() {
    let ledger = Ledger::with_claims().await;
    let layout = |files: &str, id: &str, paid: &str| {
        format!(
            "[[layouts]]\nentity = \"claims\"\nfiles = [\"{files}\"]\n[layouts.columns]\nsrc_claim_id = \"{id}\"\n\
             transaction_key = \"TX\"\npatient_key = \"BENE\"\nservice_date = \"FROM_DT\"\nclaim_date = \"THRU_DT\"\n\
             claim_amount = \"CHRG\"\npaid_amount = \"{paid}\"\nclaim_status = \"ST\"\nsrc_modified_at = \"UPD\"\n\n"
        )
    };
    ledger.add_to_mapping(&(layout("*inpatient*", "CLM_ID", "PMT") + &layout("*carrier*", "CARR_ID", "CARR_PMT")));
    let columns = |id: &str, paid: &str| format!("{id},TX,BENE,FROM_DT,THRU_DT,CHRG,{paid},ST,UPD");
    let row = |id: &str| format!("{id},A,P,2024-09-01,2024-09-05,100,40,Paid,2024-09-10");
    ledger.land("claims/hosx_Inpatient_1.csv", csv(&columns("CLM_ID", "PMT"), &[&row("I1")]));
    ledger.land("claims/hosx_carrier_1.csv", csv(&columns("CARR_ID", "CARR_PMT"), &[&row("R1")]));
    ledger.land_claims("hosx_others.csv", &["C1,A,P,2024-09-01,2024-09-05,100,40,Paid,AETNA,2024-09-10"]);
    ledger.take(Load::Full, &[TRANSACTION]).await.whole();
    let claims = ledger.current("claims", &["claim_key", "paid_amount"]).await;
    assert_eq!(claims, ["C1-hos-x|40.00", "I1-hos-x|40.00", "R1-hos-x|40.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_filter_excludes_are_counted() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("[entities.transactions]\n", "[entities.transactions]\nwhere = \"TYPE = 'CHARGE'\"\n");
    let rows = [
        "A,P,2024-09-01,100,,,2024-09-10,CHARGE",
        "B,P,2024-09-01,40,,,2024-09-10,PAYMENT",
        "C,P,2024-09-01,20,,,2024-09-10,",
    ];
    ledger.send("transactions", csv(&format!("{COLUMNS},TYPE"), &rows));
    let told = ledger.run().await.whole();
    assert_eq!((told.ar().as_str(), ledger.amounts().await), ("100.00", vec!["A|100.00".to_owned()]));
    assert_eq!(ledger.quarantined("transactions").await, Vec::<String>::new());
    let says_two = told.notes().iter().any(|note| note.contains('2') && note.contains("where"));
    assert!(says_two || told.counted("where") == 2, "{:?} {:?}", told.notes(), told.rules());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_filter_leaves_out_later_is_deleted_by_a_full_extract() {
    let ledger = Ledger::new().await;
    ledger.any_share_may_be_lost();
    ledger.edit_mapping("[entities.transactions]\n", "[entities.transactions]\nwhere = \"Pat <> 'TEST'\"\n");
    ledger.take(Load::Full, &[TRANSACTION, "B,P,2024-09-01,40,,,2024-09-10"]).await.whole();
    ledger.take(Load::Full, &[TRANSACTION, "B,TEST,2024-09-01,40,,,2024-09-10"]).await.whole();
    assert_eq!(ledger.amounts().await, ["A|100.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constant_is_in_every_row() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("amount = \"Amt\"", "amount = \"Amt\"\nline_of_business = { constant = \"Medicare\" }");
    ledger.take(Load::Full, &[TRANSACTION, "B,P,2024-09-01,40,,,2024-09-10"]).await.whole();
    let lines = ledger.current("transactions", &["src_transaction_id", "line_of_business"]).await;
    assert_eq!(lines, ["A|Medicare", "B|Medicare"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_map_applies_to_any_text_column() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("amount = \"Amt\"", "amount = \"Amt\"\nline_of_business = \"Lob\"");
    ledger.add_to_mapping("[values.line_of_business]\nMedicare = [\"MCR\", \"18\"]\n");
    let rows = [
        "A,P,2024-09-01,1,,,2024-09-10,mcr ",
        "B,P,2024-09-01,1,,,2024-09-10,18",
        "C,P,2024-09-01,1,,,2024-09-10,Other",
    ];
    ledger.send("transactions", csv(&format!("{COLUMNS},Lob"), &rows));
    ledger.run().await.whole();
    let lines = ledger.current("transactions", &["src_transaction_id", "line_of_business"]).await;
    assert_eq!(lines, ["A|Medicare", "B|Medicare", "C|Other"]);
}

/// Returns a claim as an event of a feed with a column for deletions.
fn event(kind: &str, paid: u32, modified: &str) -> String {
    format!("C1,A,P,2024-09-01,2024-09-05,100,{paid},Paid,AETNA,{modified},{kind}")
}

#[rstest::rstest]
#[case::in_their_order([0, 1, 2], true)]
#[case::the_deletion_first([1, 0, 2], true)]
#[case::the_last_one_first([2, 1, 0], true)]
#[case::without_a_later_one([0, 1, 1], false)]
#[case::without_a_later_one_the_deletion_first([1, 0, 0], false)]
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_in_a_feed_ends_its_key_and_a_later_row_starts_it_again(
    #[case] order: [usize; 3],
    #[case] is_back: bool,
) {
    let ledger = Ledger::with_claims().await;
    ledger.edit_mapping("[entities.claims]\n", "[entities.claims]\ndeleted_where = \"DML_IND = 'DELETE'\"\n");
    let events =
        [event("INSERT", 10, "2024-09-10"), event("DELETE", 10, "2024-09-20"), event("INSERT", 60, "2024-10-01")];
    ledger.tables(&["transactions"], Load::Full);
    ledger.send("transactions", csv(COLUMNS, &[TRANSACTION]));
    for (number, index) in order.into_iter().enumerate() {
        let text = csv(&format!("{CLAIM_COLUMNS},DML_IND"), &[&events[index]]);
        ledger.land(&format!("claims/hosx_{number}.csv"), text);
        ledger.run().await.whole();
    }
    let expected: &[&str] = if is_back { &["C1|60.00"] } else { &[] };
    assert_eq!(ledger.current("claims", &["src_claim_id", "paid_amount"]).await, expected);
    let is_long = col("effective_from").neq_missing(col("effective_to"));
    let versions = ledger.rows("silver/claims", is_long, &["effective_from", "effective_to", "is_deleted"]).await;
    assert!(
        versions[0].starts_with("2024-09-10 00:00:00") && versions[0].contains("|2024-09-20 00:00:00"),
        "{versions:?}"
    );
    assert!(versions[0].ends_with("|true"), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untracked_column_keeps_its_latest_value_and_makes_no_version() {
    let ledger = Ledger::new().await;
    ledger.add_to_mapping(
        "[entities.patients]\nsrc_patient_id = \"Id\"\nfirst_name = \"Name\"\ndob = \"Born\"\n\
         phone_number = { column = \"Phone\", tracked = false }\nsrc_modified_at = \"Mod\"\n",
    );
    ledger.tables(&["patients"], Load::Full);
    for (phone, modified) in [("555-010-0001", "2024-09-10"), ("555-010-0002", "2024-10-10")] {
        ledger.send("patients", format!("Id,Name,Born,Phone,Mod\nP1,Ada,1956-03-09,{phone},{modified}\n"));
        ledger.run().await.whole();
    }
    assert_eq!(ledger.rows("silver/patients", lit(true), &["phone_number"]).await, ["555-010-0002"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_words_of_a_text_column_are_null_in_that_column_alone() {
    let ledger = Ledger::new().await;
    let columns = "amount = \"Amt\"\nvisit_type = { column = \"Visit\", null_words = [\"n/a\"] }\npayor_id = \"Payor\"";
    ledger.edit_mapping("amount = \"Amt\"", columns);
    ledger.send("transactions", csv(&format!("{COLUMNS},Visit,Payor"), &[&format!("{TRANSACTION},N/A,n/a")]));
    ledger.run().await.whole();
    assert_eq!(ledger.current("transactions", &["visit_type", "payor_id"]).await, ["null|n/a"]);
}

#[rstest::rstest]
#[case::a_filter_that_is_no_sql("[entities.transactions]\n", "[entities.transactions]\nwhere = \"Amt >\"\n", "where")]
#[case::a_deletion_that_is_no_sql(
    "[entities.transactions]\n",
    "[entities.transactions]\ndeleted_where = \"= = 1\"\n",
    "deleted_where"
)]
#[case::a_constant_and_a_column(
    "amount = \"Amt\"",
    "amount = \"Amt\"\nline_of_business = { constant = \"M\", column = \"Lob\" }",
    "line_of_business"
)]
#[case::a_constant_that_is_no_amount("amount = \"Amt\"", "amount = { constant = \"much\" }", "amount")]
#[case::an_untracked_key("\"Id\"", "{ column = \"Id\", tracked = false }", "src_transaction_id")]
#[case::a_key_of_no_columns("\"Id\"", "[]", "src_transaction_id")]
#[case::words_for_a_column_that_is_none(
    "[entities.transactions]\n",
    "[values.claim_mood]\ngood = [\"G\"]\n[entities.transactions]\n",
    "claim_mood"
)]
#[case::one_word_for_two_values(
    "[entities.transactions]\n",
    "[values.claim_status]\npaid = [\"P\"]\ndenied = [\"p\"]\n[entities.transactions]\n",
    "claim_status"
)]
#[case::a_fold_that_is_none("datasource = \"hos-x\"\n", "datasource = \"hos-x\"\nid_case = \"title\"\n", "id_case")]
#[case::a_layout_of_no_entity(
    "[entities.transactions]\n",
    "[[layouts]]\nentity = \"bills\"\nfiles = [\"*\"]\n[layouts.columns]\nsrc_claim_id = \"C\"\n[entities.transactions]\n",
    "bills"
)]
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_mapping_is_refused_when_it_is_read(#[case] from: &str, #[case] to: &str, #[case] name: &str) {
    let ledger = Ledger::new().await;
    ledger.edit_mapping(from, to);
    let told = ledger.take(Load::Full, &[TRANSACTION]).await;
    assert_eq!(told.exit_code(), 2, "{}", told.errors());
    let error = told.errors();
    assert!(error.contains("hos-x.toml") && error.contains(name), "{error}");
}

#[rstest::rstest]
#[case::a_delimiter_of_two("delimiter = \"||\"", "delimiter")]
#[case::a_quote("delimiter = '\"'", "delimiter")]
#[case::an_encoding_that_is_none("encoding = \"latin-windows\"", "encoding")]
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_with_an_invalid_setting_is_refused_when_it_is_read(#[case] line: &str, #[case] name: &str) {
    let ledger = Ledger::new().await;
    ledger.add_to("configs/sources.toml", &format!("[emr.files.\"hos-x\"]\n{line}\n"));
    let told = ledger.take(Load::Full, &[TRANSACTION]).await;
    assert_eq!(told.exit_code(), 2, "{}", told.errors());
    let error = told.errors();
    assert!(error.contains("sources.toml") && error.contains(name), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_on_an_unmapped_column_does_not_run_and_is_reported_once() {
    let ledger = Ledger::new().await;
    let told = ledger.take(Load::Full, &[TRANSACTION]).await.whole();
    assert_eq!(told.ar(), "100.00");
    assert_eq!(ledger.quarantined("transactions").await, Vec::<String>::new());
    for rule in ["encounter_key_missing", "visit_date_missing"] {
        assert!(!told.asked(rule), "{:?}", told.rules());
        assert_eq!(told.notes_with(rule).len(), 1, "{rule}: {:?}", told.notes());
    }
    assert!(told.asked("patient_key_missing"), "rules on columns that are there do run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_runs_for_the_hospitals_that_have_its_column() {
    let ledger = Ledger::new().await;
    let mapping = std::fs::read_to_string(ledger.path("configs/cdm/hos-x.toml")).unwrap();
    let of_y =
        mapping.replace("hos-x", "hos-y").replace("amount = \"Amt\"", "amount = \"Amt\"\nencounter_key = \"Enc\"");
    crate::ledger::write(&ledger.path("configs/cdm/hos-y.toml"), of_y);
    ledger.add_to("configs/emr/load_config.csv", "ledger-db,hos-y,dbo.transactions,Full,,1,hosy\n");
    let rows = [format!("{TRANSACTION},"), "B,P,2024-09-01,40,,,2024-09-10,E1".to_owned()];
    let text = csv(&format!("{COLUMNS},Enc"), &rows.each_ref().map(String::as_str));
    crate::ledger::write(&ledger.beside("emr").join("hos-y/transactions.csv"), text);
    ledger.send("transactions", csv(COLUMNS, &[TRANSACTION]));
    ledger.run().await.whole();
    assert_eq!(ledger.current("transactions", &["transaction_key"]).await, ["A-hos-x", "B-hos-y"]);
    assert_eq!(
        ledger.rows("quarantine/transactions", lit(true), &["key", "reasons"]).await,
        ["A-hos-y|encounter_key_missing"]
    );
}

/// Columns of transactions after the hospital has renamed two.
const RENAMED: &str = "TxId,Pat,Day,Billed,PaidOn,Paid,Mod";

/// Versions of the transactions.
async fn history(ledger: &Ledger) -> Vec<String> {
    let columns = ["src_transaction_id", "amount", "effective_from", "effective_to", "is_current", "is_deleted"];
    ledger.rows("silver/transactions", lit(true), &columns).await
}

/// Sends two extracts, the second one with other columns, under a mapping with the names of both; returns the ledger and the notes of the second run.
async fn after_two_extracts(load: Load, columns: &str) -> (Ledger, Vec<String>) {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("\"Id\"", "{ any_of = [\"Id\", \"TxId\"] }");
    ledger.edit_mapping("\"Amt\"", "[\"Amt\", \"Billed\"]");
    let rows = ["A,P,2024-09-01,100,,,2024-09-10", "B,P,2024-09-01,40,,,2024-09-12", "C,P,2024-09-02,7,,,2024-09-20"];
    ledger.take(load, &rows).await.whole();
    let changed = "A,P,2024-09-01,110,,,2024-09-25";
    ledger.send("transactions", csv(columns, &[changed, rows[1], rows[2], "D,P,2024-09-02,9,,,2024-09-02"]));
    let told = ledger.run().await.whole();
    (ledger, told.notes().iter().map(ToString::to_string).collect())
}

#[rstest::rstest]
#[case::full(Load::Full)]
#[case::incremental(Load::Incremental)]
#[tokio::test(flavor = "multi_thread")]
async fn loads_from_before_and_after_a_rename_of_columns_give_one_history_that_a_rebuild_keeps(#[case] load: Load) {
    let (ledger, notes) = after_two_extracts(load, RENAMED).await;
    let (undisturbed, expected_notes) = after_two_extracts(load, COLUMNS).await;
    let (versions, expected) = (history(&ledger).await, history(&undisturbed).await);
    assert_eq!(versions, expected);
    assert_eq!(notes, expected_notes, "neither drift nor rows that are taken twice");
    assert_eq!(ledger.amounts().await, ["A|110.00", "B|40.00", "C|7.00", "D|9.00"]);
    let (told, exit) = ledger.command(&["rebuild", "transactions"]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(history(&ledger).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extract_without_any_name_of_a_column_is_refused_and_one_with_two_is_read_by_the_first() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("\"Amt\"", "[\"Amt\", \"Billed\"]");
    ledger.send("transactions", csv("Id,Pat,Day,Sum,PaidOn,Paid,Mod", &[TRANSACTION]));
    let errors = ledger.run().await.errors();
    assert!(errors.contains("`Amt` or `Billed` of `amount`"), "{errors}");
    ledger.send("transactions", csv(&format!("Billed,{COLUMNS}"), &[&format!("50,{TRANSACTION}")]));
    let told = ledger.run().await.whole();
    assert_eq!(ledger.amounts().await, ["A|100.00"]);
    assert_eq!(told.notes_with("`amount` is read from `Amt`, not from `Billed`").len(), 1, "{:?}", told.notes());
}
