//! `rcm hospital add`: drafts the configuration of a hospital from the headers of its files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rcm_model::cdm::{CLAIMS, Mapping};
use rcm_model::load_config::{self, LoadRow, is_path_segment};
use rcm_platform::config::{Settings, keys};
use rcm_platform::load::printable;
use rcm_platform::{Lake, StageError};
use serde::Serialize;

use super::{CommandOutput, SOME_FAILED, lake_url};
use crate::hospital::write::{self, Place};
use crate::hospital::{self, Draft, LeftOut, Load, Sample};
use crate::{defaults, print};

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct HospitalArguments {
    /// Short name of the hospital, such as `hos-c`. All its keys end with it: it never changes.
    name: String,
    /// Folder with CSV files of its tables; may be given several times. Their headers and first rows are read.
    #[arg(long, required = true, value_name = "FOLDER")]
    from: Vec<PathBuf>,
    /// Name of its database in load_config.csv, which is also that of its secret; its own name by default.
    #[arg(long)]
    database: Option<String>,
    /// Schema of its tables.
    #[arg(long, default_value = "dbo")]
    schema: String,
    /// Print what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write over a mapping that there is.
    #[arg(long)]
    replace: bool,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake. It gets the default configuration, without its
    /// sample hospitals, if it has none.
    #[arg(long, env = "LAKE_URL")]
    lake: String,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
}

/// What was drafted, and what is left to do.
#[derive(Debug, Clone, Serialize)]
pub struct AddedHospital {
    #[serde(flatten)]
    pub draft: Draft,
    /// Key of the mapping, and its text.
    pub mapping_key: String,
    pub mapping: String,
    /// Lines that `load_config.csv` gets; it keeps those that it has of the hospital.
    pub load_config_lines: Vec<String>,
    /// What `sources.toml` gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<String>,
    pub to_do: Vec<String>,
    pub is_written: bool,
}

/// The configuration that the lake has.
struct Existing {
    lake: Option<Lake>,
    settings: Option<Settings>,
    load_config: String,
    claims_folder: String,
}

