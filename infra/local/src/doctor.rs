//! Checks whether a run can do its work: configuration, sources, the lake, the clock, the disk.

use chrono::TimeDelta;
use rcm_model::cdm::{EntityMapping, Mapping};
use rcm_model::load_config::{LoadRow, LoadType};
use rcm_platform::config::{EmrKind, Environment, Feed, Format, Settings, keys};
use rcm_platform::context::Clock;
use rcm_platform::csv_stream::{self, Csv};
use rcm_platform::lake::PutOutcome;
use rcm_platform::load::printable;
use rcm_platform::{Context, Lake, StageError, emr, landing, secrets, stage};
use rcm_tables::conditions;
use rcm_tables::rulebooks::Rulebooks;
use serde::Serialize;

use crate::hint;

/// Folder of the object that is written to see whether the lake can be written to, and removed again.
const PROBE: &str = "audit/_doctor";
/// How far this clock may go from that of the store: signatures of requests to S3 allow no more.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// Bytes that are free on a disk at least.
const LEAST_FREE: u64 = 1 << 30;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Ask no database, no secret and no registry.
    pub offline: bool,
    /// Only the sources of this datasource.
    pub source: Option<String>,
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `configuration`, `table`, `landing`, `secret`, `lake`, `clock`, `disk`.
    pub what: &'static str,
    /// Which one: a stream, a folder, a secret. Empty where there is one.
    pub subject: String,
    pub ok: bool,
    pub detail: String,
    /// What to do, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    fn passed(what: &'static str, subject: &str, detail: impl Into<String>) -> Self {
        Self { what, subject: printable(subject), ok: true, detail: detail.into(), hint: None }
    }

    fn failed(what: &'static str, subject: &str, error: &StageError) -> Self {
        let (detail, hint) = hint::split(error);
        Self { what, subject: printable(subject), ok: false, detail, hint: Some(hint) }
    }

    fn of(what: &'static str, subject: &str, result: Result<String, StageError>) -> Self {
        match result {
            Ok(detail) => Self::passed(what, subject, detail),
            Err(error) => Self::failed(what, subject, &error),
        }
    }
}

/// Checks a lake and its sources, one after the other. Writes one object and removes it again.
///
/// # Errors
/// `BadConfig` if there is no source of the name that is asked for.
pub async fn examine(lake: &Lake, environment: Environment, wanted: &Wanted) -> Result<Vec<Check>, StageError> {
    let mut checks = Vec::new();
    match Settings::read(lake).await {
        Ok(settings) => {
            let (mappings, rows) = (settings.mappings().count(), settings.load_config.len());
            let context =
                Context { lake: lake.clone(), environment, settings: settings.into(), clock: Clock::system() };
            check_source(&context.settings, wanted)?;
            let detail = format!("{rows} tables, {mappings} mappings, {} feeds", context.settings.sources.feeds.len());
            checks.push(Check::passed("configuration", "sources and mappings", detail));
            checks.extend(rules(&context).await);
            checks.extend(tables(&context, wanted).await);
            checks.extend(landed(&context, wanted).await);
            checks.extend(registry_secret(&context, wanted).await);
        }
        Err(error) => checks.push(Check::failed("configuration", "sources and mappings", &error)),
    }
    checks.extend(store(lake, &Clock::system()).await);
    checks.extend(disk(lake));
    Ok(checks)
}

/// Checks that there is a source of the name that is asked for.
fn check_source(settings: &Settings, wanted: &Wanted) -> Result<(), StageError> {
    let Some(source) = &wanted.source else { return Ok(()) };
    let rows = settings.load_config.iter().map(|row| row.datasource.as_str());
    let known: Vec<&str> = rows.chain(settings.mappings().map(|mapping| mapping.datasource.as_str())).collect();
    if known.contains(&source.as_str()) {
        return Ok(());
    }
    let meant = hint::did_you_mean(source, known).unwrap_or_else(|| "`rcm status` shows what there is".to_owned());
    Err(StageError::bad_config(format!("there is no source `{}`; hint: {meant}", printable(source))))
}

