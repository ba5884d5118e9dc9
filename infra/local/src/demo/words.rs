//! Names of people and places that do not exist.

use rand::Rng;

use super::dice::{Dice, percent, pick};

pub(super) const FIRST_NAMES: [&str; 40] = [
    "Abelor",
    "Brindle",
    "Corvane",
    "Dalphie",
    "Elowisa",
    "Fenwicka",
    "Garrimond",
    "Hespera",
    "Ilvane",
    "Jorrick",
    "Kestrine",
    "Lumenia",
    "Mirabeth",
    "Norvald",
    "Ophirra",
    "Pellamy",
    "Quillon",
    "Rosamunde",
    "Silvaine",
    "Tamsinel",
    "Ulrica",
    "Vesperine",
    "Wendimar",
    "Xanthora",
    "Yorrick",
    "Zephyrin",
    "Aldermere",
    "Bellavine",
    "Cassimir",
    "Dorindel",
    "Evandrel",
    "Florimel",
    "Gwendara",
    "Hollisan",
    "Isoldine",
    "Jessamira",
    "Kilvarin",
    "Lorendine",
    "Marwenna",
    "Nerissine",
];

pub(super) const LAST_NAMES: [&str; 40] = [
    "Testwell",
    "Mockridge",
    "Fabrington",
    "Sampleton",
    "Fakenham-Dray",
    "Inventley",
    "Pretendez",
    "Notreal",
    "Imaginsky",
    "Fictor",
    "Dummond",
    "Placeholt",
    "Examplar",
    "Figmentis",
    "Madeupson",
    "Simulaide",
    "Phantomas",
    "Shamblewick",
    "Makebeleve",
    "Storyborn",
    "Neverwell",
    "Unpersson",
    "Nowhereby",
    "Specimann",
    "Trialova",
    "Synthwick",
    "Pseudora",
    "Allegorian",
    "Contrivano",
    "Fableworth",
    "Hypothorn",
    "Virtualis",
    "Illusander",
    "Concoctsky",
    "Fantasmo",
    "Yarnspinner",
    "Tallthale",
    "Legendre-Faux",
    "Mythkin",
    "Wishmoor",
];

const STREETS: [&str; 12] = [
    "Figment Lane",
    "Pretend Avenue",
    "Nowhere Road",
    "Placeholder Street",
    "Daydream Court",
    "Mirage Boulevard",
    "Hearsay Hill",
    "Parable Place",
    "Make-Believe Mews",
    "Castle-in-the-Air Close",
    "Unbuilt Terrace",
    "Cloudbank Crescent",
];

const TOWNS: [&str; 10] = [
    "Unrealton",
    "Nonesuch",
    "Fancyburgh",
    "Port Fable",
    "Mockingham",
    "Notown",
    "Lake Mirage",
    "Ficton",
    "Saint Nobody",
    "Vapor Springs",
];

/// Returns an address that cannot exist: there is no state ZZ and no post code below 00100.
pub(super) fn address(dice: &mut Dice) -> String {
    let house = dice.random_range(1..=9_999);
    let (street, town) = (pick(dice, &STREETS), pick(dice, &TOWNS));
    let flat = if percent(dice, 30) { format!(" Apt. {}", dice.random_range(1..=400)) } else { String::new() };
    format!("{house} {street}{flat}, {town}, ZZ {:05}", dice.random_range(1..100))
}

/// Returns a phone number from 555-0100 to 555-0199, which are reserved for fiction, in a common format.
pub(super) fn phone(dice: &mut Dice) -> String {
    let (area, line) = (dice.random_range(201..990), dice.random_range(100..200));
    match dice.random_range(0..4) {
        0 => format!("{area}-555-0{line}"),
        1 => format!("({area})555-0{line}"),
        2 => format!("+1-{area}-555-0{line}"),
        _ => format!("{area}.555.0{line}x{}", dice.random_range(1..1_000)),
    }
}

/// Returns a social security number of the area 900 to 999, which is never assigned.
pub(super) fn ssn(dice: &mut Dice) -> String {
    let (area, group, serial) =
        (dice.random_range(900..1_000), dice.random_range(1..100), dice.random_range(1..10_000));
    format!("{area}-{group:02}-{serial:04}")
}

/// Returns a code with the syntax of ICD-10; it may not exist.
pub(super) fn icd_code(dice: &mut Dice) -> String {
    let chapter = pick(dice, &["E", "I", "J", "K", "M", "N", "R"]);
    format!("{chapter}{:02}.{}", dice.random_range(10..60), dice.random_range(0..10))
}
