//! Rules are tried out on a row of nulls before they are asked of a load.

use chrono::DateTime;
use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::assess::{check_references, fails};
use super::rule::{Rule, RuleKind, Rulebook};
use super::sql::{self, unpanicked};
use crate::cdm::{dtype, timestamp};

/// Columns that a rule may look at: those that [`crate::cdm::to_model`] returns.
pub(super) fn schema(entity: &Entity) -> Schema {
    let mut schema = Schema::with_capacity(24);
    for name in [entity.key].into_iter().chain(entity.source_id).chain(["datasource"]) {
        schema.with_column(name.into(), DataType::String);
    }
    for column in entity.tracked {
        schema.with_column(column.name.into(), dtype(column.kind));
    }
    for moment in ["src_inserted_at", "src_modified_at"] {
        schema.with_column(moment.into(), timestamp());
    }
    schema
}

/// Asks a rule of a row of nulls, so that one that does not fit its columns is found before a run.
///
/// # Errors
/// It cannot be asked, and why.
pub(super) fn try_out(rule: &Rule, entity: &Entity) -> Result<(), String> {
    let what = if rule.expression.is_some() { "expression".to_owned() } else { format!("on `{}`", entity.name) };
    match unpanicked(|| ask(rule, entity)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{what}: it must be true or false")),
        Err(error) => Err(format!("{what}: {}", reason(&error))),
    }
}

/// What Polars says, in one line and without the plan of the query that follows after a blank one.
fn reason(error: &PolarsError) -> String {
    error.to_string().lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether the rule is true, false or null.
fn ask(rule: &Rule, entity: &Entity) -> PolarsResult<bool> {
    let nulls = schema(entity).iter().map(|(name, dtype)| Column::full_null(name.clone(), 1, dtype)).collect();
    let row = DataFrame::new_infer_height(nulls)?.lazy();
    if rule.kind == RuleKind::References {
        let keys = DataFrame::new_infer_height(vec![Column::new_empty(entity.key.into(), &DataType::String)])?;
        let rulebook = Rulebook { rules: vec![rule.clone()], ..Rulebook::default() };
        check_references(&row, &rulebook, |_| Ok(Some(keys.clone().lazy())))?;
        return Ok(true);
    }
    let verdict = match &rule.expression {
        Some(expression) => sql::expression(expression)?,
        None => fails(rule, entity, DateTime::UNIX_EPOCH)?,
    };
    let verdict = row.select([verdict]).collect()?;
    Ok(verdict.columns().iter().all(|column| column.dtype().is_bool()))
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::{ENTITIES, Mapping};

    use super::*;
    use crate::cdm::{UNPARSEABLE, UNREADABLE, to_model};
    use crate::scd2::IS_DELETE;

    #[test]
    fn a_rule_may_look_at_what_the_model_has() {
        for entity in ENTITIES {
            let id = entity.id();
            let mapping = format!("datasource = \"x\"\n[entities.{}]\n{id} = \"Id\"", entity.name);
            let mapping = Mapping::parse("x.toml", &mapping).unwrap();
            let rows = to_model(
                &df!("Id" => ["1"]).unwrap(),
                entity,
                &mapping,
                mapping.columns(entity.name, "").unwrap(),
                DateTime::UNIX_EPOCH,
            )
            .unwrap();
            let rows = rows.drop_many([UNPARSEABLE, UNREADABLE, IS_DELETE]);
            assert_eq!(rows.schema().as_ref(), &schema(entity), "{}", entity.name);
        }
    }
}
