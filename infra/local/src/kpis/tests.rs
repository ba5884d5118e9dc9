use rcm_domain::kpi::GoldTables;
use rcm_domain::kpi::print::{PrintedColumn, all_rows};
use rcm_platform::Context;
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_tables::delta::{self, Change};
use url::Url;

use super::*;
use crate::{defaults, print};

#[test]
fn days_in_ar_are_shown_as_gold_has_them() {
    let rows = df!(
        "datasource" => ["hos-a"], "balance" => [100i64], "amount_in_period" => [100i64],
        "balance_over_90_days" => [100i64], "credit_balance" => [0i64],
        "days_in_ar" => [12.5], "share_over_90_days" => [None::<f64>],
    );
    let amounts = ["balance", "amount_in_period", "balance_over_90_days", "credit_balance"];
    let rows = rows.unwrap().lazy().with_columns(amounts.map(|name| col(name).cast(money::dtype())));
    let shown = days(&rows.collect().unwrap()).unwrap();
    assert_eq!((shown[0].balance, shown[0].days_in_ar, shown[0].share_over_90), (10_000, Some(12.5), None));
}

#[test]
fn collection_rates_are_shown_as_gold_has_them() {
    let rows = df!(
        "datasource" => ["hos-a"], "horizon_days" => [30i32], "amount" => [100i64], "paid_within_k" => [100i64],
        "balance_at_k" => [100i64], "paid_after_k" => [100i64],
        "collected_within_k" => [0.25], "yield_of_balance_aged_k" => [None::<f64>], "benchmark" => [0.93],
    );
    let amounts = ["amount", "paid_within_k", "balance_at_k", "paid_after_k"];
    let rows = rows.unwrap().lazy().with_columns(amounts.map(|name| col(name).cast(money::dtype())));
    let shown = collection(&rows.collect().unwrap()).unwrap();
    let rates = (shown[0].collected_within_rate, shown[0].yield_rate, shown[0].benchmark);
    assert_eq!(rates, (Some(0.25), None, Some(0.93)));
}

/// A KPI that no code but this description knows.
static MADE_UP: Kpi = Kpi {
    table: "kpi_made_up",
    grain: &["as_of", "datasource"],
    inputs: &["fact_transactions"],
    keeps_history: true,
    dated_by: ("fact_transactions", "service_date"),
    schema: made_up_schema,
    compute: made_up_rows,
    adds_up: &[],
    metrics: &[],
    print: Some(Print::Table(PrintedTable {
        title: "Visits",
        columns: &[
            PrintedColumn { name: "datasource", heading: "hospital", format: Format::Text },
            PrintedColumn { name: "visits", heading: "visits", format: Format::Count },
            PrintedColumn { name: "billed", heading: "billed", format: Format::Money },
            PrintedColumn { name: "share", heading: "share", format: Format::Percent(1) },
            PrintedColumn { name: "wait", heading: "days", format: Format::Days },
            PrintedColumn { name: "month", heading: "since", format: Format::Text },
        ],
        rows: all_rows,
    })),
};

fn made_up_schema() -> Schema {
    Schema::from_iter([
        Field::new("as_of".into(), DataType::Date),
        Field::new("datasource".into(), DataType::String),
        Field::new("visits".into(), DataType::Int64),
        Field::new("billed".into(), money::sum_dtype()),
        Field::new("share".into(), DataType::Float64),
        Field::new("wait".into(), DataType::Float64),
        Field::new("month".into(), DataType::Date),
    ])
}

fn made_up_rows(_: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let rows = df!(
        "as_of" => [as_of, as_of, NaiveDate::MIN],
        "datasource" => ["hos-b", "hos-a", "hos-a"],
        "visits" => [1_234i64, 5, 6],
        "billed" => [1_234_567i64, -20, 6],
        "share" => [Some(0.125), None, None],
        "wait" => [Some(3.5), None, None],
        "month" => [as_of, as_of, as_of],
    )?;
    let columns = made_up_schema();
    rows.lazy()
        .select(columns.iter().map(|(name, dtype)| col(name.clone()).cast(dtype.clone())).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kpi_is_printed_as_its_description_says() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(Url::from_directory_path(folder.path()).unwrap().as_str()).unwrap();
    defaults::install_defaults(&lake).await.unwrap();
    let context = Context::of(lake, Environment::default(), Clock::system()).await.unwrap();
    let as_of = NaiveDate::from_ymd_opt(2024, 11, 7).unwrap();
    let nothing = || DataFrame::empty().lazy();
    let gold = GoldTables { transactions: nothing(), claims: nothing(), providers: nothing(), departments: nothing() };
    put(&context, &MADE_UP, &(MADE_UP.compute)(&gold, as_of).unwrap()).await;

    let kpis = read_of(&context.lake, &[&MADE_UP], as_of).await.unwrap();
    insta::assert_snapshot!(print::kpis(&kpis), @r"
    Receivables as of 2024-11-07

    Visits
      hospital   visits         billed    share   days        since
    ────────────────────────────────────────────────────────────────
      hos-a           5         -20.00        –      –   2024-11-07
      hos-b       1,234   1,234,567.00   12.5 %   3.50   2024-11-07
    ");
    let json = serde_json::to_value(&kpis).unwrap();
    let expected = serde_json::json!([
        {"datasource": "hos-a", "visits": 5, "billed": -20.0, "share": null, "wait": null, "month": "2024-11-07"},
        {"datasource": "hos-b", "visits": 1_234, "billed": 1_234_567.0, "share": 0.125, "wait": 3.5, "month": "2024-11-07"},
    ]);
    assert_eq!(json["made_up"], expected);
}

/// Writes a KPI's table.
async fn put(context: &Context, kpi: &Kpi, rows: &DataFrame) {
    let path = lake::gold(kpi.table);
    let change = Change {
        schema: &(kpi.schema)(),
        partition_by: &[],
        properties: &[],
        add: vec![delta::write(context, &path, rows, &[]).await.unwrap()],
        remove: Vec::new(),
        transactions: Vec::new(),
        run_id: "run",
    };
    delta::commit(&context.lake, &path, None, change).await.unwrap();
}
