//! Facts: the current rows of an entity, each with the surrogate keys of the versions of its
//! patient, provider and department that were valid on the day of service.

use polars::prelude::*;
use rcm_model::cdm::{CLAIMS, ENCOUNTERS, Entity, TRANSACTIONS};

use super::dimension::{DIM_DEPARTMENT, DIM_PATIENT, DIM_PROVIDER, is_ever_valid};
use super::{Dimension, Lookup, UNKNOWN_SK, conform};
use crate::cdm::silver_schema;

/// One fact: one row per current row of its entity that is not deleted.
#[derive(Debug)]
pub struct Fact {
    /// Name of the gold table: `fact_transactions`.
    pub table: &'static str,
    pub entity: &'static Entity,
    /// Column with the day whose versions a row points to.
    pub valid_on: &'static str,
}

/// Every fact.
pub const FACTS: [Fact; 3] = [
    Fact { table: "fact_transactions", entity: &TRANSACTIONS, valid_on: "service_date" },
    Fact { table: "fact_claims", entity: &CLAIMS, valid_on: "service_date" },
    Fact { table: "fact_encounters", entity: &ENCOUNTERS, valid_on: "encounter_date" },
];

/// Dimensions that every fact points to.
pub const LOOKUPS: [&Dimension; 3] = [&DIM_PATIENT, &DIM_PROVIDER, &DIM_DEPARTMENT];

/// Columns that only silver needs to go on with a key's history.
const SILVER_ONLY: [&str; 3] = ["observations", "presence", BUCKET];
/// Column that silver tables and facts are partitioned by.
const BUCKET: &str = "bucket";
const MICROS_PER_DAY: i64 = 86_400_000_000;

