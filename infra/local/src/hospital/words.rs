//! The words that headers are made of, and what each stands for.

/// Words by what they stand for. A word may stand on several lines: `chg` is a charge, or a change. What consists of
/// several words stands for all of them: `dob` is a date and a birth.
pub(super) const WORDS: &[(&str, &str)] = &[
    // Things.
    ("patient", "patient patients patienten pat pats pt ptnt pnt person persons member members mbr bene beneficiary"),
    ("patient", "client chart"),
    ("patient id", "mrn"),
    (
        "provider",
        "provider providers prov prv prvdr provdr doctor doctors doc dr md physician physicians phys phy clinician",
    ),
    ("provider", "practitioner practitioners attending attend att rendering rend surgeon staff arzt aerzte"),
    ("dept", "department departments dept depts dep dpt unit units ward wards division divisions abteilung station"),
    ("location", "location loc facility fac site clinic"),
    ("encounter", "encounter encounters enc encs encntr visit visits vst vis admission admissions adm admit admitted"),
    ("encounter", "appointment appointments appt episode episodes stay stays case cases fall aufnahme"),
    ("encounter id", "csn"),
    ("transaction", "transaction transactions trans trx txn txns tx tran charge charges chg chgs chrg chrgs posting"),
    ("transaction", "postings post posted bill bills billing ledger leistung leistungen rechnung rechnungs"),
    ("claim", "claim claims clm clms"),
    ("account", "account accounts acct acc har konto"),
    // What is said of them.
    ("id", "id ids no nr num number nbr nmbr ident identifier key pk fk uid guid uuid nummer"),
    ("code", "code codes cd cde kode"),
    ("name", "name names nm nam title desc descr description bezeichnung label"),
    ("first", "first fst given fore f vor frst"),
    ("first name", "fname firstname forename vorname givenname"),
    ("last", "last lst l family familyname nach"),
    ("last name", "lname lastname surname nachname"),
    ("middle", "middle mid m initial init"),
    ("middle name", "mname mi middlename"),
    ("ssn", "ssn ssno social security soc sec"),
    ("phone", "phone phon phones tel telephone telefon mobile mob cell cellphone ph handy contact"),
    ("gender", "gender sex gndr geschlecht"),
    ("birth", "birth births birthday bday born bth brth brthdt geburt"),
    ("birth date", "dob bdate birthdate geburtsdatum geburtstag"),
    ("address", "address addr addrs adr street str strasse adresse residence"),
    ("city", "city town ort"),
    ("zip", "zip zipcode postal plz"),
    ("email", "email mail"),
    (
        "specialty",
        "specialization specialisation specialty speciality spec spclty splty discipline fachgebiet fachrichtung",
    ),
    ("npi", "npi"),
    ("type", "type types typ class category cat kind tp art"),
    ("procedure", "procedure procedures proc procs prc prcdr px hcpcs prozedur"),
    ("procedure code", "cpt"),
    ("diagnosis", "icd dx diag diagnosis diagnoses dgns diagnose"),
    ("service", "service services svc svcs srv serv performed from start leistungs"),
    ("service date", "dos"),
    ("paid", "paid pay payment payments pmt pmts pymt paymt pd collected settled bezahlt zahlung zahlungs zahl"),
    ("amount", "amount amounts amt amts amnt total sum value betrag dollars usd gross price cost"),
    ("adjusted", "adjusted adjustment adj contractual allowed balance bal writeoff refund"),
    ("billed", "billed bill billing"),
    ("claim amount", "claimed"),
    ("submitted", "submitted submit submission subm sub sent filed filing sbmt"),
    ("payor", "payor payors payer payers insurer insurance insur ins carrier plan kasse versicherung kostentraeger"),
    ("status", "status stat sts state outcome disposition"),
    ("deductible", "deductible deduct ded dedbl deduc"),
    ("coinsurance", "coinsurance coins coinsur coinsamt"),
    ("copay", "copay copayment cpay"),
    ("co", "co"),
    ("lob", "lob coverage line"),
    ("business", "business"),
    ("financial", "financial fin"),
    ("medicaid", "medicaid mcaid mdcaid"),
    ("medicare", "medicare mcare mdcare"),
    // Moments.
    ("date", "date dates dt dte dat datum day days ts time tm datetime dttm dtm timestamp at on am when utc tag zeit"),
    ("end", "end ended thru through until discharge discharged disch"),
    (
        "modified",
        "modified modify modif mod updated update updates upd updt upt changed change changes chg chgd altered",
    ),
    ("modified", "edited amended revised geaendert aenderung aenderungs"),
    (
        "inserted",
        "inserted insert ins created create creation crt crtd creat entered entry added recorded angelegt erfasst",
    ),
    ("inserted", "erstellt"),
];

/// Words that say nothing.
pub(super) const FILLERS: &[&str] = &[
    "of",
    "the",
    "src",
    "source",
    "col",
    "fld",
    "txt",
    "tbl",
    "des",
    "der",
    "und",
    "rec",
    "record",
    "row",
    "sys",
    "system",
    "home",
    "primary",
    "prim",
    "principal",
    "main",
    "current",
    "curr",
    "1",
    "10",
    "9",
];

