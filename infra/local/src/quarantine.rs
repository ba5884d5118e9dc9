//! Reads the rows in quarantine: what is missing from the lake because of them, and what a row looks like.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;
use rcm_domain::money;
use rcm_model::cdm::{ColumnType, ENTITIES, Entity, EntityMapping, shape};
use rcm_platform::bronze::LoadLog;
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError, lake};
use rcm_tables::delta::Table;
use rcm_tables::desk::rules_of;
use rcm_tables::frames::blocking;
use serde::Serialize;
use serde_json::Value;

use crate::hint;

/// Which rows are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub entity: Option<String>,
    pub rule: Option<String>,
    /// Datasource.
    pub hospital: Option<String>,
    /// `open` unless another one is asked for; `all` is all of them.
    pub status: Option<String>,
    /// In quarantine since this day or later.
    pub since: Option<NaiveDate>,
}

/// What the lake has of the key of a row in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing: the row is missing from the lake.
    Missing,
    /// An older good version, which stands.
    OlderVersion,
    /// A good version that came after the row.
    Overtaken,
}

/// A row in quarantine, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub entity: &'static str,
    pub datasource: String,
    pub fingerprint: String,
    pub stream: String,
    pub sequence: i64,
    pub position: i64,
    /// The rules that it failed, in their order.
    pub rules: Vec<String>,
    pub status: String,
    pub since: DateTime<Utc>,
    pub standing: Standing,
    /// Its amount, where it has one that can be read.
    pub cents: Option<i128>,
}

/// Rows that failed a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleLine {
    pub rule: String,
    pub table: String,
    pub hospital: String,
    pub rows: u64,
    pub missing: u64,
    /// Of the missing ones, with two decimals; none where they have no amounts.
    pub amount_missing: Option<String>,
    pub overtaken: u64,
    pub since: DateTime<Utc>,
    pub last_load: i64,
}

/// A row in quarantine, column by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub entry: Entry,
    /// Whether the values themselves are shown, and not their shapes.
    pub has_values: bool,
    /// Source column, its value or the shape of it, column of the model.
    pub columns: Vec<(String, String, String)>,
}

/// Returns the rows that are asked for, those missing from the lake first.
///
/// # Errors
/// There is no such entity, or a table cannot be read.
pub async fn entries(context: &Context, wanted: &Wanted) -> Result<Vec<Entry>, StageError> {
    let mut found = Vec::new();
    for entity in entities(wanted)? {
        for (entry, _) in of_entity(context, entity, wanted).await? {
            found.push(entry);
        }
    }
    found.sort_by(|one, other| {
        let order =
            |entry: &Entry| (entry.standing, entry.entity, entry.stream.clone(), entry.sequence, entry.position);
        order(one).cmp(&order(other))
    });
    Ok(found)
}

/// The entities that are asked for.
///
/// # Errors
/// There is no such entity.
pub(crate) fn entities(wanted: &Wanted) -> Result<Vec<&'static Entity>, StageError> {
    let Some(name) = &wanted.entity else { return Ok(ENTITIES.to_vec()) };
    let known = ENTITIES.into_iter().find(|entity| entity.name == name);
    let names = || ENTITIES.map(|entity| entity.name);
    let unknown = || {
        let guess = hint::did_you_mean(name, names()).map_or_else(String::new, |guess| guess + " ");
        let (name, names) = (printable(name), names().join(", "));
        StageError::bad_config(format!("there is no entity `{name}`; hint: {guess}entities are {names}"))
    };
    Ok(vec![known.ok_or_else(unknown)?])
}

/// Sums rows up by rule, table and hospital: one that failed several rules counts for each.
#[must_use]
pub fn by_rule(entries: &[Entry]) -> Vec<RuleLine> {
    let mut lines: BTreeMap<(&str, &str, &str), Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        for rule in &entry.rules {
            lines.entry((rule, entry.entity, &entry.datasource)).or_default().push(entry);
        }
    }
    let line = |((rule, entity, hospital), rows): ((&str, &str, &str), Vec<&Entry>)| {
        let missing = || rows.iter().filter(|entry| entry.standing == Standing::Missing);
        let amounts: Vec<i128> = missing().filter_map(|entry| entry.cents).collect();
        RuleLine {
            rule: rule.to_owned(),
            table: entity.to_owned(),
            hospital: hospital.to_owned(),
            rows: rows.len() as u64,
            missing: missing().count() as u64,
            amount_missing: (!amounts.is_empty()).then(|| money::format_cents(amounts.iter().sum())),
            overtaken: rows.iter().filter(|entry| entry.standing == Standing::Overtaken).count() as u64,
            since: rows.iter().map(|entry| entry.since).min().unwrap_or_default(),
            last_load: rows.iter().map(|entry| entry.sequence).max().unwrap_or_default(),
        }
    };
    let mut lines: Vec<RuleLine> = lines.into_iter().map(line).collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.missing, line.rows)));
    lines
}

