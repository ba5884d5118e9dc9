//! Facts and KPIs after changes of some buckets: what is made anew, and that it is what a lake made from nothing has.

use rcm_domain::gold::FACTS;
use rcm_platform::testing::DataReads;
use rcm_tables::delta::NewFile;

use super::*;

const BUCKETS: i32 = 4;

/// One row of a made-up silver table of transactions.
#[derive(Clone)]
struct Charge {
    key: String,
    bucket: i32,
    patient: &'static str,
    day: &'static str,
    amount: i64,
    paid: i64,
}

fn charge(number: i32, day: &'static str, amount: i64) -> Charge {
    let patient = if number % 3 == 0 { "P1" } else { "P9" };
    Charge { key: format!("T{number}"), bucket: number % BUCKETS, patient, day, amount, paid: amount / 2 }
}

fn charges() -> Vec<Charge> {
    (0..16).map(|number| charge(number, "2024-09-01", 100 + i64::from(number))).collect()
}

fn surrogate(charge: &Charge) -> i64 {
    let text = format!("{} {} {} {}", charge.key, charge.day, charge.amount, charge.paid);
    text.bytes().fold(7, |hash: i64, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
}

async fn written(context: &Context, charges: &[&Charge], bucket: i32) -> Option<NewFile> {
    let of = |value: fn(&Charge) -> String| charges.iter().map(|charge| value(charge)).collect::<Vec<_>>();
    let rows = df!(
        "transaction_sk" => charges.iter().map(|charge| surrogate(charge)).collect::<Vec<_>>(),
        "transaction_key" => of(|charge| charge.key.clone()),
        "datasource" => vec!["hos-a"; charges.len()],
        "patient_key" => of(|charge| charge.patient.to_owned()),
        "line_of_business" => of(|charge| if charge.amount % 2 == 0 { "Medicare" } else { "Self-Pay" }.to_owned()),
        "procedure_code" => vec!["99213"; charges.len()],
        "service_date" => charges.iter().map(|charge| day(charge.day)).collect::<Vec<_>>(),
        "paid_date" => charges.iter().map(|charge| day(charge.day) + chrono::Days::new(charge.paid.unsigned_abs() % 50))
            .collect::<Vec<_>>(),
        "amount" => of(|charge| charge.amount.to_string()),
        "paid_amount" => of(|charge| charge.paid.to_string()),
        "effective_from" => vec![day("2024-09-01"); charges.len()],
    );
    let schema = silver_schema(&TRANSACTIONS);
    let rows = rows.unwrap();
    let columns = schema.iter().filter(|(name, _)| name.as_str() != "bucket").map(|(name, dtype)| {
        let value = match name.as_str() {
            "is_current" => lit(true),
            "is_deleted" => lit(false),
            _ if rows.schema().contains(name) => col(name.clone()),
            _ => lit(NULL),
        };
        value.cast(dtype.clone()).alias(name.clone())
    });
    let rows = rows.clone().lazy().select(columns.collect::<Vec<_>>()).collect().unwrap();
    if rows.height() == 0 {
        return None;
    }
    let partition = [("bucket", Some(bucket.to_string()))];
    Some(delta::write(context, &lake::silver(TRANSACTIONS.name), &rows, &partition).await.unwrap())
}

/// Puts the charges of some buckets in the place of what silver has in them.
async fn put(context: &Context, charges: &[Charge], buckets: &[i32]) {
    let path = lake::silver(TRANSACTIONS.name);
    let table = Table::open(&context.lake, &path).await.unwrap();
    let mut add = Vec::new();
    for bucket in buckets {
        let of_bucket: Vec<&Charge> = charges.iter().filter(|charge| charge.bucket == *bucket).collect();
        add.extend(written(context, &of_bucket, *bucket).await);
    }
    let names: Vec<String> = buckets.iter().map(ToString::to_string).collect();
    let is_replaced =
        |file: &&delta::DataFile| names.iter().any(|name| file.partition_value("bucket") == Some(name.as_str()));
    let change = Change {
        schema: &silver_schema(&TRANSACTIONS),
        partition_by: &["bucket"],
        properties: &[],
        add,
        remove: table.iter().flat_map(|table| table.files().iter().filter(is_replaced).cloned()).collect(),
        transactions: Vec::new(),
        run_id: "run",
    };
    delta::commit(&context.lake, &path, table.as_ref(), change).await.unwrap();
}

async fn put_patients(context: &Context, versions: &[(i64, &str, &str, Option<&str>)]) {
    let moment = |text: &str| day(text).and_hms_opt(0, 0, 0).unwrap();
    let rows = df!(
        "patient_sk" => versions.iter().map(|version| version.0).collect::<Vec<_>>(),
        "patient_key" => versions.iter().map(|version| version.1).collect::<Vec<_>>(),
        "effective_from" => versions.iter().map(|version| moment(version.2)).collect::<Vec<_>>(),
        "effective_to" => versions.iter().map(|version| version.3.map(moment)).collect::<Vec<_>>(),
        "is_current" => versions.iter().map(|version| version.3.is_none()).collect::<Vec<_>>(),
    );
    put_silver(context, &PATIENTS, rows.unwrap()).await;
}

const ALL: [i32; 4] = [0, 1, 2, 3];

/// A lake with 16 charges in 4 buckets, and a patient.
async fn put_all(context: &Context, charges: &[Charge]) {
    put_patients(context, &[(11, "P1", "2023-01-01", None)]).await;
    put(context, charges, &ALL).await;
}

/// The fact's files by bucket.
async fn fact_files(context: &Context) -> Vec<String> {
    let table = table(context, "fact_transactions").await.unwrap();
    let mut files: Vec<String> = table.files().iter().map(delta::DataFile::path).collect();
    files.sort_unstable();
    files
}

/// The buckets whose files are others than before.
fn changed(before: &[String], after: &[String]) -> Vec<String> {
    let is_new = |file: &&String| !before.contains(file);
    after.iter().filter(is_new).map(|file| file.split('/').next().unwrap().to_owned()).collect()
}

async fn fact_rows(context: &Context) -> Vec<Vec<String>> {
    let schema = FACTS[0].schema();
    let columns: Vec<&str> = schema.iter_names().map(PlSmallStr::as_str).collect();
    texts(&rows(context, "fact_transactions", &columns).await)
}

/// Checks that the KPIs of a lake are those of one that is made from nothing.
async fn assert_kpis_are_those_of(context: &Context, charges: &[Charge]) {
    let lake = TestLake::new();
    let anew = lake.context().await;
    put_all(&anew, charges).await;
    run(&anew, AS_OF).await;
    assert_eq!(kpi_rows(context).await, kpi_rows(&anew).await);
}

async fn kpi_rows(context: &Context) -> Vec<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for kpi in KPIS.iter().filter(|kpi| kpi.inputs.contains(&"fact_transactions")) {
        let schema = (kpi.schema)();
        let columns: Vec<&str> = schema.iter_names().map(PlSmallStr::as_str).collect();
        all.push(texts(&rows(context, kpi.table, &columns).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_one_key_makes_one_bucket_anew_and_reads_no_other() {
    let lake = TestLake::new();
    let mut context = lake.context().await;
    let mut charges = charges();
    put_all(&context, &charges).await;
    run(&context, AS_OF).await;
    let before = fact_files(&context).await;
    assert_eq!(before.len(), 4);
    charges[5].amount = 7;
    put(&context, &charges, &[1]).await;
    let (counted, reads) = DataReads::of(&context.lake);
    context.lake = counted;
    gold_dimensions::handle(context.clone(), input(AS_OF)).await.unwrap();
    let _ = reads.take();
    let report = gold_facts::handle(context.clone(), input(AS_OF)).await.unwrap();
    let read: Vec<String> = reads.take().into_iter().filter(|key| key.contains("transactions/")).collect();
    assert!(read.iter().all(|key| key.starts_with("silver/transactions/bucket=1/")) && read.len() == 1, "{read:?}");
    assert_eq!(changed(&before, &fact_files(&context).await), ["bucket=1"]);
    assert_eq!(report.commits.iter().map(|commit| commit.rows).collect::<Vec<_>>(), [4]);
    let amounts = rows(&context, "fact_transactions", &["transaction_key", "amount"]).await;
    assert!(texts(&amounts).contains(&vec!["T5".to_owned(), "7.00".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn kpis_after_a_change_of_one_key_read_one_bucket() {
    let lake = TestLake::new();
    let mut context = lake.context().await;
    let mut charges = charges();
    put_all(&context, &charges).await;
    run(&context, AS_OF).await;
    charges[5].amount = 7;
    put(&context, &charges, &[1]).await;
    gold_facts::handle(context.clone(), input(AS_OF)).await.unwrap();
    let (counted, reads) = DataReads::of(&context.lake);
    context.lake = counted;
    crate::handle(context.clone(), input(AS_OF)).await.unwrap();
    let read: Vec<String> = reads.take().into_iter().filter(|key| key.starts_with("silver/transactions/")).collect();
    assert!(read.iter().all(|key| key.starts_with("silver/transactions/bucket=1/")) && read.len() == 1, "{read:?}");
    assert_kpis_are_those_of(&context, &charges).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_sums_that_are_damaged_or_of_other_files_are_made_anew() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let mut charges = charges();
    put_all(&context, &charges).await;
    run(&context, AS_OF).await;
    let keys = lake.files("gold/kpi_sums");
    assert_eq!(keys.len(), 4);
    let others = std::fs::read(lake.path(&keys[0])).unwrap();
    let mut damaged = std::fs::read(lake.path(&keys[1])).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    lake.write(&keys[1], damaged);
    lake.write(&keys[2], others);
    lake.write(&keys[3], "no sums");
    charges[4].amount = 9;
    put(&context, &charges, &[0]).await;
    run(&context, AS_OF).await;
    assert_kpis_are_those_of(&context, &charges).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_empty_or_gone_has_no_rows_any_more() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_all(&context, &charges()).await;
    run(&context, AS_OF).await;
    let left: Vec<Charge> = charges().into_iter().filter(|charge| charge.bucket != 2).collect();
    put(&context, &left, &[2]).await;
    run(&context, AS_OF).await;
    assert_eq!(fact_rows(&context).await.len(), 12);
    assert_eq!(fact_files(&context).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_a_patient_makes_the_buckets_anew_of_which_a_row_points_to_another() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let mut charges = charges();
    charges[6].day = "2024-10-20";
    put_all(&context, &charges).await;
    run(&context, AS_OF).await;
    let before = fact_files(&context).await;
    let moved = [(11, "P1", "2023-01-01", Some("2024-10-10")), (12, "P1", "2024-10-10", None)];
    put_patients(&context, &moved).await;
    run(&context, AS_OF).await;
    assert_eq!(changed(&before, &fact_files(&context).await), ["bucket=2"], "only T6 was served after the move");
    let keys = rows(&context, "fact_transactions", &["transaction_key", "patient_sk"]).await;
    let keys = texts(&keys);
    for (key, surrogate) in [("T6", "12"), ("T3", "11"), ("T4", "0")] {
        assert!(keys.contains(&vec![key.to_owned(), surrogate.to_owned()]), "{key}");
    }
    let before = fact_files(&context).await;
    put_patients(&context, &[(11, "P1", "2023-01-01", None)]).await;
    run(&context, AS_OF).await;
    assert_eq!(changed(&before, &fact_files(&context).await), ["bucket=2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_older_version_of_the_fact_that_was_restored_is_made_anew() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let mut charges = charges();
    put_all(&context, &charges).await;
    run(&context, AS_OF).await;
    let path = lake::gold("fact_transactions");
    let fact = table(&context, "fact_transactions").await.unwrap();
    let file = fact.files().iter().find(|file| file.partition_value("bucket") == Some("3")).unwrap().clone();
    // The same silver, and other versions of the patients.
    let rows = fact.scan(std::slice::from_ref(&file)).await.unwrap().drop(cols(["bucket"]));
    let rows = rows.with_columns([lit(7i64).alias("patient_sk")]).collect().unwrap();
    let partition = [("bucket", Some("3".to_owned()))];
    let old = delta::write_marked(&context, &path, &rows, &partition, file.mark().unwrap()).await.unwrap();
    let change = Change {
        schema: &FACTS[0].table_schema(),
        partition_by: &["bucket"],
        properties: &[],
        add: vec![old],
        remove: vec![file],
        transactions: Vec::new(),
        run_id: "run",
    };
    delta::commit(&context.lake, &path, Some(&fact), change).await.unwrap();
    let before = fact_files(&context).await;
    charges[5].amount = 7;
    put(&context, &charges, &[1]).await;
    run(&context, AS_OF).await;
    assert_eq!(changed(&before, &fact_files(&context).await), ["bucket=1", "bucket=3"]);
    let keys = rows_with(&context, "patient_sk").await;
    assert!(!keys.contains(&"7".to_owned()), "{keys:?}");
}

async fn rows_with(context: &Context, column: &str) -> Vec<String> {
    texts(&rows(context, "fact_transactions", &[column]).await).into_iter().flatten().collect()
}

/// Puts files that say nothing of what they were made from in the place of the fact's, with the same rows.
async fn forget(context: &Context, partition_by: &[&str]) {
    let path = lake::gold("fact_transactions");
    let table = table(context, "fact_transactions").await.unwrap();
    let mut add = Vec::new();
    for file in table.files() {
        let rows = table.scan(std::slice::from_ref(file)).await.unwrap().drop(cols(["bucket"])).collect().unwrap();
        let bucket = file.partition_value("bucket").map(str::to_owned);
        let partition = [("bucket", bucket)];
        add.push(delta::write(context, &path, &rows, &partition[..partition_by.len()]).await.unwrap());
    }
    let schema: Schema = if partition_by.is_empty() { FACTS[0].schema() } else { FACTS[0].table_schema() };
    let change = Change {
        schema: &schema,
        partition_by,
        properties: &[],
        add,
        remove: table.files().to_vec(),
        transactions: vec![("rcm.making".to_owned(), 4)],
        run_id: "run",
    };
    delta::commit_anew(&context.lake, &path, &table, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_say_what_it_was_made_from_is_made_anew() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_all(&context, &charges()).await;
    run(&context, AS_OF).await;
    let (expected, before) = (fact_rows(&context).await, fact_files(&context).await);
    forget(&context, &["bucket"]).await;
    let unmarked = fact_files(&context).await;
    assert_eq!(changed(&before, &unmarked).len(), 4);
    run(&context, AS_OF).await;
    assert_eq!(changed(&unmarked, &fact_files(&context).await).len(), 4);
    assert_eq!(fact_rows(&context).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_of_the_old_layout_is_laid_out_anew_in_one_commit() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_all(&context, &charges()).await;
    run(&context, AS_OF).await;
    let expected = fact_rows(&context).await;
    forget(&context, &[]).await;
    let before = table(&context, "fact_transactions").await.unwrap();
    assert_eq!(before.partition_columns().unwrap(), Vec::<String>::new());
    run(&context, AS_OF).await;
    let after = table(&context, "fact_transactions").await.unwrap();
    assert_eq!(after.partition_columns().unwrap(), ["bucket"]);
    assert_eq!((after.version(), after.files().len()), (before.version() + 1, 4));
    assert_eq!(fact_rows(&context).await, expected);
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::NothingNew; 3]);
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_changes_facts_and_kpis_are_those_of_a_lake_made_from_nothing() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let (mut charges, mut numbers) = (charges(), Numbers(3));
    put_all(&context, &charges).await;
    let days = ["2024-03-01", "2024-08-01", "2024-09-01", "2024-10-20", "2024-12-01"];
    let mut patients = vec![(11, "P1", "2023-01-01", None)];
    for round in 0..8 {
        let mut buckets = Vec::new();
        for _ in 0..=numbers.below(2) {
            let place = numbers.below(charges.len() + 1);
            // A charge and one that takes it back are often in two buckets.
            let (amount, back) = ([50, 80, 81][numbers.below(3)], numbers.below(3) == 0);
            let mut new = charge(place as i32, days[numbers.below(days.len())], if back { -amount } else { amount });
            if back || numbers.below(2) == 0 {
                new.paid = 0;
            }
            buckets.push(new.bucket);
            match charges.iter_mut().find(|known| known.key == new.key) {
                Some(known) => *known = new,
                None => charges.push(new),
            }
        }
        buckets.sort_unstable();
        buckets.dedup();
        put(&context, &charges, &buckets).await;
        if round % 4 == 3 {
            patients = vec![(11, "P1", "2023-01-01", Some("2024-08-15")), (20 + round, "P1", "2024-08-15", None)];
            put_patients(&context, &patients).await;
        }
        run(&context, AS_OF).await;
        let other = TestLake::new();
        let anew = other.context().await;
        put_patients(&anew, &patients).await;
        put(&anew, &charges, &ALL).await;
        run(&anew, AS_OF).await;
        assert_eq!(fact_rows(&context).await, fact_rows(&anew).await, "round {round}");
        assert_eq!(kpi_rows(&context).await, kpi_rows(&anew).await, "round {round}");
    }
}
