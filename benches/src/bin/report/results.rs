//! Ratios: measurements divided by their baselines, and held against the promises.

use convoy_benches::Measure;
use serde_json::{Value, json};

use crate::promises::Workload;

/// One subject on one workload.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) subject: String,
    pub(crate) baseline: &'static str,
    /// The measurement with its unit, and the ratio to the baseline; `None` when either was
    /// not measured.
    pub(crate) value: Option<(f64, String)>,
    pub(crate) ratio: Option<f64>,
    /// The largest ratio that was promised; `None` where nothing was.
    pub(crate) target: Option<f64>,
    pub(crate) met: Option<bool>,
}

/// The rows of all workloads: the baseline first, then the promises, then the rest.
pub(crate) fn rows(measures: &[Measure], workloads: &'static [Workload]) -> Vec<Row> {
    workloads.iter().flat_map(|workload| workload_rows(measures, workload)).collect()
}

fn workload_rows(measures: &[Measure], workload: &'static Workload) -> Vec<Row> {
    let own =
        |measure: &&Measure| measure.group == workload.group && measure.workload == workload.name;
    let measured: Vec<&Measure> = measures.iter().filter(own).collect();
    let find = |subject: &str| measured.iter().find(|measure| measure.subject == subject);
    let row = |subject: &str, baseline: &'static str, target: Option<f64>| {
        let found = find(subject);
        let ratio = found.zip(find(baseline)).map(|(own, base)| own.value / base.value);
        Row {
            group: workload.group,
            workload: workload.name,
            subject: subject.to_owned(),
            baseline,
            value: found.map(|measure| (measure.value, measure.unit.clone())),
            ratio,
            target,
            met: target.map(|target| ratio.is_some_and(|ratio| ratio <= target)),
        }
    };
    let mut rows = vec![row(workload.baseline, workload.baseline, None)];
    for target in workload.targets {
        let baseline = target.baseline.unwrap_or(workload.baseline);
        rows.push(row(target.subject, baseline, Some(target.ratio)));
    }
    let mut others: Vec<&&Measure> = measured.iter().collect();
    others.sort_by(|left, right| left.value.total_cmp(&right.value));
    for measure in others {
        if rows.iter().all(|row| row.subject != measure.subject) {
            rows.push(row(&measure.subject, workload.baseline, None));
        }
    }
    rows
}

/// The rows as `results.json` lists them.
pub(crate) fn to_json(rows: &[Row], machine: &str) -> Value {
    rows.iter()
        .map(|row| {
            json!({
                "group": row.group,
                "workload": row.workload,
                "subject": row.subject,
                "baseline": row.baseline,
                "ratio": row.ratio.map(|ratio| (ratio * 1000.0).round() / 1000.0),
                "target": row.target,
                "met": row.met,
                "machine": machine,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promises::workloads;

    fn measure(subject: &str, value: f64) -> Measure {
        Measure {
            group: "iterate".to_owned(),
            workload: "pos_vel_10k".to_owned(),
            subject: subject.to_owned(),
            value,
            unit: "nanoseconds".to_owned(),
        }
    }

    #[test]
    fn a_promise_is_met_missed_or_not_measured() {
        let measures =
            [measure("raw", 100.0), measure("convoy", 104.0), measure("convoy iterator", 130.0)];
        let rows = rows(&measures, workloads());
        let met = |subject: &str| {
            let own = |row: &&Row| row.workload == "pos_vel_10k" && row.subject == subject;
            rows.iter().find(own).map(|row| (row.ratio, row.met))
        };
        assert_eq!(met("convoy"), Some((Some(1.04), Some(true))));
        assert_eq!(met("convoy iterator"), Some((Some(1.3), Some(false))));
        assert_eq!(met("convoy runs"), Some((None, Some(false))));
        assert_eq!(met("raw"), Some((Some(1.0), None)));
    }
}
