//! From a folder of files to loaded rows: `rcm hospital add`, `doctor`, `plan`, `run`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::{ENTITIES, Mapping};
use rcm_platform::Lake;

use crate::figures::sample_data;
use crate::ledger::{carry_out_words, write};
use crate::scratch::{AS_OF, Scratch};

/// The files of a made-up hospital: names that no other mapping has, German dates, `;`, a prefix of patients.
fn files(folder: &Path) {
    let files = [
        (
            "pat_master.csv",
            "Pt_No;Lst_Nm;Fst_Nm;Soc_Sec_No;Ph_No;Sex;DOB;Addr;Upd_Dt\n\
             M-0001;Sample;Cleo;900-00-0077;555-010-0077;F;31.12.1969;7 Hill Road;07.03.2024\n\
             M-0002;Other;Noah;900-00-0078;555-010-0078;M;01.02.1970;8 Hill Road;08.03.2024\n",
        ),
        ("doctors.csv", "Prov_ID;Prov_Fst_Nm;Prov_Lst_Nm;Dept_Cd\nD1;Dora;Sample;U1\nD2;Ed;Other;U2\n"),
        ("depts.csv", "Dept_Cd;Dept_Nm\nU1;Cardiology\nU2;Surgery\n"),
        (
            "charges.csv",
            "Chg_ID;Vst_No;Pt_No;Prov_ID;Dept_Cd;DOS;Pd_Dt;Chg_Amt;Pd_Amt;Fin_Class;Upd_Dt\n\
             C1;V1;0001;D1;U1;01.04.2024;;120.50;0;MCR;02.04.2024\n\
             C2;V2;0002;D2;U2;13.04.2024;20.04.2024;80.00;80.00;COM;21.04.2024\n",
        ),
    ];
    for (name, text) in files {
        write(&folder.join(name), text);
    }
}

/// Every object of a lake, with its size and time.
async fn listing(lake: &Lake) -> BTreeMap<String, (u64, DateTime<Utc>)> {
    let found = lake.list("").await.unwrap().into_iter();
    found.map(|meta| (meta.location.to_string(), (meta.size, meta.last_modified))).collect()
}

