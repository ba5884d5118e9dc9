//! Which column of a file is which column of the model.

use std::collections::{BTreeMap, BTreeSet};

use rcm_model::cdm::{ColumnType, Entity};
use rcm_model::codes;

use super::names;
use super::sample::{Form, Sample, SampleColumn};

/// A fit below which a column is left out, and one below which it is unsure.
const LEAST: f64 = 0.5;
const SURE: f64 = 0.85;
/// A fit of what only the cells tell.
const BY_CELLS: f64 = 0.7;
/// Fits that differ by less are as good as each other.
const AS_GOOD: f64 = 0.02;
/// Keys of a parent below which it tells nothing that all are found there.
const LEAST_KEYS: usize = 10;

/// A column of the model and the source's column that it is drafted from.
#[derive(Debug, Clone, PartialEq)]
pub struct Drafted {
    pub column: &'static str,
    /// Name in the source.
    pub source: String,
    /// Why it may be wrong; none if it is sure.
    pub unsure: Option<String>,
}

/// The columns of an entity in a file.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) entity: &'static Entity,
    pub(super) drafted: Vec<Drafted>,
    /// Sum of the fits: how much the file looks like the entity.
    pub(super) fit: f64,
}

/// What is known beside a file's own columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Names that other hospitals have for a column, by entity and column of the model.
    pub(super) names: BTreeMap<(String, String), BTreeSet<String>>,
    /// Keys in the tables of entities.
    pub(super) keys: BTreeMap<&'static str, BTreeSet<String>>,
}

/// How well a column of a file fits one of the model, and how that is known.
struct Fit {
    model: usize,
    source: usize,
    value: f64,
    by_cells: bool,
}

/// Every column that a source may have of an entity: its id, its attributes, its moments.
fn model_columns(entity: &'static Entity) -> Vec<(&'static str, Wanted)> {
    let id = (entity.id(), Wanted::Id);
    let attributes = entity.tracked.iter().map(|column| {
        let wanted = match column.kind {
            ColumnType::Money => Wanted::Money,
            ColumnType::Date => Wanted::Date,
            ColumnType::KeyOf(parent) => Wanted::KeyOf(parent),
            ColumnType::Text | ColumnType::Boolean => Wanted::Text,
        };
        (column.name, wanted)
    });
    let moments = [("src_inserted_at", Wanted::Date), ("src_modified_at", Wanted::Date)];
    std::iter::once(id).chain(attributes).chain(moments).collect()
}

/// What the cells of a column must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Id,
    KeyOf(&'static str),
    Money,
    Date,
    Text,
}

/// Drafts the columns of an entity from those of a file.
pub(super) fn draft(entity: &'static Entity, sample: &Sample, known: &Known) -> Columns {
    let model = model_columns(entity);
    let mut fits = Vec::new();
    for (index, (column, wanted)) in model.iter().enumerate() {
        for (place, source) in sample.columns.iter().enumerate() {
            let (fit, by_cells) = fit(entity, column, *wanted, source, known);
            if fit >= LEAST {
                fits.push(Fit { model: index, source: place, value: fit, by_cells });
            }
        }
    }
    fits.sort_by(|a, b| b.value.total_cmp(&a.value).then((a.model, a.source).cmp(&(b.model, b.source))));
    let mut chosen: Vec<&Fit> = Vec::new();
    for fit in &fits {
        if !chosen.iter().any(|taken| taken.model == fit.model || taken.source == fit.source) {
            chosen.push(fit);
        }
    }
    let is_free = |source: usize| chosen.iter().all(|taken| taken.source != source);
    let rival = |taken: &Fit| {
        fits.iter().find(|fit| fit.model == taken.model && fit.value >= taken.value - AS_GOOD && is_free(fit.source))
    };
    let drafted = chosen.iter().map(|taken| {
        let source = &sample.columns[taken.source];
        let rival = rival(taken).map(|rival| sample.columns[rival.source].name.as_str());
        let (column, wanted) = model[taken.model];
        Drafted { column, source: source.name.clone(), unsure: unsure(taken, wanted, source, rival) }
    });
    let mut drafted: Vec<Drafted> = drafted.collect();
    let sum = chosen.iter().map(|taken| taken.value).sum();
    drafted.extend(substitutes(entity, &drafted));
    drafted.sort_by_key(|drafted| model.iter().position(|(column, _)| *column == drafted.column));
    Columns { entity, drafted, fit: sum }
}

