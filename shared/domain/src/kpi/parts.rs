//! KPIs of parts of the rows: each part is summed up by itself, and the sums are put together. So no more than a part of
//! a fact is in memory.
//!
//! The parts of transactions are those of [`Reversals`](super::reversals::Reversals): a charge and the one that takes it
//! back are in one part.

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_model::event::ControlCheck;

use super::{
    GoldTables, Kpi, LeftOut, ar_aging, ar_trend, claims, collection_rate, days_in_ar, days_to_payment, payer_mix,
    provider_department,
};

/// Rows of sums that are put together at once.
const MOST_ROWS: usize = 1_000_000;

/// How a KPI is computed of parts.
#[derive(Debug)]
pub(super) struct Parts {
    /// Columns by which the rows are summed up.
    pub by: &'static [&'static str],
    /// The sums of a part: one row per values of `by`. The other columns add up over parts.
    pub sums: fn(&GoldTables, NaiveDate) -> PolarsResult<DataFrame>,
    /// The KPI's rows of the sums of all parts. Of the gold tables it looks at the dimensions alone.
    pub rows: fn(LazyFrame, &GoldTables, NaiveDate) -> PolarsResult<DataFrame>,
}

const PARTS: [(&Kpi, &Parts); 8] = [
    (&ar_aging::KPI, &ar_aging::PARTS),
    (&ar_trend::KPI, &ar_trend::PARTS),
    (&days_in_ar::KPI, &days_in_ar::PARTS),
    (&collection_rate::KPI, &collection_rate::PARTS),
    (&claims::KPI, &claims::PARTS),
    (&provider_department::KPI, &provider_department::PARTS),
    (&payer_mix::KPI, &payer_mix::PARTS),
    (&days_to_payment::KPI, &days_to_payment::PARTS),
];

/// What parts of the facts say of a KPI.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// Sums of parts, with the columns of [`Parts::by`].
    frames: Vec<DataFrame>,
    /// Most rows of `frames` before they are put together.
    most: usize,
    /// What [`Kpi::adds_up`] must be, in cents.
    straight: Vec<i128>,
    pub left_out: LeftOut,
}

impl Sums {
    /// The sums that [`Sums::frame`], [`Sums::straight`] and `left_out` of others are.
    #[must_use]
    pub fn new(frame: DataFrame, straight: Vec<i128>, left_out: LeftOut) -> Self {
        Self { frames: vec![frame], most: MOST_ROWS, straight, left_out }
    }

    /// The sums of one part; none if they are of several.
    #[must_use]
    pub fn frame(&self) -> Option<&DataFrame> {
        if let [frame] = &self.frames[..] { Some(frame) } else { None }
    }

    /// What [`Kpi::adds_up`] must be, in cents, straight from the facts.
    #[must_use]
    pub fn straight(&self) -> &[i128] {
        &self.straight
    }
}

impl Kpi {
    fn parts(&self) -> PolarsResult<&'static Parts> {
        let parts = PARTS.iter().find(|(kpi, _)| kpi.table == self.table);
        parts.map(|(_, parts)| *parts).ok_or_else(|| polars_err!(ComputeError: "{} has no parts", self.table))
    }

    fn sum_leaving(&self, gold: &GoldTables, as_of: NaiveDate, left_out: LeftOut) -> PolarsResult<Sums> {
        let sums = (self.parts()?.sums)(gold, as_of)?;
        Ok(Sums::new(sums, self.straight(gold, as_of)?, left_out))
    }

    /// Adds the sums of another part.
    ///
    /// # Errors
    /// The sums are of another KPI.
    pub fn add(&self, mut sums: Sums, mut more: Sums) -> PolarsResult<Sums> {
        sums.frames.append(&mut more.frames);
        for (sum, cents) in sums.straight.iter_mut().zip(more.straight) {
            *sum += cents;
        }
        sums.left_out = LeftOut {
            undated: sums.left_out.undated + more.left_out.undated,
            after: sums.left_out.after + more.left_out.after,
            amount_after: sums.left_out.amount_after + more.left_out.amount_after,
        };
        if sums.frames.iter().map(DataFrame::height).sum::<usize>() > sums.most {
            let merged = merged(sums.frames, self.parts()?.by)?;
            sums.most = MOST_ROWS.max(2 * merged.height());
            sums.frames = vec![merged];
        }
        Ok(sums)
    }

    /// Returns the rows of the KPI, and their control checks, of the sums of all parts. Of the gold tables it looks at the
    /// dimensions alone.
    ///
    /// # Errors
    /// The sums are of another KPI, or a dimension lacks a column.
    pub fn rows(
        &self,
        path: &str,
        sums: Sums,
        gold: &GoldTables,
        as_of: NaiveDate,
    ) -> PolarsResult<(DataFrame, Vec<ControlCheck>)> {
        let parts = self.parts()?;
        let rows = (parts.rows)(merged(sums.frames, parts.by)?.lazy(), gold, as_of)?;
        let checks = self.check_sums(path, &rows, &sums.straight)?;
        Ok((rows, checks))
    }
}

