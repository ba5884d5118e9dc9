//! Generates the hospitals at any size for benchmarks: a base and a delivery of changes.

use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use rand::Rng;

use super::claims::{self, Claim, claim};
use super::dice::{date, day_between, days_after};
use super::encounters::{self, encounter};
use super::patients::patient;
use super::providers::{
    DEPARTMENT_HEADER, DEPARTMENT_OF_PROVIDER, PROVIDER_HEADER, department_of_provider, department_record,
    provider_record,
};
use super::sheet::stream;
use super::transactions::{self, transaction};
use super::world::{Calendar, HOSPITALS, Purpose, Scale, World, department_id};
use super::{Record, cpt_codes};

/// The calendar: one year of treatment.
const CALENDAR: Calendar = Calendar {
    first_day: date(2023, 11, 1),
    last_day: date(2024, 10, 31),
    moves_from: date(2023, 11, 1),
    closes_on: None,
    stall: None,
};
/// Date of the base: by then the services of the last day are billed.
const BASE_DAY: NaiveDate = date(2024, 11, 5);
/// First and last day on which rows of the base are changed.
const CHANGE_DAYS: (NaiveDate, NaiveDate) = (date(2024, 11, 6), date(2024, 11, 30));
/// Date of the changes.
const CHANGED_BY: NaiveDate = date(2024, 12, 31);
/// New rows are this many days later than those of the base, so that none is as old as a row of the base.
const NEW_ROWS_AFTER: u64 = 6;

/// The files that [`generate`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchmarkFiles {
    /// Folder with `emr/` and `landing/` of the base.
    pub base: PathBuf,
    /// Folder with `emr/` and `landing/` of the changes.
    pub changes: PathBuf,
    pub base_rows: u64,
    pub change_rows: u64,
}

