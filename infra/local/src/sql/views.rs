//! The tables of the lake as a query sees them: lazy scans, masked where no values were asked for.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::gold::held::EndOfDay;
use rcm_model::cdm::{ENTITIES, Entity, EntityMapping, entity};
use rcm_platform::bronze::{MALFORMED, POSITION};
use rcm_platform::{Context, StageError, voids};
use rcm_tables::delta::{DataFile, Table, scan_parquet};
use rcm_tables::{gold, silver};

use super::statement::TableName;
use crate::masking::{Mask, Masking, mask_of, masks_of};

/// How a view of the current rows of a silver table ends.
const CURRENT: &str = "_current";
/// Column of a view of bronze with the number of the load.
const LOAD: &str = "_load";

/// Opens tables for a query.
pub(super) struct Views<'a> {
    pub context: &'a Context,
    /// None where values were asked for.
    pub masking: Option<Masking>,
    pub as_of: Option<NaiveDate>,
}

impl Views<'_> {
    /// A scan of a table. Only columns and files that the query needs are read of it.
    ///
    /// # Errors
    /// `BadConfig` if the lake has no such table, or a date was asked for that it cannot be seen at; a log cannot be
    /// read.
    pub(super) async fn open(&self, table: &TableName) -> Result<LazyFrame, StageError> {
        match table.layer {
            "silver" => self.silver(table).await,
            "bronze" => self.bronze(table).await,
            _ => self.delta(table).await,
        }
    }

    async fn silver(&self, table: &TableName) -> Result<LazyFrame, StageError> {
        let (entity, is_current) = match table.name.strip_suffix(CURRENT).and_then(entity) {
            Some(entity) => (Some(entity), true),
            None => (entity(&table.name), false),
        };
        let Some(entity) = entity else { return Err(self.unknown(table).await) };
        let schema = silver_schema(entity);
        let path = format!("silver/{}", entity.name);
        let Some(opened) = Table::open_with(&self.context.lake, &path, &schema).await? else {
            return Err(self.unknown(table).await);
        };
        let rows = match (is_current, self.as_of) {
            (false, None) => opened.scan(opened.files()).await?,
            (false, Some(_)) => {
                let message = format!("{table} has all versions and no date; hint: with --as-of ask {table}{CURRENT}");
                return Err(StageError::bad_config(message));
            }
            (true, None) => {
                let open: Vec<DataFile> = opened.files().iter().filter(|file| silver::is_open(file)).cloned().collect();
                let rows = opened.scan(&open).await?;
                rows.filter(col("is_current").and(col("is_deleted").not()))
            }
            (true, Some(date)) => {
                let end = EndOfDay::new(date, &gold::zones(self.context))?;
                opened.scan(opened.files()).await?.filter(end.held())
            }
        };
        Ok(self.shown(rows, &masks_of("silver", entity.name, &schema)))
    }

    async fn delta(&self, table: &TableName) -> Result<LazyFrame, StageError> {
        // A name is one folder.
        let is_name = !table.name.contains(['/', '.']);
        let path = format!("{}/{}", table.layer, table.name);
        let opened = if is_name { Table::open(&self.context.lake, &path).await? } else { None };
        let Some(opened) = opened else { return Err(self.unknown(table).await) };
        let mut rows = opened.scan(opened.files()).await?;
        if let Some(date) = self.as_of {
            if !opened.schema().contains("as_of") {
                let message = format!(
                    "{table} is of today and cannot be seen at another date; hint: with --as-of ask silver.<entity>{CURRENT} \
                     or a table gold.kpi_…"
                );
                return Err(StageError::bad_config(message));
            }
            rows = rows.filter(col("as_of").eq(lit(date)));
        }
        Ok(self.shown(rows, &masks_of(table.layer, &table.name, opened.schema())))
    }

    /// All rows of the loads of a stream that are not voided, as texts.
    async fn bronze(&self, table: &TableName) -> Result<LazyFrame, StageError> {
        if self.as_of.is_some() {
            return Err(StageError::bad_config(format!("{table} has loads and no dates; hint: leave --as-of out")));
        }
        let lake = &self.context.lake;
        let loads = voids::valid_loads(lake, &table.name).await?;
        let mut scans = Vec::new();
        for load in &loads {
            let mut rows = scan_parquet(lake, &load.data_files, ScanArgsParquet::default()).await?;
            let schema = rows.collect_schema()?;
            let texts = schema.iter_names().filter(|name| *name != POSITION);
            let texts: Vec<Expr> = texts.map(|name| col(name.clone()).cast(DataType::String)).collect();
            let rows = rows.with_columns(texts).with_columns([lit(load.sequence as i64).alias(LOAD)]);
            let mapping = self.context.settings.mapping(&load.datasource).ok();
            let mapped = mapping.and_then(|mapping| mapping.columns(&load.entity, &load.source.name));
            scans.push(self.shown(rows, &masks_of_source(&schema, entity(&load.entity), mapped)));
        }
        if scans.is_empty() {
            return Err(self.unknown(table).await);
        }
        Ok(concat_lf_diagonal(scans, UnionArgs::default())?)
    }

    fn shown(&self, rows: LazyFrame, masks: &[(PlSmallStr, Mask)]) -> LazyFrame {
        match &self.masking {
            Some(masking) => masking.masked(rows, masks),
            None => rows,
        }
    }

    /// The error for a table that the lake does not have, with those of its layer.
    async fn unknown(&self, table: &TableName) -> StageError {
        let known = self.names(table.layer).await.unwrap_or_default();
        let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
        StageError::bad_config(format!("there is no table {table} in this lake; hint: {} has {known}", table.layer))
    }

    async fn names(&self, layer: &'static str) -> Result<Vec<String>, StageError> {
        let lake = &self.context.lake;
        if layer == "bronze" {
            let streams: BTreeSet<&str> =
                self.context.settings.streams.iter().map(|stream| stream.name.as_str()).collect();
            return Ok(streams.into_iter().map(|name| format!("\"{name}\"")).collect());
        }
        let mut names = Vec::new();
        for name in lake.folders(layer).await? {
            if Table::open(lake, &format!("{layer}/{name}")).await?.is_some() {
                names.push(name.clone());
                if layer == "silver" && ENTITIES.iter().any(|entity| entity.name == name) {
                    names.push(format!("{name}{CURRENT}"));
                }
            }
        }
        Ok(names)
    }
}

