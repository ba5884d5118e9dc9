//! Generates one row per provider and one per department: small tables without a modified time.

use chrono::NaiveDate;
use rand::Rng;

use super::Record;
use super::dice::{day_between, percent, pick};
use super::npi::{mistyped_npi, npi};
use super::words::{FIRST_NAMES, LAST_NAMES};
use super::world::{Purpose, World, department_id, provider_id};

pub(super) const PROVIDER_HEADER: [&str; 6] =
    ["ProviderID", "FirstName", "LastName", "Specialization", "DeptID", "NPI"];
/// Position of the department in a provider's row.
pub(super) const DEPARTMENT_OF_PROVIDER: usize = 4;
pub(super) const DEPARTMENT_HEADER: [&str; 2] = ["DeptID", "Name"];

const SPECIALTIES: [&str; 10] = [
    "Anesthesiology",
    "Cardiology",
    "Dermatology",
    "Emergency Medicine",
    "Neurology",
    "Oncology",
    "Orthopedics",
    "Pediatrics",
    "Psychiatry",
    "Radiology",
];

const DEPARTMENTS: [&str; 10] = [
    "Emergency",
    "Cardiology",
    "Neurology",
    "Oncology",
    "Orthopedics",
    "Pediatrics",
    "Radiology",
    "Laboratory",
    "Rehabilitation",
    "Sleep Clinic",
];

/// Every seventh provider goes to another department in the calendar's later part.
const MOVES_EVERY: u64 = 7;

/// Returns the row of a provider at the end of a day.
pub(super) fn provider_record(world: &World, number: u64, day: NaiveDate) -> Record {
    let mut dice = world.dice(Purpose::Providers, number);
    vec![
        format!("{}{}", world.hospital.provider_prefix, provider_id(number)),
        pick(&mut dice, &FIRST_NAMES).to_owned(),
        pick(&mut dice, &LAST_NAMES).to_owned(),
        pick(&mut dice, &SPECIALTIES).to_owned(),
        department_id(department_of_provider(world, number, day)),
        if percent(&mut dice, 6) { mistyped_npi(&mut dice) } else { npi(&mut dice) },
    ]
}

/// Returns the department of a provider on a day. Providers of the department that closes move to the first one.
pub(super) fn department_of_provider(world: &World, number: u64, day: NaiveDate) -> u64 {
    let departments = world.scale.departments;
    let mut dice = world.dice(Purpose::Posts, number);
    let home = dice.random_range(1..=departments);
    let moves_on = day_between(&mut dice, world.calendar.moves_from, world.calendar.last_day);
    let moved = number.is_multiple_of(MOVES_EVERY) && moves_on <= day;
    let department = if moved { home % departments + 1 } else { home };
    if department == departments && is_closed(world, day) { 1 } else { department }
}

/// Returns the row of a department at the end of a day; `None` after it has closed.
pub(super) fn department_record(world: &World, number: u64, day: NaiveDate) -> Option<Record> {
    if number == world.scale.departments && is_closed(world, day) {
        return None;
    }
    let name = DEPARTMENTS[(number - 1) as usize % DEPARTMENTS.len()];
    let round = (number - 1) / DEPARTMENTS.len() as u64;
    let name = if round == 0 { name.to_owned() } else { format!("{name} {}", round + 1) };
    Some(vec![department_id(number), name])
}

fn is_closed(world: &World, day: NaiveDate) -> bool {
    world.calendar.closes_on.is_some_and(|closes_on| closes_on <= day)
}
