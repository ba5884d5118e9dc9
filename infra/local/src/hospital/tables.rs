//! Which file has the rows of which entity.

use std::collections::{BTreeMap, BTreeSet};

use rcm_model::cdm::{
    CLAIMS, CPT_CODES, DEPARTMENTS, ENCOUNTERS, Entity, ICD_CODES, NPI, PATIENTS, PROVIDERS, TRANSACTIONS,
};

use super::columns::{self, Columns, Known};
use super::names;
use super::sample::Sample;

/// What the tables of a hospital have rows of.
const OF_HOSPITALS: [&Entity; 6] = [&PATIENTS, &PROVIDERS, &DEPARTMENTS, &ENCOUNTERS, &TRANSACTIONS, &CLAIMS];
/// What a file's name counts, in columns that fit, and that a column has the entity's own id once per row.
const NAME: f64 = 4.0;
const OWN_ID: f64 = 2.0;
/// What a column that is not used takes off.
const UNUSED: f64 = 0.3;
/// Points below which a file is nothing that the lake knows.
const LEAST: f64 = 3.0;

/// The rows of an entity: the file that they are drafted from, and others with the same columns.
#[derive(Debug, Clone)]
pub(super) struct TableDraft<'a> {
    pub(super) sample: &'a Sample,
    pub(super) others: Vec<&'a Sample>,
    pub(super) columns: Columns,
}

/// Finds the entity of each file. Returns those of which the entity was found, parents first, and the other files.
pub(super) fn assign<'a>(samples: &'a [Sample], known: &Known) -> (Vec<TableDraft<'a>>, Vec<&'a Sample>) {
    let groups = group(samples);
    let mut scored: Vec<(f64, usize, Columns)> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        for entity in OF_HOSPITALS {
            let columns = columns::draft(entity, group[0], known);
            let points = points(entity, group[0], &columns);
            if points >= LEAST && columns.drafted.iter().any(|drafted| drafted.column == entity.id()) {
                scored.push((points, index, columns));
            }
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut tables: Vec<TableDraft<'_>> = Vec::new();
    let mut used = BTreeSet::new();
    for (_, index, columns) in scored {
        let is_taken = tables.iter().any(|table| table.columns.entity.name == columns.entity.name);
        if !is_taken && !is_code_list(&groups[index][0].stem) && used.insert(index) {
            let (sample, others) = (groups[index][0], groups[index][1..].to_vec());
            tables.push(TableDraft { sample, others, columns });
        }
    }
    tables.sort_by_key(|table| OF_HOSPITALS.iter().position(|entity| entity.name == table.columns.entity.name));
    let left =
        groups.iter().enumerate().filter(|(index, _)| !used.contains(index)).flat_map(|(_, group)| group.clone());
    (tables, left.collect())
}

/// Files of one table in parts: the same columns, and names that differ in their digits alone. The last one comes first.
fn group(samples: &[Sample]) -> Vec<Vec<&Sample>> {
    let mut groups: BTreeMap<(String, Vec<&str>), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        let stem = sample.stem.chars().filter(|letter| letter.is_alphabetic()).collect();
        groups.entry((stem, sample.header())).or_default().push(sample);
    }
    let mut groups: Vec<Vec<&Sample>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by(|a, b| b.stem.cmp(&a.stem));
    }
    groups
}

fn points(entity: &'static Entity, sample: &Sample, columns: &Columns) -> f64 {
    let id = columns.drafted.iter().find(|drafted| drafted.column == entity.id());
    let id = id.and_then(|id| sample.columns.iter().find(|column| column.name == id.source));
    let has_own_id = id.is_some_and(|id| {
        let is_named = id.readings.iter().any(|reading| reading.contains(super::words::thing(entity.name)));
        is_named && id.is_unique()
    });
    let used: BTreeSet<&str> = columns.drafted.iter().map(|drafted| drafted.source.as_str()).collect();
    let unused = sample.columns.len() - used.len();
    NAME * names::file_fit(entity.name, &sample.stem) + OWN_ID * f64::from(u8::from(has_own_id)) + columns.fit
        - UNUSED * unused as f64
}

/// Whether a file is a list of codes, which belongs to no hospital.
fn is_code_list(stem: &str) -> bool {
    let stem = stem.to_lowercase();
    [&CPT_CODES, &ICD_CODES, &NPI].iter().any(|list| {
        let name = list.name.replace("_codes", "");
        stem.starts_with(&name) || stem.starts_with(&list.name.replace('_', ""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let samples: Vec<Sample> =
            files.iter().map(|(name, text)| Sample::parse(name, text.as_bytes()).unwrap()).collect();
        let (tables, _) = assign(&samples, &Known::default());
        tables.iter().map(|table| (table.columns.entity.name.to_owned(), table.sample.file.clone())).collect()
    }

    #[test]
    fn a_file_is_known_by_its_columns_where_its_name_says_nothing() {
        let files = [
            (
                "export_1.csv",
                "Visit_No,Patient_No,Visit_Day,Doctor_No,Kind\nV1,P1,2024-11-07,D1,In\nV2,P1,2024-11-08,D1,Out\n",
            ),
            (
                "export_2.csv",
                "Patient_No,Given_Name,Family_Name,Born\nP1,Cleo,Sample,1969-12-31\nP2,Noah,Other,1970-01-31\n",
            ),
            (
                "export_3.csv",
                "Charge_No,Visit_No,Patient_No,DOS,Billed\nC1,V1,P1,2024-11-07,12.50\nC2,V1,P1,2024-11-07,1.25\n",
            ),
        ];
        let expected = [("patients", 2), ("encounters", 1), ("transactions", 3)];
        let expected = expected.map(|(entity, number)| (entity.to_owned(), format!("export_{number}.csv")));
        assert_eq!(assigned(&files), expected);
    }

    #[test]
    fn parts_of_a_table_are_one_and_the_last_is_looked_at() {
        let text = "Dept_No,Unit_Name\nU1,Cardiology\n";
        let files = [("depts_2024-10.csv", text), ("depts_2024-11.csv", text)];
        assert_eq!(assigned(&files), [("departments".to_owned(), "depts_2024-11.csv".to_owned())]);
    }
}
