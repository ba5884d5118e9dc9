//! Dimensions: every version that a key ever had, without those that were valid at no moment.

use polars::prelude::*;
use rcm_model::cdm::{CPT_CODES, Column, ColumnType, DEPARTMENTS, Entity, ICD_CODES, NPI, PATIENTS, PROVIDERS};

use super::{UNKNOWN_KEY, UNKNOWN_SK, conform, registry};
use crate::cdm::{dtype, silver_schema, timestamp};

/// What the unknown member says where a version has a text.
const UNKNOWN_TEXT: &str = "Unknown";
/// Since when the unknown member is valid: 1900-01-01, before every version.
const UNKNOWN_SINCE_MICROS: i64 = -2_208_988_800_000_000;

/// One dimension: one row per version of a key, and the unknown member.
#[derive(Debug)]
pub struct Dimension {
    /// Name of the gold table: `dim_patient`.
    pub table: &'static str,
    pub entity: &'static Entity,
    /// Tracked columns that stay in silver.
    pub left_out: &'static [&'static str],
    /// Silver table whose current rows tell more of the entity, in columns of their own.
    pub registry: Option<&'static Entity>,
}

/// Versions of the patients, without the social security number.
pub const DIM_PATIENT: Dimension =
    Dimension { table: "dim_patient", entity: &PATIENTS, left_out: &["ssn"], registry: None };
/// Versions of the providers, and what the NPI registry knows of them now.
pub const DIM_PROVIDER: Dimension =
    Dimension { table: "dim_provider", entity: &PROVIDERS, left_out: &[], registry: Some(&NPI) };
/// Versions of the departments.
pub const DIM_DEPARTMENT: Dimension =
    Dimension { table: "dim_department", entity: &DEPARTMENTS, left_out: &[], registry: None };
/// Versions of the CPT codes.
pub const DIM_CPT_CODE: Dimension =
    Dimension { table: "dim_cpt_code", entity: &CPT_CODES, left_out: &[], registry: None };
/// Versions of the ICD codes.
pub const DIM_ICD_CODE: Dimension =
    Dimension { table: "dim_icd_code", entity: &ICD_CODES, left_out: &[], registry: None };
/// Versions of the entries of the NPI registry.
pub const DIM_NPI: Dimension = Dimension { table: "dim_npi", entity: &NPI, left_out: &[], registry: None };

/// Every dimension that is made from a silver table.
pub const DIMENSIONS: [&Dimension; 6] =
    [&DIM_PATIENT, &DIM_PROVIDER, &DIM_DEPARTMENT, &DIM_CPT_CODE, &DIM_ICD_CODE, &DIM_NPI];

