//! Chance that can be repeated: draws from a ChaCha stream that belongs to one row.

use chrono::{Days, NaiveDate};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The draws of one row; its makers must ask for them in a fixed order.
pub(super) type Dice = ChaCha8Rng;

/// One of the items, each as likely as the others.
pub(super) fn pick<T: Copy>(dice: &mut Dice, items: &[T]) -> T {
    items[dice.random_range(0..items.len())]
}

/// True in so many of a hundred cases.
pub(super) fn percent(dice: &mut Dice, percent: u32) -> bool {
    dice.random_ratio(percent, 100)
}

/// A day from the first to the last, both included; the first where they are the wrong way round.
pub(super) fn day_between(dice: &mut Dice, first: NaiveDate, last: NaiveDate) -> NaiveDate {
    let days = (last - first).num_days().max(0) as u64;
    days_after(first, dice.random_range(0..=days))
}

/// The day so many days later.
pub(super) fn days_after(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}

/// The day so many days earlier.
pub(super) fn days_before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

/// A date written into the source, so surely one of the calendar.
pub(super) const fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(date) => date,
        None => NaiveDate::MIN,
    }
}
