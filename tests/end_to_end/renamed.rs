//! A hospital that is renamed in the configuration is refused: its rows would count twice.

use std::fs;

use crate::ledger::{COLUMNS, Ledger, Load, csv, write};

const ROW: &str = "A,P,2024-09-01,100,,,2024-09-10";

/// Renames the hospital in the configuration and in the folder of its extracts.
fn rename(ledger: &Ledger, targetpath: &str) {
    let (old, new) = (ledger.path("configs/cdm/hos-x.toml"), ledger.path("configs/cdm/mercy.toml"));
    write(&new, fs::read_to_string(&old).unwrap().replace("hos-x", "mercy"));
    fs::remove_file(old).unwrap();
    ledger.edit("configs/emr/load_config.csv", ",hos-x,", ",mercy,");
    ledger.edit("configs/emr/load_config.csv", ",hosx\n", &format!(",{targetpath}\n"));
    write(&ledger.beside("emr/mercy/transactions.csv"), csv(COLUMNS, &[ROW, &ROW.replace("A,", "B,")]));
}

#[rstest::rstest]
#[case::of_the_same_stream("hosx")]
#[case::with_a_stream_of_its_own("mercy")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_that_is_renamed_is_refused_and_counts_once(#[case] targetpath: &str) {
    let ledger = Ledger::new().await;
    assert_eq!(ledger.take(Load::Full, &[ROW]).await.whole().ar(), "100.00");
    rename(&ledger, targetpath);
    for _ in 0..2 {
        let told = ledger.run().await;
        assert_eq!((told.exit_code(), told.ar().as_str()), (1, "100.00"));
        let errors = told.errors();
        for words in
            ["BadConfig", "`mercy`", "stream `hosx/transactions` holds it as `hos-x`", "hint: put `hos-x` back"]
        {
            assert!(errors.contains(words), "{errors}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_a_hospital_that_is_renamed_are_refused_and_count_once() {
    let ledger = Ledger::with_claims().await;
    let claim = |id: &str| format!("{id},T1,P1,2024-09-01,2024-09-05,100,0,Paid,Payer,2024-09-05");
    ledger.land_claims("hosx_1.csv", &[&claim("C1")]);
    ledger.run().await;
    let mapping = fs::read_to_string(ledger.path("configs/cdm/hos-x.toml")).unwrap();
    fs::remove_file(ledger.path("configs/cdm/hos-x.toml")).unwrap();
    fs::write(ledger.path("configs/cdm/mercy.toml"), mapping.replace("hos-x", "mercy")).unwrap();
    ledger.run().await;
    ledger.land_claims("hosx_2.csv", &[&claim("C1"), &claim("C2")]);
    let run = ledger.run().await;
    assert_eq!(run.exit_code(), 1);
    let errors = run.errors();
    for words in ["BadConfig", "`mercy`", "`hos-x`", "claims/hos-x", "twice", "rcm load void"] {
        assert!(errors.contains(words), "no {words} in {errors}");
    }
    assert_eq!(ledger.current("claims", &["claim_key"]).await, ["C1-hos-x"]);
    let (told, exit) = ledger.command(&["load", "void", "claims/hos-x", "1", "--why", "of another hospital"]).await;
    assert_eq!(exit, 0, "{told}");
    let run = ledger.run().await;
    assert!(!run.errors().contains("hosx_2.csv"), "{}", run.errors());
}
