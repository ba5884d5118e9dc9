/// What a file is by its first bytes, where that is no CSV file, and what to do.
pub(super) fn of_other(head: &[u8]) -> Option<&'static str> {
    let has = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    let is_zip = head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06");
    if is_zip && (has(b"[Content_Types].xml") || has(b"xl/")) {
        return Some("is an Excel workbook (xlsx): save its sheet as CSV");
    }
    if is_zip {
        return Some("is a zip archive: unpack it and deliver the CSV file in it");
    }
    let kinds: [(&[u8], &str); 4] = [
        (b"\x1F\x8B", "is compressed (gzip): unpack it"),
        (b"\xD0\xCF\x11\xE0", "is an old Excel workbook (xls): save its sheet as CSV"),
        (b"%PDF", "is a PDF document: deliver it as CSV"),
        (b"PAR1", "is a Parquet file: deliver it as CSV"),
    ];
    kinds.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, reason)| *reason)
}
