//! Bytes per second of 835 files that become rows, beside a plain pass over the bytes that counts segments.
//!
//! `cargo bench -p rcm-x12 --bench remittances -- --mib 1024`
//!
//! A stream of made-up interchanges, each of some hundred claims, which is never in memory as a whole. Two passes are
//! beside it: one that only counts terminators, and one that cuts the stream into segments and counts these. Each step is
//! timed right after the other, and the best of some rounds counts. The highest memory of the process is printed where
//! the system tells it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::inconsistent_digit_grouping, reason = "amounts are in cents")]
#![expect(clippy::naive_bytecount, reason = "the plain pass is what anybody would write")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

#[path = "../../../tests/bench/timing.rs"]
mod timing;

use std::io::{self, BufRead as _, BufReader, Read};

use rcm_x12::remittance::{self, Event};
use rcm_x12::write::{ClaimPayment, Interchange, ServiceLine, Set};
use rcm_x12::{Counts, Reader};

use self::timing::best;

/// Claims of an interchange.
const CLAIMS: u32 = 400;

/// Some bytes, over and over: a file that costs no disk.
struct Repeated<'a> {
    bytes: &'a [u8],
    at: usize,
    times: usize,
}

impl<'a> Repeated<'a> {
    fn new(bytes: &'a [u8], times: usize) -> Self {
        Self { bytes, at: 0, times }
    }
}

impl Read for Repeated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            (self.at, self.times) = (0, self.times.saturating_sub(1));
        }
        if self.times == 0 {
            return Ok(0);
        }
        let length = buffer.len().min(self.bytes.len() - self.at);
        buffer[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--mib");
    let mib: usize = at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(256);
    let interchange = interchange();
    let times = (mib << 20).div_ceil(interchange.len());
    let stream = || Repeated::new(&interchange, times);

    let segments = plain_pass(stream());
    let plain = best(|| plain_pass(stream()));
    let split = best(|| split_pass(stream()));
    let counted = best(|| Counts::of(stream()).unwrap().claims as usize);
    let placed = best(|| place(stream()));
    let read = best(|| rows(stream()));

    println!("{} MiB, {segments} segments, {} rows", (interchange.len() * times) >> 20, rows(stream()));
    println!("{:<28} {:>9} {:>12} {:>9} {:>10} {:>10}", "", "time", "segments/s", "MiB/s", "x plain", "x segment");
    for (name, time) in [("plain pass", plain), ("tokenizer and counts", counted), ("envelope", placed), ("rows", read)]
    {
        let seconds = time.as_secs_f64();
        let bytes = (interchange.len() * times) as f64;
        let (segments, mib) = (segments as f64 / seconds, bytes / seconds / f64::from(1 << 20));
        let (of_plain, of_split) = (seconds / plain.as_secs_f64(), seconds / split.as_secs_f64());
        println!("{name:<28} {seconds:>7.4} s {segments:>12.0} {mib:>9.0} {of_plain:>10.2} {of_split:>10.2}");
    }
    if let Some(peak) = peak_memory() {
        println!("highest memory of the process: {peak}");
    }
}

/// Counts terminators, chunk by chunk. The compiler makes it a loop over vectors, which knows no segment.
fn plain_pass(mut input: impl Read) -> usize {
    let mut chunk = vec![0; 1 << 17];
    let mut segments = 0;
    loop {
        match input.read(&mut chunk).unwrap() {
            0 => return segments,
            length => segments += chunk[..length].iter().filter(|byte| **byte == b'~').count(),
        }
    }
}

/// Counts segments one by one, each of which is looked at as a whole.
fn split_pass(input: impl Read) -> usize {
    let (mut input, mut segment) = (BufReader::with_capacity(1 << 17, input), Vec::new());
    let mut segments = 0;
    while input.read_until(b'~', &mut segment).unwrap() > 0 {
        segments += usize::from(!std::hint::black_box(&segment).is_empty());
        segment.clear();
    }
    segments
}

fn place(input: impl Read) -> usize {
    let mut reader = Reader::new(input);
    let mut sets = 0;
    while let Some(located) = reader.next().unwrap() {
        sets += located.step.place.set as usize;
    }
    sets
}

fn rows(input: impl Read) -> usize {
    let mut rows = 0;
    remittance::read(input, &mut |event| match event {
        Event::Claim(claim) => rows += 1 + claim.lines.len() + claim.adjustments.len(),
        Event::ProviderAdjustment(_) | Event::Payment(_) => rows += 1,
        Event::Unreadable(_) | Event::OtherSet(..) | Event::Warning(_) => unreachable!("the stream is right"),
    })
    .unwrap();
    rows
}

/// An interchange as payers send it: claims of one to three lines with dates, references and adjustments.
fn interchange() -> Vec<u8> {
    let mut set = Set::new("TRACE-1").provider_adjustment("WO", "CLAIM-1", 12_50);
    for number in 0..CLAIMS {
        let lines = i64::from(number % 3) + 1;
        let mut claim = ClaimPayment::new(&format!("CLAIM{number:07}"), 1, 150_25 * lines, 98_75 * lines)
            .payer_number(&format!("2024{number:09}"))
            .patient_share(20_00 * lines)
            .segment(&format!("NM1*QC*1*NAME{number:04}*FIRST****MI*M{number:08}"))
            .segment("NM1*82*1*DOCTOR*ANN****XX*1234567893")
            .segment("MOA***MA01")
            .segment("REF*EA*MRN-0012345")
            .segment("DTM*232*20240105")
            .segment("DTM*233*20240105")
            .segment("DTM*050*20240110")
            .segment("AMT*AU*150.25");
        for line in 1..=lines {
            let line = ServiceLine::new("99213:25", 150_25, 98_75)
                .segment("DTM*472*20240105")
                .adjusted("CO", "45", 31_50)
                .adjusted("PR", "1", 20_00)
                .segment(&format!("REF*6R*{number}-{line}"))
                .segment("AMT*B6*118.75")
                .segment("LQ*HE*N130");
            claim = claim.line(line);
        }
        set = set.claim(claim);
    }
    Interchange::new(1).set(set).line_break("").to_bytes()
}

/// The most memory that the process had, as Linux says it.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}
