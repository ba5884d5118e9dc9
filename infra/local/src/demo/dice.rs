//! Repeatable random numbers: draws from a ChaCha stream per row.

use chrono::{Days, NaiveDate};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The random draws of one row. Callers must draw in a fixed order.
pub(super) type Dice = ChaCha8Rng;

/// Returns one of the items, all equally likely.
pub(super) fn pick<T: Copy>(dice: &mut Dice, items: &[T]) -> T {
    items[dice.random_range(0..items.len())]
}

/// Returns true with a probability in percent.
pub(super) fn percent(dice: &mut Dice, percent: u32) -> bool {
    dice.random_ratio(percent, 100)
}

/// Returns a day from the first to the last, inclusive; the first if the last is before it.
pub(super) fn day_between(dice: &mut Dice, first: NaiveDate, last: NaiveDate) -> NaiveDate {
    let days = (last - first).num_days().max(0) as u64;
    days_after(first, dice.random_range(0..=days))
}

/// Returns the date some days later.
pub(super) fn days_after(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}

/// Returns the date some days earlier.
pub(super) fn days_before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

/// Returns a date from constants that are known to be valid.
pub(super) const fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(date) => date,
        None => NaiveDate::MIN,
    }
}
