//! How old the balance is.

use super::{OLD_FROM, Selected};
use crate::kpi::ar_aging::BUCKETS;
use crate::money::ratio;
use crate::report::facts::AgeRow;
use crate::report::figures::{self, percent};
use crate::report::findings;
use crate::report::view::{Age, Line, Stack, Table};

impl Selected<'_> {
    pub(super) fn age(&self) -> Age {
        let style = &self.maker.style;
        let rows = || self.maker.facts.ages.iter().filter(|row| self.is_wanted(&row.datasource));
        let sums = |wanted: &dyn Fn(&AgeRow) -> bool| {
            let mut sums = [0_i128; BUCKETS.len()];
            for row in rows().filter(|row| wanted(row)) {
                sums[row.bucket.min(BUCKETS.len() - 1)] += row.balance;
            }
            sums
        };
        let all = sums(&|_| true);
        let stack = |name: String, is_total: bool, sums: [i128; BUCKETS.len()]| {
            let total: i128 = sums.iter().sum();
            let over = sums[OLD_FROM..].iter().sum();
            let share = |sum: i128| ratio(sum, total).unwrap_or(0.0);
            Stack {
                name,
                is_total,
                shares: sums.iter().map(|sum| (share(*sum), style.full(*sum))).collect(),
                total: style.short(total),
                over_90: ratio(over, total)
                    .map_or_else(String::new, |share| format!("{} over 90", percent(share, 0).whole())),
            }
        };
        let mut stacks = vec![stack("All".to_owned(), true, all)];
        if self.is_of_all() {
            let hospitals = self.hospitals();
            stacks.extend(hospitals.iter().map(|hospital| {
                stack(self.maker.hospital_name(hospital), false, sums(&|row| row.datasource == *hospital))
            }));
        } else {
            let payers = self.maker.payers.iter();
            let of_payers = payers.map(|payer| stack(payer.clone(), false, sums(&|row| row.payer == *payer)));
            stacks.extend(of_payers.filter(|stack| stack.total.value.as_deref() != Some("0.00")));
        }
        let cells = |sums: [i128; BUCKETS.len()]| {
            let total: i128 = sums.iter().sum();
            sums.iter().chain([&total]).map(|sum| style.short(*sum)).collect::<Vec<_>>()
        };
        let mut lines = Vec::new();
        for (at, payer) in self.maker.payers.iter().enumerate() {
            let of_payer = sums(&|row| row.payer == *payer);
            if of_payer.iter().any(|sum| *sum != 0) {
                lines.push(Line { payer: Some(at), ..Line::of(payer.clone(), cells(of_payer)) });
            }
        }
        lines.push(Line { is_total: true, ..Line::of("All payers".to_owned(), cells(all)) });
        let headings = ["Payer"].into_iter().chain(BUCKETS.iter().map(|(name, _)| *name)).chain(["all"]);
        let (finding, lede) = findings::age(*self, all);
        let open: u64 = rows().map(|row| row.open).sum();
        Age {
            finding,
            lede,
            stacks,
            table: Table {
                caption: "Balance".to_owned(),
                of: "by payer and days since the service".to_owned(),
                headings: headings.map(|heading| heading.replace('-', "–")).collect(),
                lines,
            },
            source: format!(
                "From kpi_ar_aging: {} open transactions served up to {}.",
                style.count(open).text,
                figures::long_date(self.maker.about.as_of)
            ),
        }
    }
}
