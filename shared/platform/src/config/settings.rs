//! The lake's `configs/`, read and checked: all of it but the quality rules, which `rcm-tables` reads
//! where rows are judged.

use std::collections::BTreeMap;
use std::path::Path;

use rcm_model::cdm::{Entity, Mapping};
use rcm_model::load_config::{self, LoadRow};
use sha2::{Digest, Sha256};

use super::{Feed, Sources, Stream, StreamRegistry, checks, keys};
use crate::error::{Result, StageError};
use crate::lake::Lake;

/// The lake's configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rows of `load_config.csv`, the inactive ones too.
    pub load_config: Vec<LoadRow>,
    pub sources: Sources,
    /// Every bronze stream that the files below name.
    pub streams: StreamRegistry,
    /// Mappings by datasource.
    mappings: BTreeMap<String, Mapping>,
    /// Hash over all mappings and over what lands where: a file that was refused is looked at again when
    /// it changes.
    pub mappings_hash: String,
}

impl Settings {
    /// Reads and checks the sources and the mappings.
    ///
    /// # Errors
    /// A file is missing, is not UTF-8, or says something that the product cannot do.
    pub async fn read(lake: &Lake) -> Result<Self> {
        let load_config = load_config::parse(&text(lake, keys::LOAD_CONFIG).await?)?;
        let sources: Sources = toml(keys::SOURCES, &text(lake, keys::SOURCES).await?)?;
        check_feeds(&sources.feeds)?;
        let mut mappings = BTreeMap::new();
        let mut hash = Sha256::new();
        for (name, text) in toml_files(lake, keys::CDM).await? {
            hash.update(text.as_bytes());
            let mapping = Mapping::parse(&name, &text)?;
            check_name(&name, &mapping)?;
            mappings.insert(mapping.datasource.clone(), mapping);
        }
        hash.update(format!("{:?}", sources.feeds));
        let streams = StreamRegistry::new(&load_config, &sources, &mappings);
        checks::check(&sources, &load_config, &streams)?;
        let mappings_hash = format!("{:x}", hash.finalize());
        Ok(Self { load_config, sources, streams, mappings, mappings_hash })
    }

    /// The mapping of a datasource.
    ///
    /// # Errors
    /// There is none.
    pub fn mapping(&self, datasource: &str) -> Result<&Mapping> {
        self.mappings
            .get(datasource)
            .ok_or_else(|| StageError::bad_config(format!("configs/cdm has no mapping of datasource `{datasource}`")))
    }

    /// Every mapping.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.values()
    }

    /// The feed that lands in a folder of `landing/`.
    #[must_use]
    pub fn feed(&self, folder: &str) -> Option<&Feed> {
        self.sources.feeds.iter().find(|feed| feed.folder == folder)
    }

    /// The folders of `landing/` that something is configured to land in.
    #[must_use]
    pub fn landing_folders(&self) -> Vec<&str> {
        self.sources.feeds.iter().map(|feed| feed.folder.as_str()).collect()
    }

    /// The configured bronze streams that an entity's table is made from. A source that is switched off keeps its
    /// loads, so its stream is still read.
    pub fn streams_of(&self, entity: &Entity) -> impl Iterator<Item = &Stream> {
        self.streams.of_entity(entity)
    }
}

/// Checks that nothing lands in a folder as two things. Two folders of one entity share the streams of
/// their datasources.
fn check_feeds(feeds: &[Feed]) -> Result<()> {
    for (index, feed) in feeds.iter().enumerate() {
        if feeds[..index].iter().any(|other| other.folder == feed.folder) {
            let message = format!("{}: two [[landing]] tables have the folder `{}`", keys::SOURCES, feed.folder);
            return Err(StageError::bad_config(message));
        }
    }
    Ok(())
}

/// Checks that a mapping is in the file of its datasource: two files of one would replace each other.
fn check_name(file: &str, mapping: &Mapping) -> Result<()> {
    let datasource = &mapping.datasource;
    if file == format!("{datasource}.toml") {
        return Ok(());
    }
    let message = format!("cdm/{file}: the file of datasource `{datasource}` is cdm/{datasource}.toml");
    Err(StageError::bad_config(message))
}

