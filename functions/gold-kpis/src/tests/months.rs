//! Months that are closed and reopened.

use rcm_domain::close::{CLOSED_MONTHS, RESTATEMENTS};
use rcm_model::event::{CloseMonth, ReopenMonth};
use rcm_platform::StageError;

use super::*;

fn close(month: &str) -> StageInput {
    let close = Some(CloseMonth { month: month.parse().unwrap(), by: "finance".to_owned() });
    StageInput { close, ..input(AS_OF) }
}

/// A lake with facts.
async fn hospital(lake: &TestLake) -> Context {
    let context = lake.context().await;
    put_hospital(&context).await;
    run(&context, AS_OF).await;
    context
}

/// Part, difference and figure of today of the balance of `hos-a`.
async fn balances(context: &Context) -> Vec<Vec<String>> {
    let rows = rows(context, RESTATEMENTS, &["datasource", "measure", "part", "difference", "now"]).await;
    let texts = texts(&rows).into_iter();
    texts.filter(|row| row[..2] == ["hos-a", "balance"]).map(|row| row[2..].to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_closings_at_once_one_is_refused() {
    let lake = TestLake::new();
    let context = hospital(&lake).await;
    let one = || crate::handle(context.clone(), close("2024-10"));
    let (one, other) = tokio::join!(one(), one());
    let refused: Vec<StageError> = [one, other].into_iter().filter_map(Result::err).collect();
    let [error] = &refused[..] else { panic!("{refused:?}") };
    assert!(error.name() == "BadConfig" && error.to_string().contains("2024-10 was closed by finance"), "{error}");
    assert_eq!(rows(&context, CLOSED_MONTHS, &["measure"]).await.height(), 10, "five measures of two hospitals");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_what_changed_once_and_commits_nothing_if_nothing_did() {
    let lake = TestLake::new();
    let context = hospital(&lake).await;
    assert!(table(&context, RESTATEMENTS).await.is_none(), "no month is closed");
    let closed = crate::handle(context.clone(), close("2024-10")).await.unwrap();
    assert!(closed.notes[0].starts_with("2024-10 is closed: balance 150.00, billed_to_date 150.10"), "{closed:?}");
    let [.., kpis] = run(&context, AS_OF).await;
    assert_eq!(kpis.commits.iter().map(|commit| commit.table.as_str()).collect::<Vec<_>>(), ["gold/kpi_restatements"]);
    assert_eq!(balances(&context).await, [["unchanged", "0.00", "150.00"]]);
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::NothingNew; 3]);

    // T1 is gone without a deletion, and there is another key.
    put_silver(&context, &TRANSACTIONS, transactions(["T9", "T2", "T3", "T1", "T4"])).await;
    run(&context, AS_OF).await;
    assert_eq!(balances(&context).await, [["changed_rules", "-100.00", "150.00"], ["late_rows", "100.00", "150.00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_closing_kept_must_be_there() {
    let lake = TestLake::new();
    let context = hospital(&lake).await;
    crate::handle(context.clone(), close("2024-10")).await.unwrap();
    for file in lake.files("gold/kpi_closed_rows") {
        std::fs::remove_file(lake.path(&file)).unwrap();
    }
    let error = crate::handle(context.clone(), input("2024-11-08")).await.unwrap_err();
    assert!(error.name() == "CorruptLake" && error.to_string().contains("closing.json"), "{error}");
    let days = rows(&context, "kpi_days_in_ar", &["as_of"]).await;
    assert_eq!(texts(&days).last().unwrap(), &["2024-11-08"], "the KPIs are made all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_decides_nothing_clear_is_refused_and_leaves_no_report() {
    let lake = TestLake::new();
    let context = hospital(&lake).await;
    let before = lake.files("audit");
    let reopen = |by: &str, why: &str| {
        let month = "2024-10".parse().unwrap();
        StageInput { reopen: Some(ReopenMonth { month, by: by.to_owned(), why: why.to_owned() }), ..input(AS_OF) }
    };
    let nobody = CloseMonth { month: "2024-10".parse().unwrap(), by: " ".to_owned() };
    for (input, expected) in [
        (StageInput { close: Some(nobody), ..input(AS_OF) }, "`close` has an empty `by`"),
        (reopen("", "late"), "`reopen` has an empty `by`"),
        (reopen("audit", " "), "`reopen` has an empty `why`"),
        (StageInput { close: close("2024-10").close, ..reopen("audit", "late") }, "`close` or `reopen`, not both"),
        (reopen("audit", "late"), "2024-10 is not closed"),
        (close("2199-01"), "2199-01 has not ended"),
    ] {
        let error = crate::handle(context.clone(), input).await.unwrap_err();
        assert!(error.name() == "BadConfig" && error.to_string().contains(expected), "{error}");
    }
    assert_eq!(lake.files("audit"), before);
}
