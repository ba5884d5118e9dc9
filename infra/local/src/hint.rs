//! What to do about an error: the hint that its message has, else the one of its name.

use rcm_platform::StageError;
use rcm_platform::error::ErrorKind;
use rcm_platform::load::printable;

/// What stands between a message and its hint.
const MARK: &str = "hint: ";
/// Likeness from which on a name is taken for another one that was mistyped.
const ALIKE: f64 = 0.75;

/// Returns the message of an error, and what to do.
#[must_use]
pub fn split(error: &StageError) -> (String, String) {
    let text = error.to_string();
    if let Some((message, hint)) = text.split_once(MARK) {
        return (message.trim_end_matches([' ', ';', '(']).to_owned(), hint.trim_end().to_owned());
    }
    (text, of_kind(error.kind()).to_owned())
}

/// Returns an error as a command ends with it: the message, what to do, and the name that `rcm explain` knows.
#[must_use]
pub fn with_hint(error: &StageError) -> String {
    let (message, hint) = split(error);
    format!("{message}\nhint: {hint}\nhint: `rcm explain {}` says more\n", error.name())
}

/// What to do about errors of a name.
#[must_use]
pub const fn of_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::SourceUnavailable => "look at the source, and run again",
        ErrorKind::Throttled => "wait, or lower `concurrency` in configs/sources.toml",
        ErrorKind::CommitConflict => "run again when the other runs have ended",
        ErrorKind::Timeout => "run again; if it fails again, look at the source",
        ErrorKind::Storage => "look at the disk or the network, and run again",
        ErrorKind::BadConfig => "correct what the message names; `rcm doctor` checks the whole configuration",
        ErrorKind::BrokenContract => {
            "have the source corrected, or its mapping in configs/cdm; `rcm doctor` compares them"
        }
        ErrorKind::ThresholdExceeded => "look at the rows, `rcm quarantine list`, or at the extract: is it whole?",
        ErrorKind::ControlCheckFailed => "keep the lake as it is, and report the fault",
        ErrorKind::CorruptLake => "do not run again before you know the cause",
        ErrorKind::Internal => "report the place in the code that the log has",
    }
}

/// Returns a question for a name that there is not, if another one is like it.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let name = name.to_lowercase();
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known));
    let best = alike.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, known)| format!("did you mean `{}`?", printable(known)))
}

/// Returns the error of a name that there is not, with the one that may be meant, else where the names are.
pub fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    where_they_are: &str,
) -> StageError {
    let name_shown = printable(name);
    let hint = did_you_mean(name, known).unwrap_or_else(|| where_they_are.to_owned());
    StageError::bad_config(format!("there is no {what} `{name_shown}`; hint: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_ends_with_its_own_hint_and_its_name() {
        let error = StageError::bad_config("there is no lake in x; hint: name one");
        let expected =
            "bad configuration: there is no lake in x\nhint: name one\nhint: `rcm explain BadConfig` says more\n";
        assert_eq!(with_hint(&error), expected);
    }

    #[test]
    fn an_error_without_a_hint_has_that_of_its_name() {
        for kind in ErrorKind::ALL {
            let text = with_hint(&StageError::new(kind, "it failed"));
            assert!(text.contains(&format!("hint: {}\n", of_kind(kind))), "{text}");
        }
    }

    #[test]
    fn a_mistyped_name_is_recognized_and_another_one_is_not() {
        let known = ["hosa/patients", "hosb/patients", "claims/hos-a"];
        assert_eq!(did_you_mean("hosa/patient", known).as_deref(), Some("did you mean `hosa/patients`?"));
        assert_eq!(did_you_mean("Claims/hos-a", known).as_deref(), Some("did you mean `claims/hos-a`?"));
        assert_eq!(did_you_mean("zebra", known), None);
        let error = unknown("stream", "hosb/patien", known, "`rcm load list` shows all of them");
        assert!(error.to_string().ends_with("there is no stream `hosb/patien`; hint: did you mean `hosb/patients`?"));
    }
}
