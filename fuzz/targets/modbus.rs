//! Answers of Modbus devices, through the library's framing to the values of a register map.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use fuzz::runtime;
use libfuzzer_sys::fuzz_target;
use sense::modbus::fuzz::Registers;
use serde_json::json;

#[derive(Arbitrary, Debug)]
struct Device<'a> {
    map: Option<&'a str>,
    how: u8,
    words: &'a [u8],
}

static REGISTERS: LazyLock<Registers> = LazyLock::new(|| {
    let kinds = ["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bit 3"];
    let orders = ["ABCD", "CDAB", "BADC", "DCBA"];
    let mut all = Vec::new();
    for (place, (kind, order)) in
        kinds.iter().flat_map(|kind| orders.iter().map(move |order| (kind, order))).enumerate()
    {
        all.push(json!({
            "sensor": format!("a/b/{}-{order}", kind.replace(' ', "")),
            "address": place * 4, "type": kind, "order": order, "scale": 0.1, "offset": -1,
        }));
    }
    for address in 0..10 {
        all.push(
            json!({ "sensor": format!("a/b/coil-{address}"), "table": "coil", "address": address }),
        );
    }
    Registers::read(&json!({ "host": "x", "registers": all })).expect("a map")
});

fuzz_target!(|device: Device<'_>| {
    let own = device.map.and_then(|text| serde_json::from_str(text).ok());
    let own = own.and_then(|settings| Registers::read(&settings));
    let registers = own.as_ref().unwrap_or(&REGISTERS);
    let values = runtime().block_on(registers.poll(|request| answer(&device, request)));
    for (_, value) in &values {
        assert!(value.is_none_or(f64::is_finite));
    }
    if device.how % 4 == 0 && own.is_none() {
        assert_eq!(values.len(), 46, "every register is read from a whole answer");
    }
});

fn answer(device: &Device<'_>, request: &[u8]) -> Vec<u8> {
    let words = device.words;
    let framed = |pdu: &[u8]| {
        let length = (pdu.len() + 1) as u16;
        [&request[..2], &[0, 0], &length.to_be_bytes(), &request[6..7], pdu].concat()
    };
    let whole = || {
        let count = u16::from_be_bytes([request[10], request[11]]);
        let bytes = if request[7] < 3 { count.div_ceil(8) } else { count * 2 };
        let filler = words.iter().copied().chain(std::iter::repeat(0)).take(usize::from(bytes));
        framed(&[request[7], bytes as u8].into_iter().chain(filler).collect::<Vec<u8>>())
    };
    match device.how % 4 {
        0 => whole(),
        1 => framed(words),
        2 => [&request[..request.len().min(7)], words].concat(),
        _ => words.to_vec(),
    }
}
