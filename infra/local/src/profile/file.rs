//! The profile of a CSV file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rcm_model::cdm::{DateReader, ENTITIES, Entity, EntityMapping, Mapping};
use rcm_platform::csv_stream::{Csv, Dialect, Records, Wanted, each};
use rcm_platform::{Context, StageError};
use rcm_tables::rulebooks::Rulebooks;

use super::tally::Tally;
use super::{Known, Profile, rules};
use crate::sql::of_source_column;

/// Bytes of a file in which the delimiter is looked for.
const HEAD: u64 = 64 * 1024;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What is profiled and how.
#[derive(Debug)]
pub struct FileRequest<'a> {
    pub path: &'a Path,
    /// Delimiter; the most frequent one of the first line where none is given.
    pub delimiter: Option<&'a str>,
    /// Encoding; UTF-8 where none is given.
    pub encoding: Option<&'a str>,
    /// Patterns that are shown of a column.
    pub top: usize,
    pub with_rules: bool,
}

/// A mapping that fits the header of a file.
struct Fit<'a> {
    mapping: &'a Mapping,
    entity: &'static Entity,
    columns: EntityMapping,
}

/// The columns of a file while its records pass.
struct Counting<'a> {
    fit: Option<Fit<'a>>,
    dates: DateReader,
    columns: Vec<(Known, Tally)>,
}

/// Profiles a CSV file. The mapping is the one of the configuration whose columns the header has.
///
/// # Errors
/// `BadConfig` if the options cannot be used; `BrokenContract` if it is no CSV file; it cannot be read.
pub async fn of_file(context: &Context, request: &FileRequest<'_>) -> Result<Profile, StageError> {
    let FileRequest { path, top, .. } = *request;
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| StageError::bad_config(format!("{name}: {}", error.kind()));
    let delimiter = match request.delimiter {
        Some(delimiter) => delimiter.to_owned(),
        None => char::from(found_delimiter(path).map_err(unreadable)?).to_string(),
    };
    let dialect = Dialect::of(Some(&delimiter), request.encoding);
    let dialect = dialect.map_err(|(option, reason)| StageError::bad_config(format!("--{option} {reason}")))?;
    let csv = Csv::on_disk(path.to_owned(), name.clone()).with_dialect(dialect);
    let mut counting: Option<Result<Counting<'_>, StageError>> = None;
    let summary = each(&csv, Wanted::default(), |records| {
        let counting = counting.get_or_insert_with(|| Counting::start(context, path, records));
        if let Ok(counting) = counting {
            counting.add(records);
        }
    })
    .await?;
    let Some(counting) = counting else {
        return Err(StageError::internal("a file was read without a header"));
    };
    let Counting { fit, columns, .. } = counting?;
    let rules = match &fit {
        Some(fit) if request.with_rules => {
            let known = Rulebooks::read(&context.lake).await?.of(fit.entity);
            rules(fit.entity, &columns, |column| fit.mapping.values(column).is_some(), &known)
        }
        _ => Vec::new(),
    };
    Ok(Profile {
        name,
        rows: summary.rows,
        malformed: summary.malformed,
        delimiter: delimiter.chars().next(),
        entity: fit.map(|fit| format!("{} of {}", fit.entity.name, fit.mapping.datasource)),
        columns: columns.iter().map(|(known, tally)| known.profile(tally, top)).collect(),
        rules,
    })
}

impl<'a> Counting<'a> {
    /// Nothing counted yet of a file, whose first records, or none, are given.
    fn start(context: &'a Context, path: &Path, records: &Records) -> Result<Self, StageError> {
        let names: Vec<&str> = records.names().collect();
        let fit = fit(context, path, &names);
        let iso = Mapping::parse("none.toml", "datasource = \"none\"")?;
        let dates = DateReader::of(fit.as_ref().map_or(&iso, |fit| fit.mapping)).map_err(StageError::bad_config)?;
        let known = names.iter().map(|name| known(name, fit.as_ref()));
        let columns = known.map(|known| {
            let tally = Tally::new(known.may_be_shown);
            (known, tally)
        });
        Ok(Self { columns: columns.collect(), fit, dates })
    }

    fn add(&mut self, records: &Records) {
        for (index, (_, tally)) in self.columns.iter_mut().enumerate() {
            for text in records.texts(index) {
                tally.add(text, &self.dates);
            }
        }
    }
}

fn known(name: &str, fit: Option<&Fit<'_>>) -> Known {
    let mask = of_source_column(name, fit.map(|fit| fit.entity), fit.map(|fit| &fit.columns));
    let of_entity = |fit: &Fit<'_>| {
        let is_of =
            |column: &str| fit.columns.source(column).is_some_and(|source| source.columns().any(|of| of == name));
        let mut columns = fit.entity.tracked.iter().map(|column| column.name).filter(|column| is_of(column));
        (columns.next().filter(|_| columns.next().is_none()), is_of(fit.entity.id()))
    };
    let (of_model, is_id) = fit.map_or((None, false), of_entity);
    let identifying = fit.and_then(|fit| fit.entity.identifying(of_model?));
    Known { name: name.to_owned(), identifying, may_be_shown: mask.is_none(), is_id, of_model }
}

/// The mapping that fits a header, of several the one that the path names. A header that only has some columns of a
/// mapping may be anybody's: then the file must be called like the table, or the mapping must have all of its columns.
fn fit<'a>(context: &'a Context, path: &Path, names: &[&str]) -> Option<Fit<'a>> {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
    let (file_name, folder) = (text(path.file_name()), text(path.parent().and_then(Path::file_name)));
    let has = |name: &str| names.contains(&name);
    let mut best: Option<((bool, bool, usize), Fit<'a>)> = None;
    for mapping in context.settings.mappings() {
        for entity in ENTITIES {
            let Some(columns) = mapping.columns(entity.name, &file_name) else { continue };
            let Ok(columns) = columns.resolve(has) else { continue };
            let count = columns.source_columns().count();
            let is_named = file_name.contains(mapping.table_of(entity.name)) || mapping.owns_file(&folder, &file_name);
            let is_whole = names.iter().all(|name| columns.source_columns().any(|column| column == *name));
            let rank = (is_named, folder == mapping.datasource, count);
            if (is_named || is_whole) && best.as_ref().is_none_or(|(other, _)| rank > *other) {
                best = Some((rank, Fit { mapping, entity, columns }));
            }
        }
    }
    best.map(|(_, fit)| fit)
}

/// The delimiter that the first line has most of; a comma where it has none.
fn found_delimiter(path: &Path) -> std::io::Result<u8> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut is_quoted = false;
    let mut counts = [0_usize; DELIMITERS.len()];
    for byte in line {
        if *byte == b'"' {
            is_quoted = !is_quoted;
        }
        if let Some(index) = DELIMITERS.iter().position(|delimiter| delimiter == byte).filter(|_| !is_quoted) {
            counts[index] += 1;
        }
    }
    let most = counts.iter().enumerate().rev().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > 0);
    Ok(most.map_or(b',', |(index, _)| DELIMITERS[index]))
}
