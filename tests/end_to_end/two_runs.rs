//! Two concurrent runs on one lake: both succeed, and there is one history.

use crate::scratch::{Scratch, SmallHospital, as_of};

#[tokio::test(flavor = "multi_thread")]
async fn two_concurrent_runs_succeed_and_give_the_lake_of_one_run() {
    let alone = Scratch::new().await;
    let hospital = SmallHospital::write(&alone);
    let together = Scratch::new().await;
    let same_hospital = SmallHospital::write(&together);
    for delivery in 0..2 {
        for scratch in [&alone, &together] {
            scratch.set_clock(rcm::demo::EXTRACTED_AT[delivery]);
            scratch.land(&hospital.landing[delivery]).await;
        }
        let run = alone.run(&hospital.emr[delivery], as_of()).await;
        assert!(run.is_complete(), "{:?}", run.failures);
        let emr = &same_hospital.emr[delivery];
        let (one, other) = tokio::join!(together.run(emr, as_of()), together.run(emr, as_of()));
        assert!(one.is_complete(), "{:?}", one.failures);
        assert!(other.is_complete(), "{:?}", other.failures);
    }
    let (expected, content) = (alone.content().await, together.content().await);
    for (table, rows) in &expected {
        assert_eq!(Some(rows), content.get(table), "{table}");
    }
    assert_eq!(expected.len(), content.len());
}
