//! KPIs of a date of the past, and tables that an older version of the product made.

use rcm_domain::kpi::days_in_ar;

use super::*;

fn moment(text: &str) -> chrono::NaiveDateTime {
    day(text).and_hms_opt(0, 0, 0).unwrap()
}

/// Versions of one charge of 100 served on 2024-08-01: from when, up to when, its stamp, what was paid on
/// which day. All were written in 2026.
async fn put_versions(context: &Context, given: &[(&str, Option<&str>, &str, &str, &str)]) {
    put_hospital(context).await;
    let rows = df!(
        "transaction_sk" => (0..given.len() as i64).collect::<Vec<_>>(),
        "transaction_key" => vec!["A"; given.len()],
        "datasource" => vec!["hos-a"; given.len()],
        "patient_key" => vec!["P1"; given.len()],
        "service_date" => vec![day("2024-08-01"); given.len()],
        "amount" => vec!["100.00"; given.len()],
        "paid_amount" => given.iter().map(|row| row.3).collect::<Vec<_>>(),
        "paid_date" => given.iter().map(|row| row.4.parse::<NaiveDate>().ok()).collect::<Vec<_>>(),
        "effective_from" => given.iter().map(|row| moment(row.0)).collect::<Vec<_>>(),
        "effective_to" => given.iter().map(|row| row.1.map(moment)).collect::<Vec<_>>(),
        "src_modified_at" => given.iter().map(|row| moment(row.2)).collect::<Vec<_>>(),
        "updated_at" => vec![moment("2026-03-01"); given.len()],
        "is_current" => given.iter().map(|row| row.1.is_none()).collect::<Vec<_>>(),
        "bucket" => vec![0; given.len()],
    );
    put_silver(context, &TRANSACTIONS, rows.unwrap()).await;
}

async fn balances(context: &Context) -> Vec<Vec<String>> {
    texts(&rows(context, "kpi_days_in_ar", &["as_of", "balance"]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_of_the_past_keeps_its_figure_whatever_comes_later() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let then = ("2024-09-01", None, "2024-09-01", "50.00", "2024-09-01");
    put_versions(&context, &[then]).await;
    run(&context, "2024-09-15").await;
    assert_eq!(balances(&context).await, [["2024-09-15", "50.00"]]);
    let then = ("2024-09-01", Some("2024-11-01"), "2024-09-01", "50.00", "2024-09-01");
    put_versions(&context, &[then, ("2024-11-01", None, "2024-11-01", "80.00", "2024-11-01")]).await;
    let [_, _, again] = run(&context, "2024-09-15").await;
    assert!(again.commits.iter().any(|commit| commit.table == "gold/kpi_days_in_ar"), "silver has moved");
    run(&context, AS_OF).await;
    assert_eq!(balances(&context).await, [["2024-09-15", "50.00"], ["2024-11-07", "20.00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_of_the_future_does_not_outrank_what_came_after_it() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let mistyped = ("2026-01-01", Some("2026-02-01"), "2042-09-10", "0.00", "");
    put_versions(&context, &[mistyped, ("2026-02-01", None, "2024-10-20", "100.00", "2024-10-20")]).await;
    run(&context, AS_OF).await;
    assert_eq!(balances(&context).await, [["2024-11-07", "0.00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_deleted_by_the_date_does_not_count_though_it_is_back() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let gone = ("2024-09-01", Some("2024-10-01"), "2024-09-01", "0.00", "");
    put_versions(&context, &[gone, ("2024-12-01", None, "2024-12-01", "0.00", "")]).await;
    run(&context, "2024-09-15").await;
    run(&context, AS_OF).await;
    run(&context, "2024-12-02").await;
    assert_eq!(balances(&context).await, [["2024-09-15", "100.00"], ["2024-12-02", "100.00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kpi_says_how_much_lies_beyond_its_date() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    let [_, _, kpis] = run(&context, "2024-05-01").await;
    let note = "kpi_ar_aging leaves out 1 row of transactions after 2024-05-01: 50.00";
    assert!(kpis.notes.contains(&note.to_owned()), "{:?}", kpis.notes);
    let future = rows(&context, "kpi_days_in_ar", &["future_transactions", "future_amount"]).await;
    assert_eq!(texts(&future), [["1", "50.00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_an_older_version_gets_the_new_columns_and_keeps_its_dates() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    let path = lake::gold(days_in_ar::KPI.table);
    let is_new = |name: &str| name.starts_with("future_");
    let old: Schema = days_in_ar::schema().iter_fields().filter(|field| !is_new(field.name())).collect();
    let values = old.iter().filter(|(name, _)| name.as_str() != "as_of").map(|(name, dtype)| {
        let value = if name.as_str() == "datasource" { lit("hos-a") } else { lit(1) };
        value.cast(dtype.clone()).alias(name.clone())
    });
    let row = df!("_" => [1]).unwrap().lazy().select(values.collect::<Vec<_>>()).collect().unwrap();
    let of_october = [("as_of", Some("2024-10-31".to_owned()))];
    let change = Change {
        schema: &old,
        partition_by: &["as_of"],
        properties: &[],
        add: vec![delta::write(&context, &path, &row, &of_october).await.unwrap()],
        remove: Vec::new(),
        transactions: Vec::new(),
        run_id: "run",
    };
    delta::commit(&context.lake, &path, None, change).await.unwrap();
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::Done; 3]);
    let expected = [["2024-10-31", "1.00", "null"], ["2024-11-07", "150.00", "0"]];
    assert_eq!(texts(&rows(&context, "kpi_days_in_ar", &["as_of", "balance", "future_transactions"]).await), expected);
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::NothingNew; 3]);
    assert_eq!(table(&context, "kpi_days_in_ar").await.unwrap().version(), 1, "one commit");
}
