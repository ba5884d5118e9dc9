use rcm_platform::StageError;
use rcm_platform::error::ErrorKind;

/// Questions in a row without an answer, each asked as often as the configuration allows, from which on
/// it is the registry that is out of order, and not what it was asked for.
const MOST_IN_A_ROW: usize = 10;

/// What the registry was asked for and did not answer.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    /// Why the first of these questions has no answer.
    pub(crate) first: Option<StageError>,
    questions: usize,
    in_a_row: usize,
    has_asked_for_patience: bool,
}

impl Unanswered {
    /// What a question came to; none, and noted, where that is an error.
    pub(crate) fn answer<T>(&mut self, answer: Result<T, StageError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.in_a_row = 0;
                Some(answer)
            }
            Err(error) => {
                self.questions += 1;
                self.in_a_row += 1;
                self.has_asked_for_patience |= error.kind() == ErrorKind::Throttled;
                self.first.get_or_insert(error);
                None
            }
        }
    }

    /// Whether there is no use in asking on: the registry asks for more patience than the configuration
    /// has, or answers nothing any more.
    pub(crate) fn is_out_of_order(&self) -> bool {
        self.has_asked_for_patience || self.in_a_row >= MOST_IN_A_ROW
    }

    /// What a person should know of it.
    pub(crate) fn note(&self) -> Option<String> {
        let rest = if self.is_out_of_order() { ", and was not asked for the rest" } else { "" };
        let questions = self.questions;
        (questions > 0).then(|| format!("the registry did not answer for {questions} searches or identifiers{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Result<(), StageError> {
        Err(StageError::source_unavailable("made up".to_owned()))
    }

    #[test]
    fn failures_now_and_then_are_no_reason_to_stop() {
        let mut unanswered = Unanswered::default();
        for question in 0..1000 {
            unanswered.answer(if question % MOST_IN_A_ROW == 0 { Ok(()) } else { unavailable() });
            assert!(!unanswered.is_out_of_order());
        }
        assert_eq!(unanswered.note().unwrap(), "the registry did not answer for 900 searches or identifiers");
    }

    #[test]
    fn failures_in_a_row_are() {
        let mut unanswered = Unanswered::default();
        for _ in 0..MOST_IN_A_ROW {
            assert!(!unanswered.is_out_of_order());
            assert_eq!(unanswered.answer(unavailable()), None);
        }
        assert!(unanswered.is_out_of_order());
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        let mut unanswered = Unanswered::default();
        assert_eq!((unanswered.note(), &unanswered.first), (None, &None));
        unanswered.answer(unavailable());
        unanswered.answer::<()>(Err(StageError::throttled("made up".to_owned())));
        assert_eq!(unanswered.first.as_ref().map(StageError::name), Some("SourceUnavailable"));
        assert!(unanswered.is_out_of_order(), "it asked for patience");
    }
}