async fn rules(context: &Context) -> Vec<Check> {
    let rulebooks = Rulebooks::read(&context.lake).await.map(|_| "every rule can run".to_owned());
    let conditions = conditions::check(&context.settings).await.map(|()| "every `where` is a condition".to_owned());
    let report = gold_report::check_config(context).await.map(|()| "it can be read".to_owned());
    vec![
        Check::of("configuration", "quality rules", rulebooks),
        Check::of("configuration", "conditions", conditions),
        Check::of("configuration", "report", report),
    ]
}

/// Checks every active table: that a mapping reads it, and that its columns are there today.
async fn tables(context: &Context, wanted: &Wanted) -> Vec<Check> {
    let mut checks = Vec::new();
    let rows = context.settings.load_config.iter().filter(|row| row.is_active);
    for row in rows.filter(|row| wanted.source.as_ref().is_none_or(|source| *source == row.datasource)) {
        checks.push(Check::of("table", &row.stream(), table(context, row, wanted.offline).await));
    }
    checks
}

async fn table(context: &Context, row: &LoadRow, offline: bool) -> Result<String, StageError> {
    let mapping = context.settings.mapping(&row.datasource)?;
    if !mapping.reads(row.entity()) {
        let message = format!("configs/cdm maps no `{}` of datasource `{}`", row.entity(), row.datasource);
        return Err(StageError::bad_config(message));
    }
    let kind = emr::kind_of(context, row);
    if offline && kind != EmrKind::Files {
        return Ok("a mapping reads it; its database is not asked".to_owned());
    }
    let columns = emr::columns(context, row).await?;
    let has = |name: &str| columns.iter().any(|column| column == name);
    if row.loadtype == LoadType::Incremental && !has(&row.watermark) {
        let message =
            format!("the source lacks the watermark `{}` of {}", printable(&row.watermark), keys::LOAD_CONFIG);
        return Err(StageError::broken_contract(message));
    }
    let name = format!("{}/{}.csv", row.datasource, row.entity());
    let file_name = if kind == EmrKind::Files { name.as_str() } else { "" };
    let mut used = 0;
    for entity in rcm_model::cdm::ENTITIES.into_iter().filter(|entity| mapping.table_of(entity.name) == row.entity()) {
        used += mapped(mapping.columns(entity.name, file_name), &columns)?;
    }
    let from = if kind == EmrKind::Files { "file" } else { "database, logged in" };
    Ok(format!("{from}: {used} of {} columns are mapped", columns.len()))
}

/// How many of a source's columns a mapping uses. The names of a source's own columns are not told: a file without a
/// header has a patient in their place.
fn mapped(mapping: Option<&EntityMapping>, columns: &[String]) -> Result<usize, StageError> {
    let Some(mapping) = mapping else { return Ok(0) };
    let resolved = mapping.resolve(|name| columns.iter().any(|column| column == name)).map_err(|missing| {
        let hint = "map the column by the name that it has today, or leave it out of the mapping";
        StageError::broken_contract(format!("the source lacks {}; hint: {hint}", missing.join(", ")))
    })?;
    Ok(resolved.source_columns().collect::<std::collections::BTreeSet<_>>().len())
}

/// Checks the newest file of every datasource in the folder of every feed.
async fn landed(context: &Context, wanted: &Wanted) -> Vec<Check> {
    let mut checks = Vec::new();
    for feed in &context.settings.sources.feeds {
        let files = match landing::files(context, feed).await {
            Ok(landed) => landed.files,
            Err(error) => {
                checks.push(Check::failed("landing", &feed.folder, &error));
                continue;
            }
        };
        let lands = |mapping: &&Mapping| mapping.lands_in(&feed.folder);
        let is_wanted = |mapping: &&Mapping| wanted.source.as_ref().is_none_or(|source| *source == mapping.datasource);
        for mapping in context.settings.mappings().filter(lands).filter(is_wanted) {
            let own = files
                .iter()
                .filter(|file| file.location.filename().is_some_and(|name| mapping.owns_file(&feed.folder, name)));
            let newest = own.max_by_key(|file| file.last_modified);
            let subject = format!("{}, {}", landing::folder_key(&feed.folder), mapping.datasource);
            checks.push(match newest {
                None => Check::passed("landing", &subject, "no file of it has landed"),
                Some(_) if feed.format != Format::Csv => Check::passed("landing", &subject, "its files have no header"),
                Some(file) => Check::of("landing", &subject, header(context, feed, mapping, &file.location).await),
            });
        }
    }
    checks
}

