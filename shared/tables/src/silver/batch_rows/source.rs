//! How the rows of a load are read.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::DateTime;
use polars::prelude::*;
use rcm_domain::cdm::looks_at_other_rows;
use rcm_domain::quality::Rulebook;
use rcm_model::cdm::{ColumnSource, Entity, EntityMapping, Mapping};
use rcm_model::event::LoadProfile;
use rcm_platform::bronze::{MALFORMED, Manifest, POSITION};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};

use super::{For, Place, time_of};
use crate::conditions::check_mapping;
use crate::silver::portions::{LoadFiles, Portioning};
use crate::silver::{order, resolved};

/// A load that is about to be read.
pub(super) struct OpenLoad {
    pub files: LoadFiles,
    pub portioning: Portioning,
    pub source: LoadSource,
    pub rulebook: Arc<Rulebook>,
    pub place: Place,
    /// Columns that it has under several of their names.
    pub notes: Vec<String>,
}

impl OpenLoad {
    /// Opens a load: finds how its rows are read.
    ///
    /// # Errors
    /// Those of [`resolve`]; the store fails.
    pub(super) async fn of(context: &Context, of: For<'_>, load: &Manifest) -> Result<Self> {
        let files = LoadFiles::open(context, load).await?;
        let (source, notes) = resolve(context, of, load, &*files.schema()?)?;
        let looks_at_others = of.rulebook.looks_at_other_rows()? || looks_at_other_rows(&source.columns)?;
        Ok(Self {
            files,
            portioning: if looks_at_others { Portioning::Whole } else { Portioning::ByRows },
            source,
            rulebook: Arc::new(of.rulebook.clone()),
            place: Place { ordinal: order::ordinal(load), buckets: of.buckets },
            notes,
        })
    }
}

/// Finds how the rows of a load are read, which has the columns of `stored`; and columns that it has under several of
/// their names.
///
/// # Errors
/// `BadConfig` if no mapping reads it; `BrokenContract` if it lacks a column that its mapping names.
pub(super) fn resolve(
    context: &Context,
    of: For<'_>,
    load: &Manifest,
    stored: &Schema,
) -> Result<(LoadSource, Vec<String>)> {
    let mapping = context.settings.mapping(&load.datasource)?.clone();
    let Some(columns) = mapping.columns(of.entity.name, &load.source.name) else {
        let Manifest { stream, sequence, datasource, .. } = load;
        let reason =
            format!("load {sequence} of `{stream}`: configs/cdm maps no `{}` of `{datasource}`", of.entity.name);
        return Err(StageError::bad_config(reason));
    };
    check_mapping(&mapping)?;
    let (columns, notes) = resolved::of_load(columns, stored, load)?;
    let source = LoadSource {
        entity: of.entity,
        mapping: Arc::new(mapping),
        columns: Arc::new(columns),
        load: Arc::new(load.clone()),
    };
    Ok((source, notes))
}

/// A load, and how its rows are read.
#[derive(Clone)]
pub(in crate::silver) struct LoadSource {
    pub entity: &'static Entity,
    pub mapping: Arc<Mapping>,
    pub columns: Arc<EntityMapping>,
    pub load: Arc<Manifest>,
}

impl LoadSource {
    /// Returns the columns that the mapping names, and those that bronze adds.
    pub(super) fn raw_columns(&self) -> Vec<String> {
        let mut wanted: Vec<&str> = self.columns.source_columns().collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.extend([POSITION, MALFORMED]);
        wanted.into_iter().map(str::to_owned).collect()
    }

    /// Columns of the model that the load has.
    pub(super) fn model_columns(&self) -> BTreeSet<String> {
        let moments = ["src_inserted_at", "src_modified_at"];
        let columns = self.entity.tracked.iter().map(|column| column.name).chain(moments);
        columns.filter(|column| self.columns.has(column)).map(str::to_owned).collect()
    }

    /// Names of the source's columns that make the id.
    pub(super) fn key_headers(&self) -> Vec<&str> {
        self.columns.source(self.entity.id()).into_iter().flat_map(ColumnSource::columns).collect()
    }

    /// The profile of the load before any of its rows is read.
    pub(super) fn empty_profile(&self) -> LoadProfile {
        let Manifest { stream, load_id, .. } = &*self.load;
        LoadProfile {
            entity: self.entity.name.to_owned(),
            stream: stream.clone(),
            load_id: load_id.clone(),
            rows: 0,
            nulls: self.model_columns().into_iter().map(|column| (column, 0)).collect(),
            extracted_at: time_of(&self.load),
            newest: None,
        }
    }

    /// The profile of some rows of the load, in the columns of the model.
    pub(super) fn profile(&self, rows: &DataFrame) -> Result<LoadProfile> {
        let mut profile = LoadProfile { rows: rows.height() as u64, ..self.empty_profile() };
        for (column, nulls) in &mut profile.nulls {
            *nulls = rows.column(column)?.null_count() as u64;
        }
        let latest = profile.extracted_at.timestamp_micros();
        let modified = rows.column("src_modified_at")?.datetime()?.physical().clone();
        let newest = modified.iter().flatten().filter(|modified| *modified <= latest).max();
        profile.newest = newest.and_then(DateTime::from_timestamp_micros);
        Ok(profile)
    }
}
