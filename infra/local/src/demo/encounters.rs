//! Generates one row per encounter of a patient with a provider.

use chrono::NaiveDate;
use rand::Rng;

use super::Record;
use super::cpt_codes;
use super::dice::{days_after, percent, pick};
use super::patients::registered_by;
use super::providers::department_of_provider;
use super::world::{Purpose, World, department_id, encounter_id, patient_id, provider_id};

pub(super) const HEADER: [&str; 9] = [
    "EncounterID",
    "PatientID",
    "EncounterDate",
    "EncounterType",
    "ProviderID",
    "DepartmentID",
    "ProcedureCode",
    "InsertedDate",
    "ModifiedDate",
];

/// An encounter and the codes of its procedure over time.
#[derive(Debug, Clone)]
pub(super) struct Encounter {
    pub(super) number: u64,
    pub(super) patient: u64,
    pub(super) provider: u64,
    pub(super) department: u64,
    pub(super) date: NaiveDate,
    pub(super) kind: &'static str,
    /// Codes of the procedure with their start dates, the first one first.
    codings: Vec<(NaiveDate, u32)>,
}

/// Generates an encounter. One in twelve gets another code after a review.
pub(super) fn encounter(world: &World, number: u64) -> Encounter {
    let mut dice = world.dice(Purpose::Encounters, number);
    let date = world.day_of(number, world.scale.encounters);
    let provider = dice.random_range(1..=world.scale.providers);
    let mut encounter = Encounter {
        number,
        patient: dice.random_range(1..=registered_by(world, date)),
        provider,
        department: department_of_provider(world, provider, date),
        date,
        kind: pick(&mut dice, &["Inpatient", "Outpatient", "Telemedicine", "Emergency", "Routine Checkup"]),
        codings: vec![(date, cpt_codes::any(&mut dice))],
    };
    if percent(&mut dice, 8) {
        let on = days_after(date, dice.random_range(5..30));
        encounter.recode(on);
    }
    encounter
}

impl Encounter {
    /// Changes the code to the next one of the list.
    pub(super) fn recode(&mut self, on: NaiveDate) {
        let code = cpt_codes::after(self.procedure_code(on));
        self.codings.push((on, code));
    }

    /// Returns the code of the procedure at the end of a day, or the first one.
    pub(super) fn procedure_code(&self, day: NaiveDate) -> u32 {
        self.codings.iter().rev().find(|(from, _)| *from <= day).unwrap_or(&self.codings[0]).1
    }

    /// Returns the row at the end of a day; `None` before the encounter.
    pub(super) fn record(&self, day: NaiveDate) -> Option<Record> {
        let (modified, code) = self.codings.iter().rev().find(|(from, _)| *from <= day)?;
        Some(vec![
            encounter_id(self.number),
            patient_id(self.patient),
            self.date.to_string(),
            self.kind.to_owned(),
            provider_id(self.provider),
            department_id(self.department),
            code.to_string(),
            self.date.to_string(),
            modified.to_string(),
        ])
    }
}
