//! Which series there are in the words of Prometheus: one per sensor.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use promql::{Labels, Matcher, NAME, Test, is_label_name};
use serde_json::Value;
use store::series::SeriesId;

use super::super::Entry;
use super::About;
use crate::model::Sensor;

/// Labels of one sensor that are taken from its metadata.
const LABELS_MAX: usize = 64;

/// One sensor and the labels it is known by.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) entry: Arc<Entry>,
    pub(super) labels: Labels,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    /// Of the registry that it was made from.
    generation: Option<u64>,
    series: Vec<Named>,
    by_name: HashMap<String, Vec<usize>>,
    places: HashMap<SeriesId, usize>,
}

impl Index {
    pub(super) fn generation(&self) -> Option<u64> {
        self.generation
    }

    pub(super) fn all(&self) -> &[Named] {
        &self.series
    }

    /// The index of these sensors; what did not change is taken over.
    pub(super) fn renewed(&self, generation: u64, entries: Vec<Arc<Entry>>) -> Self {
        let mut fresh = Self { generation: Some(generation), ..Self::default() };
        let mut taken: HashSet<Labels> = HashSet::with_capacity(entries.len());
        for entry in entries {
            let known = self.places.get(&entry.id).map(|at| &self.series[*at]);
            let known = known.filter(|known| Arc::ptr_eq(&known.entry, &entry));
            let mut labels =
                known.map_or_else(|| labels_of(&entry.sensor), |known| known.labels.clone());
            if !taken.insert(labels.clone()) {
                // Two sensors may not be one series, whatever their metadata say.
                labels = labels.with("sensor", entry.sensor.key.as_str());
                taken.insert(labels.clone());
            }
            let at = fresh.series.len();
            fresh.places.insert(entry.id, at);
            fresh.by_name.entry(labels.get(NAME).to_owned()).or_default().push(at);
            fresh.series.push(Named { entry, labels });
        }
        fresh
    }

    /// The series for which all matchers pass.
    pub(super) fn matching(&self, matchers: &[Matcher]) -> Vec<&Named> {
        let name = matchers.iter().find_map(|matcher| match &matcher.test {
            Test::Equal(name) if matcher.name == NAME => Some(name),
            _ => None,
        });
        let fits_all = |named: &&Named| fits(matchers, &named.labels);
        match name {
            Some(name) => {
                let places = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
                places.iter().map(|at| &self.series[*at]).filter(fits_all).collect()
            }
            None => self.series.iter().filter(fits_all).collect(),
        }
    }
}

pub(super) fn fits(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.passes(labels.get(&matcher.name)))
}

/// A sensor that came with labels of its own keeps them, and only them; any other one is known by
/// its measure, and has its site, asset, whole key, unit and kind as labels.
fn labels_of(sensor: &Sensor) -> Labels {
    if let Some(labels) = brought(&sensor.metadata) {
        return labels;
    }
    let key = &sensor.key;
    let asset = key.as_str().split('/').nth(1).unwrap_or_default();
    Labels::new([
        (NAME, metric_name(key.measure()).as_str()),
        ("site", key.site()),
        ("asset", asset),
        ("sensor", key.as_str()),
        ("unit", sensor.unit.as_deref().unwrap_or_default()),
        ("kind", sensor.kind.as_str()),
    ])
}

fn brought(metadata: &Value) -> Option<Labels> {
    let given = metadata.get("labels")?.as_object()?;
    given.get(NAME)?.as_str().filter(|name| !name.is_empty())?;
    let pairs = given.iter().filter(|(name, _)| is_label_name(name));
    Some(Labels::new(
        pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).take(LABELS_MAX),
    ))
}

/// `bearing/de/vibration` becomes `bearing_de_vibration`.
fn metric_name(measure: &str) -> String {
    let sound = |c: char| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
    let name: String = measure.chars().map(sound).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// What is said about the metric: by its sender, or by what we know of the sensor.
pub(super) fn about(named: &Named) -> About {
    let sensor = &named.entry.sensor;
    let said = |name: &str| {
        let text = sensor.metadata.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if brought(&sensor.metadata).is_some() {
        return About {
            kind: said("type").unwrap_or_else(|| "unknown".to_owned()),
            help: said("help").unwrap_or_default(),
            unit: said("unit").or_else(|| sensor.unit.clone()).unwrap_or_default(),
        };
    }
    let unit = sensor.unit.clone().unwrap_or_default();
    let kind = sensor.kind.as_str();
    let help = if unit.is_empty() { kind.to_owned() } else { format!("{kind} in {unit}") };
    About { kind: "gauge".to_owned(), help, unit }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_measures_become_names_of_metrics() {
        for (measure, name) in [
            ("pressure", "pressure"),
            ("bearing/de/vibration", "bearing_de_vibration"),
            ("2nd-stage.temp", "_2nd_stage_temp"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(metric_name(measure), name);
        }
    }

    #[test]
    fn labels_that_a_sensor_came_with_are_kept() {
        let metadata = json!({"labels": {"__name__": "up", "job": "a", "n": 3, "a-b": "c"}});
        assert_eq!(brought(&metadata), Some(Labels::new([("__name__", "up"), ("job", "a")])));
        for none in [json!({}), json!({"labels": {}}), json!({"labels": {"__name__": ""}})] {
            assert_eq!(brought(&none), None);
        }
    }
}
