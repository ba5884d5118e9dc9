use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How a source writes its CSV files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    delimiter: u8,
    encoding: &'static Encoding,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', encoding: UTF_8 }
    }
}

impl Dialect {
    /// Reads what a configuration says; commas and UTF-8 where it says nothing.
    ///
    /// # Errors
    /// The key that cannot be used, and why.
    pub fn of(delimiter: Option<&str>, encoding: Option<&str>) -> Result<Self, (&'static str, String)> {
        let mut dialect = Self::default();
        if let Some(text) = delimiter {
            dialect.delimiter = match *text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0 | 0x1a) => byte,
                _ => {
                    let reason = format!("cannot be {text:?}: it is one ASCII character, no quote and no line break");
                    return Err(("delimiter", reason));
                }
            };
        }
        if let Some(label) = encoding {
            let known = Encoding::for_label_no_replacement(label.as_bytes());
            let unknown = || format!("cannot be {label:?}: it is a label such as \"utf-8\" or \"windows-1252\"");
            dialect.encoding = known.ok_or_else(|| ("encoding", unknown()))?;
        }
        Ok(dialect)
    }

    /// The byte between two fields.
    pub(super) fn delimiter(self) -> u8 {
        self.delimiter
    }

    /// What makes UTF-8 of the file's bytes; none where they are UTF-8. A byte order mark goes before it.
    pub(super) fn decoder(self) -> Option<Decoder> {
        (self.encoding != UTF_8).then(|| self.encoding.new_decoder())
    }

    pub(super) fn is_utf16(self) -> bool {
        [UTF_16LE, UTF_16BE].contains(&self.encoding)
    }
}
