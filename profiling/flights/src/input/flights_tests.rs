//! The promises of loading flights, on well-formed, damaged and random input.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::airports::load_airports;
use super::super::embedded::{EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS};
use super::super::error::TextProblem;
use super::*;

const GOOD_ROW: &str = "2001-01-01T00:01,33,2176,LAS,PHL";

fn airports() -> Airports {
    load_airports(&EMBEDDED_AIRPORTS, LoadOptions { strict: true }).unwrap().data
}

fn load_bytes(bytes: &[u8], strict: bool) -> Result<Loaded<FlightSet>, LoadError> {
    let source = Source::Bytes { name: "test.csv", bytes };
    load_flights(&source, &airports(), LoadOptions { strict })
}

fn load_rows(rows: &str) -> Result<Loaded<FlightSet>, LoadError> {
    load_bytes(format!("{FLIGHTS_HEADER}\n{rows}").as_bytes(), false)
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The embedded week as text without its header.
fn week_text() -> Vec<u8> {
    let Source::Bytes { bytes, .. } = EMBEDDED_FLIGHTS else { panic!("embedded") };
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut text).unwrap();
    text.split_off(FLIGHTS_HEADER.len() + 1)
}

#[test]
fn embedded_week_is_all_usable() {
    let options = LoadOptions { strict: true };
    let loaded = load_flights(&EMBEDDED_FLIGHTS, &airports(), options).unwrap();
    assert_eq!((loaded.data.len(), loaded.rows), (113_493, 113_493));
    assert_eq!(loaded.data.first_date().to_string(), "2001-01-01");
    let flights = loaded.data.as_slice();
    assert_eq!((flights[0].departure_s, flights[0].delay_s), (60, 33 * 60));
    assert!(flights.iter().all(|flight| flight.departure_s < 7 * DAY_S));
    let order = loaded.data.departure_order();
    assert!(order.is_sorted_by_key(|&position| flights[position as usize].actual_departure_s()));
}

#[test]
fn compression_is_told_by_content() {
    let text = format!("{FLIGHTS_HEADER}\n{GOOD_ROW}\n");
    let plain = load_bytes(text.as_bytes(), true).unwrap();
    let packed = load_bytes(&compress(text.as_bytes()), true).unwrap();
    assert_eq!(plain.data.as_slice(), packed.data.as_slice());
}

#[test]
fn members_of_a_joined_gzip_file_are_read_in_turn() {
    let mut bytes = compress(format!("{FLIGHTS_HEADER}\n{GOOD_ROW}\n").as_bytes());
    bytes.extend(compress(format!("{GOOD_ROW}\n").as_bytes()));
    assert_eq!(load_bytes(&bytes, true).unwrap().data.len(), 2);
}

#[test]
fn line_ends_quotes_and_a_byte_order_mark_are_understood() {
    let quoted = "\"2001-01-01T00:01\",\"33\", 2176 ,\"LAS\",PHL";
    let text = format!("\u{feff}{FLIGHTS_HEADER}\r\n\r\n{GOOD_ROW}\r\n\n{quoted}");
    let loaded = load_bytes(text.as_bytes(), true).unwrap();
    assert_eq!(loaded.rows, 2);
    assert_eq!(loaded.data.as_slice()[0], loaded.data.as_slice()[1]);
}