async fn current(scratch: &Scratch, entity: &str) -> usize {
    let rows = scratch.rows(&format!("silver/{entity}")).await.unwrap();
    rows.lazy().filter(col("is_current")).collect().unwrap().height()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drafted_hospital_is_loaded_by_its_first_run_without_an_edit() {
    let scratch = Scratch::empty();
    let (lake, emr) = (scratch.path(""), scratch.beside("emr"));
    let from = emr.join("lakeside");
    files(&from);
    let [lake, emr, from] = [&lake, &emr, &from].map(|path| path.to_str().unwrap());
    let add = ["rcm", "hospital", "add", "lakeside", "--from", from, "--lake", lake];

    let dry_run = [add.as_slice(), &["--dry-run"]].concat();
    let (told, exit) = carry_out_words(&dry_run).await;
    assert!(exit == 0 && told.contains("date_formats = [\"%d.%m.%Y\"]"), "{told}");
    assert!(!Path::new(lake).join("configs").exists(), "a dry run writes nothing");
    let (told, exit) = carry_out_words(&add).await;
    assert_eq!(exit, 0, "{told}");
    for value in ["Sample", "Cleo", "0077", "Hill", "Cardiology", "120.50", "1969"] {
        assert!(!told.contains(value), "{value} is a value: {told}");
    }
    let mapping = fs::read_to_string(scratch.path("configs/cdm/lakeside.toml")).unwrap();
    let (told, exit) = carry_out_words(&add).await;
    assert!(exit == 2 && told.contains("--replace"), "{told}");
    assert_eq!(carry_out_words(&dry_run).await.1, 0, "what would be drafted may be seen");
    assert_eq!(fs::read_to_string(scratch.path("configs/cdm/lakeside.toml")).unwrap(), mapping);

    let (told, exit) = carry_out_words(&["rcm", "doctor", "--lake", lake, "--emr", emr]).await;
    assert!(exit == 0 && told.contains("9 of 9 columns are mapped"), "{told}");
    let (told, exit) = carry_out_words(&["rcm", "plan", "--lake", lake, "--emr", emr]).await;
    assert!(exit == 0 && told.contains("the first load: all rows"), "{told}");
    let run = ["rcm", "run", "--lake", lake, "--emr", emr, "--as-of", AS_OF];
    let (told, exit) = carry_out_words(&run).await;
    assert_eq!(exit, 0, "{told}");
    for (entity, rows) in [("patients", 2), ("providers", 2), ("departments", 2), ("transactions", 2)] {
        assert_eq!(current(&scratch, entity).await, rows, "{entity}");
    }
    let facts = scratch.rows("gold/fact_transactions").await.unwrap();
    let keys = facts.column("patient_key").unwrap().str().unwrap().iter().flatten().map(str::to_owned);
    let mut keys: Vec<String> = keys.collect();
    keys.sort_unstable();
    assert_eq!(keys, ["0001-lakeside", "0002-lakeside"], "with and without the prefix they are the same patients");

    a_plan_says_what_a_run_would_do_and_writes_nothing(&scratch, lake, emr).await;
}

async fn a_plan_says_what_a_run_would_do_and_writes_nothing(scratch: &Scratch, lake: &str, emr: &str) {
    let plan = ["rcm", "plan", "--lake", lake, "--emr", emr, "--as-of", AS_OF, "--json"];
    let before = listing(&scratch.lake()).await;
    let document = async || -> serde_json::Value {
        let (told, exit) = carry_out_words(&plan).await;
        assert_eq!(exit, 0, "{told}");
        serde_json::from_str(&told).unwrap()
    };
    let plan = document().await;
    for list in ["silver", "gold", "files", "standstills"] {
        assert_eq!(plan[list], serde_json::json!([]), "{plan:#}");
    }
    let is_read = |plan: &serde_json::Value| -> Vec<bool> {
        plan["extracts"].as_array().unwrap().iter().map(|table| table["is_read"].as_bool().unwrap()).collect()
    };
    assert_eq!(is_read(&plan), [false; 4], "{plan:#}");
    write(&PathBuf::from(emr).join("lakeside/depts.csv"), "Dept_Cd;Dept_Nm\nU1;Cardiology\nU2;Surgery\nU3;New\n");
    let plan = document().await;
    assert_eq!(is_read(&plan).iter().filter(|is_read| **is_read).count(), 1, "{plan:#}");
    assert_eq!(listing(&scratch.lake()).await, before);

    // A load in bronze that silver does not have yet makes the tables above it stale.
    let context = scratch.context(Path::new(emr)).await;
    let row = context.settings.load_config.iter().find(|row| row.entity() == "depts").unwrap().clone();
    let input = rcm_model::event::ExtractInput { run_id: "by-hand".to_owned(), row, force: false };
    rcm::functions::call("emr-extract", context, serde_json::json!(input)).await.unwrap();
    let before = listing(&scratch.lake()).await;
    let plan = document().await;
    let silver = &plan["silver"][0];
    assert_eq!((silver["table"].as_str(), silver["rows"].as_u64()), (Some("silver/departments"), Some(3)), "{plan:#}");
    let gold: BTreeMap<&str, String> = plan["gold"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gold| (gold["table"].as_str().unwrap(), gold["because"].to_string()))
        .collect();
    assert!(gold["gold/dim_department"].contains("silver/departments takes loads in"), "{gold:?}");
    assert!(gold["gold/fact_transactions"].contains("gold/dim_department is made anew"), "{gold:?}");
    assert_eq!(listing(&scratch.lake()).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_drafted_is_refused_with_a_hint() {
    let scratch = Scratch::new().await;
    let lake = scratch.path("");
    let empty = scratch.beside("empty");
    fs::create_dir_all(&empty).unwrap();
    let fresh = scratch.beside("fresh");
    let headless = scratch.beside("headless");
    write(&headless.join("patients.csv"), "P001,Sampleton,1970-01-01\nP002,Otherton,1980-01-01\n");
    let [lake, empty, headless] = [&lake, &empty, &headless].map(|path| path.to_str().unwrap());
    for (name, from, expected) in [
        ("hos-c", empty, "no CSV file is in it"),
        ("hos-c", "no/such/folder", "not a folder"),
        ("hos c", empty, "no name of a hospital"),
        ("hos-a", headless, "has a mapping"),
        ("hos-c", headless, "has no header"),
    ] {
        let (told, exit) = carry_out_words(&["rcm", "hospital", "add", name, "--from", from, "--lake", lake]).await;
        assert!(exit == 2 && told.contains(expected) && told.contains("hint: "), "{name} {from}: {told}");
        assert!(!told.contains("Sampleton"), "{told}");
    }
    let fresh_lake = fresh.to_str().unwrap();
    let (told, exit) =
        carry_out_words(&["rcm", "hospital", "add", "hos-c", "--from", headless, "--lake", fresh_lake]).await;
    assert!(exit == 2 && !fresh.exists(), "nothing is made for nothing: {told}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the sample data: RCM_SAMPLE_DATA names their folder"]
async fn a_sample_hospital_without_its_mapping_is_drafted_and_loads_everything() {
    let sources = sample_data();
    let scratch = Scratch::new().await;
    scratch.land(&sources.join("landing")).await;
    let shipped = fs::read_to_string(scratch.path("configs/cdm/hos-b.toml")).unwrap();
    fs::remove_file(scratch.path("configs/cdm/hos-b.toml")).unwrap();
    let lines = fs::read_to_string(scratch.path("configs/emr/load_config.csv")).unwrap();
    let header = lines.lines().next().unwrap();
    write(&scratch.path("configs/emr/load_config.csv"), format!("{header}\n"));

    let (lake, from, emr) = (scratch.path(""), sources.join("emr/hos-b"), sources.join("emr"));
    let [lake, from, emr] = [&lake, &from, &emr].map(|path| path.to_str().unwrap());
    let (told, exit) = carry_out_words(&["rcm", "hospital", "add", "hos-b", "--from", from, "--lake", lake]).await;
    assert_eq!(exit, 0, "{told}");
    let drafted = fs::read_to_string(scratch.path("configs/cdm/hos-b.toml")).unwrap();
    let [shipped, mapping] = [&shipped, &drafted].map(|text| Mapping::parse("hos-b.toml", text).unwrap());
    let mut edits: Vec<String> = Vec::new();
    for entity in ENTITIES {
        let columns = entity.tracked.iter().map(|column| column.name);
        for column in columns.chain([entity.id(), "src_inserted_at", "src_modified_at"]) {
            if shipped.source_column(entity.name, column) != mapping.source_column(entity.name, column) {
                edits.push(format!("{}.{column}", entity.name));
            }
        }
        if shipped.id_prefixes(entity.name) != mapping.id_prefixes(entity.name) {
            edits.push(format!("prefixes of {}", entity.name));
        }
    }
    edits.extend((!mapping.owns_file("claims", "hospital2_claim_data.csv")).then(|| "landing".to_owned()));
    assert_eq!(edits, [""; 0], "{drafted}");
    let mut rows: Vec<String> =
        fs::read_to_string(scratch.path("configs/emr/load_config.csv")).unwrap().lines().map(str::to_owned).collect();
    let mut expected: Vec<String> = lines
        .lines()
        .filter(|line| line.contains(",hos-b,") || *line == header)
        .map(|line| line.replace("trendytech-hospital-b", "hos-b"))
        .collect();
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);

    let (told, exit) = carry_out_words(&["rcm", "run", "--lake", lake, "--emr", emr, "--as-of", AS_OF]).await;
    assert_eq!(exit, 0, "{told}");
    for (entity, rows) in [
        ("patients", 4985),
        ("providers", 30),
        ("departments", 20),
        ("encounters", 10_000),
        ("transactions", 10_000),
        ("claims", 20_000),
    ] {
        assert_eq!(current(&scratch, entity).await, rows, "{entity}");
    }
}