/// What becomes of the columns of a load. One that no mapping names counts as identifying.
fn masks_of_source(
    schema: &Schema,
    entity: Option<&'static Entity>,
    mapped: Option<&EntityMapping>,
) -> Vec<(PlSmallStr, Mask)> {
    let mask = |name: &str| match name {
        POSITION => None,
        MALFORMED => Some(Mask::Json),
        name => of_source_column(name, entity, mapped),
    };
    schema.iter_names().filter_map(|name| Some((name.clone(), mask(name)?))).collect()
}

/// What becomes of a column of a source; none if all that the mapping makes of it may be shown.
pub(crate) fn of_source_column(name: &str, entity: Option<&Entity>, mapped: Option<&EntityMapping>) -> Option<Mask> {
    let (Some(entity), Some(mapped)) = (entity, mapped) else { return Some(Mask::Shape) };
    let moments = ["src_inserted_at", "src_modified_at"];
    let columns = entity.tracked.iter().map(|column| column.name).chain([entity.id()]).chain(moments);
    let made_of_it = columns.filter(|column| {
        mapped.source(column).is_some_and(|source| source.columns().any(|of_column| of_column == name))
    });
    let masks: Vec<Option<Mask>> = made_of_it.map(|column| entity.identifying(column).map(mask_of)).collect();
    match masks.as_slice() {
        [] => Some(Mask::Shape),
        masks if masks.contains(&Some(Mask::Shape)) => Some(Mask::Shape),
        masks => masks.iter().find_map(|mask| *mask),
    }
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::{Mapping, PATIENTS};

    use super::*;

    #[test]
    fn a_column_of_a_source_is_shown_only_if_the_mapping_says_that_it_tells_nobody() {
        let text = "datasource = \"hos-x\"\n[entities.patients]\nsrc_patient_id = \"No\"\nfirst_name = \"Given\"\n\
                    gender = \"Sex\"\nsrc_modified_at = \"Changed\"\n";
        let mapping = Mapping::parse("hos-x.toml", text).unwrap();
        let mapped = mapping.columns("patients", "");
        for (name, expected) in [
            ("No", Some(Mask::Token)),
            ("Given", Some(Mask::Shape)),
            ("Sex", None),
            ("Changed", None),
            ("Mothers_Name", Some(Mask::Shape)),
        ] {
            assert_eq!(of_source_column(name, Some(&PATIENTS), mapped), expected, "{name}");
        }
        assert_eq!(of_source_column("Sex", Some(&PATIENTS), None), Some(Mask::Shape));
    }
}