#[test]
fn each_unusable_row_is_named_with_its_line() {
    let cases = [
        ("2001-02-30T00:01,33,2176,LAS,PHL", "invalid departure `2001-02-30T00:01`"),
        ("2001-01-01T00:01,x,2176,LAS,PHL", "impossible delay `x`"),
        ("2001-01-01T00:01,,2176,LAS,PHL", "impossible delay ``"),
        ("2001-01-01T00:01,2881,2176,LAS,PHL", "impossible delay `2881`"),
        ("2001-01-01T00:01,-1441,2176,LAS,PHL", "impossible delay `-1441`"),
        ("2001-01-01T00:01,33,0,LAS,PHL", "impossible distance `0`"),
        ("2001-01-01T00:01,33,-5,LAS,PHL", "impossible distance `-5`"),
        ("2001-01-01T00:01,33,12452,LAS,PHL", "impossible distance `12452`"),
        ("2001-01-01T00:01,33,99999999999,LAS,PHL", "impossible distance `99999999999`"),
        ("2001-01-01T00:01,33,2176,QQQ,PHL", "unknown origin `QQQ`"),
        ("2001-01-01T00:01,33,2176,LAS,phl", "unknown destination `phl`"),
        ("2001-01-01T00:01,33,2176,LAS,LAS", "origin and destination are both `LAS`"),
        ("2001-01-01T00:01,33,2176,LAS", "4 columns instead of 5"),
        ("2001-01-01T00:01,33,2176,LAS,PHL,", "6 columns instead of 5"),
        ("2001-01-01T00:01,33,2176,LAS,\"PHL", "usable"),
        ("\"2001-01-01T00:01,33,2176,LAS,PHL", "1 columns instead of 5"),
        ("2001-01-01T00:01,33,2176,LAS,PHL\rx", "unknown destination `PHL\\rx`"),
    ];
    for (row, message) in cases {
        let text = format!("{GOOD_ROW}\n\n{row}\n{GOOD_ROW}\n");
        let loaded = load_rows(&text).unwrap();
        if message == "usable" {
            assert_eq!((loaded.data.len(), loaded.skipped.count), (3, 0));
            continue;
        }
        assert_eq!((loaded.data.len(), loaded.rows, loaded.skipped.count), (2, 3, 1), "{row}");
        assert_eq!(loaded.skipped.first[0].to_string(), format!("line 4: {message}"));
        let strict = load_bytes(format!("{FLIGHTS_HEADER}\n{text}").as_bytes(), true);
        let error = strict.unwrap_err().to_string();
        assert_eq!(error, format!("test.csv: line 4: {message}"));
    }
}

#[test]
fn overlong_line_costs_only_itself() {
    for length in [4_095, 4_096, 4_097, 100_000] {
        let loaded = load_rows(&format!("{}\n{GOOD_ROW}\n", "x".repeat(length))).unwrap();
        assert_eq!((loaded.data.len(), loaded.skipped.count), (1, 1), "{length}");
        let too_long = loaded.skipped.first[0].problem == RowProblem::TooLong;
        assert_eq!(too_long, length > 4_096, "{length}");
    }
}

#[test]
fn row_of_many_columns_is_skipped() {
    let loaded = load_rows(&format!("{}\n{GOOD_ROW}\n", ",".repeat(100))).unwrap();
    assert_eq!((loaded.data.len(), loaded.skipped.count), (1, 1));
}

#[test]
fn file_as_a_whole_at_fault_is_named() {
    let open = |path: &str| {
        let source = Source::File(Path::new(path));
        load_flights(&source, &airports(), LoadOptions::default()).unwrap_err()
    };
    let missing = open("/no/such/flights.csv");
    assert!(matches!(missing, LoadError::Open { .. }));
    assert!(missing.to_string().contains("/no/such/flights.csv"));
    let directory = open(".");
    assert!(matches!(directory, LoadError::Read { .. } | LoadError::Open { .. }), "{directory}");

    let error = |bytes: &[u8]| load_bytes(bytes, false).unwrap_err();
    assert!(matches!(error(b""), LoadError::Header { .. }));
    assert!(matches!(error(b"a,b\n1,2\n"), LoadError::Header { .. }));
    assert!(matches!(error(b"\x7fELF\0\0\xff\xff"), LoadError::NotText { .. }));
    assert!(matches!(error(&[b'x'; 10_000]), LoadError::NotText { .. }));
    assert!(matches!(error(b"\x1f\x8b"), LoadError::Compression { .. }));
    let header_only = error(FLIGHTS_HEADER.as_bytes()).to_string();
    assert_eq!(header_only, "test.csv: no usable row, as there is none after the header");
    let reversed = FLIGHTS_HEADER.replace("origin,destination", "destination,origin");
    assert!(matches!(error(reversed.as_bytes()), LoadError::Header { .. }));
}

