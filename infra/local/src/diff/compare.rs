//! Compares the rows of two versions of a table, key by key and column by column.

use std::ops::AddAssign;

use polars::prelude::*;
use rcm_platform::StageError;

use crate::output::text_of;

/// Changed rows whose values are shown at most.
const SHOWN: IdxSize = 20;
/// What stands before the name of a column of the later version. No column of the lake has a colon in its name.
const LATER: &str = "later:";
/// Columns that say whether a version has a row.
const IN_EARLIER: &str = "earlier:";
const IN_LATER: &str = LATER;

/// Columns that say when and from where the lake has a row. Their change alone is no change of the row.
const BOOKKEEPING: [&str; 7] =
    ["as_of", "load_id", "inserted_at", "updated_at", "src_modified_at", "row_hash", "bucket"];

/// The columns that are compared.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// What identifies a row.
    pub keys: Vec<PlSmallStr>,
    /// The others that both versions have, with the type that they are compared in.
    pub compared: Vec<(PlSmallStr, DataType)>,
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    /// Rows that changed in bookkeeping alone.
    pub touched: u64,
    /// By column, in the order of the compared ones.
    pub columns: Vec<ColumnCounts>,
}

/// What became of the values of a column, in rows that both versions have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ColumnCounts {
    pub changed: u64,
    pub null_to_value: u64,
    pub value_to_null: u64,
}

/// A changed row, with its values.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChangedRow {
    pub key: String,
    pub columns: Vec<ChangedValue>,
}

/// A value that changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChangedValue {
    pub column: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.removed += other.removed;
        self.changed += other.changed;
        self.touched += other.touched;
        self.columns.resize(self.columns.len().max(other.columns.len()), ColumnCounts::default());
        for (sum, column) in self.columns.iter_mut().zip(other.columns) {
            sum.changed += column.changed;
            sum.null_to_value += column.null_to_value;
            sum.value_to_null += column.value_to_null;
        }
    }
}

/// Whether a column says when and from where the lake has a row.
pub(super) fn is_bookkeeping(column: &str) -> bool {
    BOOKKEEPING.contains(&column)
}

impl Columns {
    fn later(name: &str) -> String {
        format!("{LATER}{name}")
    }

    /// The rows of both versions side by side.
    fn joined(&self, earlier: LazyFrame, later: LazyFrame) -> LazyFrame {
        let keys: Vec<Expr> = self.keys.iter().map(|key| col(key.clone())).collect();
        let of_earlier = self.compared.iter().map(|(name, dtype)| col(name.clone()).cast(dtype.clone()));
        let of_later =
            self.compared.iter().map(|(name, dtype)| col(name.clone()).cast(dtype.clone()).alias(Self::later(name)));
        let earlier = earlier
            .select(keys.iter().cloned().chain(of_earlier).chain([lit(true).alias(IN_EARLIER)]).collect::<Vec<_>>());
        let later =
            later.select(keys.iter().cloned().chain(of_later).chain([lit(true).alias(IN_LATER)]).collect::<Vec<_>>());
        // A key of a KPI may be null: a line of business that no row has.
        let args =
            JoinArgs { nulls_equal: true, coalesce: JoinCoalesce::CoalesceColumns, ..JoinArgs::new(JoinType::Full) };
        earlier.join(later, keys.clone(), keys, args)
    }

    fn differs(name: &str) -> Expr {
        col(PlSmallStr::from_str(name)).neq_missing(col(Self::later(name)))
    }

    fn any_differs(&self, bookkeeping: bool) -> Expr {
        let columns = self.compared.iter().filter(|(name, _)| is_bookkeeping(name) == bookkeeping);
        columns.fold(lit(false), |any, (name, _)| any.or(Self::differs(name)))
    }

    /// Counts what became of the rows.
    ///
    /// # Errors
    /// A column is missing.
    pub(super) fn counts(&self, earlier: LazyFrame, later: LazyFrame) -> Result<Counts, StageError> {
        let count = |condition: Expr, name: String| condition.cast(DataType::Int64).sum().alias(name);
        let mut counted = vec![
            count(col(IN_EARLIER).is_null(), "added".to_owned()),
            count(col(IN_LATER).is_null(), "removed".to_owned()),
            count(in_both().and(self.any_differs(false)), "changed".to_owned()),
            count(in_both().and(self.any_differs(false).not()).and(self.any_differs(true)), "touched".to_owned()),
        ];
        for (index, (name, _)) in self.compared.iter().enumerate() {
            let (earlier, later) = (col(name.clone()), col(Self::later(name)));
            let differs = in_both().and(Self::differs(name));
            counted.extend([
                count(differs.clone(), format!("{index} changed")),
                count(
                    in_both().and(earlier.clone().is_null()).and(later.clone().is_not_null()),
                    format!("{index} to value"),
                ),
                count(in_both().and(earlier.is_not_null()).and(later.is_null()), format!("{index} to null")),
            ]);
        }
        let found = self.joined(earlier, later).select(counted).collect()?;
        let number = |name: &str| -> Result<u64, StageError> {
            Ok(found.column(name)?.i64()?.get(0).unwrap_or(0).unsigned_abs())
        };
        let column = |index: usize| {
            Ok(ColumnCounts {
                changed: number(&format!("{index} changed"))?,
                null_to_value: number(&format!("{index} to value"))?,
                value_to_null: number(&format!("{index} to null"))?,
            })
        };
        Ok(Counts {
            added: number("added")?,
            removed: number("removed")?,
            changed: number("changed")?,
            touched: number("touched")?,
            columns: (0..self.compared.len()).map(column).collect::<Result<_, StageError>>()?,
        })
    }