/// Drafts a hospital and writes what was drafted. The exit code is 1 if a file was left out
/// that no other datasource claims.
///
/// # Errors
/// `BadConfig` if the name cannot be one, there is no file, none has rows that the lake knows, or the hospital has a
/// mapping and `--replace` does not say to write over it.
pub(super) async fn add(arguments: HospitalArguments) -> Result<CommandOutput, StageError> {
    let HospitalArguments { name, from, database, schema, dry_run, replace, lake: lake_name, json } = arguments;
    if !is_path_segment(&name) {
        let message = format!(
            "`{}` is no name of a hospital; hint: use letters, digits and `-`, such as `hos-c`",
            printable(&name)
        );
        return Err(StageError::bad_config(message));
    }
    let existing = Existing::read(&lake_name).await?;
    let mapping_key = format!("{}/{name}.toml", keys::CDM);
    if existing.has(&mapping_key).await? && !replace && !dry_run {
        let message =
            format!("the lake has a mapping `{mapping_key}`; hint: --dry-run shows a draft, --replace writes over it");
        return Err(StageError::bad_config(message));
    }
    let (samples, mut left_out) = existing.samples(&name, &from)?;
    let mut draft = existing.draft(&name, &samples)?;
    draft.left_out.append(&mut left_out);
    if draft.tables.is_empty() {
        let why: Vec<String> =
            draft.left_out.iter().map(|LeftOut { file, why, .. }| format!("{}: {why}", printable(file))).collect();
        let message = format!("nothing was drafted: {}; hint: the files need a header with names", why.join("; "));
        return Err(StageError::bad_config(message));
    }
    let (load_config, load_config_lines) =
        existing.with_lines(&draft, database.as_deref().unwrap_or(&name), &schema)?;
    let mapping = write::mapping(&draft, &existing.claims_folder);
    Mapping::parse(&format!("{name}.toml"), &mapping)
        .map_err(|error| StageError::internal(format!("the draft: {error}")))?;
    let sources = existing.dialect(&draft);
    let to_do = existing.to_do(&draft);
    let added = AddedHospital { draft, mapping_key, mapping, load_config_lines, sources, to_do, is_written: !dry_run };
    if !dry_run {
        write_files(&lake_name, &added, load_config).await?;
    }
    let is_whole = added.draft.left_out.iter().all(|left| left.of.is_some());
    let exit = if is_whole { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    Ok(CommandOutput::of(json, &added, || print::hospital(&added, &lake_name), exit))
}

/// Writes what was drafted. A lake without configuration gets the default one first.
async fn write_files(lake: &str, added: &AddedHospital, load_config: String) -> Result<(), StageError> {
    let lake = Lake::open(&lake_url(lake)?)?;
    lake.check_writable().await?;
    defaults::install_without_hospitals(&lake).await?;
    // The mapping comes last: what was broken off before it is done again as a whole.
    lake.put(keys::LOAD_CONFIG, load_config).await?;
    if let Some(sources) = &added.sources {
        let text = String::from_utf8_lossy(&lake.get(keys::SOURCES).await?).into_owned();
        lake.put(keys::SOURCES, format!("{}\n\n{sources}", text.trim_end())).await?;
    }
    lake.put(&added.mapping_key, added.mapping.clone()).await?;
    Settings::read(&lake).await.map(|_| ())
}

impl Existing {
    /// Reads the configuration of a lake, if there is one.
    async fn read(name: &str) -> Result<Self, StageError> {
        let url = lake_url(name)?;
        let folder = url::Url::parse(&url).ok().filter(|url| url.scheme() == "file");
        let folder = folder.and_then(|url| url.to_file_path().ok());
        let none = Self {
            lake: None,
            settings: None,
            load_config: format!("{}\n", load_config::HEADER),
            claims_folder: CLAIMS.name.to_owned(),
        };
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Ok(none);
        }
        let lake = Lake::open(&url)?;
        if lake.head(keys::SOURCES).await?.is_none() {
            return Ok(Self { lake: Some(lake), ..none });
        }
        let settings = Settings::read(&lake).await?;
        let load_config = String::from_utf8_lossy(&lake.get(keys::LOAD_CONFIG).await?).into_owned();
        let feed = settings.sources.feeds.iter().find(|feed| feed.entity == CLAIMS.name);
        let claims_folder = feed.map_or(CLAIMS.name, |feed| &feed.folder).to_owned();
        Ok(Self { lake: Some(lake), settings: Some(settings), load_config, claims_folder })
    }

    async fn has(&self, key: &str) -> Result<bool, StageError> {
        match &self.lake {
            Some(lake) => Ok(lake.head(key).await?.is_some()),
            None => Ok(false),
        }
    }

    /// The mappings of the other datasources.
    fn mappings<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Mapping> {
        self.settings.iter().flat_map(Settings::mappings).filter(move |mapping| mapping.datasource != name)
    }

    /// The files of some folders, without those that land for another datasource, and the files that cannot be used.
    fn samples(&self, name: &str, folders: &[PathBuf]) -> Result<(Vec<Sample>, Vec<LeftOut>), StageError> {
        let (mut samples, mut left_out) = (Vec::new(), Vec::new());
        for folder in folders {
            let files = files(folder)?;
            if files.is_empty() {
                let message = format!(
                    "--from {}: no CSV file is in it; hint: name the folder of the files itself",
                    folder.display()
                );
                return Err(StageError::bad_config(message));
            }
            for path in files {
                let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
                let owner = self.mappings(name).find(|mapping| mapping.owns_file(&self.claims_folder, &file));
                match (owner, Sample::read(&path)) {
                    (Some(owner), _) => {
                        let why = format!("the mapping of {} claims files of this name", owner.datasource);
                        left_out.push(LeftOut { file, why, of: Some(owner.datasource.clone()) });
                    }
                    (None, Ok(sample)) => samples.push(sample),
                    (None, Err(why)) => left_out.push(LeftOut { file, why, of: None }),
                }
            }
        }
        Ok((samples, left_out))
    }

    /// Drafts from samples; if none of them has claims, from claims that have landed and that no mapping claims.
    fn draft(&self, name: &str, samples: &[Sample]) -> Result<Draft, StageError> {
        let draft = hospital::draft(name, samples, self.mappings(name));
        let has_claims = draft.tables.iter().any(|table| table.entity == CLAIMS.name);
        let landed = if has_claims { Vec::new() } else { self.landed(name)? };
        if landed.is_empty() {
            return Ok(draft);
        }
        let names: BTreeSet<String> = landed.iter().map(|sample| sample.file.clone()).collect();
        let all: Vec<Sample> = samples.iter().cloned().chain(landed).collect();
        let mut draft = hospital::draft(name, &all, self.mappings(name));
        draft.left_out.retain(|left| !names.contains(&left.file));
        for table in draft.tables.iter_mut().filter(|table| names.contains(&table.file)) {
            if let Load::Landed { unsure, .. } = &mut table.load {
                *unsure =
                    Some("it has landed, and no mapping claims it: are its claims those of this hospital?".to_owned());
            }
        }
        Ok(draft)
    }

    /// Claims that lie in the lake and that no other mapping claims.
    fn landed(&self, name: &str) -> Result<Vec<Sample>, StageError> {
        let Some(folder) = self
            .lake
            .as_ref()
            .and_then(|lake| lake.local_path(&rcm_platform::landing::folder_key(&self.claims_folder)))
        else {
            return Ok(Vec::new());
        };
        let files = if folder.is_dir() { files(&folder)? } else { Vec::new() };
        let is_free = |path: &PathBuf| {
            let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            self.mappings(name).all(|mapping| !mapping.owns_file(&self.claims_folder, &file))
        };
        Ok(files.into_iter().filter(is_free).filter_map(|path| Sample::read(&path).ok()).collect())
    }

    /// `load_config.csv` with the lines that it lacks, and those lines.
    fn with_lines(&self, draft: &Draft, database: &str, schema: &str) -> Result<(String, Vec<String>), StageError> {
        let rows = load_config::parse(&self.load_config)?;
        let own: Vec<&LoadRow> = rows.iter().filter(|row| row.datasource == draft.datasource).collect();
        let short: String = draft.datasource.chars().filter(char::is_ascii_alphanumeric).collect();
        let is_taken =
            short.is_empty() || rows.iter().any(|row| row.targetpath == short && row.datasource != draft.datasource);
        let targetpath = if is_taken { draft.datasource.clone() } else { short };
        let place = Place {
            database: own.first().map_or(database, |row| &row.database),
            schema,
            targetpath: own.first().map_or(&targetpath, |row| &row.targetpath),
        };
        let has = |row: &LoadRow| own.iter().any(|known| known.entity() == row.entity());
        let lines: Vec<String> =
            write::load_rows(draft, &place).iter().filter(|row| !has(row)).map(write::line).collect();
        let text =
            self.load_config.trim_end().lines().chain(lines.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
                + "\n";
        load_config::parse(&text)?;
        Ok((text, lines))
    }

    /// What `sources.toml` must say of files that are not separated by commas, or are not UTF-8.
    fn dialect(&self, draft: &Draft) -> Option<String> {
        let is_known =
            self.settings.as_ref().is_some_and(|settings| settings.sources.emr.files.contains_key(&draft.datasource));
        let mut extracted = draft.tables.iter().filter(|table| table.load.load_type().is_some());
        let other = extracted.find(|table| table.delimiter != ',' || !table.is_utf8).filter(|_| !is_known)?;
        let delimiter = match other.delimiter {
            ',' => String::new(),
            other => format!("delimiter = {}\n", toml::Value::String(other.to_string())),
        };
        let encoding = if other.is_utf8 { "" } else { "encoding = \"windows-1252\"\n" };
        Some(format!("[emr.files.\"{}\"]\n{delimiter}{encoding}", draft.datasource))
    }

    /// What a person has to do before everything loads.
    fn to_do(&self, draft: &Draft) -> Vec<String> {
        let mut to_do = Vec::new();
        for table in &draft.tables {
            let lacks = |column: &&&str| {
                ["service_date", "amount", "claim_date", "claim_amount", "encounter_date"].contains(*column)
            };
            let lacking: Vec<&str> = table.missing.iter().filter(lacks).copied().collect();
            if !lacking.is_empty() {
                to_do.push(format!(
                    "{}: nothing was found for {}, which the KPIs need",
                    table.entity,
                    lacking.join(", ")
                ));
            }
            let expected = format!("{}.csv", table.table);
            match &table.load {
                Load::Extract { .. } if table.file != expected => {
                    to_do.push(format!(
                        "{}: as a file it must be {}/{expected}",
                        printable(&table.file),
                        draft.datasource
                    ));
                }
                Load::Landed { .. } => {
                    let feed = self.settings.as_ref().and_then(|settings| settings.feed(&self.claims_folder));
                    let delimiter = feed.and_then(|feed| feed.delimiter.clone()).unwrap_or_else(|| ",".to_owned());
                    if delimiter != table.delimiter.to_string() {
                        to_do.push(format!(
                            "{}: it is separated by `{}`, and [[landing]] `{}` of sources.toml says `{}`",
                            printable(&table.file),
                            table.delimiter.escape_debug(),
                            self.claims_folder,
                            delimiter.escape_debug()
                        ));
                    }
                }
                Load::Extract { .. } => {}
            }
        }
        let extracted = || draft.tables.iter().filter(|table| table.load.load_type().is_some());
        let dialects: BTreeSet<(char, bool)> = extracted().map(|table| (table.delimiter, table.is_utf8)).collect();
        if dialects.len() > 1 {
            to_do.push(
                "its files differ in their delimiter or encoding, and [emr.files] of sources.toml has one for all"
                    .to_owned(),
            );
        }
        to_do
    }
}

/// The CSV files right in a folder, by their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, StageError> {
    let refuse = |why: String| StageError::bad_config(format!("--from {}: {why}", folder.display()));
    if !folder.is_dir() {
        return Err(refuse("not a folder; hint: name a folder that contains CSV files".to_owned()));
    }
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| refuse(error.to_string()))?;
    let is_csv = |path: &PathBuf| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        path.is_file()
            && extension.is_some_and(|extension| ["csv", "txt", "tsv", "psv", "dat"].contains(&extension.as_str()))
    };
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_csv).collect();
    files.sort();
    Ok(files)
}