/// Why a choice may be wrong.
fn unsure(taken: &Fit, wanted: Wanted, source: &SampleColumn, rival: Option<&str>) -> Option<String> {
    match rival {
        Some(rival) => Some(format!("or `{rival}`")),
        None if wanted == Wanted::Money && source.form == Form::OtherMoney => {
            Some("its amounts are not written like 1234.50, and rows with others go to quarantine".to_owned())
        }
        None if taken.by_cells => Some("by its cells, not by its name".to_owned()),
        None if taken.value < SURE => Some("by a part of its name".to_owned()),
        None => None,
    }
}

/// What stands for a date without which rows say nothing: a charge without a date of service has that of its visit, a
/// claim without a date that of its service.
fn substitutes(entity: &Entity, drafted: &[Drafted]) -> Option<Drafted> {
    let (column, others): (_, &[&str]) = match entity.name {
        "transactions" => ("service_date", &["visit_date", "src_inserted_at"]),
        "claims" => ("claim_date", &["src_inserted_at", "service_date"]),
        _ => return None,
    };
    let of = |name: &str| drafted.iter().find(|drafted| drafted.column == name);
    if of(column).is_some() {
        return None;
    }
    let other = others.iter().find_map(|other| of(other))?;
    let unsure = Some(format!("there is no better one than that of {}", other.column));
    Some(Drafted { column, source: other.source.clone(), unsure })
}

fn fit(entity: &Entity, column: &str, wanted: Wanted, source: &SampleColumn, known: &Known) -> (f64, bool) {
    let by_cells = by_cells(column, wanted, source, known);
    let may_be = may_be(wanted, source) * if column == "phone_number" { may_be_phone(source) } else { 1.0 };
    let others = known.names.get(&(entity.name.to_owned(), column.to_owned()));
    let is_known = others.is_some_and(|names| names.contains(&names::words(&source.name).join(" ")));
    let by_name = if is_known { 1.0 } else { names::fit(entity.name, column, &source.readings) };
    let by_name = by_name * may_be * joins(wanted, source, known);
    if by_name >= SURE || by_name >= by_cells { (by_name, false) } else { (by_cells, true) }
}

/// What is left of a fit by the name if the cells have a certain form.
fn may_be(wanted: Wanted, source: &SampleColumn) -> f64 {
    let is_whole = || source.share(|cell| cell.ends_with(".0")) > 0.9;
    match (wanted, source.form) {
        (_, Form::Empty) => 0.9,
        (Wanted::Date, form) => f64::from(u8::from(form == Form::Date)),
        (_, Form::Date) => 0.0,
        (Wanted::Money, Form::OtherMoney) => 0.95,
        (Wanted::Money, form) => f64::from(u8::from(form != Form::Text)),
        (Wanted::Id | Wanted::KeyOf(_), Form::Decimal) if !is_whole() => 0.0,
        (Wanted::Id, _) if !source.is_unique() => 0.8,
        (Wanted::Text, Form::Decimal) => 0.5,
        (Wanted::Id | Wanted::KeyOf(_) | Wanted::Text, _) => 1.0,
    }
}

/// What is left of a fit where the cells are no keys of the table that the column points to: of `MRN` and `Patient_ID`, the
/// one that the table of patients is keyed by is meant.
fn joins(wanted: Wanted, source: &SampleColumn, known: &Known) -> f64 {
    let Wanted::KeyOf(parent) = wanted else { return 1.0 };
    let keys = known.keys.get(parent).filter(|keys| !keys.is_empty());
    if keys.is_none_or(|keys| source.share(|cell| keys.contains(cell)) >= 0.5) { 1.0 } else { 0.97 }
}

/// A name of a person to call has no digits.
fn may_be_phone(source: &SampleColumn) -> f64 {
    let has_digits = |cell: &str| cell.bytes().filter(u8::is_ascii_digit).count() >= 7;
    if source.values.is_empty() || source.share(has_digits) >= 0.5 { 1.0 } else { 0.3 }
}