impl Fact {
    /// Columns of the table: those of the silver table, then one surrogate key per dimension.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let mut schema: Schema = silver_schema(self.entity)
            .iter_fields()
            .filter(|field| !SILVER_ONLY.contains(&field.name().as_str()))
            .collect();
        for dimension in LOOKUPS {
            schema.with_column(dimension.entity.surrogate.into(), DataType::Int64);
        }
        schema
    }

    /// Columns of the table, with the one that it is partitioned by.
    #[must_use]
    pub fn table_schema(&self) -> Schema {
        let mut schema = self.schema();
        schema.with_column(BUCKET.into(), DataType::Int32);
        schema
    }

    /// Columns that are read of the silver table.
    #[must_use]
    pub fn silver_columns(&self) -> Schema {
        let silver = silver_schema(self.entity);
        silver.iter_fields().filter(|field| !SILVER_ONLY.contains(&field.name().as_str())).collect()
    }

    /// Columns of the table that say to which versions a row points, and those by which they are found.
    #[must_use]
    pub fn pointing_columns(&self) -> Schema {
        let keys = LOOKUPS.iter().flat_map(|dimension| [dimension.entity.key, dimension.entity.surrogate]);
        let names: Vec<&str> = keys.chain([self.valid_on, "datasource"]).collect();
        self.schema().iter_fields().filter(|field| names.contains(&field.name().as_str())).collect()
    }

    /// The table, or some of its rows, from rows of the silver table.
    ///
    /// `timelines` gives, for each of [`LOOKUPS`] in this order, what [`timeline`] returns; `zones` the
    /// datasources whose days are not those of UTC.
    ///
    /// # Errors
    /// The rows or the timelines lack a column.
    pub fn build(
        &self,
        rows: LazyFrame,
        timelines: &[DataFrame; 3],
        zones: &[(String, TimeZone)],
    ) -> PolarsResult<DataFrame> {
        let columns = self.silver_columns();
        let columns: Vec<Expr> = columns.iter_names().map(|name| col(name.clone())).collect();
        let [patients, providers, departments] = timelines;
        let lookups = [Lookup::new(patients)?, Lookup::new(providers)?, Lookup::new(departments)?];
        self.build_with(rows.filter(is_in_gold()).select(columns).collect()?, &lookups, zones)
    }

    /// The table, or some of its rows, from rows that [`is_in_gold`] holds of, with [`Fact::silver_columns`]. `lookups`
    /// has one of each of [`LOOKUPS`]. The rows stay in their order.
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn build_with(
        &self,
        mut rows: DataFrame,
        lookups: &[Lookup; 3],
        zones: &[(String, TimeZone)],
    ) -> PolarsResult<DataFrame> {
        let moments = self.moments(&rows, zones)?;
        for column in surrogates(&rows, lookups, &moments)? {
            rows.with_column(column)?;
        }
        conform(rows.lazy(), &self.schema())
    }

    /// Whether rows of the table point to the versions that they pointed to if they were made anew. The rows have
    /// [`Fact::pointing_columns`].
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn points_right(
        &self,
        rows: &DataFrame,
        lookups: &[Lookup; 3],
        zones: &[(String, TimeZone)],
    ) -> PolarsResult<bool> {
        let moments = self.moments(rows, zones)?;
        let surrogates = surrogates(rows, lookups, &moments)?;
        for column in surrogates {
            if !rows.column(column.name())?.equals_missing(&column) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn moments(&self, rows: &DataFrame, zones: &[(String, TimeZone)]) -> PolarsResult<Int64Chunked> {
        let moment = self.moment(zones).fill_null(lit(i64::MIN)).alias("_moment");
        let narrow = rows.select([self.valid_on, "datasource"])?;
        Ok(narrow.lazy().select([moment]).collect()?.column("_moment")?.i64()?.clone())
    }

    /// When a row's day began where it was written, in microseconds.
    fn moment(&self, zones: &[(String, TimeZone)]) -> Expr {
        let of_utc = col(self.valid_on).to_physical().cast(DataType::Int64) * lit(MICROS_PER_DAY);
        let midnight = col(self.valid_on).cast(DataType::Datetime(TimeUnit::Microseconds, None));
        zones.iter().fold(of_utc.clone(), |otherwise, (datasource, zone)| {
            // Where a clock change skips midnight, that of UTC is near enough.
            let local = midnight.clone().dt().replace_time_zone(Some(zone.clone()), lit("earliest"), NonExistent::Null);
            let local = local.to_physical().fill_null(of_utc.clone());
            when(col("datasource").eq(lit(datasource.clone()))).then(local).otherwise(otherwise)
        })
    }
}

/// The surrogate keys of the versions that rows point to, one column per dimension.
fn surrogates(rows: &DataFrame, lookups: &[Lookup; 3], moments: &Int64Chunked) -> PolarsResult<Vec<Column>> {
    let of = LOOKUPS.iter().zip(lookups).map(|(dimension, lookup)| {
        let keys = rows.column(dimension.entity.key)?.str()?;
        Ok(lookup.surrogates(dimension.entity.surrogate, keys, moments))
    });
    of.collect()
}

/// Whether a silver row is what holds now.
pub fn is_in_gold() -> Expr {
    col("is_current").and(col("is_deleted").not())
}

/// When each version of a dimension was valid: its key, `_from`, `_to` and `_sk`, in the order of `_from`. A key's first
/// version stands for all the time before it.
///
/// # Errors
/// The dimension lacks a column.
pub fn timeline(dimension: &Dimension, versions: LazyFrame) -> PolarsResult<DataFrame> {
    let key = col(dimension.entity.key);
    let from = col("effective_from").to_physical();
    let surrogate = col(dimension.entity.surrogate);
    let is_first = from.clone().eq(from.clone().min().over([key.clone()])?);
    versions
        .filter(surrogate.clone().neq(lit(UNKNOWN_SK)).and(is_ever_valid()))
        .sort(["effective_from"], SortMultipleOptions::default())
        .select([
            key.clone().alias("_key"),
            when(is_first).then(lit(i64::MIN)).otherwise(from).alias("_from"),
            col("effective_to").to_physical().alias("_to"),
            surrogate.alias("_sk"),
        ])
        .sort(["_from"], SortMultipleOptions::default())
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::cdm::timestamp;

    fn micros(date: &str) -> i64 {
        let date: NaiveDate = date.parse().unwrap();
        i64::from(date.to_epoch_days()) * MICROS_PER_DAY
    }

    /// Patient `P1`: version 11 in January, 12 in February and the first half of March, then gone
    /// until 13 from April on.
    fn patients() -> DataFrame {
        let [january, february, gone, april] = ["2024-01-01", "2024-02-01", "2024-03-15", "2024-04-01"].map(micros);
        let versions = df!(
            "patient_key" => ["unknown", "P1", "P1", "P1", "P1"],
            "patient_sk" => [0i64, 11, 99, 12, 13],
            "effective_from" => [micros("1900-01-01"), january, february, february, april],
            "effective_to" => [None, Some(february), Some(february), Some(gone), None],
        );
        let types = ["effective_from", "effective_to"].map(|name| col(name).cast(timestamp()));
        timeline(&DIM_PATIENT, versions.unwrap().lazy().with_columns(types)).unwrap()
    }

    fn no_versions(dimension: &Dimension) -> DataFrame {
        timeline(dimension, DataFrame::empty_with_schema(&dimension.schema()).lazy()).unwrap()
    }

    /// Silver rows with these columns; every other is null.
    fn silver(entity: &Entity, given: DataFrame) -> LazyFrame {
        let schema = silver_schema(entity);
        let others = schema.iter_fields().filter(|field| !given.schema().contains(field.name()));
        let others: Vec<Expr> =
            others.map(|field| lit(NULL).cast(field.dtype().clone()).alias(field.name().clone())).collect();
        given.lazy().with_columns(others)
    }

    fn encounters(patient: Option<&str>, date: Option<&str>, zones: &[(String, TimeZone)]) -> DataFrame {
        let date = date.map(|date| date.parse::<NaiveDate>().unwrap());
        let given = df!(
            "encounter_key" => ["E1"],
            "datasource" => ["hos-a"],
            "patient_key" => [patient],
            "encounter_date" => [date],
            "is_current" => [true],
            "is_deleted" => [false],
        );
        let timelines = [patients(), no_versions(&DIM_PROVIDER), no_versions(&DIM_DEPARTMENT)];
        FACTS[2].build(silver(&ENCOUNTERS, given.unwrap()), &timelines, zones).unwrap()
    }

    #[rstest::rstest]
    #[case::within_the_first_version(Some("P1"), Some("2024-01-31"), 11)]
    #[case::on_the_day_a_version_begins(Some("P1"), Some("2024-02-01"), 12)]
    #[case::in_the_open_version(Some("P1"), Some("2030-01-01"), 13)]
    #[case::before_the_first_version(Some("P1"), Some("2020-01-01"), 11)]
    #[case::on_the_day_of_a_deletion(Some("P1"), Some("2024-03-15"), 11)]
    #[case::in_the_gap_after_a_deletion(Some("P1"), Some("2024-03-20"), 11)]
    #[case::without_a_date(Some("P1"), None, 11)]
    #[case::of_an_unknown_key(Some("P2"), Some("2024-01-31"), 0)]
    #[case::without_a_key(None, Some("2024-01-31"), 0)]
    fn a_row_points_to_the_version_valid_on_its_day_else_the_first_else_the_unknown(
        #[case] patient: Option<&str>,
        #[case] date: Option<&str>,
        #[case] expected: i64,
    ) {
        let fact = encounters(patient, date, &[]);
        let surrogate = |name| fact.column(name).unwrap().i64().unwrap().get(0);
        assert_eq!(surrogate("patient_sk"), Some(expected));
        assert_eq!((surrogate("provider_sk"), surrogate("dept_sk")), (Some(0), Some(0)));
    }

    #[rstest::rstest]
    #[case::the_day_before("2024-01-31", "America/New_York", 11)]
    #[case::a_day_that_begins_later("2024-02-01", "America/New_York", 12)]
    #[case::a_day_that_begins_earlier("2024-02-01", "Asia/Kolkata", 11)]
    fn a_day_begins_where_it_was_written(#[case] date: &str, #[case] zone: &str, #[case] expected: i64) {
        let zone = TimeZone::opt_try_new(Some(zone)).unwrap().unwrap();
        let fact =
            encounters(Some("P1"), Some(date), &[("hos-b".to_owned(), TimeZone::UTC), ("hos-a".to_owned(), zone)]);
        assert_eq!(fact.column("patient_sk").unwrap().i64().unwrap().get(0), Some(expected));
    }

    #[test]
    fn a_fact_has_the_columns_of_silver_and_only_rows_that_hold_now() {
        let given = df!(
            "transaction_key" => ["T1", "T2", "T3"],
            "is_current" => [true, false, true],
            "is_deleted" => [false, false, true],
        );
        let timelines = LOOKUPS.map(no_versions);
        let fact = FACTS[0].build(silver(&TRANSACTIONS, given.unwrap()), &timelines, &[]).unwrap();
        assert_eq!(fact.column("transaction_key").unwrap().str().unwrap().iter().collect::<Vec<_>>(), [Some("T1")]);
        assert_eq!(**fact.schema(), FACTS[0].schema());
        assert!(TRANSACTIONS.tracked.iter().all(|column| fact.schema().contains(column.name)));
    }
}
