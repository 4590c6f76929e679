use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::Failure;

/// Bytes of one file after decompression; a workbench reads files whole.
const BYTES_MAX: u64 = 4 << 30;

/// A CSV file read whole, by column name; `.gz` is decompressed.
pub(crate) struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<csv::StringRecord>,
    /// The line of each row.
    lines: Vec<u64>,
}

impl Table {
    /// # Errors
    /// Unreadable files, text that is no UTF-8, rows that do not fit the header, a column named
    /// twice.
    pub(crate) fn read(path: &Path, separator: u8) -> Result<Self, Failure> {
        let bytes = bytes(path)?;
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            .from_reader(text);
        let mut records = reader.records();
        let header = match records.next() {
            Some(record) => record.map_err(|error| misread(path, &error))?,
            None => return Err(Failure::line(path, 1, "the header row is missing")),
        };
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        for (place, name) in header.iter().enumerate() {
            if header[..place].contains(name) {
                return Err(Failure::cell(path, 1, name, "stands twice in the header"));
            }
        }
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        let mut ruler = Ruler { text, byte: 0, line: 1 };
        for record in records {
            let record = record.map_err(|error| misread(path, &error))?;
            let line = ruler.line(record.position());
            if record.len() != header.len() {
                return Err(uneven(path, line, &header, &record));
            }
            rows.push(record);
            lines.push(line);
        }
        Ok(Self { path: path.to_owned(), header, rows, lines })
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The place of a column that must be there.
    pub(crate) fn need(&self, name: &str) -> Result<usize, Failure> {
        self.find(name).ok_or_else(|| Failure::cell(&self.path, 1, name, "is not in the header"))
    }

    /// The line of a row in the file; the header is line 1.
    pub(crate) fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or(row as u64 + 2)
    }

    pub(crate) fn text(&self, row: usize, column: usize) -> &str {
        self.rows.get(row).and_then(|record| record.get(column)).unwrap_or_default()
    }

    /// The number in a cell; `None` where nothing stands.
    pub(crate) fn number(&self, row: usize, column: usize) -> Result<Option<f64>, Failure> {
        let text = self.text(row, column).trim();
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.bad(row, column, "is not a number")),
        }
    }

    /// A complaint about a cell, with what stands in it.
    pub(crate) fn bad(&self, row: usize, column: usize, what: &str) -> Failure {
        let name = self.header.get(column).map_or("", String::as_str);
        let reason = format!("\"{}\" {what}", self.text(row, column));
        Failure::cell(&self.path, self.line(row), name, &reason)
    }
}

/// Counts lines as far as the newest record. The reader's own count is one short after CRLF, where
/// a record starts before the line feed of the one before.
struct Ruler<'a> {
    text: &'a [u8],
    byte: usize,
    line: u64,
}

impl Ruler<'_> {
    fn line(&mut self, record: Option<&csv::Position>) -> u64 {
        let Some(start) = record.and_then(|place| usize::try_from(place.byte()).ok()) else {
            return self.line;
        };
        let blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let from = start.min(self.text.len());
        let first = from + self.text[from..].iter().take_while(blank).count();
        let passed = &self.text[self.byte.min(first)..first];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.byte = first;
        self.line
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| Failure::file(path, error.to_string());
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = if path.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(file).take(BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes)
    };
    if read.map_err(unreadable)? as u64 > BYTES_MAX {
        return Err(Failure::file(path, format!("is larger than {BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn misread(path: &Path, error: &csv::Error) -> Failure {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => Failure::line(path, line, "is not UTF-8"),
        _ => Failure::line(path, line, error.to_string()),
    }
}

/// Names the first column that is missing, or the last one there is when fields are too many.
fn uneven(path: &Path, line: u64, header: &[String], record: &csv::StringRecord) -> Failure {
    let column = header.get(record.len()).or(header.last()).map_or("", String::as_str);
    let reason = format!("the row has {} fields, the header {}", record.len(), header.len());
    Failure::cell(path, line, column, &reason)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn table(text: &str) -> Result<Table, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        fs::write(&path, text).unwrap();
        let base = format!("{}/", dir.path().display());
        Table::read(&path, b',').map_err(|error| error.to_string().replace(&base, ""))
    }

    #[test]
    fn columns_are_found_by_name_and_cells_read() {
        let table = table("\u{feff}b,a\r\n1.5,\r\n-2e3,x\r\n").unwrap();
        let (a, b) = (table.need("a").unwrap(), table.need("b").unwrap());
        assert_eq!(table.len(), 2);
        assert_eq!(table.number(0, b).unwrap(), Some(1.5));
        assert_eq!(table.number(0, a).unwrap(), None);
        let bad = table.number(1, a).unwrap_err().to_string();
        assert!(bad.ends_with("t.csv:3: column a: \"x\" is not a number"), "{bad}");
        let missing = table.need("c").unwrap_err().to_string();
        assert!(missing.ends_with("t.csv:1: column c: is not in the header"), "{missing}");
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_place() {
        for (text, why) in [
            ("", "t.csv:1: the header row is missing"),
            ("a,b\n1,2\n3\n", "t.csv:3: column b: the row has 1 fields, the header 2"),
            ("a,b\n1,2,3\n", "t.csv:2: column b: the row has 3 fields, the header 2"),
            ("a,a\n1,2\n", "t.csv:1: column a: stands twice in the header"),
        ] {
            assert_eq!(table(text).err().as_deref(), Some(why));
        }
        for number in ["inf", "NaN", "1,5"] {
            let table = table(&format!("a\n\"{number}\"\n")).unwrap();
            assert!(table.number(0, 0).is_err(), "{number}");
        }
    }

    #[test]
    fn gzip_is_read_and_damage_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv.gz");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"a\n7\n").unwrap();
        let bytes = gz.finish().unwrap();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(Table::read(&path, b',').unwrap().number(0, 0).unwrap(), Some(7.0));
        fs::write(&path, &bytes[..bytes.len() - 6]).unwrap();
        let damaged = Table::read(&path, b',').err().unwrap().to_string();
        assert!(damaged.contains("t.csv.gz: "), "{damaged}");
    }
}
