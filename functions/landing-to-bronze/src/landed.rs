use object_store::path::Path;
use rcm_model::cdm::Mapping;
use rcm_platform::config::{Feed, Settings};
use rcm_platform::landing::LandingKey;
use rcm_platform::{StageError, load, streams};

/// A file in a folder that something is configured to land in.
#[derive(Debug)]
pub(crate) struct Landed<'a> {
    pub(crate) path: Path,
    pub(crate) feed: &'a Feed,
    pub(crate) key: LandingKey,
    /// The key as messages may say it.
    pub(crate) printable: String,
}

impl<'a> Landed<'a> {
    /// The file of a key `landing/<folder>/<name>`.
    ///
    /// # Errors
    /// `BadConfig` if the key is of another shape, or nothing is configured to land in the folder.
    pub(crate) fn find(settings: &'a Settings, key: &str) -> Result<Self, StageError> {
        let printable = load::printable(key);
        let bad = |reason: &str| StageError::bad_config(format!("`{printable}` {reason}"));
        let path = Path::parse(key).map_err(|_| bad("is no key of an object"))?;
        let key = LandingKey::parse(key).ok_or_else(|| bad("is not landing/<folder>/<file>"))?;
        let feed = settings.feed(key.folder());
        let feed = feed.ok_or_else(|| bad("is in a folder that configs/sources.toml does not name"))?;
        Ok(Self { path, feed, key, printable })
    }

    /// The stream that the file is a load of.
    ///
    /// # Errors
    /// As [`Landed::mapping`].
    pub(crate) fn stream(&self, settings: &Settings) -> Result<String, StageError> {
        Ok(streams::landed(&self.feed.entity, &self.mapping(settings)?.datasource))
    }

    /// The mapping of the one source that claims the file by its name.
    ///
    /// # Errors
    /// `BrokenContract` if none or several claim it: nothing is guessed.
    pub(crate) fn mapping(&self, settings: &'a Settings) -> Result<&'a Mapping, StageError> {
        let owners: Vec<&Mapping> =
            settings.mappings().filter(|mapping| mapping.owns_file(self.key.folder(), self.key.file())).collect();
        let broken = |reason: String| StageError::broken_contract(format!("`{}`: {reason}", self.printable));
        match owners[..] {
            [] => Err(broken(
                "no mapping in configs/cdm claims a file of this name, so its hospital is unknown".to_owned(),
            )),
            [mapping] if !mapping.maps(&self.feed.entity) => {
                let (datasource, entity) = (&mapping.datasource, &self.feed.entity);
                Err(StageError::bad_config(format!("configs/cdm maps no `{entity}` of datasource `{datasource}`")))
            }
            [mapping] => Ok(mapping),
            _ => {
                let names: Vec<&str> = owners.iter().map(|mapping| mapping.datasource.as_str()).collect();
                Err(broken(format!("the mappings of {} all claim a file of this name", names.join(", "))))
            }
        }
    }
}
