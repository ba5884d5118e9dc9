//! A generated hospital: its size, its calendar, and its ids.
//!
//! Every row depends only on the world, its table and its number. So writing a table needs no memory, a row finds the
//! row that it refers to by generating it again, and the demo and the benchmark share the same code at any size.

use chrono::NaiveDate;
use rand::SeedableRng;

use super::dice::{Dice, days_after};
use super::payments::Stall;

/// The differences between the hospitals.
#[derive(Debug)]
pub(super) struct Hospital {
    pub(super) datasource: &'static str,
    /// First word of the names of its claims files.
    pub(super) file_prefix: &'static str,
    /// Prefix of provider ids in its providers table; its other tables do not have it.
    pub(super) provider_prefix: &'static str,
    /// Header of its patients table: the hospitals name the same columns differently.
    pub(super) patient_header: [&'static str; 10],
    /// Of a hundred patients, those insured by Medicare, Medicaid and private insurers; the others pay themselves.
    pub(super) insured_of_hundred: [u32; 3],
    number: u64,
}

/// Both hospitals of the group. They use the same ids for different people.
pub(super) static HOSPITALS: [Hospital; 2] = [
    Hospital {
        datasource: "hos-a",
        file_prefix: "hospital1",
        provider_prefix: "H1-",
        patient_header: [
            "PatientID",
            "FirstName",
            "LastName",
            "MiddleName",
            "SSN",
            "PhoneNumber",
            "Gender",
            "DOB",
            "Address",
            "ModifiedDate",
        ],
        insured_of_hundred: [34, 20, 36],
        number: 1,
    },
    Hospital {
        datasource: "hos-b",
        file_prefix: "hospital2",
        provider_prefix: "H2-",
        patient_header: [
            "ID",
            "F_Name",
            "L_Name",
            "M_Name",
            "SSN",
            "PhoneNumber",
            "Gender",
            "DOB",
            "Address",
            "Updated_Date",
        ],
        insured_of_hundred: [28, 32, 30],
        number: 2,
    },
];

/// Number of rows of each table of one hospital.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) patients: u64,
    pub(super) providers: u64,
    pub(super) departments: u64,
    pub(super) encounters: u64,
    pub(super) transactions: u64,
}

/// The calendar of a hospital.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    /// First and last day on which patients are treated.
    pub(super) first_day: NaiveDate,
    pub(super) last_day: NaiveDate,
    /// First day on which patients move and providers change department, so that later extracts have changes.
    pub(super) moves_from: NaiveDate,
    /// Day on which the last department closes.
    pub(super) closes_on: Option<NaiveDate>,
    /// A payer that stops paying claims.
    pub(super) stall: Option<Stall>,
}

/// One hospital at one scale.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) hospital: &'static Hospital,
    pub(super) scale: Scale,
    pub(super) calendar: Calendar,
    dice: Dice,
}

/// Purpose of a row's random draws: draws for one purpose never change those for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    Patients = 1,
    Providers,
    Posts,
    Encounters,
    Transactions,
    Coverage,
    Claims,
    /// Which rows the benchmark changes.
    PatientChanges,
    ProviderChanges,
    EncounterChanges,
    TransactionChanges,
    ClaimChanges,
}

impl World {
    pub(super) fn new(seed: u64, hospital: &'static Hospital, scale: Scale, calendar: Calendar) -> Self {
        Self { hospital, scale, calendar, dice: Dice::seed_from_u64(seed) }
    }

    /// Returns the random draws of one row for one purpose.
    pub(super) fn dice(&self, purpose: Purpose, row: u64) -> Dice {
        let mut dice = self.dice.clone();
        dice.set_stream(self.hospital.number << 60 | u64::from(purpose as u8) << 48 | row);
        dice
    }

    /// Days on which patients are treated.
    pub(super) fn days(&self) -> u64 {
        (self.calendar.last_day - self.calendar.first_day).num_days() as u64 + 1
    }

    /// Returns the day of row `number` of `count` if the rows are spread evenly over the calendar. Rows beyond the
    /// count are after the last day.
    pub(super) fn day_of(&self, number: u64, count: u64) -> NaiveDate {
        days_after(self.calendar.first_day, (number - 1) * self.days() / count.max(1))
    }
}

pub(super) fn patient_id(number: u64) -> String {
    format!("HOSP1-{number:06}")
}

pub(super) fn provider_id(number: u64) -> String {
    format!("PROV{number:04}")
}

pub(super) fn department_id(number: u64) -> String {
    format!("DEPT{number:03}")
}

pub(super) fn encounter_id(number: u64) -> String {
    format!("ENC{number:06}")
}

pub(super) fn transaction_id(number: u64) -> String {
    format!("TRANS{number:06}")
}

pub(super) fn claim_id(number: u64) -> String {
    format!("CLAIM{number:06}")
}
