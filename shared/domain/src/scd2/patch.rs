//! What a plan says, carried out on rows.

use std::collections::{BTreeMap, HashMap};

use polars::prelude::*;

use super::columns::Counts;
use super::plan::Plan;

/// Sets columns of stored rows: each of `patches` has the surrogate key, and the columns that it sets in the rows with
/// these keys. Columns that `rows` lacks are left out.
///
/// # Errors
/// `rows` or a patch has no surrogate key, or a column has another type in a patch than in the rows.
pub fn patched(rows: &DataFrame, surrogate: &str, patches: &[DataFrame]) -> PolarsResult<DataFrame> {
    let mut rows = rows.clone();
    let keys = rows.column(surrogate)?.i64()?.clone();
    for patch in patches {
        let set = patch.column(surrogate)?.i64()?;
        let places: HashMap<i64, IdxSize> = set.iter().flatten().zip(0..).collect();
        let height = rows.height() as IdxSize;
        let mut hits = 0;
        let taken: Vec<IdxSize> = keys
            .iter()
            .zip(0..)
            .map(|(key, row)| match key.and_then(|key| places.get(&key)) {
                Some(place) => {
                    hits += 1;
                    height + place
                }
                None => row,
            })
            .collect();
        if hits == 0 {
            continue;
        }
        let taken = IdxCa::from_vec("row".into(), taken);
        for column in patch.columns().iter().filter(|column| column.name() != surrogate) {
            let Ok(stored) = rows.column(column.name()) else { continue };
            let mut both = stored.as_materialized_series().clone();
            both.append(column.as_materialized_series())?;
            let both = both.rechunk().take(&taken)?;
            rows.with_column(both.into_column())?;
        }
    }
    Ok(rows)
}

impl Plan {
    /// Whether it leaves all rows as they are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.height() == 0 && self.patches.is_empty() && self.remove.height() == 0
    }

    /// A plan that removes stored versions and adds others. `add` has the columns of the silver schema, `remove` the
    /// surrogate key.
    #[must_use]
    pub fn replacing(add: DataFrame, remove: DataFrame) -> Self {
        Self {
            add,
            patches: Vec::new(),
            remove,
            outcomes: Counts::new(),
            deleted: BTreeMap::new(),
            warnings: Counts::new(),
            holdings: Vec::new(),
        }
    }

    /// What it changes of stored rows, without the new versions.
    #[must_use]
    pub fn without_new(&self) -> Self {
        Self { patches: self.patches.clone(), ..Self::replacing(self.add.clear(), self.remove.clone()) }
    }

    /// The stored rows after the plan: `rows` are stored ones with all columns of the silver schema, or as many of
    /// them as a caller looks at.
    ///
    /// # Errors
    /// A frame lacks a column.
    pub fn applied_to(&self, rows: &DataFrame, surrogate: &str) -> PolarsResult<DataFrame> {
        let kept = self.kept(rows, surrogate)?;
        kept.vstack(&self.add.select(kept.get_column_names_owned())?)
    }

    /// Those of the stored rows that stay, as they are after the plan.
    ///
    /// # Errors
    /// A frame lacks a column.
    pub fn kept(&self, rows: &DataFrame, surrogate: &str) -> PolarsResult<DataFrame> {
        let rows = patched(rows, surrogate, &self.patches)?;
        if self.remove.height() == 0 {
            return Ok(rows);
        }
        let key = || [col(surrogate)];
        rows.lazy().join(self.remove.clone().lazy(), key(), key(), JoinArgs::new(JoinType::Anti)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sets_its_columns_in_the_rows_it_names_and_leaves_the_others() {
        let rows = df!("sk" => [1_i64, 2, 3], "to" => [None, None, Some(9_i64)], "name" => ["a", "b", "c"]).unwrap();
        let ends = df!("sk" => [3_i64, 1], "to" => [Some(5_i64), None], "absent" => [true, true]).unwrap();
        let names = df!("sk" => [2_i64, 7], "name" => ["x", "y"]).unwrap();
        let expected =
            df!("sk" => [1_i64, 2, 3], "to" => [None, None, Some(5_i64)], "name" => ["a", "x", "c"]).unwrap();
        assert!(patched(&rows, "sk", &[ends, names]).unwrap().equals_missing(&expected));
    }
}
