//! How much is collected.

use std::collections::BTreeSet;

use super::Selected;
use crate::money::ratio;
use crate::report::facts::CollectionRow;
use crate::report::figures::{none, percent};
use crate::report::findings;
use crate::report::view::{Bullet, Collection, Line, Table};

impl Selected<'_> {
    pub(super) fn collection(&self) -> Collection {
        let style = &self.maker.style;
        let rows = || self.maker.facts.collection.iter().filter(|row| self.is_wanted(&row.datasource));
        let horizons: BTreeSet<i32> = rows().map(|row| row.horizon).collect();
        let target = self.maker.about.config.targets.collected_in_90_days;
        let sum = |horizon: i32, of: fn(&CollectionRow) -> i128, hospital: Option<&str>| -> i128 {
            let wanted = rows().filter(|row| row.horizon == horizon);
            wanted.filter(|row| hospital.is_none_or(|hospital| row.datasource == hospital)).map(of).sum()
        };
        let share = |horizon: i32, hospital: Option<&str>| {
            ratio(sum(horizon, |row| row.paid_within, hospital), sum(horizon, |row| row.amount, hospital))
        };
        let bullet = |horizon: i32| {
            let found = share(horizon, None);
            let hospitals = if self.is_of_all() { self.hospitals() } else { Vec::new() };
            let dots = hospitals
                .into_iter()
                .filter_map(|hospital| Some((self.maker.hospital_name(hospital), share(horizon, Some(hospital))?)));
            Bullet {
                name: format!("Within {horizon} days"),
                of: format!(
                    "{} of {}",
                    style.short(sum(horizon, |row| row.paid_within, None)).whole(),
                    style.short(sum(horizon, |row| row.amount, None)).whole()
                ),
                share: found,
                figure: found.map_or_else(none, |share| percent(share, 1)),
                target: target.filter(|_| horizon == 90),
                dots: dots.collect(),
            }
        };
        let benchmark = |horizon: i32| {
            crate::kpi::collection_rate::HORIZONS.iter().find(|(known, _)| *known == horizon).map(|(_, rate)| *rate)
        };
        let line = |horizon: i32| {
            let (open, later) = (sum(horizon, |row| row.balance_at, None), sum(horizon, |row| row.paid_after, None));
            let shown = |share: Option<f64>| share.map_or_else(none, |share| percent(share, 1));
            let cells =
                vec![style.short(open), style.short(later), shown(ratio(later, open)), shown(benchmark(horizon))];
            Line::of(format!("{horizon} days"), cells)
        };
        let before: u64 = rows().filter(|row| row.horizon == 90).map(|row| row.paid_before_service).sum();
        let over: i128 = rows().filter(|row| row.horizon == 90).map(|row| row.overpaid).sum();
        Collection {
            finding: findings::collection(share(90, None)),
            bullets: horizons.iter().map(|horizon| bullet(*horizon)).collect(),
            table: Table {
                caption: "What is still collected of a balance that has aged".to_owned(),
                of: "beside what is usual".to_owned(),
                headings: ["Open after", "balance then", "paid later", "share", "usual"].map(str::to_owned).to_vec(),
                lines: horizons.iter().map(|horizon| line(*horizon)).collect(),
            },
            source: format!(
                "From kpi_collection_rate, over services up to that many days before the date. {} payments dated before \
                 their service are left out; {} were paid beyond what was billed.",
                style.count(before).text,
                style.short(over).whole()
            ),
        }
    }
}
