//! What readers see in place of values that may identify a patient.
//!
//! Values are masked where a table is read, and not where a result is printed: no expression, alias, condition or join can
//! bring one back. A text or a date becomes its shape. A record number or durable key becomes a token, a keyed hash that is
//! equal wherever the key is, so that joins, `group by` and `count(distinct …)` say what they say of the keys. A surrogate
//! key, which is a number, becomes another number.
//!
//! The secret of the hashes is the identifier of a Delta table of the lake. It is random, readable by nobody who may not
//! read the keys themselves, and the same for every reader of the lake: tokens of two queries can be compared, and are
//! worth nothing beside another lake.

use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::gold::{DIMENSIONS, FACTS, UNKNOWN_KEY, UNKNOWN_SK};
use rcm_model::cdm::{ENTITIES, Entity, Identifying, entity, identifying_by_name, shape};
use rcm_platform::{Context, StageError, lake, stage};
use rcm_tables::delta::Table;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What stands before a token, so that nobody takes one for a key.
const TOKEN_MARK: char = '#';
/// Bytes of a token: two keys of a lake have the same one as good as never.
const TOKEN_BYTES: usize = 10;

/// What becomes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    Shape,
    Token,
    /// A surrogate key as another number.
    Number,
    /// A JSON document whose values are shapes.
    Json,
    /// Not shown at all.
    LeftOut,
}

/// Masks values with the secret of a lake.
#[derive(Debug, Clone)]
pub struct Masking {
    secret: Arc<str>,
}

impl Masking {
    /// The masking of a lake. Of a lake without silver tables the tokens are those of this call alone.
    ///
    /// # Errors
    /// A table cannot be read.
    pub async fn of(context: &Context) -> Result<Self, StageError> {
        for entity in ENTITIES {
            if let Some(table) = Table::open(&context.lake, &lake::silver(entity.name)).await? {
                return Ok(Self::with_secret(table.id()));
            }
        }
        Ok(Self::with_secret(&stage::new_id(context.now())))
    }

    fn with_secret(secret: &str) -> Self {
        Self { secret: secret.into() }
    }

    /// The rows with some of their columns masked.
    pub fn masked(&self, rows: LazyFrame, masks: &[(PlSmallStr, Mask)]) -> LazyFrame {
        let shown = masks.iter().filter(|(_, mask)| *mask != Mask::LeftOut);
        let shown: Vec<Expr> = shown.map(|(name, mask)| self.expression(name, *mask)).collect();
        let left_out: Vec<PlSmallStr> =
            masks.iter().filter(|(_, mask)| *mask == Mask::LeftOut).map(|(name, _)| name.clone()).collect();
        let rows = rows.with_columns(shown);
        if left_out.is_empty() { rows } else { rows.drop(by_name(left_out, true, false)) }
    }

    fn expression(&self, name: &PlSmallStr, mask: Mask) -> Expr {
        let masking = self.clone();
        let column = col(name.clone());
        let retyped =
            |dtype: DataType| move |_: &Schema, field: &Field| Ok(Field::new(field.name().clone(), dtype.clone()));
        match mask {
            Mask::Number => column.map(move |column| masking.numbers(&column), retyped(DataType::Int64)),
            _ => column.map(move |column| texts(&column, |text| masking.text(text, mask)), retyped(DataType::String)),
        }
    }

    fn text(&self, text: &str, mask: Mask) -> String {
        match mask {
            Mask::Token => self.token(text),
            Mask::Json => json_shape(text),
            _ => shape(text),
        }
    }

    /// A token in place of a durable key or another record number. The key of the unknown member stays.
    #[must_use]
    pub fn token(&self, key: &str) -> String {
        if key == UNKNOWN_KEY {
            return key.to_owned();
        }
        let hash = self.hash(key.as_bytes());
        let digits = hash[..TOKEN_BYTES].iter().map(|byte| format!("{byte:02x}"));
        std::iter::once(TOKEN_MARK.to_string()).chain(digits).collect()
    }

