//! The promises of the binaries: reports that can be read, and one clear line with exit status 2 for
//! input that can't be used.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use profiling::input::{AIRPORTS_HEADER, FLIGHTS_HEADER};
use serde_json::Value;

const ROW: &str = "2001-01-01T00:01,33,2176,LAS,PHL";

fn airtraffic(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_airtraffic")).args(arguments).output().unwrap()
}

/// A file of this test's own.
fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command_line");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_string()
}

fn flights(name: &str, rows: &str) -> String {
    file(name, format!("{FLIGHTS_HEADER}\n{rows}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs with `arguments` and expects one line on standard error that has `message` in it.
fn refuses(arguments: &[&str], message: &str) {
    let output = airtraffic(arguments);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    assert!(error.starts_with("error: ") && error.contains(message), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

#[test]
fn files_that_cannot_be_used_are_refused_in_one_line() {
    refuses(&["--flights", "/no/such/file.csv"], "/no/such/file.csv");
    refuses(&["--airports", "/no/such/file.csv"], "/no/such/file.csv");
    refuses(&["--flights", "/"], "cannot read /");
    let embedded = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/flights-2001-week1.csv.gz");
    let packed = fs::read(embedded).unwrap();
    let truncated = file("truncated.csv.gz", &packed[..packed.len() / 2]);
    refuses(&["--flights", &truncated], "truncated or corrupt gzip");
    let fake = file("fake.csv.gz", b"\x1f\x8bnothing that gzip knows");
    refuses(&["--flights", &fake], "truncated or corrupt gzip");
    let binary = file("binary.csv", b"\x7fELF\0\0\xff\xfe\n");
    refuses(&["--flights", &binary], "neither CSV text nor gzip");
    let header = file("header.csv", "from,to\nLAS,PHL\n");
    refuses(&["--flights", &header], "wrong header: column 1 is `from`, expected `departure`");
    refuses(&["--airports", &header], "wrong header: column 1 is `from`, expected `iata`");
    let empty = file("empty.csv", "");
    refuses(&["--flights", &empty], "the file is empty");
    let no_rows = flights("no-rows.csv", "");
    refuses(&["--flights", &no_rows], "no usable row");
    let unknown = flights("unknown.csv", &ROW.replace("LAS", "QQQ"));
    refuses(
        &["--flights", &unknown],
        "no usable row of 1: unknown origin in 1 (line 2; first `QQQ`)",
    );
    let garbage = file("garbage.csv.gz", [packed.as_slice(), b"garbage"].concat());
    let place = format!("trailing garbage after the gzip data: `garbage` at byte {}", packed.len());
    refuses(&["--flights", &garbage], &place);
    let airports = file("airports.csv", format!("{AIRPORTS_HEADER}\n"));
    refuses(&["--airports", &airports], "no usable row");
}

#[test]
fn first_unusable_row_is_fatal_when_strict() {
    let cases = [
        ("2001-02-30T00:01,33,2176,LAS,PHL", "invalid departure"),
        ("2001-01-01T00:01,99999,2176,LAS,PHL", "impossible delay `99999`"),
        ("2001-01-01T00:01,33,2176,QQQ,PHL", "unknown origin `QQQ`"),
        ("what,is,this", "3 columns instead of 5"),
    ];
    for (number, (row, message)) in cases.into_iter().enumerate() {
        let path = flights(&format!("strict-{number}.csv"), &format!("{ROW}\n{row}\n{ROW}\n"));
        refuses(&["--strict", "--flights", &path], &format!("line 3: {message}"));
    }
}

#[test]
fn unusable_rows_are_skipped_counted_and_shown() {
    let bad = "2001-01-01T00:01,33,2176,QQQ,PHL\n".repeat(7);
    let path = flights("skipped.csv", &format!("{ROW}\n{bad}{ROW}\n"));
    let output = airtraffic(&["--json", "--frames", "30", "--flights", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["flights"], &report["skipped_rows"]), (&2.into(), &7.into()));
    let notes = stderr(&output);
    assert!(notes.contains("7 of 9 rows skipped"), "{notes}");
    for line in 3..8 {
        assert!(notes.contains(&format!("line {line}: unknown origin `QQQ`")), "{notes}");
    }
    assert!(!notes.contains("line 8"), "only five are shown: {notes}");
    assert!(notes.contains("and 2 more"), "{notes}");
}

#[test]
fn file_of_the_bureau_is_replayed() {
    let sample =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reporting-carrier-2001-1.csv");
    let path = sample.to_str().unwrap();
    let output = airtraffic(&["--json", "--strict", "--frames", "60", "--flights", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["flights"], &report["cancelled_flights"]), (&9.into(), &1.into()));
    assert!(stderr(&output).contains("cancelled flights left out: 1"), "{}", stderr(&output));
}

#[test]
fn usage_errors_name_the_argument() {
    for arguments in [["--frames", "0"], ["--threads", "-1"], ["--time-scale", "never"]] {
        let output = airtraffic(&arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(arguments[0]));
    }
}

#[test]
fn json_has_all_keys_in_their_types() {
    for threads in ["0", "1"] {
        let arguments =
            ["--json", "--frames", "1300", "--time-scale", "3600", "--threads", threads];
        let output = airtraffic(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(output.stderr.is_empty(), "no bar without a terminal: {}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in [
            "frames",
            "flights",
            "skipped_rows",
            "departed_flights",
            "landed_flights",
            "airborne_peak",
            "snapshot_bytes_individual",
            "snapshot_bytes_convoy",
            "sync_ns_individual",
            "sync_ns_convoy",
            "steady_frames",
            "steady_allocations",
            "steady_frees",
            "mapped_growth_bytes",
            "conflict_pairs_max",
            "conflict_pairs_listed_max",
        ] {
            assert!(report[key].is_u64(), "{key}: {}", report[key]);
        }
        for key in ["memory_ratio", "sync_ratio", "reuse_rate"] {
            assert!(report[key].is_f64(), "{key}: {}", report[key]);
        }
        assert_eq!(report["results_equal"], Value::Bool(true));
        assert_eq!(report["checksum"].as_str().map(str::len), Some(16));
        assert_eq!((&report["frames"], &report["steady_frames"]), (&1300.into(), &700.into()));
        assert!(report["airborne_peak"].as_u64().unwrap() > 1_000);
        assert!(report["memory_ratio"].as_f64().unwrap() <= 0.05);
        assert_eq!(report["mapped_growth_bytes"], 0);
    }
}

/// Conflict detection listed every pair of flights in conflict. 200,000 flights of one minute on one
/// route have 20,000 million, so the job ran out of memory; and the world kept fewer events than
/// they departed with in one frame, so modules missed landings.
#[cfg(target_os = "linux")]
#[test]
fn flights_of_one_minute_on_one_route_fit_in_two_gibibytes() {
    let path = flights("one-minute.csv", &format!("{ROW}\n").repeat(200_000));
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_airtraffic");
    command.args(["-c", "ulimit -v 2097152 && exec \"$@\"", "sh", program, "--json"]);
    command.args(["--frames", "30", "--time-scale", "60000", "--flights", &path]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["airborne_peak"], 200_000);
    assert_eq!(report["conflict_pairs_max"], 200_000_u64 * 199_999 / 2);
    assert_eq!(report["conflict_pairs_listed_max"], 65_536);
    assert_eq!((&report["alert_commands"], &report["faults"]), (&400_000.into(), &0.into()));
    assert_eq!(report["results_equal"], true);
}

/// One row of another year moved the beginning of the simulation there, and the report of a week
/// without traffic looked like any other.
#[test]
fn report_tells_how_many_flights_departed() {
    let typo = ROW.replace("2001", "1971");
    let path = flights("typo.csv", &format!("{}{typo}\n", format!("{ROW}\n").repeat(3)));
    let output = airtraffic(&["--frames", "60", "--time-scale", "60000", "--flights", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("\n1 of 4 flights departed and 1 landed\n"), "{table}");
}

#[test]
fn table_shows_targets_and_verdicts() {
    let output = airtraffic(&["--frames", "120"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for word in ["individual", "convoy", "ratio", "target", "met", "snapshot memory", "equal"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(table.lines().all(|line| line == line.trim_end()));
}

#[cfg(target_os = "linux")]
#[test]
fn report_that_cannot_be_written_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_airtraffic"));
    let output = command.args(["--frames", "10"]).stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the report can't be written"));
}

#[test]
fn heap_profile_is_one_that_the_viewer_opens() {
    let path = file("dhat-heap.json", "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_heap"));
    let output = command.args(["--frames", "120", "--output", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((&profile["dhatFileVersion"], &profile["mode"]), (&2.into(), &"rust-heap".into()));
    assert!(!profile["pps"].as_array().unwrap().is_empty());
    heap_refuses(&["--output", "/no/such/folder/heap.json"], "/no/such/folder/heap.json");
}

/// Copies of modules are neither on the heap nor in the world that is profiled, and were not told.
#[test]
fn heap_profile_tells_copies_and_cells() {
    for (stretch, copies) in [("individual", true), ("convoy", false)] {
        let path = file(&format!("dhat-{stretch}.json"), "");
        let mut command = Command::new(env!("CARGO_BIN_EXE_heap"));
        let output = command.args([stretch, "--frames", "60", "--output", &path]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("idle cells of snapshots"), "{printed}");
        assert_eq!(printed.contains("copies of modules"), copies, "{printed}");
    }
}

/// Runs the heap profile and expects one line on standard error that has `message` in it.
fn heap_refuses(arguments: &[&str], message: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_heap")).args(arguments).output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(message), "{error}");
}

/// A profile was begun by emptying its file, so an input that could not be used cost the last
/// profile, and one that was to be profiled into itself was lost.
#[test]
fn heap_profile_that_fails_leaves_files_alone() {
    let kept = file("kept.json", "a profile");
    heap_refuses(&["--flights", "/no/such/file.csv", "--output", &kept], "/no/such/file.csv");
    assert_eq!(fs::read(&kept).unwrap(), b"a profile");
    let fresh = Path::new(&kept).with_file_name("fresh.json");
    let _ = fs::remove_file(&fresh);
    let output = fresh.to_str().unwrap();
    heap_refuses(&["--flights", "/no/such/file.csv", "--output", output], "/no/such/file.csv");
    assert!(!fresh.exists());
    let input = flights("input.csv", &format!("{ROW}\n"));
    let before = fs::read(&input).unwrap();
    heap_refuses(&["--flights", &input, "--output", &input], "it is the input");
    assert_eq!(fs::read(&input).unwrap(), before);
}

#[test]
fn page_is_complete_in_itself() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page/below");
    let _ = fs::remove_dir_all(&folder);
    let folder_name = folder.to_str().unwrap();
    // Also of runs that are too short for most charts, and without workers.
    for frames in ["1", "2", "7", "700"] {
        let threads = if frames == "7" { "0" } else { "1" };
        let run = ["--frames", frames, "--threads", threads, "--report", folder_name];
        let output = airtraffic(&run);
        assert!(output.status.success(), "{frames}: {}", stderr(&output));
        assert!(stderr(&output).contains("index.html"));
        let page = fs::read_to_string(folder.join("index.html")).unwrap();
        for absent in ["<script", "http", "NaN", "inf\"", "#FA01"] {
            assert!(!page.contains(absent), "{frames} frames: {absent}");
        }
        let figures = ["frame-times", "capture-times", "snapshot-bytes", "timeline"];
        for figure in figures.iter().chain(&["chunk-states", "allocations", "map-1"]) {
            let count = page.matches(&format!("<section id=\"{figure}\"")).count();
            assert_eq!(count, 1, "{frames} frames: {figure}");
        }
        let drawn = page.matches("<svg").count();
        assert_eq!(drawn, 2 * page.matches("<figure").count(), "for large and small screens");
        assert_eq!(drawn, page.matches("</svg>").count());
        assert!(
            page.contains(if threads == "0" { "frame ticker" } else { "egress" }) || frames == "1"
        );
    }
}

#[test]
fn page_that_cannot_be_written_is_refused_before_the_run() {
    let file = file("no folder", "");
    refuses(&["--report", &format!("{file}/below")], "index.html can't be written");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("taken");
    fs::create_dir_all(folder.join("index.html")).unwrap();
    refuses(&["--report", folder.to_str().unwrap()], "index.html can't be written");
    let frames = u64::MAX.to_string();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("long");
    refuses(
        &["--frames", &frames, "--report", folder.to_str().unwrap()],
        "--report keeps each frame",
    );
}
