//! Looks at a write-ahead log that a crash has left, before SQLite does.
//!
//! SQLite reads it up to the first frame whose checksum is wrong and takes the rest for what a
//! power cut left unfinished. That is right for the last transaction only: what a later one
//! follows was synced and acknowledged. A flipped bit there must not pass in silence.

use std::fs;
use std::path::Path;

use crate::series::SeriesError;

const HEAD_BYTES: usize = 32;
const FRAME_HEAD_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// How many synced transactions lie behind a damaged frame, and so are lost.
pub(super) fn lost(path: &Path) -> Result<u64, SeriesError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    Ok(count_lost(&bytes))
}

fn count_lost(bytes: &[u8]) -> u64 {
    let Some((head, frames)) = bytes.split_at_checked(HEAD_BYTES) else { return 0 };
    let magic = number(head, 0);
    let big_endian = magic & 1 == 1;
    let size = number(head, 8) as usize;
    let mut sum = checksum(&head[..24], (0, 0), big_endian);
    if magic & !1 != MAGIC || size == 0 || sum != (number(head, 24), number(head, 28)) {
        // Nothing tells whether there was anything in it.
        return u64::from(frames.len() > FRAME_HEAD_BYTES);
    }
    let salt = &head[16..24];
    let mut sound = true;
    // Transactions that end behind the first damaged frame.
    let mut ended = 0;
    for frame in frames.chunks_exact(FRAME_HEAD_BYTES + size) {
        if &frame[8..16] != salt {
            // The end, unless frames of this log follow: then the salt itself is damaged.
            sound = false;
            continue;
        }
        let commits = number(frame, 4) > 0;
        if sound {
            let next = checksum(
                &frame[FRAME_HEAD_BYTES..],
                checksum(&frame[..8], sum, big_endian),
                big_endian,
            );
            sound = next == (number(frame, 16), number(frame, 20));
            sum = next;
        }
        if !sound && commits {
            ended += 1;
        }
    }
    // The last one may never have been synced.
    u64::saturating_sub(ended, 1)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_be_bytes)
}

/// The checksum of SQLite's file format, section 4.2.
fn checksum(bytes: &[u8], from: (u32, u32), big_endian: bool) -> (u32, u32) {
    let word = |bytes: &[u8; 4]| {
        if big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) }
    };
    let (mut a, mut b) = from;
    for [first, second] in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
        a = a.wrapping_add(word(first)).wrapping_add(b);
        b = b.wrapping_add(word(second)).wrapping_add(a);
    }
    (a, b)
}
