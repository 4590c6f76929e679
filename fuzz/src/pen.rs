//! Writes protobuf and MQTT packets as their standards have them.

/// A protobuf field of wire type 0.
pub fn varint(field: u32, value: u64) -> Vec<u8> {
    let mut out = number(u64::from(field) << 3);
    out.extend(number(value));
    out
}

pub fn fixed64(field: u32, bits: u64) -> Vec<u8> {
    let mut out = number(u64::from(field) << 3 | 1);
    out.extend(bits.to_le_bytes());
    out
}

pub fn fixed32(field: u32, bits: u32) -> Vec<u8> {
    let mut out = number(u64::from(field) << 3 | 5);
    out.extend(bits.to_le_bytes());
    out
}

pub fn bytes(field: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let mut out = number(u64::from(field) << 3 | 2);
    out.extend(number(value.len() as u64));
    out.extend(value);
    out
}

fn number(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![head];
    out.extend(number(body.len() as u64));
    out.extend(body);
    out
}

fn text(value: &[u8]) -> Vec<u8> {
    let length = value.len().min(usize::from(u16::MAX));
    let mut out = (length as u16).to_be_bytes().to_vec();
    out.extend(&value[..length]);
    out
}

pub fn connect(five: bool, client: &[u8], user: &[u8], will: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let flags = 0xc2 | if will.is_some() { 4 } else { 0 };
    let mut body = [&text(b"MQTT")[..], &[if five { 5 } else { 4 }, flags, 0, 0]].concat();
    let none: &[u8] = if five { &[0] } else { &[] };
    body.extend(none);
    body.extend(text(client));
    if let Some((topic, message)) = will {
        body.extend(none);
        body.extend(text(topic));
        body.extend(text(message));
    }
    body.extend(text(user));
    body.extend(text(b"key"));
    packet(0x10, &body)
}

pub fn publish(
    five: bool,
    topic: &[u8],
    message: &[u8],
    qos: u8,
    retain: bool,
    id: u16,
) -> Vec<u8> {
    let mut body = text(topic);
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(if five { &[0][..] } else { &[] });
    body.extend(message);
    packet(0x30 | qos << 1 | u8::from(retain), &body)
}

pub fn subscribe(five: bool, filters: &[&[u8]], id: u16) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(if five { &[0][..] } else { &[] });
    for filter in filters {
        body.extend(text(filter));
        body.push(0);
    }
    packet(0x82, &body)
}

pub fn unsubscribe(five: bool, filters: &[&[u8]], id: u16) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(if five { &[0][..] } else { &[] });
    filters.iter().for_each(|filter| body.extend(text(filter)));
    packet(0xa2, &body)
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP by their numbers.
pub fn answer(kind: u8, id: u16) -> Vec<u8> {
    packet(kind << 4 | if kind == 6 { 2 } else { 0 }, &id.to_be_bytes())
}

pub fn ping() -> Vec<u8> {
    packet(0xc0, &[])
}

pub fn leave() -> Vec<u8> {
    packet(0xe0, &[])
}
