//! Measurements that are not times: bytes, mostly. Criterion has no place for them, so they lie
//! in files of their own beside its output.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde_json::{Value, json};

/// One value that a benchmark measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Measure {
    /// The group of the benchmark.
    pub group: String,
    /// The workload.
    pub workload: String,
    /// The subject.
    pub subject: String,
    /// How much, in `unit`.
    pub value: f64,
    /// Nanoseconds, bytes.
    pub unit: String,
}

impl Measure {
    /// A measurement in bytes.
    pub fn bytes(group: &str, workload: &str, subject: &str, bytes: usize) -> Self {
        Self {
            group: group.to_owned(),
            workload: workload.to_owned(),
            subject: subject.to_owned(),
            value: bytes as f64,
            unit: "bytes".to_owned(),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "group": self.group,
            "workload": self.workload,
            "subject": self.subject,
            "value": self.value,
            "unit": self.unit,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Self {
            group: text("group")?,
            workload: text("workload")?,
            subject: text("subject")?,
            value: value.get("value")?.as_f64()?,
            unit: text("unit")?,
        })
    }
}

/// Where criterion writes.
fn criterion_home() -> PathBuf {
    if let Some(home) = env::var_os("CRITERION_HOME") {
        return home.into();
    }
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    target.join("criterion")
}

/// Prints the measurements of one benchmark and leaves them for the report.
///
/// # Errors
///
/// When the file can't be written.
pub fn write_measures(benchmark: &str, measures: &[Measure]) -> io::Result<()> {
    for Measure { group, workload, subject, value, unit } in measures {
        eprintln!("{group:<20} {workload:<24} {subject:<20} {value:>16.0} {unit}");
    }
    let folder = criterion_home().join("measures");
    fs::create_dir_all(&folder)?;
    let list: Vec<Value> = measures.iter().map(Measure::to_json).collect();
    let text = serde_json::to_string_pretty(&list)?;
    fs::write(folder.join(benchmark).with_extension("json"), text + "\n")
}

/// Everything that was measured: the median times of criterion's last run, in nanoseconds, and
/// the measures of [`write_measures`]. Sorted by group, workload and subject.
///
/// # Errors
///
/// When a file can't be read, or there is no output at all.
pub fn read_measures() -> io::Result<Vec<Measure>> {
    let home = criterion_home();
    let mut measures = Vec::new();
    read_folder(&home, &mut measures)?;
    measures.sort_by(|left, right| {
        let key = |measure: &Measure| {
            (measure.group.clone(), measure.workload.clone(), measure.subject.clone())
        };
        key(left).cmp(&key(right))
    });
    Ok(measures)
}

fn read_folder(folder: &Path, measures: &mut Vec<Measure>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.ends_with("new") {
            measures.extend(read_benchmark(&path)?);
        } else if path.is_dir() && path.ends_with("measures") {
            for entry in fs::read_dir(path)? {
                let list: Value = serde_json::from_slice(&fs::read(entry?.path())?)?;
                let list = list.as_array().map_or(&[][..], Vec::as_slice);
                measures.extend(list.iter().filter_map(Measure::from_json));
            }
        } else if path.is_dir() {
            read_folder(&path, measures)?;
        }
    }
    Ok(())
}

/// Criterion's files of one benchmark: its id, and estimates of its time.
fn read_benchmark(folder: &Path) -> io::Result<Option<Measure>> {
    let id: Value = serde_json::from_slice(&fs::read(folder.join("benchmark.json"))?)?;
    let estimates: Value = serde_json::from_slice(&fs::read(folder.join("estimates.json"))?)?;
    let text = |key: &str| id.get(key).and_then(Value::as_str).map(str::to_owned);
    let median = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    let parts = (text("group_id"), text("function_id"), text("value_str"), median);
    let (Some(group), Some(subject), Some(workload), Some(value)) = parts else { return Ok(None) };
    Ok(Some(Measure { group, workload, subject, value, unit: "nanoseconds".to_owned() }))
}
