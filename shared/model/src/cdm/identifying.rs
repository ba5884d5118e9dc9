//! Which columns may tell who a patient is, and what is shown in place of their values.
//!
//! The items are those of the Safe Harbor method of de-identification (45 CFR 164.514(b)(2)(i)). What the product shows
//! without values is not de-identified in its sense: dates of service, claims and payments stay, because no figure could
//! be read without them.

use super::{Column, ColumnType, ENTITIES, Entity, PATIENTS};

/// How a column identifies a patient, by the items of Safe Harbor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifying {
    /// Item A.
    Name,
    /// Item B, all parts of an address below the state.
    Address,
    /// Item C: a date that is the patient's own and not that of an event of the revenue cycle.
    BirthDate,
    /// Item D.
    PhoneNumber,
    /// Item G.
    SocialSecurityNumber,
    /// Items H, J and R: the number of a record, an account or a claim. Durable keys are made of them.
    RecordNumber,
    /// Item I.
    HealthPlanNumber,
}

impl Column {
    /// The same column, which identifies a patient.
    pub(super) const fn identifying(self, identifying: Identifying) -> Self {
        Self { identifying: Some(identifying), ..self }
    }
}

impl Entity {
    /// Whether a row is of one patient: a patient, or anything that names one by a key, directly or through another
    /// entity. Ids of such rows are record numbers.
    #[must_use]
    pub fn is_of_a_patient(&self) -> bool {
        let names_a_patient = |column: &Column| match column.kind {
            ColumnType::KeyOf(name) => name != self.name && super::entity(name).is_some_and(Entity::is_of_a_patient),
            _ => false,
        };
        self.name == PATIENTS.name || self.tracked.iter().any(names_a_patient)
    }

    /// How a column of the entity's tables identifies a patient; none where it does not, or is no column of the model.
    #[must_use]
    pub fn identifying(&self, column: &str) -> Option<Identifying> {
        if column == self.key || Some(column) == self.source_id {
            return self.is_of_a_patient().then_some(Identifying::RecordNumber);
        }
        let found = self.tracked.iter().find(|tracked| tracked.name == column)?;
        match found.kind {
            ColumnType::KeyOf(name) => super::entity(name)?.is_of_a_patient().then_some(Identifying::RecordNumber),
            _ => found.identifying,
        }
    }
}

/// How a column of a table that the model does not have identifies a patient, by its name alone: as it does in any
/// entity.
#[must_use]
pub fn identifying_by_name(column: &str) -> Option<Identifying> {
    ENTITIES.into_iter().find_map(|entity| entity.identifying(column))
}

/// Characters of a shape at most.
const LONGEST: usize = 40;

/// What a value looks like, and not what it is: letters are `A` and `a`, digits `9`. The word NULL, which some exports
/// write for a null, stays.
#[must_use]
pub fn shape(text: &str) -> String {
    if text.eq_ignore_ascii_case("null") {
        return text.to_owned();
    }
    let letter = |letter: char| match letter {
        letter if letter.is_numeric() => '9',
        letter if letter.is_uppercase() => 'A',
        letter if letter.is_alphabetic() => 'a',
        letter => letter,
    };
    let mut shape: String = text.chars().take(LONGEST).map(letter).collect();
    if text.chars().nth(LONGEST).is_some() {
        shape.push('…');
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::super::{CLAIMS, CPT_CODES, DEPARTMENTS, ENCOUNTERS, PROVIDERS, TRANSACTIONS};
    use super::*;

    #[test]
    fn a_shape_tells_nothing_of_a_value() {
        let (long, cut) = ("x".repeat(50), "a".repeat(40) + "…");
        for (text, expected) in [
            ("HOSP1-000402", "AAAA9-999999"),
            ("Renée O'Neil", "Aaaaa A'Aaaa"),
            ("-5550100", "-9999999"),
            ("NULL", "NULL"),
            ("", ""),
            (&long, &cut),
        ] {
            assert_eq!(shape(text), expected);
        }
    }

    #[test]
    fn rows_of_a_patient_are_found_through_their_keys() {
        let of_a_patient = ENTITIES.into_iter().filter(|entity| entity.is_of_a_patient()).map(|entity| entity.name);
        assert_eq!(of_a_patient.collect::<Vec<_>>(), ["patients", "encounters", "transactions", "claims"]);
    }

    #[test]
    fn what_a_hospital_asks_a_patient_for_is_identifying_and_what_it_bills_is_not() {
        let asked = PATIENTS.tracked.iter().filter(|column| PATIENTS.identifying(column.name).is_none());
        assert_eq!(asked.map(|column| column.name).collect::<Vec<_>>(), ["gender"]);
        for (entity, column) in [
            (&CLAIMS, "patient_key"),
            (&CLAIMS, "transaction_key"),
            (&CLAIMS, "claim_key"),
            (&CLAIMS, "src_claim_id"),
            (&ENCOUNTERS, "encounter_key"),
            (&TRANSACTIONS, "claim_id"),
        ] {
            assert_eq!(entity.identifying(column), Some(Identifying::RecordNumber), "{column}");
        }
        for (entity, column) in [
            (&PROVIDERS, "last_name"),
            (&PROVIDERS, "provider_key"),
            (&DEPARTMENTS, "dept_key"),
            (&CPT_CODES, "cpt_code"),
            (&CLAIMS, "provider_key"),
            (&CLAIMS, "paid_amount"),
            (&CLAIMS, "service_date"),
        ] {
            assert_eq!(entity.identifying(column), None, "{column}");
        }
    }

    #[test]
    fn a_column_of_a_table_that_is_not_of_the_model_counts_by_its_name() {
        assert_eq!(identifying_by_name("last_name"), Some(Identifying::Name));
        assert_eq!(identifying_by_name("medicaid_id"), Some(Identifying::HealthPlanNumber));
        assert_eq!(identifying_by_name("balance"), None);
    }
}