/// Returns the row at a place, `<stream>:<load>:<row>`, or with a fingerprint that begins so; none if there is none. Its
/// values are shapes unless `has_values`.
///
/// # Errors
/// Several rows are meant, or a table cannot be read.
pub async fn show(context: &Context, which: &str, has_values: bool) -> Result<Option<Shown>, StageError> {
    let all = Wanted { status: Some("all".to_owned()), ..Wanted::default() };
    let mut found = Vec::new();
    for entity in ENTITIES {
        for (entry, raw) in of_entity(context, entity, &all).await? {
            let place = format!("{}:{}:{}", entry.stream, entry.sequence, entry.position);
            if place == which || (which.len() >= 8 && entry.fingerprint.starts_with(which)) {
                found.push((entity, entry, raw));
            }
        }
    }
    if found.len() > 1 {
        let message =
            format!("{} rows are meant by `{}`; hint: give more of the fingerprint", found.len(), printable(which));
        return Err(StageError::bad_config(message));
    }
    let Some((entity, entry, raw)) = found.pop() else { return Ok(None) };
    let mapped = mapped(context, entity, &entry).await?;
    let of_model = |source: &str| {
        let columns = mapped.iter().flat_map(|mapping| entity_columns(entity).map(move |column| (*mapping, column)));
        let mut names = columns.filter(|(mapping, column)| {
            mapping.source(column).is_some_and(|of_column| of_column.columns().any(|name| name == source))
        });
        names.next().map_or_else(String::new, |(_, column)| column.to_owned())
    };
    let told = |value: &Value| match value {
        Value::String(text) if has_values => text.clone(),
        value => shape_of(value),
    };
    let columns = match raw {
        Value::Object(values) => {
            values.iter().map(|(name, value)| (name.clone(), told(value), of_model(name))).collect()
        }
        // A record that does not fit its header has fields without names.
        Value::Array(values) => {
            (1..).zip(&values).map(|(number, value)| (format!("field {number}"), told(value), String::new())).collect()
        }
        _ => Vec::new(),
    };
    Ok(Some(Shown { entry, has_values, columns }))
}

fn entity_columns(entity: &'static Entity) -> impl Iterator<Item = &'static str> {
    let moments = ["src_inserted_at", "src_modified_at"];
    std::iter::once(entity.id()).chain(entity.tracked.iter().map(|column| column.name)).chain(moments)
}

/// How the columns of a row's load are mapped; none where nothing maps them today.
async fn mapped<'a>(
    context: &'a Context,
    entity: &Entity,
    entry: &Entry,
) -> Result<Option<&'a EntityMapping>, StageError> {
    let Ok(mapping) = context.settings.mapping(&entry.datasource) else { return Ok(None) };
    let loads =
        LoadLog::new(&context.lake, &entry.stream).after(entry.sequence.unsigned_abs().saturating_sub(1)).await?;
    let load = loads.into_iter().find(|load| load.sequence == entry.sequence.unsigned_abs());
    Ok(mapping.columns(entity.name, &load.map(|load| load.source.name).unwrap_or_default()))
}

/// What a value of a row looks like.
pub(crate) fn shape_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => shape(text),
        other => shape(&other.to_string()),
    }
}

