//! Whole hospitals, made up, with names that no mapping of this repository has.

use rcm_model::cdm::Mapping;

use super::write::Place;
use super::*;

/// Drafts a hospital, and says of each table which column is read from which: `*` marks an unsure one.
fn told(files: &[(&str, &str)]) -> (Draft, BTreeMap<&'static str, Vec<String>>) {
    let samples: Vec<Sample> = files.iter().map(|(name, text)| Sample::parse(name, text.as_bytes()).unwrap()).collect();
    let draft = draft("hos-x", &samples, []);
    let of_column = |column: &DraftedColumn| {
        let mark = if column.unsure.is_some() { "*" } else { "" };
        format!("{}{mark} = {}", column.column, column.source.source)
    };
    let of_tables = draft.tables.iter().map(|table| (table.entity, table.columns.iter().map(of_column).collect()));
    let of_tables = of_tables.collect();
    let text = write::mapping(&draft, "claims");
    Mapping::parse("hos-x.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (draft, of_tables)
}

const ABBREVIATED: [(&str, &str); 6] = [
    (
        "pat_master.csv",
        "Pt_No,Lst_Nm,Fst_Nm,Mid_Init,Soc_Sec_No,Ph_No,Sex,DOB,Addr,Upd_Dt,Rel\n\
         M-0001,Sample,Cleo,Q,900-00-0077,555-010-0077,F,31.12.1969,\"7 Hill Road, Sampleton\",07.03.2024,x\n\
         M-0002,Other,Noah,,900-00-0078,555-010-0078,M,01.02.1970,\"8 Hill Road, Sampleton\",08.03.2024,y\n",
    ),
    (
        "providers.csv",
        "Prov_ID,Prov_Fst_Nm,Prov_Lst_Nm,Spclty,Dept_Cd,NPI_No\nD1,Dora,Sample,Cardiology,U1,1\nD2,Ed,Other,Surgery,U1,2\n",
    ),
    ("depts.csv", "Dept_Cd,Dept_Nm\nU1,Cardiology\nU2,Surgery\n"),
    (
        "visits.csv",
        "Vst_No,Pt_No,Vst_Dt,Vst_Typ,Prov_ID,Dept_Cd,CPT_Cd,Crt_Dt,Upd_Dt\n\
         V1,0001,01.04.2024,IP,D1,U1,99213,01.04.2024,02.04.2024\n\
         V2,0002,13.04.2024,OP,D2,U2,99214,13.04.2024,14.04.2024\n",
    ),
    (
        "charges.csv",
        "Chg_ID,Vst_No,Pt_No,Prov_ID,Dept_Cd,DOS,Pd_Dt,Chg_Amt,Pd_Amt,Dx_Cd,CPT_Cd,Fin_Class,Clm_No,Upd_Dt\n\
         C1,V1,0001,D1,U1,01.04.2024,,120.50,0,I10.9,99213,MCR,K1,02.04.2024\n\
         C2,V2,0002,D2,U2,13.04.2024,20.04.2024,80.00,80.00,I10.9,99214,COM,K2,21.04.2024\n",
    ),
    (
        "lakeside_claims_2024-04.csv",
        "Clm_No,Chg_ID,Pt_No,Vst_No,DOS,Sbmt_Dt,Payer_Nm,Clm_Amt,Pd_Amt,Clm_Sts,Ded_Amt,Coins_Amt,Copay_Amt,Upd_Dt\n\
         K1,C1,0001,V1,01.04.2024,03.04.2024,Aetna,120.50,0,Pending,0,0,0,04.04.2024\n\
         K2,C2,0002,V2,13.04.2024,15.04.2024,Cigna,80.00,80.00,Paid,0,0,0,21.04.2024\n",
    ),
];

#[test]
fn a_hospital_with_abbreviated_names_and_german_dates_is_drafted() {
    let (draft, tables) = told(&ABBREVIATED);
    insta::assert_snapshot!(tables["patients"].join("\n"), @r"
    src_patient_id = Pt_No
    first_name = Fst_Nm
    last_name = Lst_Nm
    middle_name = Mid_Init
    ssn = Soc_Sec_No
    phone_number = Ph_No
    gender = Sex
    dob = DOB
    address = Addr
    src_modified_at = Upd_Dt
    ");
    insta::assert_snapshot!(tables["providers"].join("\n"), @r"
    src_provider_id = Prov_ID
    first_name = Prov_Fst_Nm
    last_name = Prov_Lst_Nm
    specialization = Spclty
    dept_key = Dept_Cd
    npi = NPI_No
    ");
    insta::assert_snapshot!(tables["departments"].join("\n"), @r"
    src_dept_id = Dept_Cd
    name = Dept_Nm
    ");
    insta::assert_snapshot!(tables["encounters"].join("\n"), @r"
    src_encounter_id = Vst_No
    patient_key = Pt_No
    encounter_date = Vst_Dt
    encounter_type = Vst_Typ
    provider_key = Prov_ID
    dept_key = Dept_Cd
    procedure_code = CPT_Cd
    src_inserted_at = Crt_Dt
    src_modified_at = Upd_Dt
    ");
    insta::assert_snapshot!(tables["transactions"].join("\n"), @r"
    src_transaction_id = Chg_ID
    encounter_key = Vst_No
    patient_key = Pt_No
    provider_key = Prov_ID
    dept_key = Dept_Cd
    service_date = DOS
    paid_date = Pd_Dt
    amount = Chg_Amt
    paid_amount = Pd_Amt
    claim_id = Clm_No
    procedure_code = CPT_Cd
    icd_code = Dx_Cd
    line_of_business = Fin_Class
    src_modified_at = Upd_Dt
    ");
    insta::assert_snapshot!(tables["claims"].join("\n"), @r"
    src_claim_id = Clm_No
    transaction_key = Chg_ID
    patient_key = Pt_No
    encounter_key = Vst_No
    service_date = DOS
    claim_date = Sbmt_Dt
    payor_id = Payer_Nm
    claim_amount = Clm_Amt
    paid_amount = Pd_Amt
    claim_status = Clm_Sts
    deductible = Ded_Amt
    coinsurance = Coins_Amt
    copay = Copay_Amt
    src_modified_at = Upd_Dt
    ");
    assert_eq!(draft.date_formats, ["%d.%m.%Y"]);
    assert_eq!(draft.id_prefixes, BTreeMap::from([("patients".to_owned(), vec!["M-".to_owned()])]));
    let loads: Vec<_> = draft.tables.iter().map(|table| (table.table.as_str(), table.load.clone())).collect();
    let extract = |incremental_by: Option<&str>| Load::Extract { incremental_by: incremental_by.map(str::to_owned) };
    let landed = Load::Landed { pattern: "lakeside_*".to_owned(), unsure: None };
    let expected = [
        ("pat_master", extract(Some("Upd_Dt"))),
        ("providers", extract(None)),
        ("depts", extract(None)),
        ("visits", extract(Some("Upd_Dt"))),
        ("charges", extract(Some("Upd_Dt"))),
        ("claims", landed),
    ];
    assert_eq!(loads, expected);
    assert_eq!(draft.unsure(), 0);
}

#[test]
fn a_hospital_that_writes_its_names_together_is_drafted() {
    let files = [
        (
            "Patients.csv",
            "patientNumber,givenName,familyName,dateOfBirth,genderCode,mobilePhone,streetAddress,lastUpdatedAt\n\
             1,Cleo,Sample,12/31/1969,F,5550100077,7 Hill Road,2024-03-07T06:30:00Z\n\
             2,Noah,Other,02/01/1970,M,5550100078,8 Hill Road,2024-03-08T06:30:00Z\n",
        ),
        (
            "Encounters.csv",
            "encounterId,patientNumber,encounterStartDate,encounterClass,attendingProviderId,departmentCode,lastUpdatedAt\n\
             10,1,04/01/2024,IP,7,U1,2024-04-02T00:00:00Z\n11,2,04/13/2024,OP,8,U2,2024-04-14T00:00:00Z\n",
        ),
        (
            "Transactions.csv",
            "transactionId,encounterId,patientNumber,serviceDate,billedAmount,paidAmount,paymentDate,payerId,lastUpdatedAt\n\
             100,10,1,04/01/2024,120.5,0,,9,2024-04-02T00:00:00Z\n101,11,2,04/13/2024,80,80,04/20/2024,9,2024-04-21T00:00:00Z\n",
        ),
    ];
    let (draft, tables) = told(&files);
    insta::assert_snapshot!(tables.values().flatten().cloned().collect::<Vec<_>>().join("\n"), @r"
    src_encounter_id = encounterId
    patient_key = patientNumber
    encounter_date = encounterStartDate
    encounter_type = encounterClass
    provider_key = attendingProviderId
    dept_key = departmentCode
    src_modified_at = lastUpdatedAt
    src_patient_id = patientNumber
    first_name = givenName
    last_name = familyName
    phone_number = mobilePhone
    gender = genderCode
    dob = dateOfBirth
    address = streetAddress
    src_modified_at = lastUpdatedAt
    src_transaction_id = transactionId
    encounter_key = encounterId
    patient_key = patientNumber
    service_date = serviceDate
    paid_date = paymentDate
    amount = billedAmount
    paid_amount = paidAmount
    payor_id = payerId
    src_modified_at = lastUpdatedAt
    ");
    assert_eq!(draft.date_formats, ["%m/%d/%Y"]);
}

/// The mapping of docs/connect-a-hospital.md.
fn of_the_how_to() -> Mapping {
    let text = include_str!("../../../../docs/connect-a-hospital.md");
    let blocks = text.split("```toml\n").filter_map(|rest| rest.split_once("```"));
    let block = blocks.map(|(block, _)| block).find(|block| block.starts_with("datasource = \"hos-c\"")).unwrap();
    Mapping::parse("hos-c.toml", block).unwrap()
}

#[test]
fn the_hospital_of_the_how_to_is_drafted_as_it_is_written_there() {
    let files = [
        (
            "patients.csv",
            "Patient_No,Given_Name,Family_Name,Born,Sex,Mobile,Shoe_Size,Last_Change\n\
             C-1001,Ada,Sample,01.02.1980,Female,555-010-0101,38,07.10.2024 06:30\n\
             1002,Bert,Sample,24.12.1975,Male,555-010-0102,44,08.10.2024 18:05\n",
        ),
        ("providers.csv", "Doctor_No,Given_Name,Family_Name,Unit_No,NPI\nDR-7,Dora,Sample,U1,1\nDR-8,Ed,Sample,U2,2\n"),
        ("departments.csv", "Unit_No,Unit\nU1,Cardiology\nU2,Surgery\n"),
        (
            "encounters.csv",
            "Visit_No,Patient_No,Visit_Day,Doctor_No,Unit_No,Last_Change\n\
             V1,1001,04.10.2024,7,U1,07.10.2024 06:30\nV2,1002,24.10.2024,8,U2,28.10.2024 06:30\n",
        ),
        (
            "transactions.csv",
            "Charge_No,Visit_No,Patient_No,Doctor_No,Unit_No,Visit_Day,Paid_On,Billed,Paid,Coverage,Last_Change\n\
             T1,V1,1001,7,U1,04.10.2024,,120.50,0,Medicare,07.10.2024 06:30\n\
             T2,V2,1002,8,U2,24.10.2024,28.10.2024,80,80,Medicaid,28.10.2024 06:30\n",
        ),
        (
            "mercy_2024-10.csv",
            "Claim_No,Charge_No,Patient_No,Visit_Day,Sent_On,Claimed,Paid,Status,Payer,Last_Change\n\
             K1,T1,1001,04.10.2024,05.10.2024,120.50,0,Pending,A,07.10.2024 06:30\n\
             K2,T2,1002,24.10.2024,25.10.2024,80,80,Paid,B,28.10.2024 06:30\n",
        ),
    ];
    let (draft, _) = told(&files);
    let (drafted, expected) =
        (Mapping::parse("hos-x.toml", &write::mapping(&draft, "claims")).unwrap(), of_the_how_to());
    for entity in ENTITIES {
        for column in model_columns(entity) {
            let of = |mapping: &Mapping| {
                mapping.source_column(entity.name, column).map(|source| source.names().collect::<Vec<_>>().join("|"))
            };
            assert_eq!(of(&drafted), of(&expected), "{}.{column}", entity.name);
        }
        assert_eq!(drafted.id_prefixes(entity.name), expected.id_prefixes(entity.name), "{}", entity.name);
    }
    assert_eq!(draft.date_formats, ["%d.%m.%Y", "%d.%m.%Y %H:%M"]);
    assert!(drafted.owns_file("claims", "mercy_2024-11.csv"));
    assert_eq!(draft.unsure(), 3, "the name of a department, and the dates of service");
}

#[test]
fn a_key_is_the_column_that_joins_its_table() {
    let files = [
        ("patients.csv", "Patient_ID,MRN,Last_Name\nA1,B1,Sample\nA2,B2,Other\n"),
        ("encounters.csv", "Visit_No,MRN,Patient_ID\nV1,B1,A1\nV2,B2,A2\n"),
    ];
    let (draft, tables) = told(&files);
    assert_eq!(tables["encounters"], ["src_encounter_id = Visit_No", "patient_key = Patient_ID"]);
    assert_eq!((tables["patients"][0].as_str(), draft.unsure()), ("src_patient_id* = Patient_ID", 1));
}

#[test]
fn what_is_drafted_is_written_with_its_doubts() {
    let files = [
        ("departments.csv", "Unit_No,Unit\nU1,Cardiology\nU2,Surgery\n"),
        (
            "claims.csv",
            "Claim_No,Charge_No,Patient_No,Visit_Day,Sent_On,Claimed,Paid,Status,Payer,Notes\n\
             K1,C1,7,03/04/2024,03/05/2024,12.50,0,Paid,A,\n",
        ),
    ];
    let (draft, _) = told(&files);
    insta::assert_snapshot!(write::mapping(&draft, "claims"), @r#"
    # hos-x: how its columns become the common data model. Drafted by `rcm hospital add hos-x`.
    # A line with `# unsure` is a guess, and says why. Left is the model's name, right the hospital's.
    # All keys: docs/pipeline-config.md.

    # Suffix of every durable key: never change it.
    datasource = "hos-x"

    date_formats = ["%m/%d/%Y"]  # unsure: no date has a day above 12: the month may come first or second

    # Names of the files that land.
    [landing]
    claims = ["claims*"]  # unsure: the name does not tell the hospital: put `hos-x_` before it

    [entities.departments]
    src_dept_id = "Unit_No"
    name = "Unit"  # unsure: by a part of its name
    # Nothing was found for: src_inserted_at, src_modified_at

    [entities.claims]
    src_claim_id = "Claim_No"
    transaction_key = "Charge_No"
    patient_key = "Patient_No"
    service_date = "Visit_Day"  # unsure: by a part of its name
    claim_date = "Sent_On"
    payor_id = "Payer"
    claim_amount = "Claimed"
    paid_amount = "Paid"
    claim_status = "Status"
    # Nothing was found for: encounter_key, provider_key, dept_key, payor_type, deductible, coinsurance, copay, src_inserted_at, src_modified_at
    # Not used: "Notes"
    "#);
    let place = Place { database: "mercy, old", schema: "rcm", targetpath: "hosx" };
    let lines: Vec<String> = write::load_rows(&draft, &place).iter().map(write::line).collect();
    assert_eq!(lines, ["\"mercy, old\",hos-x,rcm.departments,Full,,1,hosx"]);
}
