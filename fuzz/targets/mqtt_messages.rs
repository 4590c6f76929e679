//! Topics, templates and payloads of MQTT.
#![no_main]

use arbitrary::Arbitrary;
use fuzz::{NOW, bounded, sound};
use libfuzzer_sys::fuzz_target;
use sense::mqtt::Mapping;
use sense::mqtt::fuzz::{read, template};

#[derive(Arbitrary, Debug)]
struct Said<'a> {
    template: &'a str,
    kind: u8,
    topic: &'a str,
    retained: bool,
    payload: &'a [u8],
}

const TEMPLATES: [&str; 4] =
    ["plant/{site}/{asset}/{measure*}", "+/{asset}/#", "t/#", "{site}/{asset}/{measure}"];
const TOPICS: [&str; 4] = ["plant/n/p/v/x", "x/p/y", "t/u", "n/p/v"];

fuzz_target!(|said: Said<'_>| {
    if let Some((filter, key)) = template(said.template, said.topic) {
        // The group of a shared subscription may be called anything.
        assert!(filter.starts_with("$share/") || !filter.contains(['{', '}']));
        if let Some(key) = key {
            // A topic names only what stands in it, or in the template's default.
            assert!(key.as_str().split('/').skip(1).all(|part| said.topic.contains(part)));
        }
    }
    let own = (said.template.to_owned(), said.topic);
    let place = usize::from(said.kind) % TEMPLATES.len();
    for (template, topic) in [own, (TEMPLATES[place].to_owned(), TOPICS[place])] {
        let Ok(mapping) = Mapping::new(&[template], "site") else { continue };
        bounded(said.payload.len(), 64 << 10, 1_000, || {
            let rows = read(&mapping, topic, said.payload, said.retained, NOW);
            sound(&rows.readings);
            assert_eq!(rows.readings.len(), rows.rows.len());
        });
        let _ = mapping.covers(topic);
    }
});
