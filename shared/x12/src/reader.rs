use std::io::Read;

use crate::{Envelope, Error, Segment, Step, Tokenizer};

/// Segments of a stream with their places, the envelope checked.
#[derive(Debug)]
pub struct Reader<R> {
    tokenizer: Tokenizer<R>,
    envelope: Envelope,
}

/// A segment and what the envelope makes of it.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    /// The segment.
    pub segment: Segment<'a>,
    /// Its place and role.
    pub step: &'a Step,
}

impl<R: Read> Reader<R> {
    /// A reader of everything that `input` reads.
    pub fn new(input: R) -> Self {
        Self { tokenizer: Tokenizer::new(input), envelope: Envelope::default() }
    }

    /// The next segment; none at the end of the stream.
    ///
    /// A set counts once its [`crate::Role::SetEnd`] has come. If an error comes first, the set is not whole, and what
    /// was made of its segments must be dropped; sets before it are whole.
    ///
    /// # Errors
    /// As [`Tokenizer::next`], [`Envelope::push`] and [`Envelope::finish`].
    #[expect(clippy::should_implement_trait, reason = "a segment borrows the buffer, which no Iterator can do")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Located<'_>>, Error> {
        let segment = match self.tokenizer.next() {
            Ok(Some(segment)) => segment,
            Ok(None) => return self.envelope.finish().map(|()| None),
            Err(error) => return Err(self.envelope.locate(error)),
        };
        let step = self.envelope.push(&segment)?;
        Ok(Some(Located { segment, step }))
    }
}
