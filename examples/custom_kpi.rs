//! A KPI of one's own over the lake: how long hospitals take from a service to its claim.
//!
//! ```sh
//! cargo run -p rcm --example custom_kpi -- my-lake
//! ```
//!
//! It opens a gold table, computes with Polars, and prints. To have a KPI computed by every run, with its
//! table, control check and history by date, add it to the product: CONTRIBUTING.md says how.

use std::error::Error;
use std::io::Write;

use polars::prelude::*;
use rcm_platform::{Lake, lake};
use rcm_tables::delta::Table;
use rcm_tables::frames::blocking;

/// Days within which a claim should be out.
const PROMPT_DAYS: i64 = 7;

/// One row per hospital: `datasource`, `claims` that have both dates, `mean_lag_days`, and `prompt_share` of the
/// claims, which were out within a week.
///
/// # Errors
/// The lake has no claims yet, or they cannot be read.
pub async fn claim_lag(lake: &Lake) -> Result<DataFrame, Box<dyn Error>> {
    let table = Table::open(lake, &lake::gold("fact_claims")).await?.ok_or("the lake has no gold/fact_claims yet")?;
    let claims = table.scan(table.files()).await?;
    let lag = (col("claim_date") - col("service_date")).dt().total_days(false);
    let per_hospital = claims
        .with_columns([lag.alias("lag_days")])
        .filter(col("lag_days").is_not_null())
        .group_by([col("datasource")])
        .agg([
            len().alias("claims"),
            col("lag_days").mean().alias("mean_lag_days"),
            col("lag_days").lt_eq(lit(PROMPT_DAYS)).mean().alias("prompt_share"),
        ])
        .sort(["datasource"], SortMultipleOptions::default());
    // Polars has threads of its own: an asynchronous one would wait for them.
    Ok(blocking(move || Ok(per_hospital.collect()?)).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: custom_kpi LAKE")?;
    let folder = std::path::absolute(folder)?;
    let url = url::Url::from_directory_path(folder).map_err(|()| "the lake is no folder")?;
    let lake = Lake::open(url.as_str())?;
    writeln!(std::io::stdout(), "{}", claim_lag(&lake).await?)?;
    Ok(())
}
