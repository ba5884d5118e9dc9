//! Columns of an entity that its table lacks, since an older version of the product made it.
//!
//! The row hash is over the attributes. A row that was hashed with one more would differ from the same row in the
//! table, and every key would get a new version. So the loads are ingested with the attributes that the table has,
//! until it is made anew.

use std::sync::{Mutex, PoisonError};

use rcm_model::cdm::{Column, Entity};

use crate::delta::Table;

/// Returns the attributes of an entity that its table lacks.
pub(super) fn lacking(entity: &Entity, table: &Table) -> Vec<&'static str> {
    let names = entity.tracked.iter().map(|column| column.name);
    names.filter(|name| !table.schema().contains(name)).collect()
}

/// Returns the entity with the attributes that its table has; with all where there is no table yet.
pub(super) fn entity_of(entity: &'static Entity, table: Option<&Table>) -> &'static Entity {
    // Entities live as long as the process. There are as many of these as tables that wait to be made anew.
    static NARROWER: Mutex<Vec<&'static Entity>> = Mutex::new(Vec::new());
    let Some(table) = table.filter(|table| !lacking(entity, table).is_empty()) else { return entity };
    let attributes: Vec<Column> =
        entity.tracked.iter().filter(|column| table.schema().contains(column.name)).copied().collect();
    let mut narrower = NARROWER.lock().unwrap_or_else(PoisonError::into_inner);
    let is_known = |known: &&&'static Entity| {
        let names = |columns: &[Column]| columns.iter().map(|column| column.name).collect::<Vec<_>>();
        known.name == entity.name && names(known.tracked) == names(&attributes)
    };
    if let Some(known) = narrower.iter().find(is_known) {
        return known;
    }
    let made: &'static Entity = Box::leak(Box::new(Entity {
        name: entity.name,
        key: entity.key,
        source_id: entity.source_id,
        surrogate: entity.surrogate,
        origin: entity.origin,
        tracked: attributes.leak(),
    }));
    narrower.push(made);
    made
}
