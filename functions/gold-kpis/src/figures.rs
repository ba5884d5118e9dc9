//! What of the KPIs is told as metrics.

use polars::prelude::*;
use rcm_domain::kpi::{Kpi, days_in_ar};
use rcm_model::event::Figure;
use rcm_platform::telemetry::metrics::{AR_BALANCE, AR_OVER_90_PERCENT, DAYS_IN_AR};

/// Metrics, the columns of `kpi_days_in_ar` that they are taken from, and what those are multiplied by.
const FIGURES: [(&str, &str, f64); 3] =
    [(DAYS_IN_AR, "days_in_ar", 1.0), (AR_BALANCE, "balance", 1.0), (AR_OVER_90_PERCENT, "share_over_90_days", 100.0)];

/// The figures of one date's rows, per datasource; none of a KPI that is no metric, and none where a
/// ratio has no denominator.
pub(crate) fn of(kpi: &Kpi, rows: &DataFrame) -> PolarsResult<Vec<Figure>> {
    let mut figures = Vec::new();
    if kpi.table != days_in_ar::KPI.table {
        return Ok(figures);
    }
    let datasources = rows.column("datasource")?.str()?;
    for (name, column, factor) in FIGURES {
        let values = rows.column(column)?.cast(&DataType::Float64)?;
        for (datasource, value) in datasources.iter().zip(values.f64()?.iter()) {
            let (Some(datasource), Some(value)) = (datasource, value) else { continue };
            figures.push(Figure { name: name.to_owned(), entity: datasource.to_owned(), value: value * factor });
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use rcm_domain::kpi::{KPIS, payer_mix};

    use super::*;

    #[test]
    fn a_datasource_has_its_days_its_balance_and_its_share_of_old() {
        let rows = df!(
            "datasource" => ["hos-a", "hos-b"],
            "days_in_ar" => [Some(125.5), None],
            "balance" => [100.25, 0.0],
            "share_over_90_days" => [Some(0.25), None],
        )
        .unwrap();
        let figures = of(&days_in_ar::KPI, &rows).unwrap();
        let told: Vec<_> = figures.iter().map(|f| (f.name.as_str(), f.entity.as_str(), f.value)).collect();
        let expected = [
            (DAYS_IN_AR, "hos-a", 125.5),
            (AR_BALANCE, "hos-a", 100.25),
            (AR_BALANCE, "hos-b", 0.0),
            (AR_OVER_90_PERCENT, "hos-a", 25.0),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn other_kpis_are_no_metrics() {
        let other = KPIS.iter().find(|kpi| kpi.table == payer_mix::KPI.table).unwrap();
        assert_eq!(of(other, &DataFrame::empty()).unwrap(), []);
    }
}
