//! What the NPI registry knows of the providers, beside what their hospital says.

use polars::prelude::*;

use rcm_model::cdm::{Column, ColumnType, NPI};

/// Columns of `dim_provider`: what the registry says now, for every version of the provider.
///
/// `npi_status` is that of the version's identifier, such as `active`; null for one that was not
/// asked for. `npi_name_matches` says whether the registry has the identifier for a person of the
/// same first and last name, whatever their case, blanks and hyphens; null where it shows no name.
pub(super) const COLUMNS: [Column; 2] = [
    Column { name: "npi_status", kind: ColumnType::Text, is_tracked: true, identifying: None },
    Column { name: "npi_name_matches", kind: ColumnType::Boolean, is_tracked: true, identifying: None },
];

/// Adds [`COLUMNS`] to versions of the providers. `registry` has the current rows of silver npi.
pub(super) fn with_registry(versions: LazyFrame, registry: LazyFrame) -> LazyFrame {
    let known = registry.filter(col("is_deleted").not()).select([
        col(NPI.key).alias("registry_npi"),
        col("status").alias("npi_status"),
        col("entity_type"),
        letters("first_name").alias("registry_first_name"),
        letters("last_name").alias("registry_last_name"),
    ]);
    let same_name =
        letters("first_name").eq(col("registry_first_name")).and(letters("last_name").eq(col("registry_last_name")));
    let matches = when(col("entity_type").eq(lit("NPI-1"))).then(same_name).when(col("entity_type").is_not_null());
    versions
        .join(known, [col("npi")], [col("registry_npi")], JoinArgs::new(JoinType::Left))
        .with_column(matches.then(lit(false)).otherwise(lit(NULL)).alias("npi_name_matches"))
}

/// A name as its letters alone.
fn letters(name: &str) -> Expr {
    col(name).str().to_lowercase().str().replace_all(lit(r"[^\p{L}]"), lit(""), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_gets_what_the_registry_says_of_its_identifier() {
        let versions = df!(
            "provider_key" => ["same", "renamed", "organization", "deactivated", "not asked", "none"],
            "first_name" => ["Quillon", "Quillon", "Quillon", "Quillon", "Quillon", "Quillon"],
            "last_name" => ["Fakenham-Dray", "Fictor", "Fictor", "Fictor", "Fictor", "Fictor"],
            "npi" => [Some("1"), Some("2"), Some("3"), Some("4"), Some("5"), None],
        );
        let registry = df!(
            "npi" => ["1", "2", "3", "4"],
            "status" => ["active", "active", "active", "deactivated"],
            "entity_type" => [Some("NPI-1"), Some("NPI-1"), Some("NPI-2"), None],
            "first_name" => [Some("QUILLON"), Some("QUILLON"), Some("QUILLON"), None],
            "last_name" => [Some("FAKENHAM DRAY"), Some("INVENTLEY"), Some("FICTOR"), None],
            "is_deleted" => [false, false, false, false],
        );
        let found = with_registry(versions.unwrap().lazy(), registry.unwrap().lazy());
        let found = found.select([col("provider_key"), col("npi_status"), col("npi_name_matches")]);
        let sorted = |rows: LazyFrame| rows.sort(["provider_key"], SortMultipleOptions::default()).collect().unwrap();
        let expected = df!(
            "provider_key" => ["same", "renamed", "organization", "deactivated", "not asked", "none"],
            "npi_status" => [Some("active"), Some("active"), Some("active"), Some("deactivated"), None, None],
            "npi_name_matches" => [Some(true), Some(false), Some(false), None, None, None],
        );
        assert_eq!(sorted(found), sorted(expected.unwrap().lazy()));
    }
}
