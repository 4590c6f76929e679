//! `plainview transient` over files.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::binary;

/// The cases of the project's reference, with the heads expected of them.
const CASES: &str = include_str!("transient_cases.json");

fn transient(folder: &Path, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(binary());
    command.env_clear().current_dir(folder).args(["transient", "--cases", "c.json", "--out", "o"]);
    let output = command.args(more).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn column(text: &str, name: &str) -> Vec<Option<f64>> {
    let mut lines = text.lines();
    let place = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    lines.map(|line| line.split(',').nth(place).unwrap().parse().ok()).collect()
}

#[test]
fn the_reference_is_met() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.json"), CASES).unwrap();
    let (code, said, complained) = transient(dir.path(), &["--json"]);
    assert_eq!((code, complained.as_str()), (0, ""));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["cases"], &said["column_separations"]), (&json!(7), &json!(1)));
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    for case in cases {
        let name = case["case"].as_str().unwrap();
        let read = |kind: &str| fs::read_to_string(dir.path().join(format!("o/{name}.{kind}")));
        let summary: Value = serde_json::from_str(&read("json").unwrap()).unwrap();
        let table = read("csv").unwrap();
        let number = |key: &str| case[key].as_f64().unwrap();
        let rows = (number("T_s") / number("dt_s")).round() as usize + 1;
        assert_eq!(table.lines().count(), rows + 1, "{name}");
        let separates = case["expect_column_separation"] == json!(true);
        assert_eq!(summary["column_separation"], json!(separates), "{name}");
        if separates {
            let heads = column(&table, "head_valve_m");
            assert!(heads[200].is_some() && heads[201..].iter().all(Option::is_none));
        } else if case["leak_x_m"].is_null() {
            for key in ["peak_head_m", "min_head_m"] {
                let (ours, wanted) = (summary[key].as_f64().unwrap(), number(key));
                assert!((ours - wanted).abs() <= number("tolerance_head_m"), "{name} {key} {ours}");
            }
        } else {
            let leak = column(&table, "leak_flow_m3s");
            let (first, last) = (leak.iter().flatten().find(|flow| **flow > 0.0), leak[rows - 1]);
            for (ours, key) in
                [(first.copied(), "leak_flow_initial_m3s"), (last, "leak_flow_final_m3s")]
            {
                assert!((ours.unwrap() / number(key) - 1.0).abs() < 0.01, "{name} {key} {ours:?}");
            }
        }
    }
    let again = fs::read(dir.path().join("o/b3_orifice_linear4s_friction.csv")).unwrap();
    assert_eq!(transient(dir.path(), &[]), (0, String::new(), String::new()));
    let table = fs::read(dir.path().join("o/b3_orifice_linear4s_friction.csv")).unwrap();
    assert_eq!(table, again);
}

#[test]
fn bad_cases_are_named_with_line_and_field_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let good = r#"[
 {"case": "one", "L_m": 600.0, "D_m": 0.5, "a_ms": 1200.0, "f_darcy": 0.02, "H0_m": 100.0,
  "Q0_m3s": 0.15, "g": 9.81, "valve_law": "orifice", "closure_s": 2,
  "reaches_N": 10, "dt_s": 0.05, "T_s": 6.0}]"#;
    for (from, to, place) in [
        ("\"D_m\": 0.5", "\"D_m\": \"x\"", "c.json:2: column [0].D_m: invalid type: string \"x\""),
        ("\"closure_s\": 2", "\"closure_s\": -2", "c.json:3: column [0].closure_s: must not be"),
        ("\"dt_s\": 0.05", "\"dt_s\": 0.06", "c.json:4: column [0].dt_s: is not L_m / (reaches"),
        ("\"g\": 9.81, ", "", "c.json:4: column [0]: missing field `g`"),
        ("\"one\"", "\"../one\"", "c.json:2: column [0].case: must be the name of a file"),
        ("\"orifice\"", "\"gate\"", "c.json:3: column [0].valve_law: unknown variant `gate`"),
        ("100.0,", "0.5,", "c.json:2: column [0].H0_m: does not drive Q0_m3s"),
        ("\"closure_s\": 2", "\"leak_x_m\": 700", "c.json:2: column [0].Ke: is missing"),
        ("6.0}]", "6.0}", "c.json:4: EOF while parsing a list"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        fs::write(dir.path().join("c.json"), bad).unwrap();
        let (code, said, complained) = transient(dir.path(), &[]);
        assert_eq!((code, said.as_str()), (2, ""), "{complained}");
        assert!(complained.starts_with(&format!("plainview: {place}")), "{complained}");
        assert!(!dir.path().join("o").exists());
    }
    fs::write(dir.path().join("c.json"), good).unwrap();
    assert_eq!(transient(dir.path(), &[]).0, 0);
}
