//! Evaluates a `SELECT` on the rows of a table.

use std::cmp::Ordering;

use super::{Comparison, Condition, Item, Operand, Select, What};
use crate::tokens::SqlError;
use crate::types::{Column, Type};
use crate::value::{Row, Value};

type Result<T> = std::result::Result<T, SqlError>;

/// Result of a `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

/// Evaluates a `SELECT` on the rows of its table.
pub(crate) fn select(select: &Select, columns: &[Column], rows: &[Row], parameters: &[Value]) -> Result<Selection> {
    let scope = Scope { columns, parameters };
    let mut found: Vec<&Row> = Vec::new();
    for row in rows {
        if select.condition.as_ref().map_or(Ok(Some(true)), |condition| scope.holds(condition, row))? == Some(true) {
            found.push(row);
        }
    }
    if let Some(column) = &select.order_by {
        let index = scope.index(column)?;
        found.sort_by(|one, other| nulls_first(&one[index], &other[index]));
    }
    if let (Some(offset), Some(fetch)) = (&select.offset, &select.fetch) {
        let (offset, fetch) = (scope.count(offset)?, scope.count(fetch)?);
        found = found.into_iter().skip(offset).take(fetch).collect();
    }
    if let Some(top) = select.top {
        found.truncate(top as usize);
    }
    if select.items.is_empty() {
        return Ok(Selection { columns: columns.to_vec(), rows: found.into_iter().cloned().collect() });
    }
    let answer_columns = select.items.iter().map(|item| scope.column(item)).collect::<Result<Vec<Column>>>()?;
    let is_aggregate = select.items.iter().any(|item| matches!(item.what, What::Max(_) | What::Count));
    let rows = if is_aggregate {
        vec![select.items.iter().map(|item| scope.aggregate(item, &found)).collect::<Result<Row>>()?]
    } else {
        found.into_iter().map(|row| scope.project(&select.items, row)).collect::<Result<Vec<Row>>>()?
    };
    Ok(Selection { columns: answer_columns, rows })
}

struct Scope<'a> {
    columns: &'a [Column],
    parameters: &'a [Value],
}

impl Scope<'_> {
    fn index(&self, name: &str) -> Result<usize> {
        let found = self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| SqlError::new(207, 16, &format!("Invalid column name '{name}'.")))
    }

    fn column(&self, item: &Item) -> Result<Column> {
        let kind = match &item.what {
            What::Column(name) => return Ok(self.columns[self.index(name)?].clone()),
            What::Cast(_, kind) => *kind,
            What::Max(name) => self.columns[self.index(name)?].kind,
            What::Count => Type::BigInt,
        };
        Ok(Column::new(&item.name, kind))
    }

    fn project(&self, items: &[Item], row: &Row) -> Result<Row> {
        let value = |item: &Item| match &item.what {
            What::Cast(name, kind) => Ok(cast(&row[self.index(name)?], *kind)),
            What::Column(name) | What::Max(name) => Ok(row[self.index(name)?].clone()),
            What::Count => Ok(Value::Null),
        };
        items.iter().map(value).collect()
    }

    fn aggregate(&self, item: &Item, rows: &[&Row]) -> Result<Value> {
        match &item.what {
            What::Count => Ok(Value::Int(rows.len() as i64)),
            What::Max(name) => {
                let index = self.index(name)?;
                let values = rows.iter().map(|row| &row[index]);
                Ok(values.max_by(|one, other| nulls_first(one, other)).cloned().unwrap_or(Value::Null))
            }
            What::Column(name) | What::Cast(name, _) => {
                Err(SqlError::new(8120, 16, &format!("Column '{name}' is not contained in an aggregate function.")))
            }
        }
    }

    /// Returns whether a condition holds, in three-valued logic: `None` is unknown.
    fn holds(&self, condition: &Condition, row: &Row) -> Result<Option<bool>> {
        Ok(match condition {
            Condition::And(one, other) => match (self.holds(one, row)?, self.holds(other, row)?) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Condition::Or(one, other) => match (self.holds(one, row)?, self.holds(other, row)?) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Condition::IsNull(operand) => Some(self.value(operand, row)? == Value::Null),
            Condition::IsNotNull(operand) => Some(self.value(operand, row)? != Value::Null),
            Condition::Compare(left, comparison, right) => {
                let (left, right) = (self.value(left, row)?, self.value(right, row)?);
                if left == Value::Null || right == Value::Null {
                    return Ok(None);
                }
                let ordering = left.compare(&right).ok_or_else(|| SqlError::new(206, 16, "Operand type clash."))?;
                Some(match comparison {
                    Comparison::Equal => ordering.is_eq(),
                    Comparison::Less => ordering.is_lt(),
                    Comparison::LessOrEqual => ordering.is_le(),
                    Comparison::Greater => ordering.is_gt(),
                    Comparison::GreaterOrEqual => ordering.is_ge(),
                })
            }
        })
    }

    fn value(&self, operand: &Operand, row: &Row) -> Result<Value> {
        match operand {
            Operand::Column(name) => Ok(row[self.index(name)?].clone()),
            Operand::Number(number) => Ok(Value::Int(*number)),
            Operand::Parameter(number) => self.parameter(*number).cloned(),
        }
    }

    fn count(&self, operand: &Operand) -> Result<usize> {
        let value = match operand {
            Operand::Parameter(number) => self.parameter(*number)?,
            Operand::Number(number) => return Ok(*number as usize),
            Operand::Column(_) => &Value::Null,
        };
        match value {
            Value::Int(count) => Ok(*count as usize),
            _ => Err(SqlError::new(10743, 15, "The number of rows provided must be an integer.")),
        }
    }

    fn parameter(&self, number: usize) -> Result<&Value> {
        let found = number.checked_sub(1).and_then(|index| self.parameters.get(index));
        found.ok_or_else(|| SqlError::new(137, 15, "Must declare the scalar variable."))
    }
}

fn nulls_first(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        _ => one.compare(other).unwrap_or(Ordering::Equal),
    }
}

fn cast(value: &Value, kind: Type) -> Value {
    match (value, kind) {
        (Value::Null, _) => Value::Null,
        (Value::Decimal(digits, scale), Type::Decimal(_, wanted)) if *scale <= wanted => {
            Value::Decimal(digits * 10_i128.pow(u32::from(wanted - scale)), wanted)
        }
        (value, _) => Value::Text(value.to_text()),
    }
}
