//! The promises of loading flights in the Bureau's layout.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{
    EMBEDDED_AIRPORTS, FlightSet, LoadError, LoadOptions, Loaded, Source, load_airports,
    load_flights,
};
use super::*;

/// Ten rows as the Bureau publishes them, with all of its columns: 2400 twice, one cancelled and
/// one diverted.
const SAMPLE: &str = include_str!("../../tests/data/reporting-carrier-2001-1.csv");

fn load(bytes: &[u8], strict: bool) -> Result<Loaded<FlightSet>, LoadError> {
    let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions { strict: true }).unwrap().data;
    load_flights(&Source::Bytes { name: "test.csv", bytes }, &airports, LoadOptions { strict })
}

fn error(text: &str) -> String {
    load(text.as_bytes(), false).unwrap_err().to_string()
}

/// Rows with the columns that are read and one more.
fn small(rows: &str) -> String {
    format!("FlightDate,CRSDepTime,DepDelay,Distance,Carrier,Origin,Dest,Cancelled\n{rows}")
}

/// Departures to the day, hour and minute, delays in seconds and distances.
fn figures(loaded: &Loaded<FlightSet>) -> Vec<([u32; 3], i32, u32)> {
    let flights = loaded.data.as_slice().iter().map(|flight| {
        let minutes = flight.departure_s / 60;
        let clock = [minutes / 1_440 + 1, minutes / 60 % 24, minutes % 60];
        (clock, flight.delay_s, flight.distance_mi)
    });
    flights.collect()
}

#[test]
fn file_as_the_bureau_publishes_it_is_read() {
    let loaded = load(SAMPLE.as_bytes(), true).unwrap();
    assert_eq!((loaded.rows, loaded.data.len(), loaded.data.cancelled()), (10, 9, 1));
    assert_eq!(
        (loaded.skipped.count, loaded.data.first_date().to_string().as_str()),
        (0, "2001-01-01")
    );
    assert_eq!(
        figures(&loaded),
        [
            ([1, 0, 1], 33 * 60, 2_176),
            ([1, 10, 0], -5 * 60, 2_475),
            ([2, 23, 59], 0, 215),
            ([3, 0, 0], 12 * 60, 215),
            ([3, 9, 5], 240 * 60, 802),
            ([4, 7, 0], -12 * 60, 954),
            ([5, 8, 30], 3 * 60, 760),
            ([6, 17, 59], 95 * 60, 2_475),
            ([7, 23, 10], 50 * 60, 2_176),
        ]
    );
    let own = format!("{FLIGHTS_HEADER}\n2001-01-01T00:01,33,2176,LAS,PHL\n");
    let own = load(own.as_bytes(), true).unwrap();
    assert_eq!(own.data.as_slice()[0], loaded.data.as_slice()[0], "both layouts mean the same");
}

#[test]
fn wrapping_of_the_file_does_not_matter() {
    let flights = load(SAMPLE.as_bytes(), true).unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(SAMPLE.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let lines: Vec<&str> = SAMPLE.lines().collect();
    let without_trailing_comma = SAMPLE.replace(",\n", "\n");
    let mixed = format!("{}\n{}", lines[0], &without_trailing_comma[lines[0].len()..]);
    let quoted_break =
        SAMPLE.replace("\"Dallas/Fort Worth, TX\"", "\"Dallas/\r\nFort \"\"Worth\"\",\nTX\"");
    assert_ne!(quoted_break, SAMPLE);
    for bytes in [
        packed,
        SAMPLE.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{SAMPLE}").into_bytes(),
        format!("\n\r\n{SAMPLE}\n\n").into_bytes(),
        SAMPLE.trim_end().as_bytes().to_vec(),
        without_trailing_comma.into_bytes(),
        mixed.into_bytes(),
        quoted_break.into_bytes(),
        SAMPLE.replace("\"Reporting_Airline\"", "\"UniqueCarrier\"").into_bytes(),
    ] {
        let loaded = load(&bytes, true).unwrap();
        assert_eq!(loaded.data.as_slice(), flights.data.as_slice());
        assert_eq!((loaded.rows, loaded.data.cancelled()), (10, 1));
    }
}

#[test]
fn columns_may_stand_in_any_order_and_need_only_be_those_read() {
    let text = "Dest,Cancelled,Distance,Origin,CRSDepTime,DepDelay,FlightDate\n\
                PHL,0,2176,LAS,1,33,2001-01-01\n";
    let loaded = load(text.as_bytes(), true).unwrap();
    assert_eq!(figures(&loaded), [([1, 0, 1], 33 * 60, 2_176)]);
}

#[test]
fn lines_are_counted_over_quoted_breaks() {
    let row = "2001-01-01,0001,0.00,2176.00,\"one\ntwo\r\n\nthree\",LAS,PHL,0.00\n";
    let bad = "2001-01-32,0001,0.00,2176.00,XX,LAS,PHL,0.00\n";
    let loaded = load(small(&format!("{row}{bad}\n{row}{bad}")).as_bytes(), false).unwrap();
    assert_eq!((loaded.data.len(), loaded.rows), (2, 4));
    let shown: Vec<String> = loaded.skipped.first.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["line 6: invalid date `2001-01-32`", "line 12: invalid date `2001-01-32`"]);
}