/// Messages named the whole first line, cut after 22 bytes, so that a slip in the last column of a
/// header didn't show.
#[test]
fn wrong_header_is_told_by_the_first_column_that_differs() {
    let long = "x".repeat(70);
    for (header, message) in [
        (
            "departure,delay_min,distance_mi,origin,dest",
            "column 5 is `dest`, expected `destination`",
        ),
        (
            "departure,delay,distance,origin,destination",
            "column 2 is `delay`, expected `delay_min`",
        ),
        ("Departure,delay_min", "column 1 is `Departure`, expected `departure`"),
        ("departure,delay_min,distance_mi", "column 4 is missing, expected `origin`"),
        ("departure,,distance_mi,origin,destination", "column 2 is ``, expected `delay_min`"),
        (
            "departure,delay_min,distance_mi,origin,destination,carrier",
            "column 6 is `carrier`, expected no more columns",
        ),
        (
            "departure,delay_min,distance_mi,origin,destination,",
            "column 6 is ``, expected no more columns",
        ),
        ("departure;delay_min;distance_mi", "columns are separated by `;`, expected commas"),
        ("departure\tdelay_min\tdistance_mi", "columns are separated by `\\t`, expected commas"),
        ("départ,delay_min", "column 1 is `départ`, expected `departure`"),
        ("2001-01-01T00:01,33", "column 1 is `2001-01-01T00:01`, expected `departure`"),
        (&long, &format!("column 1 is `{}…`, expected `departure`", "x".repeat(64))),
        (&",".repeat(4_096), "column 1 is ``, expected `departure`"),
    ] {
        let error = load_bytes(format!("{header}\n{GOOD_ROW}\n").as_bytes(), false).unwrap_err();
        assert_eq!(error.to_string(), format!("test.csv: line 1: wrong header: {message}"));
    }
    let late = load_bytes(b"\n \nfrom,to\n", false).unwrap_err();
    assert!(late.to_string().contains("line 3: wrong header: column 1 is `from`"), "{late}");
    for empty in ["", "\n\r\n  \n"] {
        let error = load_bytes(empty.as_bytes(), false).unwrap_err();
        let expected =
            format!("test.csv: the file is empty, expected the header `{FLIGHTS_HEADER}`");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn file_that_is_no_text_is_told_by_what_it_is() {
    for (bytes, message) in [
        (&b"PK\x03\x04\x14\0\0\0"[..], "it is a zip archive, which has to be unpacked first"),
        (b"BZh91AY&SY", "it is bzip2, which has to be unpacked first"),
        (b"\xff\xfed\0e\0\n\0", "it is text in UTF-16, which has to be saved as UTF-8 first"),
        (b"\x7fELF\x02\x01\0\0", "it has bytes that are no text in UTF-8"),
        (b"d\xe9part\n", "it has bytes that are no text in UTF-8"),
        (&[0; 10_000], "it has bytes that are no text in UTF-8"),
        (&[b'x'; 10_000], "it is longer than 4096 bytes"),
        (&[b','; 1_000_000], "it is longer than 4096 bytes"),
        (
            &[&b"PK\x03\x04"[..], &[1; 10_000]].concat(),
            "it is a zip archive, which has to be unpacked first",
        ),
        (&compress(&compress(b"x")), "it is gzip within gzip, which has to be unpacked once first"),
    ] {
        let error = load_bytes(bytes, false).unwrap_err();
        let expected = format!("test.csv: line 1: neither CSV text nor gzip: {message}");
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, LoadError::NotText { line: 1, .. }));
    }
    let endless = std::io::repeat(0);
    let text = Box::new(std::io::BufReader::new(endless));
    let mut window = super::super::window::Window::new(text);
    let line = window.line(0).unwrap().unwrap();
    assert_eq!(
        TextProblem::of_line(&window.bytes()[..line.end], line.fits),
        Some(TextProblem::Binary)
    );
}

/// A message only counted the rows, so nothing said why a file was refused.
#[test]
fn file_without_a_usable_row_tells_all_reasons() {
    let unknown = "2001-01-01T00:01,33,2176,QQQ,PHL\n";
    let error = load_rows(&format!("what,is,this\n{}", unknown.repeat(5))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "test.csv: no usable row of 6: wrong number of columns in 1 (line 2; first 3 instead of 5), \
         unknown origin in 5 (lines 3, 4, 5, …; first `QQQ`)"
    );
}

/// A quoted field could not go on in the next line.
#[test]
fn quoted_field_goes_on_over_lines_where_that_makes_a_record() {
    let broken = "2001-01-01T00:01,33,\"2176\n\",LAS,\"\r\nPHL\n\"\n";
    let loaded = load_rows(&format!("{GOOD_ROW}\n{broken}{GOOD_ROW}\n")).unwrap();
    assert_eq!((loaded.data.len(), loaded.rows, loaded.skipped.count), (3, 3, 0));
    assert_eq!(loaded.data.as_slice()[0], loaded.data.as_slice()[1]);
}

#[test]
fn quote_that_is_not_closed_costs_its_own_line() {
    let quoted = "\"2001-01-01T00:01\",\"33\",\"2176\",\"LAS\",\"PHL\"";
    let stray = "2001-01-01T00:01,\"33,2176,LAS,PHL";
    for after in [1, 3, 6, 7, 8, 9, 200] {
        for row in [GOOD_ROW, quoted] {
            let rows = format!("{stray}\n{}", format!("{row}\n").repeat(after));
            let loaded = load_rows(&rows).unwrap();
            assert_eq!((loaded.data.len(), loaded.skipped.count), (after, 1), "{after} of {row}");
            assert_eq!(loaded.skipped.first[0].line, 2);
        }
    }
    // Each line ends within quotes, alone and behind the one before.
    let hostile = "a\",b,\"c\n".repeat(20_000);
    let loaded = load_rows(&format!("{GOOD_ROW}\n{hostile}")).unwrap();
    assert_eq!((loaded.rows, loaded.skipped.count), (20_001, 20_000));
}

