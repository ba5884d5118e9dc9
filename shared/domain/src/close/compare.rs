//! The rows that a closing has kept, held against those of today.

use std::collections::HashSet;

use chrono::NaiveDate;
use polars::prelude::*;

use super::charge::Charge;
use super::figures::{ByDatasource, Totals};
use super::replay::{Changes, Grouped, Origin, alone, replay, steps};
use super::rows::Rows;

/// What is known of a closing beside its rows.
#[derive(Debug, Clone)]
pub struct Closing {
    pub month_end: NaiveDate,
    /// Loads that had brought rows by then.
    pub loads: HashSet<String>,
    /// Groups in which charges take back others, at the closing or today.
    pub reversals: HashSet<i64>,
}

/// The rows that a closing kept of a bucket, and those of today, matched by their keys. Both are of
/// [`rows_of`](super::rows_of).
pub struct Matched {
    then: Rows,
    now: Rows,
    /// The kept row of each row of today.
    before: Vec<Option<usize>>,
    /// Kept rows without one of today.
    gone: Vec<usize>,
}

impl Matched {
    /// Matches the rows of a bucket.
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn of(then: &DataFrame, now: &DataFrame) -> PolarsResult<Self> {
        let (then, now) = (Rows::of(then)?, Rows::of(now)?);
        let mut kept: PlHashMap<&str, usize> = (0..then.len()).map(|row| (then.key(row), row)).collect();
        let before = (0..now.len()).map(|row| kept.remove(now.key(row))).collect();
        let mut gone: Vec<usize> = kept.into_values().collect();
        gone.sort_unstable();
        Ok(Self { then, now, before, gone })
    }

    /// The keys that have no row today.
    #[must_use]
    pub fn gone(&self) -> Vec<String> {
        self.gone.iter().map(|row| self.then.key(*row).to_owned()).collect()
    }
}

/// What has changed since a closing, of some buckets.
#[derive(Debug, Clone)]
pub struct Comparison {
    day: i32,
    then: Totals,
    now: Totals,
    /// Of charges that no other takes back.
    changes: Changes,
    grouped: Vec<Grouped>,
}

/// The figures of a closing today, and what has changed them.
#[derive(Debug, Clone)]
pub struct Compared {
    /// The figures of the rows that were kept.
    pub then: ByDatasource,
    pub now: ByDatasource,
    pub changes: Changes,
}

impl Comparison {
    /// No rows of a month's end.
    #[must_use]
    pub fn none(month_end: NaiveDate) -> Self {
        let totals = Totals::none(month_end);
        let day = month_end.to_epoch_days();
        Self { day, then: totals.clone(), now: totals, changes: Changes::new(), grouped: Vec::new() }
    }

    /// Holds the rows that a closing kept of a bucket against those of today. `deleted` are those of [`Matched::gone`]
    /// that the source deleted.
    #[must_use]
    pub fn of(closing: &Closing, rows: &Matched, deleted: &HashSet<String>) -> Self {
        let mut comparison = Self::none(closing.month_end);
        let Matched { then, now, before, gone } = rows;
        for (row, before) in before.iter().enumerate() {
            let before = before.map(|before| then.charge(before));
            let origin = Origin { is_known_load: closing.loads.contains(now.load(row)), is_deleted: false };
            comparison.add(closing, (now, row), [before, Some(now.charge(row))], origin);
        }
        for row in gone {
            let origin = Origin { is_known_load: true, is_deleted: deleted.contains(then.key(*row)) };
            comparison.add(closing, (then, *row), [Some(then.charge(*row)), None], origin);
        }
        comparison
    }

    /// Adds a key with its last row, and what it said at the closing and says today.
    fn add(
        &mut self,
        closing: &Closing,
        (rows, row): (&Rows, usize),
        [then, now]: [Option<Charge>; 2],
        origin: Origin,
    ) {
        let (key, datasource) = (rows.key(row), rows.datasource(row));
        let mut charges = [then, now].into_iter().flatten();
        let may_be_paired = charges.any(|charge| closing.reversals.contains(&charge.group));
        for (totals, charge) in [(&mut self.then, then), (&mut self.now, now)] {
            if let Some(charge) = charge {
                totals.add(key, datasource, charge, may_be_paired);
            }
        }
        let steps = if then == now { Vec::new() } else { steps(then, now, origin) };
        if may_be_paired {
            let (key, datasource, load_id) = (key.to_owned(), datasource.to_owned(), rows.load(row).to_owned());
            self.grouped.push(Grouped { key, datasource, load_id, then, steps });
            return;
        }
        for (part, change) in alone(then, &steps, self.day) {
            *self.changes.entry((datasource.to_owned(), part, rows.load(row).to_owned())).or_default() += change;
        }
    }

    /// What has changed in both.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        for (what, change) in more.changes {
            *self.changes.entry(what).or_default() += change;
        }
        self.grouped.extend(more.grouped);
        Self { then: self.then.and(more.then), now: self.now.and(more.now), ..self }
    }

    /// What has changed in all buckets.
    #[must_use]
    pub fn finish(self) -> Compared {
        let mut changes = self.changes;
        replay(&self.grouped, self.day, &mut changes);
        Compared { then: self.then.figures(), now: self.now.figures(), changes }
    }
}
