//! Parts of files that are generated: between two markers, or, in JSON, which has no comments, between
//! two texts that the file has only once.

use std::path::Path;

use crate::{Error, Result};

/// A generated part of a file.
#[derive(Debug)]
pub(crate) struct Region {
    place: Place,
    content: String,
}

#[derive(Debug)]
enum Place {
    Marked(&'static str),
    Between(&'static str, &'static str),
}

impl Region {
    /// The lines between the lines `xtask begin: <name>` and `xtask end: <name>`. `content` are whole lines.
    pub(crate) fn marked(name: &'static str, content: String) -> Self {
        Self { place: Place::Marked(name), content }
    }

    /// What stands after the first `before` and ends where next `after` begins.
    pub(crate) fn between(before: &'static str, after: &'static str, content: String) -> Self {
        Self { place: Place::Between(before, after), content }
    }

    /// The text with this region as it should be. `path` is named in an error.
    pub(crate) fn put_into(&self, text: &str, path: &Path) -> Result<String> {
        let missing = |place: String| Error::Place { path: path.to_owned(), place };
        let (start, end) = match self.place {
            Place::Marked(name) => lines_between(text, name)
                .ok_or_else(|| missing(format!("lines `xtask begin: {name}` and `xtask end`")))?,
            Place::Between(before, after) => {
                between(text, before, after).ok_or_else(|| missing(format!("`{before}` with a `{after}` behind it")))?
            }
        };
        Ok(format!("{}{}{}", &text[..start], self.content, &text[end..]))
    }
}

/// From the line after the first marker to the start of the line of the second.
fn lines_between(text: &str, name: &str) -> Option<(usize, usize)> {
    let line_with = |marker: &str| {
        let mut start = 0;
        text.split_inclusive('\n').find_map(|line| {
            let (from, to) = (start, start + line.len());
            start = to;
            let words = line.trim().trim_start_matches(['#', '/', '<', '!', '-']).trim_end_matches(['-', '>']);
            (words.trim() == format!("xtask {marker}: {name}")).then_some((from, to))
        })
    };
    let ((_, start), (end, _)) = (line_with("begin")?, line_with("end")?);
    (start <= end).then_some((start, end))
}

fn between(text: &str, before: &str, after: &str) -> Option<(usize, usize)> {
    let start = text.find(before)? + before.len();
    let end = start + text[start..].find(after)?;
    Some((start, end))
}