    fn numbers(&self, column: &Column) -> PolarsResult<Column> {
        let number = |number: i64| match number {
            UNKNOWN_SK => UNKNOWN_SK,
            number => {
                let hash = self.hash(&number.to_le_bytes());
                let bytes = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                (bytes & i64::MAX.unsigned_abs()) as i64
            }
        };
        let masked: Int64Chunked = column.i64()?.iter().map(|value| value.map(number)).collect();
        Ok(masked.with_name(column.name().clone()).into_column())
    }

    fn hash(&self, value: &[u8]) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update((self.secret.len() as u64).to_le_bytes());
        hash.update(self.secret.as_bytes());
        hash.update(value);
        hash.finalize().to_vec()
    }
}

fn texts(column: &Column, masked: impl Fn(&str) -> String) -> PolarsResult<Column> {
    let values = column.cast(&DataType::String)?;
    let values: StringChunked = values.str()?.iter().map(|value| value.map(&masked)).collect();
    Ok(values.with_name(column.name().clone()).into_column())
}

/// A JSON document with the shapes of its values; the names in it stay.
fn json_shape(text: &str) -> String {
    fn masked(value: Value) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::Object(values) => values.into_iter().map(|(name, value)| (name, masked(value))).collect(),
            Value::Array(values) => values.into_iter().map(masked).collect(),
            Value::String(text) => Value::String(shape(&text)),
            other => Value::String(shape(&other.to_string())),
        }
    }
    serde_json::from_str(text).map_or_else(|_| shape(text), |value| masked(value).to_string())
}

/// What becomes of each column of a table of silver, gold or quarantine; nothing of those that are not listed.
#[must_use]
pub fn masks_of(layer: &str, name: &str, schema: &Schema) -> Vec<(PlSmallStr, Mask)> {
    let of_gold = || {
        let dimension = DIMENSIONS.into_iter().find(|dimension| dimension.table == name).map(|found| found.entity);
        dimension.or_else(|| FACTS.iter().find(|fact| fact.table == name).map(|fact| fact.entity))
    };
    let of_table: Option<&Entity> = match layer {
        "gold" => of_gold(),
        _ => entity(name),
    };
    let is_of_a_patient = of_table.is_none_or(Entity::is_of_a_patient);
    let mask = |column: &str| match (layer, column) {
        ("audit", _) => None,
        ("quarantine", "raw") => Some(Mask::Json),
        ("quarantine", "key") => is_of_a_patient.then_some(Mask::Token),
        // A hash of all attributes, without a secret, tells who has guessed them that they are right.
        (_, "row_hash") => is_of_a_patient.then_some(Mask::LeftOut),
        (_, column) if is_surrogate_of_a_patient(column) => Some(Mask::Number),
        (_, column) => identifying(of_table, column).map(mask_of),
    };
    schema.iter_names().filter_map(|column| Some((column.clone(), mask(column)?))).collect()
}

fn is_surrogate_of_a_patient(column: &str) -> bool {
    ENTITIES.into_iter().any(|entity| entity.surrogate == column && entity.is_of_a_patient())
}

/// How a column identifies a patient: one that its entity does not have counts by its name.
fn identifying(entity: Option<&Entity>, column: &str) -> Option<Identifying> {
    match entity {
        Some(entity) if entity.key == column || entity.tracked.iter().any(|tracked| tracked.name == column) => {
            entity.identifying(column)
        }
        _ => identifying_by_name(column),
    }
}

/// What becomes of a column that identifies a patient.
#[must_use]
pub fn mask_of(identifying: Identifying) -> Mask {
    if identifying == Identifying::RecordNumber { Mask::Token } else { Mask::Shape }
}

#[cfg(test)]
mod tests {
    use rcm_domain::cdm::silver_schema;
    use rcm_domain::gold::dimension::DIM_PROVIDER;
    use rcm_model::cdm::{CLAIMS, PATIENTS, PROVIDERS};
    use serde_json::json;

    use super::*;

    fn mask(layer: &str, name: &str, schema: &Schema, column: &str) -> Option<Mask> {
        masks_of(layer, name, schema).into_iter().find(|(masked, _)| masked == column).map(|(_, mask)| mask)
    }

