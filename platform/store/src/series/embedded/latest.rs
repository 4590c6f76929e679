//! `latest.bin`: the latest reading of every sensor as of some seal, so that opening the store
//! reads next to no blocks. With many sensors it is not written with each seal; segments made
//! since are then read.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::block::Slot;
use super::codec::{Rest, damaged};
use crate::series::{Offset, SeriesError};

const MAGIC: &[u8; 8] = b"pvlates2";
const HEAD_BYTES: usize = 28;
/// Files that were written with every seal did not say with which.
const MAGIC_OLD: &[u8; 8] = b"pvlatest";
const HEAD_BYTES_OLD: usize = 20;
const SLOT_BYTES: usize = 24;
/// Sensors under one checksum.
const CHUNK: usize = 4_096;
/// Stands where a sensor has no reading.
const NEVER: i64 = i64::MIN;

pub(super) const FILE: &str = "latest.bin";

/// Writes the file under another name and then gives it its own.
pub(super) fn save(
    dir: &Path,
    latest: &[Option<Slot>],
    through: Offset,
) -> Result<(), SeriesError> {
    let path = dir.join("latest.tmp");
    let mut out = BufWriter::with_capacity(1 << 18, File::create(&path)?);
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&(latest.len() as u64).to_le_bytes());
    head.extend_from_slice(&through.0.to_le_bytes());
    head.extend_from_slice(&crc32c::crc32c(&head).to_le_bytes());
    out.write_all(&head)?;
    let mut bytes = Vec::with_capacity(CHUNK * SLOT_BYTES + 4);
    for chunk in latest.chunks(CHUNK) {
        bytes.clear();
        for slot in chunk {
            let slot = slot.unwrap_or(Slot { at: NEVER, value: 0.0, tag: 0 });
            bytes.extend_from_slice(&slot.at.to_le_bytes());
            bytes.extend_from_slice(&slot.value.to_le_bytes());
            bytes.extend_from_slice(&slot.tag.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        out.write_all(&bytes)?;
    }
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&path, dir.join(FILE))?;
    super::sync_dir(dir)
}

/// What the file says, and the sensors that it should know but whose part of it is damaged.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Loaded {
    pub(super) latest: Vec<Option<Slot>>,
    /// What is sealed behind this place of the log is not in it; `None` when it is all there.
    pub(super) through: Option<Offset>,
    pub(super) lost: Vec<std::ops::Range<u32>>,
}

/// `None` when there is no such file.
pub(super) fn load(dir: &Path, sensors: usize) -> Result<Option<Loaded>, SeriesError> {
    let bytes = match fs::read(dir.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut loaded = Loaded { latest: vec![None; sensors], ..Loaded::default() };
    let Ok((count, through, mut rest)) = head(&bytes) else {
        loaded.lost.push(0..sensors as u32);
        return Ok(Some(loaded));
    };
    loaded.through = through;
    let mut start = 0;
    while start < count.min(sensors) {
        let some = CHUNK.min(count - start);
        let body = rest.take(some * SLOT_BYTES).unwrap_or_default();
        let sound = rest.array().is_ok_and(|sum| crc32c::crc32c(body).to_le_bytes() == sum);
        if sound {
            let slots = &mut loaded.latest[start..(start + some).min(sensors)];
            for (place, bytes) in slots.iter_mut().zip(body.as_chunks::<SLOT_BYTES>().0) {
                *place = slot(bytes);
            }
        } else {
            loaded.lost.push(start as u32..(start + some).min(sensors) as u32);
        }
        start += some;
    }
    Ok(Some(loaded))
}

fn head(bytes: &[u8]) -> Result<(usize, Option<Offset>, Rest<'_>), SeriesError> {
    let mut rest = Rest(bytes);
    let (magic, count) = (rest.take(MAGIC.len())?, u64::from_le_bytes(rest.array()?));
    let old = magic == MAGIC_OLD;
    let through = if old { None } else { Some(Offset(u64::from_le_bytes(rest.array()?))) };
    let sum: [u8; 4] = rest.array()?;
    let len = if old { HEAD_BYTES_OLD } else { HEAD_BYTES };
    if !(old || magic == MAGIC) || crc32c::crc32c(&bytes[..len - 4]).to_le_bytes() != sum {
        return Err(damaged("the head of the latest readings fails its checksum"));
    }
    Ok((usize::try_from(count).unwrap_or(usize::MAX), through, rest))
}

fn slot(bytes: &[u8; SLOT_BYTES]) -> Option<Slot> {
    let mut rest = Rest(bytes);
    let at = i64::from_le_bytes(rest.array().ok()?);
    let value = f64::from_le_bytes(rest.array().ok()?);
    let tag = u64::from_le_bytes(rest.array().ok()?);
    (at != NEVER).then_some(Slot { at, value, tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_and_names_what_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path(), 3).unwrap(), None);
        let latest: Vec<_> = (0..10_000u32)
            .map(|i| (i % 3 > 0).then(|| Slot::new(i64::from(i), 0.5, 1, u64::from(i))))
            .collect();
        save(dir.path(), &latest, Offset(7)).unwrap();
        let loaded = load(dir.path(), latest.len()).unwrap().unwrap();
        let through = Some(Offset(7));
        assert_eq!(loaded, Loaded { latest: latest.clone(), through, lost: vec![] });
        let more = load(dir.path(), latest.len() + 2).unwrap().unwrap();
        assert_eq!(more.latest[latest.len()..], [None, None]);
        let path = dir.path().join(FILE);
        let sound = fs::read(&path).unwrap();
        for place in (0..sound.len()).step_by(911) {
            let mut flipped = sound.clone();
            flipped[place] ^= 4;
            fs::write(&path, flipped).unwrap();
            let loaded = load(dir.path(), latest.len()).unwrap().unwrap();
            assert_eq!(loaded.lost.len(), 1, "byte {place}");
            for (id, (got, wanted)) in loaded.latest.iter().zip(&latest).enumerate() {
                let lost = loaded.lost[0].contains(&(id as u32));
                assert!(got == wanted || lost, "byte {place}, sensor {id}");
            }
        }
    }
}