#[test]
fn each_unusable_row_is_named_with_its_line() {
    let good = "2001-01-01,0001,33.00,2176.00,HP,LAS,PHL,0.00";
    for (row, message) in [
        ("20010101,0001,33.00,2176.00,HP,LAS,PHL,0.00", "invalid date `20010101`"),
        ("2001-02-29,0001,33.00,2176.00,HP,LAS,PHL,0.00", "invalid date `2001-02-29`"),
        ("2001-01-01,2401,33.00,2176.00,HP,LAS,PHL,0.00", "invalid time of departure `2401`"),
        ("2001-01-01,00:01,33.00,2176.00,HP,LAS,PHL,0.00", "invalid time of departure `00:01`"),
        ("2001-01-01,,33.00,2176.00,HP,LAS,PHL,0.00", "invalid time of departure ``"),
        ("2001-01-01,0001,,2176.00,HP,LAS,PHL,0.00", "impossible delay ``"),
        ("2001-01-01,0001,NaN,2176.00,HP,LAS,PHL,0.00", "impossible delay `NaN`"),
        ("2001-01-01,0001,1e1,2176.00,HP,LAS,PHL,0.00", "impossible delay `1e1`"),
        ("2001-01-01,0001,2880.01,2176.00,HP,LAS,PHL,0.00", "impossible delay `2880.01`"),
        ("2001-01-01,0001,-1440.5,2176.00,HP,LAS,PHL,0.00", "impossible delay `-1440.5`"),
        ("2001-01-01,0001,33.00,0.4,HP,LAS,PHL,0.00", "impossible distance `0.4`"),
        ("2001-01-01,0001,33.00,12452,HP,LAS,PHL,0.00", "impossible distance `12452`"),
        ("2001-01-01,0001,33.00,2176.00,HP,LAS,PHL,", "neither cancelled nor not ``"),
        ("2001-01-01,0001,33.00,2176.00,HP,LAS,PHL,0.5", "neither cancelled nor not `0.5`"),
        ("2001-01-01,0001,33.00,2176.00,HP,QQQ,PHL,0.00", "unknown origin `QQQ`"),
        ("2001-01-01,0001,33.00,2176.00,HP,LAS,PH\0,0.00", "unknown destination `PH\\x00`"),
        ("2001-01-01,0001,33.00,2176.00,HP,LAS,PHL,0.00,x", "9 columns instead of 8"),
        ("2001-01-01,0001,33.00,2176.00,HP,LAS,PHL,0.00,,", "10 columns instead of 8"),
        ("2001-01-01,0001,33.00,2176.00,HP,LAS,PHL", "7 columns instead of 8"),
    ] {
        let loaded = load(small(&format!("{good}\n{row}\n{good}\n")).as_bytes(), false).unwrap();
        assert_eq!((loaded.data.len(), loaded.rows, loaded.skipped.count), (2, 3, 1), "{row}");
        assert_eq!(loaded.skipped.first[0].to_string(), format!("line 3: {message}"));
    }
    let fraction = good.replace("33.00", "-0.25");
    let loaded = load(small(&fraction).as_bytes(), true).unwrap();
    assert_eq!(loaded.data.as_slice()[0].delay_s, -15);
    let odd = good.replace("HP", "\u{fffd}").replace("LAS", "LAS ");
    assert_eq!(load(small(&odd).as_bytes(), true).unwrap().data.len(), 1);
}

#[test]
fn header_at_fault_names_its_column() {
    for column in BUREAU_COLUMNS {
        let lacks = SAMPLE.replace(&format!("\"{column}\""), "\"Else\"");
        let expected = format!("test.csv: line 1: wrong header: no column is `{column}`");
        assert_eq!(error(&lacks), expected);
    }
    let repeats = SAMPLE.replace("\"OriginWac\"", "\"Origin\"");
    assert_eq!(error(&repeats), "test.csv: line 1: wrong header: column 20 is a second `Origin`");
}

#[test]
fn file_without_a_flight_that_took_place_says_so() {
    let cancelled = "2001-01-01,0001,,2176.00,HP,LAS,PHL,1.00\n";
    assert_eq!(
        error(&small(&cancelled.repeat(2))),
        "test.csv: no usable row, as all flights are cancelled (2)"
    );
    let unknown = "2001-01-01,0001,33.00,2176.00,HP,QQQ,PHL,0.00\n";
    assert_eq!(
        error(&small(&format!("{cancelled}{}", unknown.repeat(4)))),
        "test.csv: no usable row of 5: 1 cancelled, unknown origin in 4 (lines 3, 4, 5, …; \
         first `QQQ`)"
    );
}

proptest! {
    #[test]
    fn bytes_of_any_kind_keep_the_count(rows in vec(vec(any::<u8>(), 0..80), 0..12)) {
        let mut text = small("2001-01-01,0001,33.00,2176.00,HP,LAS,PHL,0.00\n").into_bytes();
        for row in &rows {
            text.extend_from_slice(row);
            text.push(b'\n');
        }
        let loaded = load(&text, false).unwrap();
        let (read, skipped) = (loaded.data.len() as u64, loaded.skipped.count);
        prop_assert_eq!(read + loaded.data.cancelled() + skipped, loaded.rows);
        prop_assert_eq!(loaded.skipped.reasons.iter().map(|reason| reason.count).sum::<u64>(), skipped);
    }

    #[test]
    fn changed_row_costs_at_most_itself(
        position in 0..400_usize,
        replacement in "[ -~\t\r\"\n]{0,3}",
    ) {
        let mut rows: Vec<String> = SAMPLE.lines().map(String::from).collect();
        let position = position.min(rows[2].len() - 1);
        rows[2].replace_range(position..=position, &replacement);
        let loaded = load(rows.join("\n").as_bytes(), false).unwrap();
        prop_assert!(loaded.data.len() >= 8, "{}", loaded.data.len());
    }
}
