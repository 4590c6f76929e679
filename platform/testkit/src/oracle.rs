use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::TestkitError;

/// One acknowledged record, as the client that was told saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ack {
    pub id: String,
    /// [`fingerprint`] of what was sent.
    pub hash: String,
    /// Where the server said it lies; 0 when it said nothing.
    pub position: i64,
}

/// A client's own memory of what was acknowledged to it: an append-only file, on disk before the
/// ack counts. It must outlive the server that is tested, so it lies in another directory and is
/// written by another process.
#[derive(Debug)]
pub struct AckLog {
    file: File,
}

impl AckLog {
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, TestkitError> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        // A line torn by an earlier kill was never counted; end it, so that it spoils no other.
        let mut written = Vec::new();
        file.read_to_end(&mut written)?;
        if written.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n")?;
            file.sync_data()?;
        }
        Ok(Self { file })
    }

    /// Counts `acks` as acknowledged: they are on disk when this returns.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn record(&mut self, acks: &[Ack]) -> Result<(), TestkitError> {
        let mut lines = Vec::new();
        for ack in acks {
            serde_json::to_writer(&mut lines, ack).map_err(io::Error::from)?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines)?;
        Ok(self.file.sync_data()?)
    }

    /// Everything that counted as acknowledged.
    ///
    /// # Errors
    /// When the file cannot be read, or a whole line makes no sense.
    pub fn load(path: &Path) -> Result<Vec<Ack>, TestkitError> {
        let text = std::fs::read(path)?;
        let mut acks = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(ack) => acks.push(ack),
                // Torn by a kill in the middle of the write: it never counted.
                Err(error) if error.is_eof() => {}
                Err(source) => return Err(TestkitError::DamagedLog { line: index + 1, source }),
            }
        }
        Ok(acks)
    }
}

/// What a hash of a record is: the first 128 bits of BLAKE3, in hex.
#[must_use]
pub fn fingerprint(record: &[u8]) -> String {
    blake3::hash(record).to_hex().chars().take(32).collect()
}

/// How what was found compares with what was acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged and not found.
    pub lost: Vec<Ack>,
    /// Found more than once, with how often.
    pub doubled: Vec<(String, usize)>,
    /// Found, with other content or elsewhere than acknowledged: (acknowledged, found).
    pub altered: Vec<(Ack, Ack)>,
    /// Found and never acknowledged: allowed, since an answer may be lost after the commit.
    pub unacknowledged: usize,
    pub acknowledged: usize,
}

impl Verdict {
    /// Nothing acknowledged is lost or changed, and nothing is there twice.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.altered.is_empty()
    }
}

/// Compares by id. Positions are compared where both sides name one.
#[must_use]
pub fn compare(acked: &[Ack], found: impl IntoIterator<Item = Ack>) -> Verdict {
    let mut by_id: BTreeMap<String, Vec<Ack>> = BTreeMap::new();
    for ack in found {
        by_id.entry(ack.id.clone()).or_default().push(ack);
    }
    // A retry may be acknowledged twice under one id; that is one record.
    let expected: BTreeMap<&str, &Ack> = acked.iter().map(|ack| (ack.id.as_str(), ack)).collect();
    let mut verdict = Verdict { acknowledged: expected.len(), ..Verdict::default() };
    for (id, ack) in &expected {
        match by_id.get(*id).and_then(|copies| copies.first()) {
            None => verdict.lost.push((*ack).clone()),
            Some(copy) if differs(ack, copy) => {
                verdict.altered.push(((*ack).clone(), copy.clone()));
            }
            Some(_) => {}
        }
    }
    for (id, copies) in by_id {
        if copies.len() > 1 {
            verdict.doubled.push((id.clone(), copies.len()));
        }
        if !expected.contains_key(id.as_str()) {
            verdict.unacknowledged += 1;
        }
    }
    verdict
}

fn differs(acked: &Ack, found: &Ack) -> bool {
    let moved = acked.position != 0 && found.position != 0 && acked.position != found.position;
    acked.hash != found.hash || moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(id: &str, body: &str, position: i64) -> Ack {
        Ack { id: id.to_owned(), hash: fingerprint(body.as_bytes()), position }
    }

    #[test]
    fn tells_lost_doubled_altered_and_surplus() {
        let acked = [ack("a", "1", 1), ack("b", "2", 2), ack("c", "3", 3), ack("d", "4", 0)];
        let found = [
            ack("a", "1", 1),
            ack("b", "other", 2),
            ack("d", "4", 9),
            ack("d", "4", 10),
            ack("e", "5", 11),
        ];
        let verdict = compare(&acked, found);
        assert!(!verdict.holds());
        assert_eq!(verdict.lost, [ack("c", "3", 3)]);
        assert_eq!(verdict.doubled, [("d".to_owned(), 2)]);
        assert_eq!(verdict.altered, [(ack("b", "2", 2), ack("b", "other", 2))]);
        assert_eq!((verdict.unacknowledged, verdict.acknowledged), (1, 4));
        assert!(compare(&acked, acked.clone()).holds());
    }

    #[test]
    fn a_torn_line_never_counted_and_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acks");
        AckLog::open(&path).unwrap().record(&[ack("a", "1", 1)]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":\"b\",\"ha").unwrap();
        drop(file);
        AckLog::open(&path).unwrap().record(&[ack("c", "3", 3)]).unwrap();
        assert_eq!(AckLog::load(&path).unwrap(), [ack("a", "1", 1), ack("c", "3", 3)]);
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(matches!(AckLog::load(&path), Err(TestkitError::DamagedLog { line: 1, .. })));
    }
}