/// The rows of an entity that are asked for, each with its values.
pub(crate) async fn of_entity(
    context: &Context,
    entity: &'static Entity,
    wanted: &Wanted,
) -> Result<Vec<(Entry, Value)>, StageError> {
    let Some(table) = Table::open(&context.lake, &lake::quarantine(entity.name)).await? else { return Ok(Vec::new()) };
    let mut rows = table.scan(table.files()).await?;
    match wanted.status.as_deref().unwrap_or("open") {
        "all" => {}
        status => rows = rows.filter(col("status").eq(lit(status))),
    }
    if let Some(hospital) = &wanted.hospital {
        rows = rows.filter(col("datasource").eq(lit(hospital.clone())));
    }
    let rows = blocking(move || Ok(rows.collect()?)).await?;
    if rows.height() == 0 {
        return Ok(Vec::new());
    }
    let since_by_key = current_keys(context, entity, &rows).await?;
    let text = |name: &str| Ok::<_, StageError>(rows.column(name)?.str()?.clone());
    let number = |name: &str| Ok::<_, StageError>(rows.column(name)?.i64()?.clone());
    let (fingerprints, datasources, keys) = (text("fingerprint")?, text("datasource")?, text("key")?);
    let (reasons, values, streams, statuses) = (text("reasons")?, text("raw")?, text("stream")?, text("status")?);
    let (sequences, positions) = (number("sequence")?, number("position")?);
    let moments = rows.column("quarantined_at")?.datetime()?.physical().clone();
    let of = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for row in 0..rows.height() {
        let rules: Vec<String> = rules_of(&of(&reasons, row)).map(str::to_owned).collect();
        if wanted.rule.as_ref().is_some_and(|rule| !rules.contains(rule)) {
            continue;
        }
        let raw: Value = serde_json::from_str(&of(&values, row)).unwrap_or(Value::Null);
        let since = moments.get(row).and_then(DateTime::from_timestamp_micros).unwrap_or_default();
        if wanted.since.is_some_and(|day| since.date_naive() < day) {
            continue;
        }
        let current = keys.get(row).and_then(|key| since_by_key.get(key));
        let standing = match current {
            None => Standing::Missing,
            Some(inserted_at) if *inserted_at > since.timestamp_micros() => Standing::Overtaken,
            Some(_) => Standing::OlderVersion,
        };
        let datasource = of(&datasources, row);
        let entry = Entry {
            entity: entity.name,
            cents: amount_of(context, entity, &datasource, &raw),
            datasource,
            fingerprint: of(&fingerprints, row),
            stream: of(&streams, row),
            sequence: sequences.get(row).unwrap_or_default(),
            position: positions.get(row).unwrap_or_default(),
            rules,
            status: of(&statuses, row),
            since,
            standing,
        };
        found.push((entry, raw));
    }
    Ok(found)
}

/// When the current version of each key was written, of keys that rows in quarantine have.
async fn current_keys(
    context: &Context,
    entity: &'static Entity,
    rows: &DataFrame,
) -> Result<BTreeMap<String, i64>, StageError> {
    let Some(table) = Table::open(&context.lake, &lake::silver(entity.name)).await? else { return Ok(BTreeMap::new()) };
    let wanted = rows.select(["key"])?.lazy().drop_nulls(None);
    let current =
        table.scan(table.files()).await?.filter(col("is_current")).select([col(entity.key), col("inserted_at")]);
    let found = blocking(move || {
        let join = JoinArgs::new(JoinType::Semi);
        Ok(current.join(wanted, [col(entity.key)], [col("key")], join).collect()?)
    })
    .await?;
    let (keys, moments) = (found.column(entity.key)?.str()?, found.column("inserted_at")?.datetime()?.physical());
    let pairs = keys.iter().zip(moments.iter());
    Ok(pairs.filter_map(|(key, moment)| Some((key?.to_owned(), moment?))).collect())
}

/// The amount of a row, read as its mapping says today; the first of the entity's amounts.
fn amount_of(context: &Context, entity: &Entity, datasource: &str, raw: &Value) -> Option<i128> {
    let amount = entity.tracked.iter().find(|column| column.kind == ColumnType::Money)?;
    let mapping = context.settings.mapping(datasource).ok()?.columns(entity.name, "")?;
    let source = mapping.source(amount.name)?.columns().next()?.to_owned();
    match raw.get(source)? {
        Value::String(text) => money::parse_cents(text),
        other => money::parse_cents(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(standing: Standing, rules: &[&str], cents: Option<i128>) -> Entry {
        Entry {
            entity: "claims",
            datasource: "hos-a".to_owned(),
            fingerprint: String::new(),
            stream: "claims/hos-a".to_owned(),
            sequence: 3,
            position: 1,
            rules: rules.iter().map(ToString::to_string).collect(),
            status: "open".to_owned(),
            since: DateTime::UNIX_EPOCH,
            standing,
            cents,
        }
    }

    #[test]
    fn rows_count_for_each_rule_that_they_failed_and_only_missing_ones_have_their_money_counted() {
        let entries = [
            entry(Standing::Missing, &["a", "b"], Some(1_050)),
            entry(Standing::Missing, &["a"], Some(200)),
            entry(Standing::OlderVersion, &["a"], Some(99_999)),
            entry(Standing::Overtaken, &["b"], None),
        ];
        let lines = by_rule(&entries);
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.rule.as_str(), line.rows, line.missing, line.amount_missing.as_deref(), line.overtaken))
            .collect();
        assert_eq!(told, [("a", 3, 2, Some("12.50"), 0), ("b", 2, 1, Some("10.50"), 1)]);
    }

    #[test]
    fn a_reason_with_the_columns_that_it_is_about_is_one_rule() {
        assert_eq!(rules_of("unparseable_value: amount paid_date").collect::<Vec<_>>(), ["unparseable_value"]);
    }
}
