//! The metrics of KPIs.

use polars::prelude::*;
use rcm_domain::kpi::Kpi;
use rcm_model::event::Metric;

/// Returns the metrics of one date's rows, per datasource; none of a null, such as a ratio without a denominator.
///
/// # Errors
/// The rows lack a column that a metric is taken from.
pub(crate) fn of(kpi: &Kpi, rows: &DataFrame) -> PolarsResult<Vec<Metric>> {
    let mut metrics = Vec::new();
    for metric in kpi.metrics {
        let values = rows.column(metric.column)?.cast(&DataType::Float64)?;
        for (datasource, value) in rows.column("datasource")?.str()?.iter().zip(values.f64()?.iter()) {
            let (Some(datasource), Some(value)) = (datasource, value) else { continue };
            let (name, entity) = (metric.name.to_owned(), datasource.to_owned());
            metrics.push(Metric { name, entity, value: value * metric.factor });
        }
    }
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use rcm_domain::kpi::{KPIS, days_in_ar, payer_mix};
    use rcm_platform::telemetry::metrics::{AR_BALANCE, AR_OVER_90_PERCENT, DAYS_IN_AR};

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
