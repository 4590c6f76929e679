//! The settings file and the environment, down to the connectors that they name.
#![no_main]

use std::cell::RefCell;
use std::io::{Seek, Write};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, reason = "a private part of the program")]
#[path = "../../app/plainview/src/config/mod.rs"]
mod config;

/// The program's own checks ask here what its connectors think of their settings.
mod sources {
    use std::path::PathBuf;

    use kernel::SystemClock;
    use sense::ConnectorKind;
    use sense::modbus::ModbusKind;
    use sense::mqtt::MqttKind;
    use sense::sparkplug::SparkplugKind;

    use crate::config::Config;

    pub(crate) fn weaknesses(config: &Config) -> Vec<String> {
        let nobody: broker::Verify = std::sync::Arc::new(|_, _| Box::pin(async { Ok(None) }));
        let kinds: [&dyn ConnectorKind; 4] = [
            &MqttKind::default(),
            &SparkplugKind { declare: None },
            &ModbusKind,
            &broker::BrokerKind { verify: nobody },
        ];
        let mut found = Vec::new();
        for source in &config.sources {
            let settings = serde_json::Value::Object(source.settings.clone());
            for kind in kinds {
                if let Err(error) = kind.build(&source.name, &settings, SystemClock::shared()) {
                    assert!(!error.to_string().is_empty());
                }
                let weak = kind.weaknesses(&settings);
                found.extend(weak.into_iter().map(|(field, advice)| format!("{field}: {advice}")));
            }
        }
        drop(PathBuf::new());
        found
    }
}

#[derive(Arbitrary, Debug)]
struct Given<'a> {
    environ: Vec<(u8, &'a str, &'a str)>,
    file: &'a str,
}

const NAMES: [&str; 8] = [
    "PLAINVIEW_SERVER__LISTEN",
    "PLAINVIEW_INGEST__SENSORS_MAX",
    "PLAINVIEW_AUTH__KEYS",
    "CORS_ORIGINS",
    "EVENT_HANDLER_RETRY_DELAY_SECONDS",
    "LOG_LEVEL",
    "ENVIRONMENT",
    "PLAINVIEW_SOURCES",
];

thread_local! {
    static FILE: RefCell<tempfile::NamedTempFile> =
        RefCell::new(tempfile::NamedTempFile::new().expect("a file"));
}

fuzz_target!(|given: Given<'_>| {
    let mut environ = config::Environ::new();
    for (known, name, value) in &given.environ {
        let name = NAMES
            .get(usize::from(*known))
            .copied()
            .map_or_else(|| format!("PLAINVIEW_{name}"), str::to_owned);
        environ.insert(name, (*value).to_owned());
    }
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).expect("a file");
        file.rewind().expect("a file");
        file.write_all(given.file.as_bytes()).expect("a file");
        match config::load(Some(file.path()), &environ) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(config) => {
                drop(config::examine(&config));
                drop(config::refusals(&config));
                // What was understood can be written and read again.
                let text = serde_json::to_string(&config).expect("settings are JSON");
                let again: config::Config = serde_json::from_str(&text).expect("the same");
                assert!(again == config || config.events.retry_delay_seconds.is_nan());
            }
        }
    });
});
