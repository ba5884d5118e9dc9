//! Keys of landed files.

use std::fmt;

use crate::lake::LANDING;

/// Key of a file that lies right in a folder of `landing/`: `landing/<folder>/<file>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LandingKey {
    folder: String,
    file: String,
}

impl LandingKey {
    /// Returns the key of a file in a folder; none if one of the two is no single part of a key.
    #[must_use]
    pub fn new(folder: &str, file: &str) -> Option<Self> {
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('/');
        (is_part(folder) && is_part(file)).then(|| Self { folder: folder.to_owned(), file: file.to_owned() })
    }

    /// Reads a key below the lake's root; none if it is not `landing/<folder>/<file>`. Takes every part as it is:
    /// nothing is decoded, trimmed or folded.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        Self::parse_below(key.strip_prefix(LANDING)?.strip_prefix('/')?)
    }

    /// Reads a key below `landing/`; none if it is not `<folder>/<file>`.
    #[must_use]
    pub fn parse_below(below: &str) -> Option<Self> {
        let (folder, file) = below.split_once('/')?;
        Self::new(folder, file)
    }

    /// The folder, without `landing/`.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The key below `landing/`: `<folder>/<file>`.
    #[must_use]
    pub fn below(&self) -> String {
        format!("{}/{}", self.folder, self.file)
    }
}

impl fmt::Display for LandingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", folder_key(&self.folder), self.file)
    }
}

/// Returns the key of a folder of `landing/`.
#[must_use]
pub fn folder_key(folder: &str) -> String {
    format!("{LANDING}/{folder}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("landing/claims/a.csv", "claims", "a.csv")]
    #[case::hidden("landing/claims/.a.csv", "claims", ".a.csv")]
    #[case::blanks("landing/claims/ a b.csv ", "claims", " a b.csv ")]
    #[case::percent_signs("landing/claims/a%20b+c%2Fd.csv", "claims", "a%20b+c%2Fd.csv")]
    #[case::not_ascii("landing/claims/grüße.csv", "claims", "grüße.csv")]
    #[case::twice("landing/landing/landing", "landing", "landing")]
    fn a_key_is_its_folder_and_its_file_as_they_are(#[case] key: &str, #[case] folder: &str, #[case] file: &str) {
        let parsed = LandingKey::parse(key).unwrap();
        assert_eq!((parsed.folder(), parsed.file()), (folder, file));
        assert_eq!((parsed.to_string().as_str(), LandingKey::parse_below(&parsed.below())), (key, Some(parsed)));
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_folder("landing/a.csv")]
    #[case::folder_alone("landing/claims/")]
    #[case::empty_folder("landing//a.csv")]
    #[case::nested("landing/claims/old/a.csv")]
    #[case::trailing_slash("landing/claims/a.csv/")]
    #[case::leading_slash("/landing/claims/a.csv")]
    #[case::another_root("bronze/claims/a.csv")]
    #[case::longer_root("landings/claims/a.csv")]
    #[case::other_case("Landing/claims/a.csv")]
    #[case::folder_above("landing/../a.csv")]
    #[case::file_above("landing/claims/..")]
    fn what_is_not_right_in_a_folder_of_landing_is_no_key_of_a_landed_file(#[case] key: &str) {
        assert_eq!(LandingKey::parse(key), None);
    }
}