    /// The first changed rows, with their values.
    ///
    /// # Errors
    /// A column is missing.
    pub(super) fn changed_rows(&self, earlier: LazyFrame, later: LazyFrame) -> Result<Vec<ChangedRow>, StageError> {
        let changed = self.joined(earlier, later).filter(in_both().and(self.any_differs(false)));
        let rows = changed.limit(SHOWN).collect()?;
        let value = |name: &str, row: usize| -> Result<Option<String>, StageError> {
            Ok(text_of(&rows.column(name)?.get(row)?))
        };
        let mut found = Vec::with_capacity(rows.height());
        for row in 0..rows.height() {
            let keys = self.keys.iter().map(|key| Ok(value(key, row)?.unwrap_or_default()));
            let key = keys.collect::<Result<Vec<_>, StageError>>()?.join(", ");
            let mut columns = Vec::new();
            for (name, _) in self.compared.iter().filter(|(name, _)| !is_bookkeeping(name)) {
                let (before, after) = (value(name, row)?, value(&Self::later(name), row)?);
                if before != after {
                    columns.push(ChangedValue { column: name.to_string(), before, after });
                }
            }
            found.push(ChangedRow { key, columns });
        }
        Ok(found)
    }
}

fn in_both() -> Expr {
    col(IN_EARLIER).is_not_null().and(col(IN_LATER).is_not_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        let compared = [("paid", DataType::Int64), ("status", DataType::String), ("load_id", DataType::String)];
        Columns {
            keys: vec!["key".into()],
            compared: compared.into_iter().map(|(name, dtype)| (PlSmallStr::from_static(name), dtype)).collect(),
        }
    }

    fn versions() -> (LazyFrame, LazyFrame) {
        let earlier = df!(
            "key" => [Some("A"), Some("B"), Some("C"), Some("D"), None],
            "paid" => [None, Some(5_i64), Some(7), Some(9), Some(1)],
            "status" => ["open", "open", "open", "open", "open"],
            "load_id" => ["1", "1", "1", "1", "1"],
        );
        let later = df!(
            "key" => [Some("A"), Some("B"), Some("C"), Some("E"), None],
            "paid" => [Some(4_i64), None, Some(7), Some(2), Some(2)],
            "status" => ["paid", "open", "open", "open", "open"],
            "load_id" => ["2", "2", "2", "2", "1"],
        );
        (earlier.unwrap().lazy(), later.unwrap().lazy())
    }

    #[test]
    fn rows_are_counted_by_key_and_values_by_column() {
        let (earlier, later) = versions();
        let counts = columns().counts(earlier, later).unwrap();
        assert_eq!((counts.added, counts.removed, counts.changed, counts.touched), (1, 1, 3, 1));
        let told = counts.columns.iter().map(|column| (column.changed, column.null_to_value, column.value_to_null));
        assert_eq!(told.collect::<Vec<_>>(), [(3, 1, 1), (1, 0, 0), (3, 0, 0)]);
    }

    #[test]
    fn a_version_compared_with_itself_has_no_change() {
        let (earlier, _) = versions();
        let counts = columns().counts(earlier.clone(), earlier).unwrap();
        assert_eq!(counts, Counts { columns: vec![ColumnCounts::default(); 3], ..Counts::default() });
    }

    #[test]
    fn changed_rows_have_the_values_that_changed_and_no_bookkeeping() {
        let (earlier, later) = versions();
        let mut rows = columns().changed_rows(earlier, later).unwrap();
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        let of = |row: &ChangedRow| {
            let columns =
                row.columns.iter().map(|value| (value.column.clone(), value.before.clone(), value.after.clone()));
            (row.key.clone(), columns.collect::<Vec<_>>())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(&rows[1]).0, "A");
        assert_eq!(
            of(&rows[1]).1,
            [("paid".to_owned(), None, some("4")), ("status".to_owned(), some("open"), some("paid"))]
        );
        assert_eq!(of(&rows[2]).1, [("paid".to_owned(), some("5"), None)]);
    }
}
