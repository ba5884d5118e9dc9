//! The three deliveries of the demo before the defects are added.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::claims::{self, claim};
use super::encounters::{self, encounter};
use super::patients::patient;
use super::payments::{Payer, Stall};
use super::providers::{DEPARTMENT_HEADER, PROVIDER_HEADER, department_record, provider_record};
use super::sheet::Sheet;
use super::transactions::{self, transaction};
use super::world::{Calendar, HOSPITALS, Scale, World};
use super::{EXTRACTED_AT, MONTHS, cpt_codes, dice};

/// The delivery of one month: path below its folder → file.
pub(super) type Delivery = BTreeMap<String, Sheet>;

const SCALE: Scale = Scale { patients: 400, providers: 25, departments: 10, encounters: 2_200, transactions: 3_300 };

/// First day on which patients of the demo are treated: the first of the month ends that the report shows has three months
/// of billing before it.
const FIRST_DAY: NaiveDate = dice::date(2023, 9, 4);

/// Day on which a department of the first hospital closes.
const CLOSES_ON: NaiveDate = dice::date(2024, 10, 20);

/// What the report of the demo has to find: at the second hospital Medicaid pays no claim in the last two months.
pub(super) const STALL: Stall = Stall { payer: Payer::Medicaid, from: dice::date(2024, 9, 1) };

/// Returns the last day that a month's delivery covers: the day before the extract.
pub(super) fn last_day(month: usize) -> NaiveDate {
    dice::days_before(EXTRACTED_AT[month].date_naive(), 1)
}

/// Returns the delivery of every month.
pub(super) fn deliveries(seed: u64) -> [Delivery; 3] {
    let calendar = Calendar {
        first_day: FIRST_DAY,
        last_day: last_day(2),
        moves_from: dice::days_after(last_day(0), 1),
        closes_on: None,
        stall: None,
    };
    let closing = Calendar { closes_on: Some(CLOSES_ON), ..calendar };
    let unpaid = Calendar { stall: Some(STALL), ..calendar };
    let worlds = [World::new(seed, &HOSPITALS[0], SCALE, closing), World::new(seed, &HOSPITALS[1], SCALE, unpaid)];
    std::array::from_fn(|month| {
        let mut delivery: Delivery = worlds.iter().flat_map(|world| files_of(world, month)).collect();
        if month == 0 {
            let codes = Sheet::new(&cpt_codes::HEADER, cpt_codes::records());
            delivery.insert("landing/cptcodes/cptcodes.csv".to_owned(), codes);
        }
        delivery
    })
}

/// The tables of one hospital as they stand at the end of a month, and what its payers sent in it.
fn files_of(world: &World, month: usize) -> Vec<(String, Sheet)> {
    let (day, scale, hospital) = (last_day(month), &world.scale, world.hospital);
    let patients = (1..=scale.patients).filter_map(|number| patient(world, number).record(day));
    let providers = (1..=scale.providers).map(|number| provider_record(world, number, day));
    let departments = (1..=scale.departments).filter_map(|number| department_record(world, number, day));
    let encounters = (1..=scale.encounters).filter_map(|number| encounter(world, number).record(day));
    let transactions = (1..=scale.transactions).filter_map(|number| transaction(world, number).record(day));
    let after = if month == 0 { NaiveDate::MIN } else { last_day(month - 1) };
    let claims = (1..=scale.transactions)
        .filter_map(|number| claim(world, number))
        .filter(|claim| claim.changed_between(after, day))
        .filter_map(|claim| claim.record(day));
    let table = |name: &str| format!("emr/{}/{name}.csv", hospital.datasource);
    vec![
        (table("patients"), Sheet::new(&hospital.patient_header, patients)),
        (table("providers"), Sheet::new(&PROVIDER_HEADER, providers)),
        (table("departments"), Sheet::new(&DEPARTMENT_HEADER, departments)),
        (table("encounters"), Sheet::new(&encounters::HEADER, encounters)),
        (table("transactions"), Sheet::new(&transactions::HEADER, transactions)),
        (
            format!("landing/claims/{}_claims_{}.csv", hospital.file_prefix, MONTHS[month]),
            Sheet::new(&claims::HEADER, claims),
        ),
    ]
}
