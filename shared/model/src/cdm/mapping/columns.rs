//! Where the columns of an entity come from.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::super::{Column, ColumnType, Entity};
use super::filter::Filter;
use super::names::SourceColumn;

/// What stands between the parts of a key that is made of several columns.
pub const KEY_SEPARATOR: &str = "|";

/// Keys of an entity's table that are no columns of the model.
const WHERE: &str = "where";
const DELETED_WHERE: &str = "deleted_where";

/// The columns of one entity, and which rows are taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, toml::Value>")]
pub struct EntityMapping {
    /// Rows where this is not true are left out.
    pub filter: Option<Filter>,
    /// Rows where this is true delete their key.
    pub deleted_where: Option<Filter>,
    columns: BTreeMap<String, ColumnSource>,
}

/// Where a column of the model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ColumnSource {
    /// A column of the source.
    Column(SourceColumn),
    /// Several columns of the source, which make a key together, in this order.
    Parts(Vec<SourceColumn>),
    /// The same text in every row.
    Constant(Constant),
    /// A column of the source with what is special about it.
    Special(Special),
}

/// The same text in every row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    pub constant: String,
}

/// A column of the source with what is special about it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Special {
    pub column: SourceColumn,
    /// Words that stand for nothing in this column, without case.
    #[serde(default)]
    pub null_words: Vec<String>,
    /// Whether a change of it makes a new version; else the current version keeps its latest value.
    #[serde(default = "yes")]
    pub tracked: bool,
}

fn yes() -> bool {
    true
}

impl ColumnSource {
    /// The source's columns that it is made of; none of a constant.
    #[must_use]
    pub fn parts(&self) -> &[SourceColumn] {
        match self {
            Self::Column(column) => std::slice::from_ref(column),
            Self::Parts(columns) => columns,
            Self::Special(special) => std::slice::from_ref(&special.column),
            Self::Constant(_) => &[],
        }
    }

    fn parts_mut(&mut self) -> &mut [SourceColumn] {
        match self {
            Self::Column(column) => std::slice::from_mut(column),
            Self::Parts(columns) => columns,
            Self::Special(special) => std::slice::from_mut(&mut special.column),
            Self::Constant(_) => &mut [],
        }
    }

    /// All names of the source's columns that it is made of; one each after [`EntityMapping::resolve`].
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts().iter().flat_map(SourceColumn::names)
    }

    /// Words that stand for nothing in this column beside those of the mapping.
    #[must_use]
    pub fn null_words(&self) -> &[String] {
        if let Self::Special(special) = self { &special.null_words } else { &[] }
    }
}

impl TryFrom<BTreeMap<String, toml::Value>> for EntityMapping {
    type Error = String;

    fn try_from(mut table: BTreeMap<String, toml::Value>) -> Result<Self, Self::Error> {
        let mut filter = |key: &str| match table.remove(key) {
            None => Ok(None),
            Some(toml::Value::String(sql)) => {
                Filter::parse(&sql).map(Some).map_err(|reason| format!("`{key}` {reason}"))
            }
            Some(_) => Err(format!("`{key}` is no text")),
        };
        let (filter, deleted_where) = (filter(WHERE)?, filter(DELETED_WHERE)?);
        let columns = table.into_iter().map(|(name, source)| {
            let source = source.try_into().map_err(|_| {
                format!(
                    "`{name}` is neither the name of a column, nor a list of names, nor `{{ any_of = [\"…\"] }}`, nor \
                     `{{ constant = \"…\" }}`, nor `{{ column = \"…\" }}` with null_words or tracked"
                )
            })?;
            Ok((name, source))
        });
        Ok(Self { filter, deleted_where, columns: columns.collect::<Result<_, String>>()? })
    }
}

/// A condition is a text as the name of a column is.
impl JsonSchema for EntityMapping {
    fn schema_name() -> Cow<'static, str> {
        "EntityMapping".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<BTreeMap<String, ColumnSource>>()
    }
}

impl EntityMapping {
    /// Where a column of the model comes from; none where the source does not have it.
    #[must_use]
    pub fn source(&self, column: &str) -> Option<&ColumnSource> {
        self.columns.get(column)
    }

    /// Whether the source has a column of the model.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// All names of the source's columns: those that a load must have after [`EntityMapping::resolve`].
    pub fn source_columns(&self) -> impl Iterator<Item = &str> {
        let filters = [&self.filter, &self.deleted_where].into_iter().flatten();
        self.columns.values().flat_map(ColumnSource::columns).chain(filters.flat_map(Filter::columns))
    }

