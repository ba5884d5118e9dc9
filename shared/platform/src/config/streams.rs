//! Which bronze streams are configured, and which tables read them. Whoever asks for streams asks this registry.

use std::collections::{BTreeMap, BTreeSet};

use rcm_model::cdm::{ENTITIES, Entity, ICD_CODES, Mapping, NPI};
use rcm_model::load_config::LoadRow;

use super::Sources;
use crate::streams::landed;

/// Datasource of the NPI registry's answers.
pub const NPI_DATASOURCE: &str = "npi";
/// Datasource of the ICD API's answers.
pub const ICD_DATASOURCE: &str = "icd";

/// What brings the loads of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// Extracts of a hospital's table: a line of `load_config.csv`.
    Extract,
    /// Files that land in the folder of a feed.
    LandedFiles,
    NpiRegistry,
    IcdApi,
}

/// A bronze stream. All its loads are of one datasource.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Name, such as `hosa/patients`.
    pub name: String,
    /// Entities whose tables are made from it; none of a table that no mapping reads.
    pub entities: Vec<&'static Entity>,
    pub datasource: String,
    pub kind: SourceKind,
    /// Whether the source is read today. One that is switched off keeps its loads, so that its stream counts.
    pub is_active: bool,
}

/// Every stream that the configuration names, in no order that means anything, each once.
#[derive(Debug, Clone, Default)]
pub struct StreamRegistry(Vec<Stream>);

impl StreamRegistry {
    /// The streams of the table of sources, of feeds and of registries.
    #[must_use]
    pub fn new(load_config: &[LoadRow], sources: &Sources, mappings: &BTreeMap<String, Mapping>) -> Self {
        let readers = |datasource: &str, table: &str| {
            let mapping = mappings.get(datasource);
            let reads = |entity: &&Entity| mapping.map_or(entity.name, |m| m.table_of(entity.name)) == table;
            ENTITIES.into_iter().filter(reads).collect::<Vec<_>>()
        };
        let extracts = load_config.iter().map(|row| Stream {
            name: row.stream(),
            entities: readers(&row.datasource, row.entity()),
            datasource: row.datasource.clone(),
            kind: SourceKind::Extract,
            is_active: row.is_active,
        });
        let tables: BTreeSet<&str> = sources.feeds.iter().map(|feed| feed.entity.as_str()).collect();
        let lands = |table: &str, mapping: &Mapping| {
            sources.feeds.iter().any(|feed| feed.entity == table && mapping.lands_in(&feed.folder))
        };
        let feeds = tables.into_iter().flat_map(|table| {
            let of_table = mappings.values().filter(move |mapping| lands(table, mapping));
            of_table.map(move |mapping| Stream {
                name: landed(table, &mapping.datasource),
                entities: readers(&mapping.datasource, table),
                datasource: mapping.datasource.clone(),
                kind: SourceKind::LandedFiles,
                is_active: true,
            })
        });
        let pull = |entity: &'static Entity, datasource: &str, kind, is_active| Stream {
            name: entity.name.to_owned(),
            entities: vec![entity],
            datasource: datasource.to_owned(),
            kind,
            is_active,
        };
        let pulls = [
            pull(&NPI, NPI_DATASOURCE, SourceKind::NpiRegistry, sources.npi.is_some()),
            pull(&ICD_CODES, ICD_DATASOURCE, SourceKind::IcdApi, sources.icd.is_some()),
        ];
        let mut streams: Vec<Stream> = Vec::new();
        for stream in extracts.chain(feeds).chain(pulls) {
            if streams.iter().all(|known| known.name != stream.name) {
                streams.push(stream);
            }
        }
        Self(streams)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.0.iter()
    }

    /// Those that an entity's table is made from.
    pub fn of_entity(&self, entity: &Entity) -> impl Iterator<Item = &Stream> {
        self.0.iter().filter(|stream| stream.entities.iter().any(|reader| reader.name == entity.name))
    }

    /// The stream of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Stream> {
        self.0.iter().find(|stream| stream.name == name)
    }
}