async fn text(lake: &Lake, key: &str) -> Result<String> {
    let bytes =
        lake.get_if_exists(key).await?.ok_or_else(|| StageError::bad_config(format!("the lake has no `{key}`")))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| StageError::bad_config(format!("`{key}` is not UTF-8")))
}

fn is_toml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Names below a folder of `configs/`, and texts, of its TOML files.
///
/// # Errors
/// One of them cannot be read, or is not UTF-8.
pub async fn toml_files(lake: &Lake, folder: &str) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for meta in lake.list(folder).await? {
        let name = meta.location.as_ref().strip_prefix(folder).map(|name| name.trim_start_matches('/'));
        let Some(name) = name.filter(|name| is_toml(name)) else { continue };
        files.push((name.to_owned(), text(lake, meta.location.as_ref()).await?));
    }
    Ok(files)
}

fn toml<T: serde::de::DeserializeOwned>(key: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| StageError::bad_config(format!("{key}: {}", error.message())))
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::{CLAIMS, DEPARTMENTS, PROVIDERS};

    use super::*;
    use crate::config::SourceKind;
    use crate::testing::TestLake;

    async fn refusal(lake: &TestLake) -> String {
        let error = Settings::read(&lake.lake()).await.unwrap_err();
        assert_eq!(error.name(), "BadConfig");
        error.to_string()
    }

    #[rstest::rstest]
    #[case("hos-c.toml")]
    #[case("old/hos-a.toml")]
    #[tokio::test]
    async fn a_second_mapping_of_a_datasource_is_refused_with_both_files(#[case] copy: &str) {
        let lake = TestLake::new();
        lake.write(&format!("configs/cdm/{copy}"), lake.read("configs/cdm/hos-a.toml"));
        let error = refusal(&lake).await;
        assert!(error.contains(&format!("cdm/{copy}")) && error.contains("cdm/hos-a.toml"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_in_which_two_things_land_is_refused() {
        let lake = TestLake::new();
        lake.edit("configs/sources.toml", "folder = \"cptcodes\"", "folder = \"claims\"");
        let error = refusal(&lake).await;
        assert!(error.contains("sources.toml") && error.contains("folder `claims`"), "{error}");
    }

    #[tokio::test]
    async fn a_share_that_is_meant_as_percent_is_refused() {
        let lake = TestLake::new();
        lake.edit("configs/sources.toml", "max_lost_share = 0.2", "max_lost_share = 20");
        let error = refusal(&lake).await;
        assert!(error.contains("sources.toml: [emr] max_lost_share cannot be 20"), "{error}");
    }

    #[tokio::test]
    async fn two_folders_of_one_entity_share_their_streams() {
        let lake = TestLake::new();
        let feed = "[[landing]]\nfolder = \"late_claims\"\nentity = \"claims\"\nload = \"upsert\"\n\n[silver.buckets]";
        lake.edit("configs/sources.toml", "[silver.buckets]", feed);
        let settings = Settings::read(&lake.lake()).await.unwrap();
        let streams: Vec<&str> = settings.streams_of(&CLAIMS).map(|stream| stream.name.as_str()).collect();
        assert_eq!(streams, ["claims/hos-a", "claims/hos-b"]);
    }

    #[tokio::test]
    async fn entities_that_a_mapping_reads_from_one_table_share_its_stream() {
        let lake = TestLake::new();
        lake.edit("configs/cdm/hos-a.toml", "[landing]", "[read_from]\ndepartments = \"providers\"\n\n[landing]");
        let settings = Settings::read(&lake.lake()).await.unwrap();
        let of = |entity| -> Vec<&str> { settings.streams_of(entity).map(|stream| stream.name.as_str()).collect() };
        assert_eq!(of(&DEPARTMENTS), ["hosa/providers", "hosb/departments"]);
        assert_eq!(of(&PROVIDERS), ["hosa/providers", "hosb/providers"]);
        let stream = settings.streams.find("hosa/providers").unwrap();
        assert_eq!((stream.datasource.as_str(), stream.kind, stream.is_active), ("hos-a", SourceKind::Extract, true));
        assert!(settings.streams.find("hosa/departments").unwrap().entities.is_empty(), "no table reads it");
    }
}