/// The fit that cells show whatever their column is called.
fn by_cells(column: &str, wanted: Wanted, source: &SampleColumn, known: &Known) -> f64 {
    const NEARLY_ALL: f64 = 0.9;
    if source.values.is_empty() {
        return 0.0;
    }
    let all = |is_so: &dyn Fn(&str) -> bool| if source.share(is_so) >= NEARLY_ALL { BY_CELLS } else { 0.0 };
    match (column, wanted) {
        ("ssn", _) => all(&|cell| has_form(cell, "999-99-9999")),
        ("npi", _) => all(&codes::is_valid_npi),
        ("icd_code", _) => all(&is_icd10),
        ("gender", _) => all(&|cell| {
            ["m", "f", "male", "female", "o", "other", "u", "unknown", "w", "d"]
                .iter()
                .any(|word| cell.eq_ignore_ascii_case(word))
        }),
        (_, Wanted::KeyOf(parent)) => {
            let Some(keys) = known.keys.get(parent).filter(|keys| keys.len() >= LEAST_KEYS) else { return 0.0 };
            // Numbers from 1 on are in every table.
            let is_key = |cell: &str| keys.contains(cell) && !cell.bytes().all(|byte| byte.is_ascii_digit());
            all(&is_key)
        }
        _ => 0.0,
    }
}

fn has_form(cell: &str, form: &str) -> bool {
    cell.len() == form.len()
        && cell.chars().zip(form.chars()).all(|(letter, of_form)| match of_form {
            '9' => letter.is_ascii_digit(),
            of_form => letter == of_form,
        })
}

/// Whether a cell is written like a code of ICD-10 with a point: `I95.4`.
fn is_icd10(cell: &str) -> bool {
    let Some((category, rest)) = cell.split_once('.') else { return false };
    let (category, is_end) = (category.as_bytes(), rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    category.len() == 3 && category[0].is_ascii_uppercase() && category[1].is_ascii_digit() && is_end && rest.len() <= 4
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::{CLAIMS, PATIENTS, TRANSACTIONS};

    use super::*;

    fn drafted(entity: &'static Entity, text: &str) -> Vec<(String, String, bool)> {
        let sample = Sample::parse("x.csv", text.as_bytes()).unwrap();
        let columns = draft(entity, &sample, &Known::default());
        let of = |drafted: Drafted| (drafted.column.to_owned(), drafted.source, drafted.unsure.is_none());
        columns.drafted.into_iter().map(of).collect()
    }

    fn expected(columns: &[(&str, &str, bool)]) -> Vec<(String, String, bool)> {
        columns.iter().map(|(column, source, is_sure)| ((*column).to_owned(), (*source).to_owned(), *is_sure)).collect()
    }

    #[test]
    fn what_the_cells_tell_counts_where_the_name_says_nothing() {
        let text = "mrn,given,family,tax ref\n7,Cleo,Sample,900-00-0077\n8,Noah,Other,900-00-0078\n";
        let columns = [
            ("src_patient_id", "mrn", true),
            ("first_name", "given", true),
            ("last_name", "family", true),
            ("ssn", "tax ref", false),
        ];
        assert_eq!(drafted(&PATIENTS, text), expected(&columns));
    }

    #[test]
    fn a_column_whose_cells_are_no_dates_is_no_date() {
        let text = "Claim_No,Sent_On,Updated_By\n1,2024-11-07,sample\n2,2024-11-08,sample\n";
        assert_eq!(
            drafted(&CLAIMS, text),
            expected(&[("src_claim_id", "Claim_No", true), ("claim_date", "Sent_On", true)])
        );
    }

    #[test]
    fn a_charge_without_a_date_of_service_has_that_of_its_visit() {
        let text = "Charge_No,Visit_Day,Billed\n1,2024-11-07,12.50\n2,2024-11-08,1\n";
        let columns = [
            ("src_transaction_id", "Charge_No", true),
            ("visit_date", "Visit_Day", true),
            ("service_date", "Visit_Day", false),
            ("amount", "Billed", true),
        ];
        assert_eq!(drafted(&TRANSACTIONS, text), expected(&columns));
    }

    #[test]
    fn of_two_columns_that_fit_as_well_the_other_is_named() {
        let sample = Sample::parse("x.csv", b"MRN,Patient_ID\nA1,B1\nA2,B2\n").unwrap();
        let columns = draft(&PATIENTS, &sample, &Known::default());
        assert_eq!(columns.drafted[0].unsure.as_deref(), Some("or `Patient_ID`"));
    }
}