impl Dimension {
    /// Columns of the table: surrogate key, durable key, the source's id, datasource, attributes,
    /// validity.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let mut silver = silver_schema(self.entity);
        silver.extend(self.added().iter().map(|column| Field::new(column.name.into(), dtype(column.kind))));
        let identity = [Some(self.entity.surrogate), Some(self.entity.key), self.entity.source_id, Some("datasource")];
        let attributes =
            self.entity.tracked.iter().map(|column| column.name).filter(|name| !self.left_out.contains(name));
        identity
            .into_iter()
            .flatten()
            .chain(attributes)
            .chain(self.added().iter().map(|column| column.name))
            .chain(["effective_from", "effective_to", "is_current", "is_deleted"])
            .filter_map(|name| silver.get_field(name))
            .collect()
    }

    fn added(&self) -> &'static [Column] {
        if self.registry.is_some() { &registry::COLUMNS } else { &[] }
    }

    /// The table from all versions of the silver table, and the current rows of its registry.
    ///
    /// A version that lost a tie of modified times was valid at no moment and stays in silver.
    ///
    /// # Errors
    /// The versions lack a column.
    pub fn build(&self, versions: LazyFrame, registry: Option<LazyFrame>) -> PolarsResult<DataFrame> {
        let schema = self.schema();
        let versions = match (self.registry, registry) {
            (None, _) => versions,
            (Some(_), Some(registry)) => registry::with_registry(versions, registry),
            (Some(_), None) => versions.with_columns(self.added().iter().map(nothing).collect::<Vec<_>>()),
        };
        let known =
            versions.filter(is_ever_valid()).sort([self.entity.key, "effective_from"], SortMultipleOptions::default());
        let mut table = self.unknown_member(&schema)?;
        table.vstack_mut_owned(conform(known, &schema)?)?;
        table.rechunk_mut();
        Ok(table)
    }

    fn unknown_member(&self, schema: &Schema) -> PolarsResult<DataFrame> {
        let columns =
            schema.iter().map(|(name, dtype)| self.unknown_value(name).strict_cast(dtype.clone()).alias(name.clone()));
        DataFrame::empty().lazy().select(columns.collect::<Vec<_>>()).collect()
    }

    fn unknown_value(&self, column: &str) -> Expr {
        if column == self.entity.surrogate {
            return lit(UNKNOWN_SK);
        }
        let mut told = self.entity.tracked.iter().chain(self.added());
        let kind = told.find(|told| told.name == column).map(|told| told.kind);
        match (column, kind) {
            ("effective_from", _) => lit(UNKNOWN_SINCE_MICROS).cast(timestamp()),
            ("is_current", _) => lit(true),
            ("is_deleted", _) => lit(false),
            ("datasource", _) | (_, Some(ColumnType::KeyOf(_))) => lit(UNKNOWN_KEY),
            (_, Some(ColumnType::Text)) => lit(UNKNOWN_TEXT),
            (name, _) if name == self.entity.key => lit(UNKNOWN_KEY),
            _ => lit(NULL),
        }
    }
}

fn nothing(column: &Column) -> Expr {
    lit(NULL).cast(dtype(column.kind)).alias(column.name)
}

/// Whether a version was valid at any moment.
pub(super) fn is_ever_valid() -> Expr {
    col("effective_to").is_null().or(col("effective_to").gt(col("effective_from")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions of department `D1`: a losing tie, and the one that is valid.
    fn versions() -> LazyFrame {
        let mut schema = silver_schema(&DEPARTMENTS);
        schema.retain(|name, _| !["observations", "presence"].contains(&name.as_str()));
        let given = df!(
            "dept_sk" => [11i64, 12],
            "dept_key" => ["D1", "D1"],
            "src_dept_id" => ["D1", "D1"],
            "datasource" => ["hos-a", "hos-a"],
            "name" => ["Oncology", "Cardiology"],
            "effective_from" => [1_000_000i64, 1_000_000],
            "effective_to" => [Some(1_000_000i64), None],
            "is_current" => [false, true],
            "is_deleted" => [false, false],
        );
        let types = ["effective_from", "effective_to"].map(|name| col(name).cast(timestamp()));
        given.unwrap().lazy().with_columns(types)
    }

    #[test]
    fn a_version_that_was_never_valid_stays_out_and_the_unknown_member_comes_first() {
        let table = DIM_DEPARTMENT.build(versions(), None).unwrap();
        let expected = df!(
            "dept_sk" => [0i64, 12],
            "dept_key" => ["unknown", "D1"],
            "src_dept_id" => [None, Some("D1")],
            "datasource" => ["unknown", "hos-a"],
            "name" => ["Unknown", "Cardiology"],
            "is_current" => [true, true],
            "is_deleted" => [false, false],
        );
        assert_eq!(table.drop_many(["effective_from", "effective_to"]), expected.unwrap());
    }

    #[test]
    fn a_dimension_without_a_source_holds_the_unknown_member_alone() {
        for dimension in DIMENSIONS {
            let none = DataFrame::empty_with_schema(&silver_schema(dimension.entity)).lazy();
            assert_eq!(dimension.build(none, None).unwrap().height(), 1, "{}", dimension.table);
        }
    }

    #[test]
    fn no_social_security_number_leaves_silver() {
        assert!(!DIM_PATIENT.schema().contains("ssn"));
        assert!(DIM_PATIENT.schema().contains("phone_number"));
    }
}
