//! Packets of MQTT 3.1.1 and 5 as the broker reads and writes them.
#![no_main]

use broker::fuzz::{is_login, letters, written};
use fuzz::bounded;
use fuzz::pen::publish;
use libfuzzer_sys::fuzz_target;

const PACKET_BYTES_MAX: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((how, stream)) = data.split_first() else { return };
    let five = how & 1 == 1;
    bounded(stream.len(), 64 << 10, 200, || {
        let _ = is_login(stream, PACKET_BYTES_MAX);
        for topic_and_payload in letters(five, stream, PACKET_BYTES_MAX).0 {
            assert!(topic_and_payload.1.len() <= PACKET_BYTES_MAX);
        }
    });
    // A good message before whatever this is.
    let good = publish(five, b"a/b", b"42.25", 1, false, 7);
    let (found, _) = letters(five, &[&good, stream].concat(), PACKET_BYTES_MAX);
    assert!(
        found
            .first()
            .is_some_and(|(topic, payload)| &topic[..] == b"a/b" && &payload[..] == b"42.25")
    );

    let cut = usize::from(*how >> 1).min(stream.len());
    let (topic, payload) = stream.split_at(cut);
    let Ok(topic) = std::str::from_utf8(topic) else { return };
    let Some(packet) = written(five, topic, payload, how & 2 == 2) else { return };
    let (back, why) = letters(five, &packet, PACKET_BYTES_MAX);
    if packet.len() <= PACKET_BYTES_MAX && !topic.is_empty() && !topic.contains(['\0', '+', '#']) {
        assert_eq!(back.len(), 1, "{topic:?}: {why}");
        assert!(&back[0].0[..] == topic.as_bytes() && &back[0].1[..] == payload);
    }
});
