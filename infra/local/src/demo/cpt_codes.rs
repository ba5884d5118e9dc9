//! Generates one row per procedure code. The numbers have the form of CPT codes; the descriptions are made up, because
//! the real ones belong to the American Medical Association.

use rand::Rng;

use super::Record;
use super::dice::Dice;

pub(super) const HEADER: [&str; 4] =
    ["Procedure Code Category", "CPT Codes", "Procedure Code Descriptions", "Code Status"];

const COUNT: u32 = 120;
const FIRST: u32 = 10_021;
const STEP: u32 = 739;
const CATEGORIES: [&str; 5] = ["Visits", "Operations", "Imaging", "Laboratory", "Therapy"];

/// Returns every row of the list.
pub(super) fn records() -> impl Iterator<Item = Record> {
    (0..COUNT).map(|index| {
        let (code, category) = (FIRST + index * STEP, CATEGORIES[index as usize % CATEGORIES.len()]);
        let status = if index % 24 == 0 { "Added" } else { "No Change" };
        vec![category.to_owned(), code.to_string(), format!("Demo procedure {code}"), status.to_owned()]
    })
}

/// Returns one of the codes; in one of two hundred cases a code that the list does not have.
pub(super) fn any(dice: &mut Dice) -> u32 {
    let code = FIRST + dice.random_range(0..COUNT) * STEP;
    if dice.random_ratio(1, 200) { code + 1 } else { code }
}

/// Returns the next code of the list.
pub(super) fn after(code: u32) -> u32 {
    FIRST + ((code - FIRST) / STEP + 1) % COUNT * STEP
}
