use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt};
use rcm_platform::StageError;
use rcm_platform::config::{self, NpiSearch};
use rcm_platform::http::npi::{DEEPEST_SKIP, PAGE, Provider, Registry};

/// What a search found.
pub(crate) struct SearchResult {
    /// Each once, in the order in which the registry showed them.
    pub(crate) providers: Vec<Provider>,
    /// Parts of the search that have more results than the registry shows and that nothing cuts.
    pub(crate) cut_off: usize,
}

/// Finds all results of a search: page by page, and where the registry shows no more, in parts.
pub(crate) async fn all(
    registry: &Registry,
    options: &config::Npi,
    search: &NpiSearch,
) -> Result<SearchResult, StageError> {
    let mut found = SearchResult { providers: Vec::new(), cut_off: 0 };
    let mut seen = HashSet::new();
    let mut parts = vec![search.clone()];
    while !parts.is_empty() {
        let asked = parts.into_iter().map(|part| pages(registry, part)).collect::<Vec<_>>();
        let mut answers = futures::stream::iter(asked).buffered(options.http.concurrency.max(1));
        let mut deeper = Vec::new();
        while let Some((part, providers)) = answers.try_next().await? {
            if providers.len() >= DEEPEST_SKIP + PAGE {
                let smaller = split(&part, &options.taxonomies);
                found.cut_off += usize::from(smaller.is_empty());
                deeper.extend(smaller);
            }
            found.providers.extend(providers.into_iter().filter(|provider| seen.insert(provider.number.clone())));
        }
        parts = deeper;
    }
    Ok(found)
}

/// The results that the registry shows of a search.
async fn pages(registry: &Registry, search: NpiSearch) -> Result<(NpiSearch, Vec<Provider>), StageError> {
    let mut providers = Vec::new();
    for skip in (0..=DEEPEST_SKIP).step_by(PAGE) {
        let page = registry.page(&search, skip).await?;
        let is_last = page.len() < PAGE;
        providers.extend(page);
        if is_last {
            break;
        }
    }
    Ok((search, providers))
}

/// Smaller searches in place of one: by the next digit of the postal code, then by persons and
/// organizations, then by the configured taxonomies; none where all of that is said already.
///
/// The registry takes a prefix of two digits or more, followed by `*`, and five digits for all
/// codes that begin with them.
fn split(search: &NpiSearch, taxonomies: &[String]) -> Vec<NpiSearch> {
    let in_us = search.country_code.as_deref().is_none_or(|country| country == "US");
    let prefix = match &search.postal_code {
        None => Some(""),
        Some(code) => code.strip_suffix('*'),
    };
    if let Some(prefix) = prefix.filter(|prefix| in_us && prefix.len() < 5) {
        let new_digits = if prefix.is_empty() { 2 } else { 1 };
        let length = prefix.len() + new_digits;
        let end = if length < 5 { "*" } else { "" };
        let parts = (0..10_u32.pow(new_digits as u32)).map(|digits| format!("{prefix}{digits:0new_digits$}{end}"));
        return parts.map(|postal_code| NpiSearch { postal_code: Some(postal_code), ..search.clone() }).collect();
    }
    if search.enumeration_type.is_none() {
        let types = ["NPI-1", "NPI-2"].map(str::to_owned);
        return types.map(|one| NpiSearch { enumeration_type: Some(one), ..search.clone() }).into();
    }
    if search.taxonomy_description.is_none() {
        let parts = taxonomies.iter().cloned();
        return parts.map(|one| NpiSearch { taxonomy_description: Some(one), ..search.clone() }).collect();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postal_codes(search: &NpiSearch) -> Vec<String> {
        split(search, &[]).into_iter().filter_map(|part| part.postal_code).collect()
    }

    fn within(postal_code: &str) -> NpiSearch {
        NpiSearch { postal_code: Some(postal_code.to_owned()), ..NpiSearch::default() }
    }

    #[test]
    fn a_deep_search_is_cut_by_one_more_digit_of_the_postal_code() {
        let first = postal_codes(&NpiSearch::default());
        assert_eq!((first.len(), first[0].as_str(), first[99].as_str()), (100, "00*", "99*"));
        assert_eq!(postal_codes(&within("30*"))[..2], ["300*", "301*"]);
        assert_eq!(postal_codes(&within("3031*"))[8..], ["30318", "30319"]);
    }

    #[test]
    fn where_the_postal_code_is_whole_the_kind_of_provider_and_the_taxonomy_cut_on() {
        let by_type = split(&within("30318"), &[]);
        assert_eq!(by_type[0].enumeration_type.as_deref(), Some("NPI-1"));
        let taxonomies = ["Fabulist".to_owned(), "Mythologist".to_owned()];
        let by_taxonomy = split(&by_type[0], &taxonomies);
        assert_eq!(by_taxonomy[1].taxonomy_description.as_deref(), Some("Mythologist"));
        assert_eq!(split(&by_taxonomy[1], &taxonomies), []);
    }

    #[test]
    fn postal_codes_abroad_are_not_guessed() {
        let abroad = NpiSearch { country_code: Some("CA".to_owned()), ..NpiSearch::default() };
        assert_eq!(split(&abroad, &[]).len(), 2);
    }
}
