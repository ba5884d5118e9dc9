//! What payers deny.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::{Denied, MONTHS, MONTHS_BACK, Selected, back};
use crate::report::figures::{month, month_and_year, none, percent, short_month};
use crate::report::findings;
use crate::report::series::differ;
use crate::report::view::{Denials, Line, Multiple, Table};

/// Payers with a chart of their own denials.
const MOST_MULTIPLES: usize = 8;

impl Selected<'_> {
    /// The payer whose rate of the last month is up most, if that is more than chance: its name, the rate then and now.
    pub(in crate::report) fn worst_denier(&self) -> Option<(String, f64, f64)> {
        let last = self.maker.last_month();
        let earlier: Vec<NaiveDate> = (1..=MONTHS_BACK as u32).map(|ago| back(last, ago)).collect();
        let moved = self.maker.payers.iter().filter_map(|payer| {
            let months = self.denials_by_month(|row| row.payer == *payer);
            let now = months.get(&last).copied()?;
            let before = earlier
                .iter()
                .filter_map(|month| months.get(month))
                .fold((0, 0), |sum: Denied, month| (sum.0 + month.0, sum.1 + month.1));
            let (then, rate) = (self.rate(before)?, self.rate(now)?);
            (rate > then && differ((now.1, now.0), (before.1, before.0))).then(|| (payer.clone(), then, rate))
        });
        moved.max_by(|one, other| (one.2 - one.1).total_cmp(&(other.2 - other.1)))
    }

    pub(super) fn denials(&self) -> Denials {
        let style = &self.maker.style;
        let last = self.maker.last_month();
        let months: Vec<NaiveDate> = (0..MONTHS).rev().map(|ago| back(last, ago)).collect();
        let hot = self.worst_denier().map(|(payer, ..)| payer);
        let (mut multiples, mut lines) = (Vec::new(), Vec::new());
        let figures_of = |of_months: &BTreeMap<NaiveDate, Denied>| {
            let of = |month: NaiveDate| of_months.get(&month).copied().unwrap_or_default();
            let (now, before) = (of(last), of(back(last, 1)));
            let shown = |rate: Option<f64>| rate.map_or_else(none, |rate| percent(rate, 1));
            vec![style.count(now.0), style.count(now.1), shown(self.rate(now)), shown(self.rate(before))]
        };
        for (at, payer) in self.maker.payers.iter().enumerate() {
            let of_months = self.denials_by_month(|row| row.payer == *payer);
            if of_months.is_empty() {
                continue;
            }
            let values = months.iter().map(|month| of_months.get(month).and_then(|of| self.rate(*of)));
            let values: Vec<Option<f64>> = values.collect();
            let now = of_months.get(&last).copied().unwrap_or_default();
            let is_hot = hot.as_deref() == Some(payer.as_str());
            if multiples.len() < MOST_MULTIPLES && values.iter().any(Option::is_some) {
                multiples.push(Multiple {
                    name: payer.clone(),
                    payer: Some(at),
                    figure: self.rate(now).map_or_else(none, |rate| percent(rate, 1)),
                    of: format!("of {} claims", style.count(now.0).text),
                    is_hot,
                    values,
                });
            }
            lines.push(Line { payer: Some(at), is_hot, ..Line::of(payer.clone(), figures_of(&of_months)) });
        }
        let all = self.denials_by_month(|_| true);
        lines.push(Line { is_total: true, ..Line::of("All payers".to_owned(), figures_of(&all)) });
        let most = multiples.iter().flat_map(|multiple| &multiple.values).flatten().copied().fold(0.05, f64::max);
        Denials {
            finding: findings::denials(*self, all.get(&last).and_then(|of| self.rate(*of))),
            months: months.iter().map(|month| month_and_year(*month)).collect(),
            most,
            multiples,
            table: Table {
                caption: format!("Claims of {}", month(last)),
                of: "by payer".to_owned(),
                headings: [
                    "Payer".to_owned(),
                    "claims".to_owned(),
                    "denied".to_owned(),
                    "rate".to_owned(),
                    format!("in {}", short_month(back(last, 1))),
                ]
                .to_vec(),
                lines,
            },
            source: format!(
                "From kpi_claims, by the month of the claim: claims whose status is denied ÷ all claims. A rate of fewer \
                 than {} claims is not shown.{}",
                self.maker.about.config.materiality.least_for_rate,
                self.late("claims").map_or_else(String::new, |late| format!(" The newest {late}."))
            ),
        }
    }
}
