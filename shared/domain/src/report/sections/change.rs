//! What changed the balance.

use super::Selected;
use crate::money::ratio;
use crate::report::figures::{month, none, percent, short_date};
use crate::report::findings;
use crate::report::view::{Change, Line, Table};

/// Lines of a table of the largest changes.
const MOST_CHANGES: usize = 7;

impl Selected<'_> {
    pub(super) fn change(&self) -> Change {
        let points = self.points();
        let style = &self.maker.style;
        let Some((at, base)) = Self::base(&points) else { return Change::nothing() };
        let (from, end) = (base.end, points[points.len() - 1]);
        let (before, now) = (base.sums.balance, end.sums.balance);
        let later = || points[at + 1..].iter();
        let (billed, paid) = (later().map(|point| point.sums.billed).sum(), later().map(|point| point.sums.paid).sum());
        let changes = self.changes();
        let total = now - before;
        let (least, most) =
            changes.iter().fold((0, 0), |(least, most), (.., change, _)| (least.min(*change), most.max(*change)));
        let width = ((most - least) as f64).max(1.0);
        let zero = -(least as f64) / width * 100.0;
        let mut shown: Vec<usize> = (0..changes.len()).collect();
        shown.sort_by_key(|at| std::cmp::Reverse(changes[*at].2.unsigned_abs()));
        let mut shown: Vec<usize> = shown.into_iter().take(MOST_CHANGES).collect();
        shown.sort_unstable();
        // Parts of a change that is little say nothing.
        let whole = findings::whole_change(*self).unwrap_or(0);
        let share = |change: i128| ratio(change, whole).map_or_else(none, |share| percent(share, 0));
        let culprit = findings::culprit(*self);
        let mut lines: Vec<Line> = (shown.iter())
            .map(|at| {
                let (hospital, payer, change, balance) = &changes[*at];
                let length = change.unsigned_abs() as f64 / width * 100.0;
                let from = if *change < 0 { zero - length } else { zero };
                Line {
                    name: self.part_name(hospital, payer),
                    payer: self.maker.payer(payer),
                    is_hot: culprit
                        .as_ref()
                        .is_some_and(|culprit| culprit.hospital == *hospital && culprit.payer == *payer),
                    is_total: false,
                    cells: vec![style.change(*change), share(*change), style.short(*balance)],
                    bar: Some((from, length, *change > 0)),
                }
            })
            .collect();
        let others: Vec<usize> = (0..changes.len()).filter(|at| !shown.contains(at)).collect();
        if !others.is_empty() {
            let sum = |of: fn(&(String, String, i128, i128)) -> i128| others.iter().map(|at| of(&changes[*at])).sum();
            let (change, balance) = (sum(|part| part.2), sum(|part| part.3));
            let name = format!("{} {}", others.len(), if others.len() == 1 { "other" } else { "others" });
            lines.push(Line::of(name, vec![style.change(change), share(change), style.short(balance)]));
        }
        let all = vec![style.change(total), share(total), style.short(now)];
        lines.push(Line { is_total: true, ..Line::of("Change".to_owned(), all) });
        let parts = if self.is_of_all() { "Payer, hospital" } else { "Payer" };
        Change {
            kicker: format!("What changed since {}", month(from)),
            finding: findings::change(*self),
            equation: vec![
                ("", style.short(before), format!("balance on {}", short_date(from))),
                ("+", style.short(billed), "billed since".to_owned()),
                ("−", style.short(paid), "paid on it".to_owned()),
                ("=", style.short(now), format!("balance on {}", short_date(end.end))),
            ],
            table: Table {
                caption: format!("Change of the balance, {} to {}", short_date(from), short_date(end.end)),
                of: "the largest rises and falls".to_owned(),
                headings: [parts, "change", "of the change", "balance now"].map(str::to_owned).to_vec(),
                lines,
            },
            source: format!(
                "From kpi_ar_trend. All dates are computed from what is known today, so a payment that was posted late \
                 counts at its own date. Overpayments lower no other balance.{}",
                self.late("transactions").map_or_else(String::new, |late| format!(" The newest {late}."))
            ),
        }
    }
}

impl Change {
    /// Without any receivables.
    fn nothing() -> Self {
        Self {
            kicker: "What changed".to_owned(),
            finding: "There are no receivables".to_owned(),
            equation: Vec::new(),
            table: Table { caption: String::new(), of: String::new(), headings: Vec::new(), lines: Vec::new() },
            source: String::new(),
        }
    }
}