/// Zeros behind the last member, as tapes leave them, were taken for a corrupt member, and so was
/// text, though all of the data was there.
#[test]
fn bytes_behind_the_last_gzip_member_are_padding_or_an_error() {
    let mut bytes = compress(format!("{FLIGHTS_HEADER}\n{GOOD_ROW}\n").as_bytes());
    let length = bytes.len();
    bytes.extend([0; 512]);
    assert_eq!(load_bytes(&bytes, true).unwrap().data.len(), 1);
    bytes.extend(b"#!/bin/sh\nexit 0 # and so on\n");
    let error = load_bytes(&bytes, false).unwrap_err();
    assert!(matches!(error, LoadError::TrailingBytes { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "test.csv: trailing garbage after the gzip data: `#!/bin/sh\\nexit 0 # and…` at byte {}, \
             where only zeros or more gzip may stand",
            length + 512
        )
    );
}

#[test]
fn truncated_or_altered_gzip_is_an_error() {
    let Source::Bytes { bytes, .. } = EMBEDDED_FLIGHTS else { panic!("embedded") };
    for kept in [3, 10, 1_000, bytes.len() / 2, bytes.len() - 1] {
        let error = load_bytes(&bytes[..kept], false).unwrap_err();
        assert!(matches!(error, LoadError::Compression { .. }), "{kept}: {error}");
    }
    let mut altered = bytes.to_vec();
    let middle = altered.len() / 2;
    altered[middle] ^= 0x55;
    let error = load_bytes(&altered, false).unwrap_err();
    assert!(matches!(error, LoadError::Compression { .. }), "{error}");
}

#[test]
fn hundreds_of_thousands_of_rows_load_whole() {
    let week = week_text();
    let mut text = format!("{FLIGHTS_HEADER}\n").into_bytes();
    for _ in 0..3 {
        text.extend_from_slice(&week);
    }
    for bytes in [&text, &compress(&text)] {
        let loaded = load_bytes(bytes, true).unwrap();
        assert_eq!((loaded.data.len(), loaded.rows), (340_479, 340_479));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2_000), packed: bool, body: bool) {
        let mut text = if body { format!("{FLIGHTS_HEADER}\n").into_bytes() } else { Vec::new() };
        text.extend_from_slice(&bytes);
        let text = if packed { compress(&text) } else { text };
        // Random bytes hold no flight, so the load ends in one error or another.
        prop_assert!(load_bytes(&text, false).is_err());
        prop_assert!(load_bytes(&text, true).is_err());
    }

    #[test]
    fn random_bytes_after_the_gzip_magic_never_panic(bytes in vec(any::<u8>(), 0..500)) {
        let mut packed = vec![0x1f, 0x8b, 8];
        packed.extend_from_slice(&bytes);
        prop_assert!(load_bytes(&packed, false).is_err());
    }

    #[test]
    fn mutated_rows_cost_at_most_themselves(
        position in 0..GOOD_ROW.len(),
        replacement in "[ -~\t\r\"]{0,3}",
    ) {
        let mut row = GOOD_ROW.to_string();
        row.replace_range(position..=position, &replacement);
        let loaded = load_rows(&format!("{GOOD_ROW}\n{row}\n{GOOD_ROW}\n")).unwrap();
        prop_assert_eq!(loaded.data.len() as u64 + loaded.skipped.count, loaded.rows);
        prop_assert!(loaded.data.len() >= 2);
        if let Some(skipped) = loaded.skipped.first.first() {
            prop_assert_eq!(skipped.line, 3);
        }
    }

    #[test]
    fn row_bytes_of_any_kind_keep_the_count(rows in vec(vec(any::<u8>(), 0..60), 0..20)) {
        let mut text = format!("{FLIGHTS_HEADER}\n{GOOD_ROW}\n").into_bytes();
        for row in &rows {
            text.extend_from_slice(row);
            text.push(b'\n');
        }
        let loaded = load_bytes(&text, false).unwrap();
        prop_assert_eq!(loaded.data.len() as u64 + loaded.skipped.count, loaded.rows);
    }
}
