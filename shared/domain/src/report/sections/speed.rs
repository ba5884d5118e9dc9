//! How long payments take, and how much there is.

use chrono::{Datelike, Days as DaysOf, NaiveDate};

use super::{Selected, back, first_of};
use crate::report::figures::{Figure, month, month_and_year, none};
use crate::report::findings;
use crate::report::view::{Line, Range, Speed, Table};

/// Days that a wait of a tenth of the payments may have before a service month counts as paid.
const SETTLED_DAYS: u64 = 90;
/// Hospitals whose waits are shown beside each other, the largest.
const MOST_WAITS: usize = 5;

impl Selected<'_> {
    /// The last month of service whose payments have mostly come.
    fn settled_month(&self) -> NaiveDate {
        let ago = self.maker.about.as_of.checked_sub_days(DaysOf::new(SETTLED_DAYS)).unwrap_or_default();
        back(first_of(ago), 1)
    }

    pub(super) fn speed(&self) -> Speed {
        let style = &self.maker.style;
        let settled = self.settled_month();
        let least = self.maker.about.config.materiality.least_for_rate;
        let rows =
            || self.maker.facts.waits.iter().filter(|row| row.month == settled && self.is_wanted(&row.datasource));
        let hospitals = self.hospitals();
        let shown = &hospitals[..hospitals.len().min(MOST_WAITS)];
        let others = if shown.len() < hospitals.len() {
            format!(" The {MOST_WAITS} largest hospitals are shown; the others are in the table of gold.")
        } else {
            String::new()
        };
        let mut ranges = Vec::new();
        for (at, payer) in self.maker.payers.iter().enumerate() {
            for row in rows().filter(|row| row.payer == *payer && shown.contains(&row.datasource.as_str())) {
                let known = row.median.zip(row.p90).filter(|_| row.payments >= least);
                let figure = known.map_or_else(none, |(median, p90)| Figure {
                    text: format!("{median:.0} · {p90:.0}"),
                    unit: "days".to_owned(),
                    value: Some(format!("{median:.4} {p90:.4}")),
                });
                ranges.push(Range {
                    name: self.part_name(&row.datasource, payer),
                    said: self.part_said(&row.datasource, payer),
                    payer: Some(at),
                    days: known,
                    figure,
                });
            }
        }
        let most = ranges.iter().filter_map(|range| range.days).map(|(_, p90)| p90).fold(30.0, f64::max);
        let month_of_report = self.maker.last_month();
        let months: Vec<NaiveDate> = (0..6).rev().map(|ago| back(month_of_report, ago)).collect();
        let claims = |month: NaiveDate| -> (u64, i128) {
            let of_month = self.maker.facts.claims.iter().filter(|row| row.month == month);
            let wanted = of_month.filter(|row| self.is_wanted(&row.datasource));
            wanted.fold((0, 0), |sum, row| (sum.0 + row.claims, sum.1 + row.amount))
        };
        let transactions = |month: NaiveDate| -> (u64, i128) {
            let of_month = self.maker.facts.volumes.iter().filter(|row| row.month == month);
            let wanted = of_month.filter(|row| self.is_wanted(&row.datasource));
            wanted.fold((0, 0), |sum, row| (sum.0 + row.transactions, sum.1 + row.amount))
        };
        let line = |month: NaiveDate| {
            let (of_transactions, of_claims) = (transactions(month), claims(month));
            let cells = vec![
                style.count(of_transactions.0),
                style.short(of_transactions.1),
                style.count(of_claims.0),
                style.short(of_claims.1),
            ];
            Line::of(month_and_year(month), cells)
        };
        Speed {
            finding: findings::speed(&ranges, settled),
            of: format!("payments for services of {} {}, half and nine tenths of them", month(settled), settled.year()),
            most,
            ranges,
            table: Table {
                caption: "What was billed".to_owned(),
                of: "by month of service, and of the claim".to_owned(),
                headings: ["Month", "transactions", "amount", "claims", "claimed"].map(str::to_owned).to_vec(),
                lines: months.into_iter().map(line).collect(),
            },
            source: format!(
                "From kpi_days_to_payment, kpi_payer_mix and kpi_claims. Days from service to payment of a month that \
                 ended 90 days ago or more, so that most of its payments have come; none is shown for fewer than {least}.{others}"
            ),
        }
    }
}