/// Writes `<out>/base` and `<out>/changes`, row by row.
///
/// The base has `rows` transactions over both hospitals, half as many encounters and claims, and a fifth as many
/// patients. The delivery of changes has, for each of these tables, the share `changes` of the rows with a change and a
/// tenth of that as new rows, all modified after the base. It also has all providers and departments, with that share
/// of the providers in another department. The same arguments write the same bytes.
///
/// # Errors
/// The share is not between 0 and 1, or a file cannot be written.
pub fn generate(rows: u64, changes: f64, seed: u64, out: &Path) -> io::Result<BenchmarkFiles> {
    if !(0.0..=1.0).contains(&changes) {
        let message = format!("the share of changes must be between 0 and 1, not {changes}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut files =
        BenchmarkFiles { base: out.join("base"), changes: out.join("changes"), base_rows: 0, change_rows: 0 };
    let later = Calendar {
        first_day: days_after(CALENDAR.first_day, NEW_ROWS_AFTER),
        last_day: days_after(CALENDAR.last_day, NEW_ROWS_AFTER),
        ..CALENDAR
    };
    for (hospital, rows) in HOSPITALS.iter().zip([rows.div_ceil(2), rows / 2]) {
        let scale = scale(rows.max(1));
        let world = World::new(seed, hospital, scale, CALENDAR);
        files.base_rows += write_base(&world, &files.base)?;
        files.change_rows += write_changes(&world, &World::new(seed, hospital, scale, later), changes, &files.changes)?;
    }
    let codes = files.base.join("landing/cptcodes/cptcodes.csv");
    files.base_rows += stream(&codes, &cpt_codes::HEADER, cpt_codes::records())?;
    Ok(files)
}

fn scale(transactions: u64) -> Scale {
    Scale {
        patients: (transactions / 5).max(1),
        providers: (transactions / 5_000).clamp(25, 5_000),
        departments: 20,
        encounters: (transactions / 2).max(1),
        transactions,
    }
}

/// Writes all rows as of the date of the base.
fn write_base(world: &World, folder: &Path) -> io::Result<u64> {
    let (scale, files) = (&world.scale, Files { world, folder, claims: "base" });
    let patients = (1..=scale.patients).filter_map(|number| patient(world, number).record(BASE_DAY));
    let providers = (1..=scale.providers).map(|number| provider_record(world, number, BASE_DAY));
    let encounters = (1..=scale.encounters).filter_map(|number| encounter(world, number).record(BASE_DAY));
    let transactions = (1..=scale.transactions).filter_map(|number| transaction(world, number).record(BASE_DAY));
    let claims = claims_from(world, 1).take(claim_count(scale)).filter_map(|claim| claim.record(BASE_DAY));
    Ok(files.patients(patients)?
        + files.providers(providers)?
        + files.departments()?
        + files.encounters(encounters)?
        + files.transactions(transactions)?
        + files.claims(claims)?)
}

/// Writes the changed rows of `world`, and new rows of the world `later`.
fn write_changes(world: &World, later: &World, share: f64, folder: &Path) -> io::Result<u64> {
    let (scale, files) = (&world.scale, Files { world, folder, claims: "changes" });
    let chosen = |purpose: Purpose, count: u64| {
        (1..=count).filter_map(move |number| Some((number, chosen_day(world, purpose, share, number)?)))
    };
    let new_numbers = |count: u64| count + 1..=count + (count as f64 * share / 10.0).round() as u64;

    let moved = chosen(Purpose::PatientChanges, scale.patients).filter_map(|(number, on)| {
        let mut patient = patient(world, number);
        patient.move_on(world, on);
        patient.record(CHANGED_BY)
    });
    let recoded = chosen(Purpose::EncounterChanges, scale.encounters).filter_map(|(number, on)| {
        let mut encounter = encounter(world, number);
        encounter.recode(on);
        encounter.record(CHANGED_BY)
    });
    let paid = chosen(Purpose::TransactionChanges, scale.transactions).filter_map(|(number, on)| {
        let mut transaction = transaction(world, number);
        transaction.pay(on);
        transaction.record(CHANGED_BY)
    });
    let corrected = claims_from(world, 1).take(claim_count(scale)).filter_map(|mut claim| {
        claim.correct(chosen_day(world, Purpose::ClaimChanges, share, claim.number())?);
        claim.record(CHANGED_BY)
    });
    let providers = (1..=scale.providers).map(|number| {
        let record = provider_record(world, number, BASE_DAY);
        let is_chosen = chosen_day(world, Purpose::ProviderChanges, share, number).is_some();
        if is_chosen { in_next_department(world, record, number) } else { record }
    });

    let patients = new_numbers(scale.patients).filter_map(|number| patient(later, number).record(CHANGED_BY));
    let encounters = new_numbers(scale.encounters).filter_map(|number| encounter(later, number).record(CHANGED_BY));
    let transactions =
        new_numbers(scale.transactions).filter_map(|number| transaction(later, number).record(CHANGED_BY));
    let claims = claims_from(later, scale.transactions + 1).take(new_numbers(claim_count(scale) as u64).count());
    Ok(files.patients(moved.chain(patients))?
        + files.providers(providers)?
        + files.departments()?
        + files.encounters(recoded.chain(encounters))?
        + files.transactions(paid.chain(transactions))?
        + files.claims(corrected.chain(claims.filter_map(|claim| claim.record(CHANGED_BY))))?)
}

/// Returns the day on which a row of the base changes; `None` if it does not change.
fn chosen_day(world: &World, purpose: Purpose, share: f64, number: u64) -> Option<NaiveDate> {
    let mut dice = world.dice(purpose, number);
    dice.random_bool(share).then(|| day_between(&mut dice, CHANGE_DAYS.0, CHANGE_DAYS.1))
}

fn in_next_department(world: &World, mut record: Record, number: u64) -> Record {
    let department = department_of_provider(world, number, BASE_DAY);
    record[DEPARTMENT_OF_PROVIDER] = department_id(department % world.scale.departments + 1);
    record
}

/// Returns the claims of the transactions from a number on; not every transaction has one.
fn claims_from(world: &World, first: u64) -> impl Iterator<Item = Claim> {
    (first..).filter_map(|number| claim(world, number))
}

fn claim_count(scale: &Scale) -> usize {
    (scale.transactions / 2) as usize
}

/// Target of the rows of one hospital.
struct Files<'a> {
    world: &'a World,
    folder: &'a Path,
    /// Last word of the name of the claims file.
    claims: &'static str,
}

impl Files<'_> {
    fn table(&self, name: &str, header: &[&str], rows: impl Iterator<Item = Record>) -> io::Result<u64> {
        let path = self.folder.join("emr").join(self.world.hospital.datasource).join(format!("{name}.csv"));
        stream(&path, header, rows)
    }

    fn patients(&self, rows: impl Iterator<Item = Record>) -> io::Result<u64> {
        self.table("patients", &self.world.hospital.patient_header, rows)
    }

    fn providers(&self, rows: impl Iterator<Item = Record>) -> io::Result<u64> {
        self.table("providers", &PROVIDER_HEADER, rows)
    }

    fn departments(&self) -> io::Result<u64> {
        let rows =
            (1..=self.world.scale.departments).filter_map(|number| department_record(self.world, number, BASE_DAY));
        self.table("departments", &DEPARTMENT_HEADER, rows)
    }

    fn encounters(&self, rows: impl Iterator<Item = Record>) -> io::Result<u64> {
        self.table("encounters", &encounters::HEADER, rows)
    }

    fn transactions(&self, rows: impl Iterator<Item = Record>) -> io::Result<u64> {
        self.table("transactions", &transactions::HEADER, rows)
    }

    fn claims(&self, rows: impl Iterator<Item = Record>) -> io::Result<u64> {
        let name = format!("{}_claims_{}.csv", self.world.hospital.file_prefix, self.claims);
        stream(&self.folder.join("landing/claims").join(name), &claims::HEADER, rows)
    }
}
