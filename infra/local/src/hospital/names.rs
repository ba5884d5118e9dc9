//! Reads the names of columns and files: `Pt_No`, `PATIENTNO` and `patientNumber` say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::words::{FILLERS, NAMES, OTHERS, THINGS, WORDS, thing};

/// What the words of a name stand for.
pub(super) type Concepts = BTreeSet<String>;

/// Readings of a name that are tried, where its words have several meanings.
const MOST_READINGS: usize = 16;
/// How well a name fits that has a word more than it should.
const WORD_MORE: f64 = 0.75;
/// How well a weak name fits.
const WEAK: f64 = 0.72;
/// What is left of a fit where the name says something else beside it.
const ELSE: f64 = 0.4;

/// Every word, with what it stands for: several meanings of several concepts.
static MEANINGS: LazyLock<BTreeMap<&str, Vec<Vec<&str>>>> = LazyLock::new(|| {
    let mut meanings: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for (concepts, words) in WORDS {
        for word in words.split(' ') {
            meanings.entry(word).or_default().push(concepts.split(' ').collect());
        }
    }
    meanings
});

/// Splits a name into words in lower case: at what is no letter or digit, at capitals, between letters and digits.
pub(super) fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut is_new = true;
    for (index, &letter) in letters.iter().enumerate() {
        if !letter.is_alphanumeric() {
            is_new = true;
            continue;
        }
        let before = index.checked_sub(1).map(|before| letters[before]);
        let after_lower = letter.is_uppercase() && before.is_some_and(char::is_lowercase);
        let last_capital = letter.is_uppercase()
            && before.is_some_and(char::is_uppercase)
            && letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        let other_kind =
            before.is_some_and(|before| before.is_alphanumeric() && before.is_numeric() != letter.is_numeric());
        if is_new || after_lower || last_capital || other_kind {
            words.push(String::new());
        }
        is_new = false;
        if let Some(word) = words.last_mut() {
            match letter {
                'ä' | 'Ä' => word.push_str("ae"),
                'ö' | 'Ö' => word.push_str("oe"),
                'ü' | 'Ü' => word.push_str("ue"),
                'ß' => word.push_str("ss"),
                letter => word.extend(letter.to_lowercase()),
            }
        }
    }
    words
        .into_iter()
        .flat_map(|word| if is_known(&word) { vec![word] } else { parts(&word).unwrap_or(vec![word]) })
        .collect()
}

fn is_known(word: &str) -> bool {
    MEANINGS.contains_key(word) || FILLERS.contains(&word)
}

/// Splits a word that is written together, such as `patientid`, into the fewest known words.
fn parts(word: &str) -> Option<Vec<String>> {
    if !word.is_ascii() {
        return None;
    }
    let mut best: Vec<Option<Vec<&str>>> = vec![None; word.len() + 1];
    best[0] = Some(Vec::new());
    for end in 1..=word.len() {
        for start in 0..end.saturating_sub(1) {
            let part = &word[start..end];
            let Some(before) = &best[start] else { continue };
            if is_known(part) && best[end].as_ref().is_none_or(|known| before.len() + 1 < known.len()) {
                let mut found = before.clone();
                found.push(part);
                best[end] = Some(found);
            }
        }
    }
    let found = best.pop()??;
    Some(found.into_iter().map(str::to_owned).collect())
}

/// Everything that a name may say: one set of concepts for each combination of the meanings of its words.
pub(super) fn readings(name: &str) -> Vec<Concepts> {
    let mut readings = vec![Concepts::new()];
    for word in words(name) {
        if FILLERS.contains(&word.as_str()) {
            continue;
        }
        let own = vec![vec![word.as_str()]];
        let meanings = MEANINGS.get(word.as_str()).unwrap_or(&own);
        readings = readings
            .iter()
            .flat_map(|reading| {
                meanings.iter().map(|concepts| {
                    let concepts = concepts.iter().map(|concept| (*concept).to_owned());
                    reading.iter().cloned().chain(concepts).collect()
                })
            })
            .take(MOST_READINGS)
            .collect();
    }
    readings
}

/// How well a name fits a column of an entity, from 0 to 1.
pub(super) fn fit(entity: &str, column: &str, readings: &[Concepts]) -> f64 {
    let of_column =
        NAMES.iter().filter(|names| names.column == column && (names.entity == entity || names.entity.is_empty()));
    let owner = thing(entity);
    let mut best: f64 = 0.0;
    for names in of_column {
        for name in names.alternatives.split('|') {
            let (name, weight) = name.strip_suffix('~').map_or((name, 1.0), |name| (name, WEAK));
            let wanted: Concepts = name.split(' ').map(str::to_owned).collect();
            for reading in readings.iter().filter(|reading| !is_charge(entity, column, reading, readings)) {
                let without_owner: Concepts = reading.iter().filter(|concept| *concept != owner).cloned().collect();
                for reading in [reading, &without_owner] {
                    best = best.max(weight * likeness(reading, &wanted, owner));
                }
            }
        }
    }
    best
}

