//! `plainview leaks` over files.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::binary;

const PIPELINE: &str =
    include_str!("../../../../platform/hydraulics/tests/leak_plant/pipeline.toml");

fn leaks(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(binary()).env_clear().current_dir(folder).arg("leaks").args(args).output();
    let output = output.unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Noise between -1 and 1 that is the same every time.
fn noise(at: u64, which: u64) -> f64 {
    let mut state = (at * 7_919 + which * 104_729) ^ 0x9e37_79b9_7f4a_7c15;
    let mut sum = 0.0;
    for _ in 0..4 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        sum += (state >> 11) as f64 / 9_007_199_254_740_992.0 - 0.5;
    }
    sum / 2.0
}

/// A steady line whose outlet meter sticks.
fn scan(rows: u64, stuck_from: u64) -> String {
    let mut text = "time_s,q_in,q_out,p_0,p_15,p_30,p_45,p_60\n".to_owned();
    for row in 0..rows {
        let flow = |which| 720.0 + 1.5 * noise(row, which);
        let out = if row < stuck_from { flow(2) } else { 720.0 };
        text.push_str(&format!("{},{:.2},{out:.2}", row * 5, flow(1)));
        for (place, bar) in [51.700, 49.452, 47.204, 44.955, 42.707].into_iter().enumerate() {
            text.push_str(&format!(",{:.3}", bar + 0.02 * noise(row, 3 + place as u64)));
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_record_is_searched_and_a_stuck_meter_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("line.toml"), PIPELINE).unwrap();
    fs::write(dir.path().join("D1_scada.csv"), scan(900, 700)).unwrap();
    let args = ["--pipeline", "line.toml", "--scada", "D1_scada.csv", "--out", "o/D1.json"];
    let (code, said, complained) = leaks(dir.path(), &[&args[..], &["--json"]].concat());
    assert_eq!((code, complained.as_str()), (0, ""));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["rows"], &said["leaks"]), (&900.into(), &0.into()));
    let text = fs::read_to_string(dir.path().join("o/D1.json")).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&result["scenario"], &result["to_s"]), (&"D1".into(), &4495.0.into()));
    let alarm = &result["alarms"][0];
    assert_eq!(
        (&alarm["kind"], &alarm["instrument"]),
        (&"instrument_fault".into(), &"q_out".into())
    );
    assert!(alarm["time_s"].as_f64().unwrap() > 3_500.0 && alarm["size_m3h"].is_null());
}

#[test]
fn bad_input_is_named_with_its_place_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let good = scan(3, 9);
    let last = "720.00,51.7,49.4,47.2,44.9,42.7\n";
    for (line, scada, place) in [
        (
            PIPELINE.to_owned(),
            format!("{good}15,4x.1,{last}"),
            "s.csv:5: column q_in: \"4x.1\" is not a number",
        ),
        (
            PIPELINE.to_owned(),
            format!("{good}10,720.00,{last}"),
            "s.csv:5: column time_s: \"10\" is not later",
        ),
        (
            PIPELINE.to_owned(),
            good.replace("p_30", "p_31"),
            "s.csv:1: column p_30: is not in the header",
        ),
        (
            PIPELINE.replace("schema = 1", "schema = \"x\""),
            good.clone(),
            "line.toml:2: column 10: ",
        ),
        (
            PIPELINE.replace("density_kg_m3 = 850", "density_kg_m3 = -1"),
            good.clone(),
            "fluid.density_kg_m3",
        ),
    ] {
        fs::write(dir.path().join("line.toml"), line).unwrap();
        fs::write(dir.path().join("s.csv"), scada).unwrap();
        let args = ["--pipeline", "line.toml", "--scada", "s.csv", "--out", "o.json"];
        let (code, said, complained) = leaks(dir.path(), &args);
        assert_eq!((code, said.as_str()), (2, ""), "{complained}");
        assert!(complained.contains(place), "{complained}");
        assert!(!dir.path().join("o.json").exists());
    }
}
