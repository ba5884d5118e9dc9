//! Finds delimiters eight bytes at a time. Segments have some 20 bytes and elements four, which is too short for a
//! vectorized search that starts anew for each.

/// Seven bits of every byte of a word.
const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Searches a terminator, and appends `base` plus the offset of every separator before it.
#[inline]
pub(crate) fn scan(
    bytes: &[u8],
    base: usize,
    separator: u8,
    terminator: u8,
    separators: &mut Vec<u32>,
) -> Option<usize> {
    let (of_separator, of_terminator) = (repeated(separator), repeated(terminator));
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in (0..).step_by(8).zip(words) {
        let word = u64::from_le_bytes(*word);
        let (mut separator_bits, terminator_bits) = (zero_bytes(word ^ of_separator), zero_bytes(word ^ of_terminator));
        if terminator_bits != 0 {
            // Those below the lowest bit of a terminator.
            separator_bits &= (terminator_bits & terminator_bits.wrapping_neg()) - 1;
        }
        while separator_bits != 0 {
            separators.push((base + at) as u32 + separator_bits.trailing_zeros() / 8);
            separator_bits &= separator_bits - 1;
        }
        if terminator_bits != 0 {
            return Some(at + terminator_bits.trailing_zeros() as usize / 8);
        }
    }
    let at = bytes.len() - rest.len();
    for (offset, byte) in rest.iter().enumerate() {
        if *byte == terminator {
            return Some(at + offset);
        }
        if *byte == separator {
            separators.push((base + at + offset) as u32);
        }
    }
    None
}

/// A word of one byte eight times.
const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The highest bit of every byte that is zero, and no other.
const fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn delimiters_are_found_where_they_are(
            bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'*', b'+', b'~', 0x7e, 0x7f, 0x80, 0xaa, 0xff]), 0..60),
            separator in prop::sample::select(vec![b'*', 0x1d, 0x80, 0xff]),
            terminator in prop::sample::select(vec![b'~', b'\n', 0, 0x7f]),
        ) {
            let end = bytes.iter().position(|byte| *byte == terminator);
            let before = &bytes[..end.unwrap_or(bytes.len())];
            let expected: Vec<u32> = (100..).zip(before).filter(|(_, byte)| **byte == separator).map(|(at, _)| at).collect();
            let mut separators = Vec::new();
            prop_assert_eq!(scan(&bytes, 100, separator, terminator, &mut separators), end);
            prop_assert_eq!(separators, expected);
        }
    }
}