    /// Returns the mapping for a load that has certain columns: of each column only the first name that the load
    /// has.
    ///
    /// # Errors
    /// The columns that the load lacks, sorted, for a message: `` `Amt` ``, or where a column has several names
    /// the model's column and all of them.
    pub fn resolve(&self, has: impl Fn(&str) -> bool) -> Result<Self, Vec<String>> {
        let mut resolved = self.clone();
        let mut missing = BTreeSet::new();
        for (name, source) in &mut resolved.columns {
            for part in source.parts_mut() {
                match part.found(&has).map(SourceColumn::from) {
                    Some(found) => *part = found,
                    None => _ = missing.insert(part.as_missing(name)),
                }
            }
        }
        let conditions = [&self.filter, &self.deleted_where].into_iter().flatten();
        let of_conditions = conditions.flat_map(Filter::columns).filter(|name| !has(name));
        missing.extend(of_conditions.map(|name| format!("`{name}`")));
        if missing.is_empty() { Ok(resolved) } else { Err(missing.into_iter().collect()) }
    }

    /// Returns what a load has under several names of one column: the model's column, the name that is read and
    /// the others.
    pub fn repeated(&self, has: impl Fn(&str) -> bool) -> Vec<(&str, &str, Vec<&str>)> {
        let mut repeated = Vec::new();
        for (name, source) in &self.columns {
            for part in source.parts() {
                let mut found = part.names().filter(|name| has(name));
                let Some(first) = found.next() else { continue };
                let others: Vec<&str> = found.collect();
                if !others.is_empty() {
                    repeated.push((name.as_str(), first, others));
                }
            }
        }
        repeated
    }

    /// Takes a list of names as those of one column, except where it makes a key.
    pub(super) fn read_lists(&mut self, entity: &Entity) {
        for (name, source) in &mut self.columns {
            if let ColumnSource::Parts(parts) = source
                && !is_key(entity, name)
                && let Some(column) = SourceColumn::of_plain(parts)
            {
                *source = ColumnSource::Column(column);
            }
        }
    }

    /// Columns whose change alone is no new version: those that the model carries, and those that the mapping
    /// does not track.
    #[must_use]
    pub fn untracked(&self, entity: &Entity) -> Vec<&'static str> {
        let is_special =
            |name: &str| matches!(self.source(name), Some(ColumnSource::Special(special)) if !special.tracked);
        let columns = entity.tracked.iter().filter(|column| !column.is_tracked || is_special(column.name));
        columns.map(|column| column.name).collect()
    }

    /// Checks the columns against those of the model.
    ///
    /// # Errors
    /// The column, and what cannot be done with it.
    pub(super) fn check(&self, entity: &Entity) -> Result<(), (String, String)> {
        let id = entity.id();
        if !self.columns.contains_key(id) {
            return Err((String::new(), format!("must map `{id}`")));
        }
        for (column, source) in &self.columns {
            let refuse = |reason: String| Err((column.clone(), reason));
            let moments = ["src_inserted_at", "src_modified_at"];
            let tracked = entity.tracked.iter().find(|tracked| tracked.name == column);
            if column != id && tracked.is_none() && !moments.contains(&column.as_str()) {
                return refuse(format!("has no column `{column}`"));
            }
            let is_key = is_key(entity, column);
            let is_text = tracked.is_some_and(|column| column.kind == ColumnType::Text);
            match source {
                ColumnSource::Parts(parts) if !is_key => {
                    return refuse(format!(
                        "makes `{column}` of {} columns: only keys are made of several",
                        parts.len()
                    ));
                }
                ColumnSource::Parts(parts) if parts.is_empty() => {
                    return refuse(format!("makes `{column}` of no column"));
                }
                source if source.parts().iter().any(|part| part.names().next().is_none()) => {
                    return refuse(format!("gives `{column}` no name to be found by"));
                }
                ColumnSource::Constant(_) if !is_text => {
                    return refuse(format!("makes `{column}` a constant: only text columns may be"));
                }
                ColumnSource::Special(special) if is_key && !special.tracked => {
                    return refuse(format!("does not track `{column}`: a key is always tracked"));
                }
                ColumnSource::Special(special) if tracked.is_none() && !special.tracked => {
                    return refuse(format!("does not track `{column}`: it is never tracked"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a column of the model is the entity's id or the key of an entity.
fn is_key(entity: &Entity, column: &str) -> bool {
    let is_reference = |tracked: &Column| tracked.name == column && matches!(tracked.kind, ColumnType::KeyOf(_));
    column == entity.id() || entity.tracked.iter().any(is_reference)
}
