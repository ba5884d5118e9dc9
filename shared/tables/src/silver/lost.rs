//! What a rebuild of a table would lose: rows of sources that the configuration no longer names.

use std::collections::BTreeSet;

use polars::prelude::*;
use rcm_model::cdm::Entity;
use rcm_platform::bronze::LoadLog;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::{lake, streams, voids};

use super::record::{self, Voids};
use crate::delta::Table;
use crate::frames::blocking;

/// Streams whose loads a table has, and datasources that it has rows of, which the configuration no longer names as
/// sources of it.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub streams: BTreeSet<String>,
    /// Those that none of the streams is of.
    datasources: BTreeSet<String>,
}

/// Finds what a rebuild of an entity's table would lose. A stream all of whose loads are voided loses nothing: its
/// rows are to go.
///
/// # Errors
/// The store fails, or a log or the table cannot be read.
pub(super) async fn find(context: &Context, entity: &'static Entity, table: &Table, voids: &Voids) -> Result<Lost> {
    let configured: BTreeSet<&str> = context.settings.streams_of(entity).map(|stream| stream.name.as_str()).collect();
    let in_lake = streams::in_lake(&context.lake).await?;
    let all: BTreeSet<String> = voids.streams().map(|(stream, _)| stream.clone()).chain(in_lake).collect();
    let (mut lost, mut accounted) = (Lost::default(), BTreeSet::new());
    for stream in all {
        let is_configured = configured.contains(stream.as_str());
        if !is_configured && record::taken_by(context, entity, table, &stream).await? == 0 {
            continue;
        }
        accounted.extend(record::datasources_of(context, &stream).await?);
        if !is_configured && !is_voided(context, &stream).await? {
            lost.streams.insert(stream);
        }
    }
    lost.datasources = datasources(table).await?.difference(&accounted).cloned().collect();
    Ok(lost)
}

/// Whether a stream has loads, and none of them counts.
async fn is_voided(context: &Context, stream: &str) -> Result<bool> {
    let has_loads = LoadLog::new(&context.lake, stream).last().await?.is_some();
    Ok(has_loads && voids::valid_loads(&context.lake, stream).await?.is_empty())
}

/// Datasources that a table has rows of.
async fn datasources(table: &Table) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in table.files() {
        // One file after the other: in a bucket each is in memory as a whole.
        let rows = table.scan(std::slice::from_ref(file)).await?.select([col("datasource").unique()]);
        let of_file = blocking(move || Ok(rows.collect()?.column("datasource")?.str()?.clone())).await?;
        found.extend(of_file.iter().flatten().map(str::to_owned));
    }
    Ok(found)
}

impl Lost {
    /// Whether there is nothing to lose.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.datasources.is_empty()
    }

    /// The error of a rebuild that would lose it.
    pub(super) fn refusal(&self, entity: &Entity) -> StageError {
        StageError::bad_config(format!(
            "`{}` is not made anew: it has {}, which the configuration no longer names, so that their rows would be \
             lost; hint: put their lines back into load_config.csv (is_active 0 if a source is not to be read) and \
             their mappings into configs/cdm, or leave the rows out: rcm rebuild {} --force",
            lake::silver(entity.name),
            self.words(),
            entity.name
        ))
    }

    /// What a person should know of a table that was made anew without it; none if there is nothing.
    pub(super) fn note(&self, entity: &Entity) -> Option<String> {
        let table = lake::silver(entity.name);
        (!self.is_empty()).then(|| {
            format!(
                "`{table}` no longer has {}, which the configuration does not name: they were left out, as asked. The \
                 loads stay in bronze; once the configuration names their streams again, the next run takes them in",
                self.words()
            )
        })
    }

    fn words(&self) -> String {
        let list =
            |names: &BTreeSet<String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let streams = (!self.streams.is_empty()).then(|| format!("loads of {}", list(&self.streams)));
        let datasources = (!self.datasources.is_empty()).then(|| format!("rows of {}", list(&self.datasources)));
        streams.into_iter().chain(datasources).collect::<Vec<_>>().join(" and ")
    }
}
