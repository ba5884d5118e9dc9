//! Loads that are unlike those before them: a plain warning, which keeps no row back.

use rcm_model::event::LoadProfile;

/// Loads of a stream that one is compared with: the last ones before it.
pub const DRIFT_LOADS: usize = 8;
/// With fewer loads before it, nothing is said of one.
const LEAST_LOADS: usize = 4;
/// Loads of fewer rows say nothing by their number of rows or their shares.
const LEAST_ROWS: u64 = 20;
/// How much further than ever before a share of nulls must be, in shares of the rows.
const NULL_SHARE: f64 = 0.1;
/// How many times fewer rows than the least, or more than the most.
const TIMES: u64 = 2;

/// Says in what a load is unlike the loads of its stream before it: in the number of its rows, or in the share of rows
/// without a value in a column. `before` is in their order; its last [`DRIFT_LOADS`] count.
///
/// Loads differ by weekday and by month, and incremental ones by what happened. So a load is held against the extremes
/// of those before it, and not against their average.
#[must_use]
pub fn drift(load: &LoadProfile, before: &[LoadProfile]) -> Vec<String> {
    let before = &before[before.len().saturating_sub(DRIFT_LOADS)..];
    if before.len() < LEAST_LOADS {
        return Vec::new();
    }
    let loads = before.len();
    let mut said = Vec::new();
    let rows = before.iter().map(|load| load.rows);
    let (least, most) = (rows.clone().min().unwrap_or(0), rows.max().unwrap_or(0));
    if least >= LEAST_ROWS && load.rows < least / TIMES {
        said.push(format!("{} rows; the {loads} loads before it had {least} at least", load.rows));
    }
    if load.rows >= LEAST_ROWS && load.rows > most.max(LEAST_ROWS) * TIMES {
        said.push(format!("{} rows; the {loads} loads before it had {most} at most", load.rows));
    }
    if load.rows >= LEAST_ROWS {
        said.extend(load.nulls.keys().filter_map(|column| nulls(column, load, before)));
    }
    said
}

fn nulls(column: &str, load: &LoadProfile, before: &[LoadProfile]) -> Option<String> {
    let share = load.null_share(column)?;
    let shares: Vec<f64> =
        before.iter().filter(|load| load.rows >= LEAST_ROWS).filter_map(|load| load.null_share(column)).collect();
    let most = shares.iter().copied().reduce(f64::max).filter(|_| shares.len() >= LEAST_LOADS)?;
    (share - most > NULL_SHARE).then(|| {
        let [share, most] = [share, most].map(|share| (share * 100.0).round());
        format!(
            "`{column}` is null in {share} % of the rows; in the {} loads before it in {most} % at most",
            shares.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn load(rows: u64, nulls: u64) -> LoadProfile {
        LoadProfile {
            entity: "transactions".to_owned(),
            stream: "hosa/transactions".to_owned(),
            load_id: "l".to_owned(),
            rows,
            nulls: [("paid_date".to_owned(), nulls)].into(),
            extracted_at: DateTime::UNIX_EPOCH,
            newest: None,
        }
    }

    #[rstest::rstest]
    #[case::alike(&[100, 90, 120, 100], load(95, 9), &[])]
    #[case::half_of_the_least(&[100, 90, 120, 100], load(45, 4), &[])]
    #[case::fewer(&[100, 90, 120, 100], load(44, 4), &["44 rows; the 4 loads before it had 90 at least"])]
    #[case::none(&[100, 90, 120, 100], load(0, 0), &["0 rows; the 4 loads before it had 90 at least"])]
    #[case::more(&[100, 90, 120, 100], load(241, 24), &["241 rows; the 4 loads before it had 120 at most"])]
    #[case::too_few_loads(&[100, 90, 120], load(1, 0), &[])]
    #[case::small_loads(&[3, 9, 5, 12], load(39, 3), &[])]
    #[case::a_small_load_after_small_ones(&[3, 9, 5, 12], load(0, 0), &[])]
    #[case::the_last_eight_count(&[9, 100, 100, 100, 100, 100, 100, 100, 100], load(30, 3), &["30 rows; the 8 loads before it had 100 at least"])]
    fn a_number_of_rows_is_held_against_the_extremes(
        #[case] before: &[u64],
        #[case] load_: LoadProfile,
        #[case] expected: &[&str],
    ) {
        let before: Vec<LoadProfile> = before.iter().map(|rows| load(*rows, rows / 10)).collect();
        assert_eq!(drift(&load_, &before), expected);
    }

    #[rstest::rstest]
    #[case::alike(21, &[])]
    #[case::more(41, &["`paid_date` is null in 41 % of the rows; in the 4 loads before it in 20 % at most"])]
    #[case::fewer(0, &[])]
    fn a_share_of_nulls_is_held_against_the_largest(#[case] nulls: u64, #[case] expected: &[&str]) {
        let before = [load(100, 10), load(100, 20), load(100, 5), load(100, 12)];
        assert_eq!(drift(&load(100, nulls), &before), expected);
    }

    #[test]
    fn of_a_column_that_is_new_nothing_is_said() {
        let before = [0, 0, 0, 0].map(|_| LoadProfile { nulls: [].into(), ..load(100, 0) });
        assert_eq!(drift(&load(100, 90), &before), Vec::<String>::new());
    }
}
