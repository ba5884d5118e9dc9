//! Prints the loads of bronze.

use super::figures::{count, moment};
use super::table::table;
use crate::command::{LoadLine, StreamLoads};

/// Returns streams and their loads as tables.
#[must_use]
pub fn loads(streams: &[StreamLoads]) -> String {
    let text: String = streams.iter().map(of_stream).collect();
    if text.is_empty() { "bronze has no loads; hint: `rcm run` makes loads\n".to_owned() } else { text }
}

fn of_stream(stream: &StreamLoads) -> String {
    let lines = stream.loads.iter().map(|load| {
        vec![load.sequence.to_string(), moment(load.made_at), load.source.clone(), state(load), count(load.rows)]
    });
    table(&stream.stream, &["load", "made (UTC)", "source", "state", "rows"], 4, lines.collect())
}

fn state(load: &LoadLine) -> String {
    match &load.voided {
        Some(mark) => format!("voided by {} on {}: {}", mark.who, mark.at.format("%Y-%m-%d"), mark.why),
        None if load.in_silver => "in silver".to_owned(),
        None => "waits".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rcm_platform::voids::{Decision, VoidMark};

    use super::*;

    #[test]
    fn a_load_is_shown_with_what_became_of_it() {
        let at = DateTime::from_timestamp(1_730_944_800, 0).unwrap();
        let line = |sequence, in_silver, voided| LoadLine {
            sequence,
            made_at: at,
            source: format!("landing/claims/hospital1_{sequence}.csv"),
            rows: 1_200,
            in_silver,
            voided,
        };
        let (who, why) = ("jo".to_owned(), "of another month".to_owned());
        let mark = VoidMark { sequence: 2, decision: Decision::Void, who, why, at };
        let lines = vec![line(1, true, None), line(2, false, Some(mark)), line(3, false, None)];
        let stream = StreamLoads { stream: "claims/hos-a".to_owned(), loads: lines };
        insta::assert_snapshot!(loads(&[stream]), @r"
        claims/hos-a
          load   made (UTC)            source                           state                                           rows
        ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          1      2024-11-07 02:00:00   landing/claims/hospital1_1.csv   in silver                                      1,200
          2      2024-11-07 02:00:00   landing/claims/hospital1_2.csv   voided by jo on 2024-11-07: of another month   1,200
          3      2024-11-07 02:00:00   landing/claims/hospital1_3.csv   waits                                          1,200
        ");
    }
}