fn likeness(reading: &Concepts, wanted: &Concepts, owner: &str) -> f64 {
    if reading.is_empty() {
        return 0.0;
    }
    if reading == wanted {
        return 1.0;
    }
    if !reading.is_superset(wanted) {
        return 0.0;
    }
    let more = || reading.difference(wanted).filter(|concept| *concept != owner);
    let is_else = more().any(|concept| THINGS.contains(&concept.as_str()) || OTHERS.contains(&concept.as_str()));
    let fit = WORD_MORE.powi(reading.difference(wanted).count() as i32);
    if is_else { fit * ELSE } else { fit }
}

/// How much the name of a file says that it has an entity's rows, from 0 to 1: most where the last thing in it is the
/// entity's, as in `patient_visits`.
pub(super) fn file_fit(entity: &str, stem: &str) -> f64 {
    let thing = thing(entity);
    let things: Vec<Vec<&str>> = words(stem)
        .iter()
        .filter_map(|word| {
            let meanings = MEANINGS.get(word.as_str())?;
            let things: Vec<&str> =
                meanings.iter().flatten().copied().filter(|concept| THINGS.contains(concept)).collect();
            (!things.is_empty()).then_some(things)
        })
        .collect();
    match things.iter().rposition(|things| things.contains(&thing)) {
        Some(place) if place + 1 == things.len() => 1.0,
        Some(_) => 0.4,
        None => 0.0,
    }
}

/// Whether a name that may say a change says a charge: `Chg_Dt` does among charges, and `Last_Chg_Dt` does not.
fn is_charge(entity: &str, column: &str, reading: &Concepts, readings: &[Concepts]) -> bool {
    let is_of_charges = column == "src_modified_at" && ["transactions", "claims"].contains(&entity);
    let may_be = readings.iter().any(|reading| reading.contains("transaction"));
    is_of_charges && may_be && reading.contains("modified") && !reading.contains("last")
}

/// Whether a name has a word that means something.
pub(super) fn means_something(name: &str) -> bool {
    words(name).iter().any(|word| MEANINGS.contains_key(word.as_str()))
}

/// Whether a name says that its column has dates.
pub(super) fn says_date(readings: &[Concepts]) -> bool {
    let dates = ["date", "modified", "inserted", "birth"];
    readings.iter().flatten().any(|concept| dates.contains(&concept.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_however_they_are_written() {
        for (name, expected) in [
            ("PatientID", "patient id"),
            ("patient_no", "patient no"),
            ("PATIENTNO", "patient no"),
            ("EncounterICD10Code", "encounter icd 10 code"),
            ("dateofbirth", "date of birth"),
            ("Straße, Ort", "strasse ort"),
            ("Favourite Colour", "favourite colour"),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn what_names_mean_is_found() {
        for (entity, column, name) in [
            ("patients", "src_patient_id", "Pt_No"),
            ("patients", "src_patient_id", "MRN"),
            ("patients", "dob", "dateOfBirth"),
            ("patients", "first_name", "patientFirstName"),
            ("patients", "src_modified_at", "LST_UPD_TS"),
            ("transactions", "service_date", "DOS"),
            ("transactions", "amount", "Chg_Amt"),
            ("transactions", "provider_key", "Prov_ID"),
            ("transactions", "visit_date", "Visit_Day"),
            ("claims", "claim_date", "Sent_On"),
            ("claims", "claim_amount", "Claimed"),
            ("departments", "name", "Unit_Name"),
            ("departments", "name", "DEPTDESC"),
            ("patients", "address", "addr_line_1"),
            ("patients", "phone_number", "home_phone"),
            ("patients", "src_modified_at", "Chg_Dt"),
            ("transactions", "src_modified_at", "Last_Chg_Dt"),
            ("transactions", "icd_code", "primary_dx_cd"),
            ("transactions", "amount", "total_charges"),
            ("claims", "copay", "co_pay_amt"),
            ("encounters", "encounter_date", "Aufnahmedatum"),
            ("encounters", "src_encounter_id", "Fallnummer"),
        ] {
            assert!(fit(entity, column, &readings(name)) > 0.99, "{name} as {column}: {:?}", readings(name));
        }
    }

    #[test]
    fn a_name_of_another_thing_does_not_fit() {
        assert!(fit("patients", "last_name", &readings("Provider_Name")) < 0.5);
        assert!(fit("patients", "src_patient_id", &readings("Visit_No")) < 0.5);
        assert!(fit("transactions", "amount", &readings("Paid_Amt")) < 0.5);
        assert!(fit("encounters", "encounter_date", &readings("Discharge_Date")) < 0.5);
        assert!(fit("transactions", "src_modified_at", &readings("Chg_Dt")) < 0.5);
    }

    #[test]
    fn the_last_thing_in_the_name_of_a_file_counts() {
        let fits = ["patients", "encounters"].map(|entity| file_fit(entity, "patient_visits_2024"));
        assert!(fits[0] < fits[1], "{fits:?}");
    }
}
