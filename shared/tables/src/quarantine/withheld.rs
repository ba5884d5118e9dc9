//! Rows that stay out of silver whatever the rules say: those that a person discarded, or corrected.

use std::collections::{HashMap, HashSet};

use polars::prelude::*;
use rcm_model::cdm::Entity;
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::lake;

use super::{BY_CORRECTION, DECISIONS, DISCARDED, schema};
use crate::delta::Table;
use crate::frames::blocking;

/// Rows of an entity that stay out of silver, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withheld(HashMap<String, HashSet<String>>);

impl Withheld {
    /// Reads what was decided about rows of an entity.
    ///
    /// # Errors
    /// The store fails, or the table cannot be read.
    pub(crate) async fn read(context: &Context, entity: &Entity) -> Result<Self> {
        Self::with(context, entity, &[]).await
    }

    /// As [`Withheld::read`], with rows beside them that are about to be corrected, by their fingerprints.
    ///
    /// # Errors
    /// The store fails, or the table cannot be read.
    pub(crate) async fn with(context: &Context, entity: &Entity, corrected: &[String]) -> Result<Self> {
        let Some(table) = Table::open_with(&context.lake, &lake::quarantine(entity.name), &schema()).await? else {
            return Ok(Self::default());
        };
        if corrected.is_empty() && table.transaction(DECISIONS).await?.is_none() {
            return Ok(Self::default());
        }
        let is_out = col("status").eq(lit(DISCARDED)).or(col("resolution").eq(lit(BY_CORRECTION)));
        let rows = table.scan(table.files()).await?.select([
            col("key"),
            col("fingerprint"),
            is_out.fill_null(lit(false)).alias("is_out"),
        ]);
        let rows = blocking(move || Ok(rows.collect()?)).await?;
        let (keys, fingerprints) = (rows.column("key")?.str()?, rows.column("fingerprint")?.str()?);
        let is_out = rows.column("is_out")?.bool()?;
        let corrected: HashSet<&str> = corrected.iter().map(String::as_str).collect();
        let mut withheld = Self::default();
        for ((key, fingerprint), is_out) in keys.iter().zip(fingerprints.iter()).zip(is_out.iter()) {
            // A row without a key fails whatever was decided.
            let (Some(key), Some(fingerprint)) = (key, fingerprint) else { continue };
            if is_out == Some(true) || corrected.contains(fingerprint) {
                withheld.0.entry(key.to_owned()).or_default().insert(fingerprint.to_owned());
            }
        }
        Ok(withheld)
    }

    /// Whether no row is withheld.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a row of a key may be withheld.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether a row is withheld.
    pub(crate) fn has(&self, key: &str, fingerprint: &str) -> bool {
        self.0.get(key).is_some_and(|fingerprints| fingerprints.contains(fingerprint))
    }
}
