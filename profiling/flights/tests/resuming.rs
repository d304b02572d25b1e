//! Runs of the main job that are saved, killed and resumed: their results are those of a run that never stopped.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use profiling::input::FLIGHTS_HEADER;
use serde_json::Value;

const AIRPORTS: [&str; 8] = ["LAS", "PHL", "LAX", "JFK", "ORD", "DFW", "SEA", "MIA"];

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("resuming").join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Flights of two days between a few airports.
fn flights(folder: &Path, count: usize) -> PathBuf {
    let mut rows = format!("{FLIGHTS_HEADER}\n");
    for number in 0..count {
        let (minute, delay) = (number * 2_880 / count, (number * 37 % 90) as i32 - 20);
        let (day, hour, minute) = (minute / 1_440 + 1, minute / 60 % 24, minute % 60);
        let (from, to) = (AIRPORTS[number % 8], AIRPORTS[(number + 1 + number / 8 % 7) % 8]);
        let departure = format!("2001-01-0{day}T{hour:02}:{minute:02}");
        writeln!(rows, "{departure},{delay},1500,{from},{to}").unwrap();
    }
    let path = folder.join("flights.csv");
    fs::write(&path, rows).unwrap();
    path
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_airtraffic"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn report(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether the process ends by itself in this time.
fn ends_within(child: &mut Child, time: Duration) -> bool {
    thread::sleep(time);
    child.try_wait().unwrap().is_some()
}

#[test]
fn a_run_that_is_killed_200_times_has_the_results_of_one_that_never_stopped() {
    let folder = folder("kills");
    let (flights, file) = (flights(&folder, 1_500), folder.join("run.cvy"));
    let input = ["--json", "--frames", "12000", "--flights", text(&flights), "--every", "0.2"];
    let start = Instant::now();
    let plain = report(&run(&input[..5]));
    let whole = start.elapsed();
    assert_eq!(plain["results_equal"], true);
    let (mut kills, mut finished, mut resumed_far) = (0, 0, 0);
    while kills < 200 || (finished.min(resumed_far) < 3 && kills < 2_000) {
        let mut arguments = input.to_vec();
        arguments.extend(["--checkpoint", text(&file)]);
        if file.exists() {
            arguments.extend(["--resume", text(&file)]);
        }
        let mut child = command(&arguments).spawn().unwrap();
        // Not evenly, so that some are killed at once, and some get far, however long a run takes here.
        let patience = whole * (kills * kills * 7 % 120) / 4_000;
        if !ends_within(&mut child, patience) {
            child.kill().unwrap();
            kills += 1;
        }
        let output = child.wait_with_output().unwrap();
        if output.status.code().is_none() {
            continue;
        }
        let end = report(&output);
        assert_eq!((&end["checksum"], &end["faults"]), (&plain["checksum"], &0.into()));
        for (one, other) in
            end["modules"].as_array().unwrap().iter().zip(plain["modules"].as_array().unwrap())
        {
            assert_eq!((&one["name"], &one["runs"]), (&other["name"], &other["runs"]));
            assert_eq!(one["checksum"], other["checksum"]);
        }
        resumed_far += u32::from(end["resumed_after"].as_u64() > Some(100));
        finished += 1;
        fs::remove_file(&file).unwrap();
    }
    assert!(
        finished >= 3 && resumed_far >= 3,
        "{finished} runs came to their end, {resumed_far} resumed"
    );
}

#[test]
fn a_resumed_run_goes_on_to_any_frame_with_and_without_threads() {
    let folder = folder("frames");
    let flights = flights(&folder, 1_000);
    for threads in ["0", "1", "3"] {
        let file = folder.join(format!("{threads}.cvy"));
        let base = ["--json", "--threads", threads, "--flights", text(&flights)];
        let with = |more: &[&str]| report(&run(&[&base[..], more].concat()));
        let whole = with(&["--frames", "3000"]);
        let saved = with(&["--frames", "1500", "--every", "1", "--checkpoint", text(&file)]);
        assert!(saved["checkpoints"]["completed"].as_u64() > Some(1), "{saved}");
        let resumed = with(&["--frames", "3000", "--resume", text(&file)]);
        assert!(resumed["resumed_after"].as_u64() > Some(0), "{resumed}");
        assert_eq!(resumed["checksum"], whole["checksum"]);
        assert_eq!(resumed["conflict_pairs_max"], whole["conflict_pairs_max"]);
        assert_eq!(resumed["checkpoints"], Value::Null);
    }
}

#[test]
fn files_that_do_not_go_with_the_arguments_are_refused_in_one_line() {
    let folder = folder("refused");
    let (flights, file) = (flights(&folder, 200), folder.join("run.cvy"));
    let base = ["--json", "--frames", "300", "--flights", text(&flights)];
    let with = |more: &[&str]| run(&[&base[..], more].concat());
    let refuses = |more: &[&str], message: &str| {
        let output = with(more);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.starts_with("error: ") && error.contains(message), "{error}");
    };
    report(&with(&["--checkpoint", text(&file), "--every", "1"]));
    refuses(&["--checkpoint", text(&file)], "there already: name it by --resume as well");
    refuses(&["--resume", text(&folder.join("none"))], "none");
    refuses(&["--resume", text(&flights)], "checkpoint");
    refuses(&["--resume", text(&file), "--seed", "1"], "saved with --seed 2001, and not 1");
    refuses(&["--resume", text(&file), "--time-scale", "60"], "--time-scale");
    refuses(
        &["--resume", text(&file), "--threads", "0"],
        r#"saved with --threads "1 or more", and not "0""#,
    );
    refuses(&["--checkpoint", text(&folder)], "refused");
    let empty = folder.join("empty.cvy");
    fs::write(&empty, []).unwrap();
    let output = with(&["--resume", text(&empty)]);
    assert_eq!(report(&output)["resumed_after"], 0);
    assert!(String::from_utf8(output.stderr).unwrap().contains("from the beginning"));
    let other = folder.join("other");
    fs::create_dir_all(&other).unwrap();
    let fewer = self::flights(&other, 100);
    let output = run(&["--flights", text(&fewer), "--resume", text(&file)]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("--flights"));
    let contents = report(&run(&["inspect", text(&file), "--json"]));
    let names = contents["attachments"].as_array().unwrap().iter();
    assert!(names.map(|each| each["name"].as_str().unwrap()).eq(["host", "run"]));
    let end = report(&with(&["--resume", text(&file)]));
    let after = end["resumed_after"].as_u64().unwrap();
    let fewer = (after - 1).max(1).to_string();
    let output = run(&["--frames", &fewer, "--flights", text(&flights), "--resume", text(&file)]);
    let error = String::from_utf8(output.stderr).unwrap();
    let message = format!("frame {after}, after the last of --frames {fewer}");
    assert!(error.contains(&message) || after < 2, "{error}");
    // Not a checkpoint of this job, and one that is damaged.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/checkpoint-1.cvy");
    refuses(&["--resume", text(&golden)], "it is no checkpoint of this job");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[8_192..middle].fill(7);
    fs::write(&file, bytes).unwrap();
    refuses(&["--resume", text(&file)], "run.cvy");
}