/// What a column of the model is called: alternatives of words that stand for it, the weak ones with a `~`. `entity` is
/// empty where it holds for all.
pub(super) struct Names {
    pub(super) entity: &'static str,
    pub(super) column: &'static str,
    pub(super) alternatives: &'static str,
}

const fn names(entity: &'static str, column: &'static str, alternatives: &'static str) -> Names {
    Names { entity, column, alternatives }
}

pub(super) const NAMES: &[Names] = &[
    // Keys.
    names("patients", "src_patient_id", "patient id|patient code|id|patient|code~"),
    names("providers", "src_provider_id", "provider id|provider code|id|provider|code~"),
    names("departments", "src_dept_id", "dept id|dept code|id|code|dept~"),
    names("encounters", "src_encounter_id", "encounter id|encounter code|id|encounter|account id~"),
    names("transactions", "src_transaction_id", "transaction id|transaction code~|id|transaction"),
    names("claims", "src_claim_id", "claim id|claim code~|id|claim"),
    names("", "patient_key", "patient id|patient code|patient"),
    names("", "provider_key", "provider id|provider code|provider|provider npi~|provider name~"),
    names(
        "",
        "dept_key",
        "dept id|dept code|dept|dept name~|service dept|service dept id|location id~|location code~|location~",
    ),
    names("", "encounter_key", "encounter id|encounter code|encounter|account id~"),
    names("", "transaction_key", "transaction id|transaction code~|transaction"),
    // Persons.
    names("", "first_name", "first name|first"),
    names("", "last_name", "last name|last|name~"),
    names("", "middle_name", "middle name|middle"),
    names("", "ssn", "ssn|ssn id"),
    names("", "phone_number", "phone id|phone"),
    names("", "gender", "gender|gender code"),
    names("", "dob", "birth date|birth"),
    names("", "address", "address|address city|address city zip|address lob"),
    names("", "specialization", "specialty|specialty code~|specialty name"),
    names("", "npi", "npi|npi id"),
    names("departments", "name", "dept name|name|dept~"),
    // What happened.
    names("", "encounter_date", "encounter date|service date|date~|encounter service date|encounter~"),
    names("", "encounter_type", "encounter type|type|patient type"),
    names("", "procedure_code", "procedure code|procedure|procedure id~"),
    names("transactions", "visit_date", "encounter date"),
    names("", "service_date", "service date|service|date~|procedure date~|transaction date~|encounter date~"),
    names("", "paid_date", "paid date"),
    names("transactions", "visit_type", "encounter type"),
    names(
        "transactions",
        "amount",
        "amount|transaction amount|billed amount|billed|transaction|transaction billed amount|billed transaction~",
    ),
    names("transactions", "amount_type", "amount type|transaction type~|paid type~"),
    names("", "paid_amount", "paid amount|paid"),
    names("transactions", "claim_id", "claim id|claim"),
    names("", "payor_id", "payor id|payor|payor code|payor name"),
    names("", "icd_code", "diagnosis code|diagnosis|diagnosis id~"),
    names(
        "transactions",
        "line_of_business",
        "lob|lob business|business~|financial type|payor type~|lob type|lob code",
    ),
    names("transactions", "medicaid_id", "medicaid id|medicaid"),
    names("transactions", "medicare_id", "medicare id|medicare"),
    names("claims", "claim_date", "claim date|submitted date|submitted|billed date|claim submitted date|date~"),
    names("claims", "claim_amount", "claim amount|amount|billed amount|billed|transaction amount|claim|transaction~"),
    names("claims", "claim_status", "claim status|status|status code|claim status code"),
    names("claims", "payor_type", "payor type|financial type|lob~|payor code~"),
    names("claims", "deductible", "deductible|deductible amount"),
    names("claims", "coinsurance", "coinsurance|coinsurance amount|co payor|co payor amount"),
    names("claims", "copay", "copay|copay amount|co paid|co paid amount"),
    // Moments of the source.
    names("", "src_modified_at", "modified date|modified|last modified date|last modified"),
    names("", "src_inserted_at", "inserted date|inserted"),
];

/// The thing that an entity's rows are, as words say it.
pub(super) fn thing(entity: &str) -> &'static str {
    match entity {
        "patients" => "patient",
        "providers" => "provider",
        "departments" => "dept",
        "encounters" => "encounter",
        "transactions" => "transaction",
        "claims" => "claim",
        _ => "",
    }
}

/// The words for things.
pub(super) const THINGS: [&str; 6] = ["patient", "provider", "dept", "encounter", "transaction", "claim"];

/// Words that make something else of a name that has them beside what is looked for: `Paid_Amt` is no amount that was
/// billed, and `Birth_Date` no date of service.
pub(super) const OTHERS: [&str; 13] = [
    "paid",
    "adjusted",
    "deductible",
    "copay",
    "coinsurance",
    "birth",
    "modified",
    "inserted",
    "payor",
    "submitted",
    "end",
    "email",
    "co",
];