/// Sums up a part of the facts for some KPIs, in their order.
///
/// # Errors
/// The facts lack a column.
pub fn sum_all(kpis: &[&Kpi], gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<Vec<Sums>> {
    let mut known: Vec<((&str, &str), LeftOut)> = Vec::new();
    let mut all = Vec::with_capacity(kpis.len());
    for kpi in kpis {
        // KPIs of one date leave out the same rows.
        let left_out = match known.iter().find(|(dated_by, _)| *dated_by == kpi.dated_by) {
            Some((_, left_out)) => *left_out,
            None => kpi.left_out(gold, as_of)?,
        };
        known.push((kpi.dated_by, left_out));
        all.push(kpi.sum_leaving(gold, as_of, left_out)?);
    }
    Ok(all)
}

/// The sums of parts put together.
fn merged(mut parts: Vec<DataFrame>, by: &[&str]) -> PolarsResult<DataFrame> {
    if parts.len() == 1
        && let Some(one) = parts.pop()
    {
        return Ok(one);
    }
    let frames: Vec<LazyFrame> = parts.into_iter().map(DataFrame::lazy).collect();
    let rows = concat(frames, UnionArgs::default())?.collect()?;
    let sums = rows.schema().iter_names().filter(|name| !by.contains(&name.as_str()));
    let sums: Vec<Expr> = sums.map(|name| col(name.clone()).sum()).collect();
    super::measure::sums_by(rows.lazy(), by, sums)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, as_of, tables, transactions};
    use super::super::{CLAIM_COLUMNS, KPIS, TRANSACTION_COLUMNS, reversals::Reversals};
    use super::*;
    use crate::gold::control;

    /// Charges of some days and amounts, some of them paid, some that take back others.
    fn sample() -> Vec<Sample<'static>> {
        let days = ["2024-03-01", "2024-08-09", "2024-10-01", "2024-11-09"];
        let of = |number: usize| {
            let amount = [100, -100, 70, 55, -70][number * 7 % 5];
            let paid =
                [Some((40, "2024-10-05")), None, Some((120, "2024-02-01")), Some((0, "2024-09-01"))][number * 5 % 4];
            (days[number * 3 % 4], amount, paid)
        };
        (0..40).map(of).collect()
    }

    fn rows(gold: &GoldTables) -> DataFrame {
        gold.transactions.clone().select(TRANSACTION_COLUMNS.map(col)).collect().unwrap()
    }

    #[test]
    fn parts_put_together_are_the_whole() {
        let whole = transactions(&sample());
        let all = rows(&whole);
        let mut reversals = Reversals::default();
        reversals.add(&all).unwrap();
        let (mut parts, mut apart) = (Vec::new(), None::<DataFrame>);
        for part in 0..4 {
            let (alone, paired) = reversals.split(&all.slice(part * 10, 10)).unwrap();
            assert!(alone.height() > 0);
            parts.push(alone);
            apart = Some(apart.map_or(paired.clone(), |before| before.vstack(&paired).unwrap()));
        }
        parts.push(apart.unwrap());
        assert!(parts[4].height() > 0 && parts.iter().map(DataFrame::height).sum::<usize>() == 40);
        for kpi in KPIS.iter().filter(|kpi| kpi.inputs.contains(&"fact_transactions")) {
            let mut sums = None;
            for part in &parts {
                let gold = tables(part.clone(), DataFrame::empty());
                let of_part = sum_all(&[*kpi], &gold, as_of()).unwrap().remove(0);
                sums = Some(match sums {
                    None => of_part,
                    Some(sums) => kpi.add(sums, of_part).unwrap(),
                });
            }
            let sums = sums.unwrap();
            assert_eq!(sums.left_out, kpi.left_out(&whole, as_of()).unwrap(), "{}", kpi.table);
            let (rows, checks) = kpi.rows(kpi.table, sums, &whole, as_of()).unwrap();
            assert_eq!(control::failures(&checks), None);
            assert!(rows.equals_missing(&(kpi.compute)(&whole, as_of()).unwrap()), "{}", kpi.table);
        }
    }

    #[test]
    fn every_kpi_is_computed_of_parts_also_of_none() {
        let none = tables(DataFrame::empty(), DataFrame::empty());
        assert!(none.claims.clone().select(CLAIM_COLUMNS.map(col)).collect().is_ok());
        for kpi in KPIS {
            let sums = || sum_all(&[kpi], &none, as_of()).unwrap().remove(0);
            let sums = kpi.add(sums(), sums()).unwrap();
            let (rows, checks) = kpi.rows(kpi.table, sums, &none, as_of()).unwrap();
            assert_eq!((rows.height(), control::failures(&checks)), (0, None), "{}", kpi.table);
        }
    }
}
