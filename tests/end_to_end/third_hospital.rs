//! A third hospital with other column names, date formats and id prefixes: configuration only.

use std::fs;

use polars::prelude::*;

use crate::scratch::{Scratch, as_of};

const MAPPING: &str = r#"
datasource = "hos-c"
date_formats = ["%d.%m.%Y", "%d.%m.%Y %H:%M"]
time_zone = "America/Chicago"

[id_prefixes]
providers = ["C/", "DOC-"]
patients = ["MRN:"]

[landing]
claims = ["st-claire *.csv"]

[entities.patients]
src_patient_id = "mrn"
first_name = "given name"
last_name = "family name"
ssn = "social"
phone_number = "phone"
gender = "sex"
dob = "born"
address = "street, town"
src_modified_at = "changed at"

[entities.providers]
src_provider_id = "doctor"
first_name = "given name"
last_name = "family name"
dept_key = "unit"

[entities.departments]
src_dept_id = "unit"
name = "title"

[entities.transactions]
src_transaction_id = "charge"
encounter_key = "visit"
patient_key = "mrn"
provider_key = "doctor"
dept_key = "unit"
visit_date = "day"
service_date = "day"
paid_date = "paid on"
amount = "billed"
paid_amount = "paid"
line_of_business = "line"
src_modified_at = "changed at"
"#;

const ROWS: &str = "trendytech-hospital-c,hos-c,clinic.patients,Incremental,changed at,1,hosc\n\
                    trendytech-hospital-c,hos-c,clinic.providers,Full,,1,hosc\n\
                    trendytech-hospital-c,hos-c,clinic.departments,Full,,1,hosc\n\
                    trendytech-hospital-c,hos-c,clinic.transactions,Incremental,changed at,1,hosc\n";

fn write(path: &std::path::Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

async fn lake_of_the_third_hospital() -> Scratch {
    let scratch = Scratch::new().await;
    write(&scratch.path("configs/cdm/hos-c.toml"), MAPPING);
    let header = format!("{}\n", rcm_model::load_config::HEADER);
    write(&scratch.path("configs/emr/load_config.csv"), &(header + ROWS));
    let emr = scratch.beside("emr/hos-c");
    write(
        &emr.join("patients.csv"),
        "changed at,mrn,family name,given name,social,phone,sex,born,\"street, town\",favourite colour\r\n\
         07.03.2024 14:30,MRN:77,Sample,Cleo,900-00-0077,555-010-0077,F,31.12.1969,\"7 Hill Road, Sampleton\",blue\r\n",
    );
    write(&emr.join("providers.csv"), "doctor,given name,family name,unit\nC/12,Dora,Sample,U1\n");
    write(&emr.join("departments.csv"), "title,unit\nCardiology,U1\n");
    write(
        &emr.join("transactions.csv"),
        "charge,visit,mrn,doctor,unit,day,paid on,billed,paid,line,changed at\n\
         900,V1,77,DOC-12,U1,01.04.2024,,12.345678,0,Medicare,02.04.2024 08:00\n",
    );
    let run = scratch.run(&scratch.beside("emr"), as_of()).await;
    assert!(run.is_complete(), "{:?}", run.failures);
    scratch
}

fn text(rows: &DataFrame, column: &str) -> String {
    rows.column(column).unwrap().cast(&DataType::String).unwrap().str().unwrap().get(0).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_hospital_needs_configuration_only() {
    let scratch = lake_of_the_third_hospital().await;
    let patients = scratch.rows("silver/patients").await.unwrap();
    assert_eq!(text(&patients, "patient_key"), "77-hos-c");
    assert_eq!(text(&patients, "dob"), "1969-12-31");
    assert!(text(&patients, "effective_from").starts_with("2024-03-07 20:30:00"), "local time becomes UTC");
    let fact = scratch.rows("gold/fact_transactions").await.unwrap();
    assert_eq!(text(&fact, "amount"), "12.35");
    assert_eq!(text(&fact, "provider_key"), "12-hos-c", "one key for `C/12` and `DOC-12`");
    let provider = scratch.rows("gold/dim_provider").await.unwrap();
    let known = provider.column("provider_sk").unwrap().i64().unwrap().iter().flatten().max().unwrap();
    assert_eq!(text(&fact, "provider_sk"), known.to_string());
}
