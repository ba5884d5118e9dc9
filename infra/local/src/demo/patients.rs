//! Generates one row per patient, with the latest registration.

use chrono::{Datelike, NaiveDate};
use rand::Rng;

use super::Record;
use super::dice::{date, day_between, days_before, percent, pick};
use super::words::{FIRST_NAMES, LAST_NAMES, address, phone, ssn};
use super::world::{Purpose, World, patient_id};

/// A patient and their addresses over time.
#[derive(Debug)]
pub(super) struct Patient {
    number: u64,
    first_name: &'static str,
    last_name: &'static str,
    middle_name: &'static str,
    ssn: String,
    gender: &'static str,
    born: NaiveDate,
    /// Registrations with their start dates, the first one first.
    homes: Vec<(NaiveDate, Home)>,
}

#[derive(Debug, Clone)]
struct Home {
    phone: String,
    address: String,
}

/// Generates a patient. One in seven moves or gets another phone number in the later part of the calendar, and one in
/// thirty is saved again unchanged.
pub(super) fn patient(world: &World, number: u64) -> Patient {
    let mut dice = world.dice(Purpose::Patients, number);
    let registered = registered_on(world, number);
    let mut patient = Patient {
        number,
        first_name: pick(&mut dice, &FIRST_NAMES),
        last_name: pick(&mut dice, &LAST_NAMES),
        middle_name: pick(&mut dice, &["A", "C", "E", "J", "K", "L", "M", "R", "S", "T"]),
        ssn: ssn(&mut dice),
        gender: pick(&mut dice, &["Female", "Male"]),
        born: day_between(&mut dice, date(1931, 1, 1), date(2023, 12, 31)),
        homes: vec![(registered, Home { phone: phone(&mut dice), address: address(&mut dice) })],
    };
    let from = registered.max(world.calendar.moves_from);
    if percent(&mut dice, 14) {
        let on = day_between(&mut dice, from, world.calendar.last_day);
        patient.move_on(world, on);
    } else if percent(&mut dice, 3) {
        let home = patient.homes[0].1.clone();
        patient.homes.push((day_between(&mut dice, from, world.calendar.last_day), home));
    }
    patient
}

impl Patient {
    /// Gives the patient another address, another phone number or both.
    pub(super) fn move_on(&mut self, world: &World, on: NaiveDate) {
        let mut dice = world.dice(Purpose::PatientChanges, self.number << 16 | u64::from(on.ordinal()));
        let Some((_, mut home)) = self.homes.last().cloned() else { return };
        let what = dice.random_range(0..3);
        if what != 0 {
            home.address = address(&mut dice);
        }
        if what != 1 {
            home.phone = phone(&mut dice);
        }
        self.homes.push((on, home));
    }

    /// Returns the row at the end of a day; `None` before the patient was registered.
    pub(super) fn record(&self, day: NaiveDate) -> Option<Record> {
        let (modified, home) = self.homes.iter().rev().find(|(from, _)| *from <= day)?;
        Some(vec![
            patient_id(self.number),
            self.first_name.to_owned(),
            self.last_name.to_owned(),
            self.middle_name.to_owned(),
            self.ssn.clone(),
            home.phone.clone(),
            self.gender.to_owned(),
            self.born.to_string(),
            home.address.clone(),
            modified.to_string(),
        ])
    }
}

/// Returns the number of patients that are registered by a day. They have the lowest numbers.
pub(super) fn registered_by(world: &World, day: NaiveDate) -> u64 {
    let days = (day - world.calendar.first_day).num_days().max(0) as u64;
    let regulars = regulars(world);
    regulars + days * (world.scale.patients - regulars) / world.days()
}

/// Returns the day of registration: for nine of ten patients in the three years before the first day, for the others
/// one after the other.
fn registered_on(world: &World, number: u64) -> NaiveDate {
    let regulars = regulars(world);
    if number > regulars {
        return world.day_of(number - regulars, world.scale.patients - regulars);
    }
    days_before(world.calendar.first_day, number * 37 % 1_095 + 1)
}

fn regulars(world: &World) -> u64 {
    (world.scale.patients * 9 / 10).max(1)
}
