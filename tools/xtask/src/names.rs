//! The names of an entity in every spelling that files need.

/// Fills a template in: `<entity>` is `cpt_codes`, `<function>` is `cpt-codes`, `<Function>` is `CptCodes`,
/// `<ENTITY>` is `CPT_CODES` and `<words>` is `cpt codes`.
pub(crate) fn fill(template: &str, entity: &str) -> String {
    template
        .replace("<entity>", entity)
        .replace("<function>", &function(entity))
        .replace("<Function>", &resource(entity))
        .replace("<ENTITY>", &constant(entity))
        .replace("<words>", &entity.replace('_', " "))
}

/// As part of the name of a function: `cpt-codes`.
pub(crate) fn function(entity: &str) -> String {
    entity.replace('_', "-")
}

/// As part of the name of a resource: `CptCodes`.
pub(crate) fn resource(entity: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    entity.split('_').map(capital).collect()
}

/// As a constant of Rust: `CPT_CODES`.
pub(crate) fn constant(entity: &str) -> String {
    entity.to_ascii_uppercase()
}