    #[test]
    fn a_column_is_masked_by_what_it_says_of_a_patient() {
        let (patients, claims) = (silver_schema(&PATIENTS), silver_schema(&CLAIMS));
        for (name, schema, column, expected) in [
            ("patients", &patients, "ssn", Some(Mask::Shape)),
            ("patients", &patients, "dob", Some(Mask::Shape)),
            ("patients", &patients, "patient_key", Some(Mask::Token)),
            ("patients", &patients, "src_patient_id", Some(Mask::Token)),
            ("patients", &patients, "patient_sk", Some(Mask::Number)),
            ("patients", &patients, "row_hash", Some(Mask::LeftOut)),
            ("patients", &patients, "gender", None),
            ("claims", &claims, "patient_key", Some(Mask::Token)),
            ("claims", &claims, "provider_key", None),
            ("claims", &claims, "claim_amount", None),
            ("claims", &claims, "service_date", None),
        ] {
            assert_eq!(mask("silver", name, schema, column), expected, "{name}.{column}");
        }
        let providers = silver_schema(&PROVIDERS);
        assert_eq!(masks_of("silver", "providers", &providers), [], "providers are no patients");
        assert_eq!(masks_of("gold", "dim_provider", &DIM_PROVIDER.schema()), []);
    }

    #[test]
    fn a_table_that_the_model_does_not_have_is_masked_by_the_names_of_its_columns() {
        let columns = ["last_name", "patient_key", "balance"];
        let schema = columns.map(|name| Field::new(name.into(), DataType::String)).into_iter().collect();
        let masks = masks_of("gold", "own_worklist", &schema);
        assert_eq!(masks, [("last_name".into(), Mask::Shape), ("patient_key".into(), Mask::Token)]);
    }

    #[test]
    fn tokens_are_equal_where_keys_are_and_are_those_of_one_lake() {
        let (one, other) = (Masking::with_secret("a"), Masking::with_secret("b"));
        let token = one.token("P1-hos-a");
        assert_eq!((token.len(), token.chars().next()), (1 + 2 * TOKEN_BYTES, Some(TOKEN_MARK)));
        assert_eq!(token, one.token("P1-hos-a"));
        assert!(token != one.token("P2-hos-a") && token != other.token("P1-hos-a"));
        assert_eq!(one.token("unknown"), "unknown");
    }

    #[test]
    fn masked_rows_have_no_value_left_and_nulls_stay() {
        let rows = df!(
            "ssn" => [Some("123-45-6789"), None],
            "key" => [Some("P1-hos-a"), None],
            "patient_sk" => [Some(0_i64), Some(17)],
            "raw" => [Some(r#"{"SSN": "123-45-6789", "Age": 41, "Note": null}"#), Some("[\"Smith\"]")],
            "row_hash" => [1_i64, 2],
            "amount" => [1_i64, 2],
        );
        let masks = [
            ("ssn", Mask::Shape),
            ("key", Mask::Token),
            ("patient_sk", Mask::Number),
            ("raw", Mask::Json),
            ("row_hash", Mask::LeftOut),
        ]
        .map(|(name, mask)| (PlSmallStr::from_static(name), mask));
        let masking = Masking::with_secret("a");
        let shown = masking.masked(rows.unwrap().lazy(), &masks).collect().unwrap();
        let texts = |name: &str| {
            shown.column(name).unwrap().str().unwrap().iter().map(|v| v.map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(texts("ssn"), [Some("999-99-9999".to_owned()), None]);
        assert_eq!(texts("key"), [Some(masking.token("P1-hos-a")), None]);
        let raw = texts("raw").into_iter().map(|text| serde_json::from_str(&text.unwrap()).unwrap());
        let expected = [json!({ "Age": "99", "Note": null, "SSN": "999-99-9999" }), json!(["Aaaaa"])];
        assert_eq!(raw.collect::<Vec<Value>>(), expected);
        let numbers = shown.column("patient_sk").unwrap().i64().unwrap();
        assert_eq!(numbers.get(0), Some(0), "the unknown member");
        assert!(numbers.get(1).is_some_and(|number| number > 0 && number != 17));
        assert_eq!(shown.get_column_names(), ["ssn", "key", "patient_sk", "raw", "amount"]);
    }
}
