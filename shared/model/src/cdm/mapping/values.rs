//! The model's words for a source's.

use std::collections::{BTreeMap, HashMap};

/// The source's words by the model's word for them.
pub(super) type Values = BTreeMap<String, Vec<String>>;

/// Checks that no word of the source stands for two words of the model.
///
/// # Errors
/// The second word of the model that has it, and why it cannot be used.
pub(super) fn check(values: &Values) -> Result<(), (String, String)> {
    let mut known: HashMap<String, &str> = HashMap::new();
    for (word, sources) in values {
        for source in sources {
            if let Some(other) = known.insert(source.trim().to_lowercase(), word)
                && other != word
            {
                return Err((word.clone(), format!("gives `{source}` to `{other}` and to `{word}`")));
            }
        }
    }
    Ok(())
}