async fn header(
    context: &Context,
    feed: &Feed,
    mapping: &Mapping,
    location: &object_store::path::Path,
) -> Result<String, StageError> {
    let name = location.to_string();
    let csv = Csv::in_lake(&context.lake, location.clone(), name.clone()).with_dialect(feed.dialect());
    let columns = csv_stream::columns(&csv).await?;
    let used = mapped(mapping.columns(&feed.entity, &name), &columns)?;
    Ok(format!("newest file `{}`: {used} of {} columns are mapped", printable(&name), columns.len()))
}

/// Checks the secret of the ICD API. Those of databases are read by their logins.
async fn registry_secret(context: &Context, wanted: &Wanted) -> Option<Check> {
    let icd = context.settings.sources.icd.as_ref().filter(|icd| icd.token_url.is_some())?;
    if wanted.offline || wanted.source.is_some() {
        return None;
    }
    let name = icd.secret.clone().or_else(|| context.environment.icd_secret.clone());
    let read = match &name {
        Some(name) => secrets::read(context, name).await.map(|_| "it can be read".to_owned()),
        None => Err(StageError::bad_config("[icd] has a token_url and no secret")),
    };
    Some(Check::of("secret", name.as_deref().unwrap_or("[icd]"), read))
}

/// Writes, reads, lists and removes an object, and compares the clocks.
async fn store(lake: &Lake, clock: &Clock) -> Vec<Check> {
    let key = format!("{PROBE}/{}", stage::new_id(clock.now()));
    let text = "written by `rcm doctor`, which removes it again";
    let (mut checks, now) = (Vec::new(), clock.now());
    let written = match lake.put_if_absent(&key, text).await {
        Ok(_) => is_exclusive(lake, &key).await,
        Err(error) => Err(error),
    };
    let is_written = written.is_ok();
    checks.push(Check::of("lake", "write", written));
    if is_written {
        let read = lake.get(&key).await.map(|_| "it can be read".to_owned());
        checks.push(Check::of("lake", "read", read));
        let found = lake.list(PROBE).await;
        if let Ok(found) = &found
            && let Some(probe) = found.iter().find(|meta| meta.location.as_ref() == key)
        {
            checks.push(clock_of(probe.last_modified - now));
        }
        checks.push(Check::of("lake", "list", found.map(|_| "it can be listed".to_owned())));
        checks.push(Check::of("lake", "remove", lake.delete(&key).await.map(|()| "objects can be removed".to_owned())));
    }
    checks
}

/// Whether a second put of a key is refused: two runs at once rely on it.
async fn is_exclusive(lake: &Lake, key: &str) -> Result<String, StageError> {
    match lake.put_if_absent(key, "").await? {
        PutOutcome::AlreadyThere => Ok("it can be written to, and of two writers of a key one wins".to_owned()),
        PutOutcome::Created => Err(StageError::bad_config(
            "the store lets two writers of a key win; hint: use a store with conditional puts, such as S3",
        )),
    }
}

fn clock_of(ahead: TimeDelta) -> Check {
    let seconds = ahead.num_seconds();
    if ahead.abs() <= CLOCK_SKEW {
        return Check::passed("clock", "", format!("{seconds} s from that of the store"));
    }
    let message = format!("this clock is {seconds} s from that of the store; hint: set it, by NTP for example");
    Check::failed("clock", "", &StageError::bad_config(message))
}

fn disk(lake: &Lake) -> Option<Check> {
    let folder = lake.local_path("")?;
    let free =
        fs4::available_space(&folder).map_err(|error| StageError::bad_config(format!("{}: {error}", folder.display())));
    let free = free.and_then(|bytes| {
        let detail = format!("{:.1} GB are free", bytes as f64 / 1e9);
        if bytes >= LEAST_FREE { Ok(detail) } else { Err(StageError::bad_config(format!("{detail}; hint: make room"))) }
    });
    Some(Check::of("disk", "", free))
}
